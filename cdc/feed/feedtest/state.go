package feedtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
)

// elementsAtOnce is how finely a Replica cuts collections, rowsAtOnce how many mutations it gives at once.
const (
	elementsAtOnce = 2
	rowsAtOnce     = 3
)

// OpenState reads the state that folding what is applied gives, as store.RowReader does: collections are cut every two elements, three mutations
// come at once. StateCalls bounds them. What was deleted leaves a tombstone, if they are wanted, whatever the log says.
func (r *Replica) OpenState(afterKey []byte, tombstones bool) (feed.StateReader, error) {
	st, err := r.State()
	if err != nil {
		return nil, err
	}
	s := &stateReader{left: -1, cut: feed.Cut{Applied: st.Applied, LastEvent: st.Head.LastEvent, Chain: st.Head.Chain, Names: slices.Clone(st.Names)}}
	if r.StateCalls > 0 {
		s.left = r.StateCalls
	}
	fold, dead := r.h.fold(st.Applied.Index, &s.cut)
	s.cut.Keys, s.cut.Horizons = uint64(fold.Len()), map[string]int64{r.ClusterID(): s.cut.Time}
	for _, key := range fold.Keys() {
		if m, _ := fold.Get([]byte(key)); key > string(afterKey) && (tombstones || !m.Expired(s.cut.Wall)) {
			s.rows = append(s.rows, rowsOf(fold, []byte(key), &m)...)
		}
	}
	for key, m := range dead {
		if tombstones && key > string(afterKey) {
			s.rows = append(s.rows, event.Mutation{Op: event.OpDel, Key: []byte(key), Version: m.Version, Floor: m.Floor, ExpiryVersion: m.ExpiryVersion})
		}
	}
	slices.SortStableFunc(s.rows, func(a, b event.Mutation) int { return bytes.Compare(a.Key, b.Key) })
	return s, nil
}

// fold folds the history up to an index, and says how the keys that aren't there were deleted.
func (h *History) fold(index uint64, cut *feed.Cut) (*event.Fold, map[string]event.Mutation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var fold event.Fold
	dead := make(map[string]event.Mutation)
	for i := range h.mu.entries[:index] {
		var ev event.Event
		if e := &h.mu.entries[i]; len(e.Data) == 0 || event.Decode(e.Data, &ev) != nil || ev.Term != e.Term {
			continue
		}
		fold.Event(&ev)
		for j := range ev.Mutations {
			m := &ev.Mutations[j]
			if delete(dead, string(m.Key)); m.Op == event.OpDel {
				dead[string(m.Key)] = *m
			}
		}
		cut.Wall, cut.Time = max(cut.Wall, ev.Wall), max(cut.Time, ev.Time+int64(len(ev.Mutations)))
	}
	return &fold, dead
}

var rowOps = map[event.Type]event.Op{
	event.TypeString: event.OpSet, event.TypeHash: event.OpHSet, event.TypeSet: event.OpSAdd, event.TypeZSet: event.OpZAdd,
	event.TypeList: event.OpRPush, event.TypeBitmap: event.OpBits,
}

func rowsOf(fold *event.Fold, key []byte, meta *event.Meta) (rows []event.Mutation) {
	row := event.Mutation{
		Op: rowOps[meta.Type], Type: meta.Type, Key: key, Value: meta.Value, Version: meta.Version, Floor: meta.Floor, ExpireAt: meta.ExpireAt,
		ExpiryVersion: meta.ExpiryVersion, Generation: meta.Generation,
	}
	if meta.Type == event.TypeString {
		return []event.Mutation{row}
	}
	row.KeyVersion, row.Whole = meta.Version, true
	add := func() {
		if row.Count += uint64(len(row.Elements)); meta.Type == event.TypeBitmap {
			row.Count = meta.Count
		}
		rows = append(rows, row)
		row.Elements, row.Whole, row.Prev = nil, false, meta.Version
	}
	for e := range fold.Elements(key) {
		part := event.Element{Sub: e.Sub, Value: e.Value, Score: e.Score}
		if meta.Type != event.TypeList {
			part.Prev, part.Exists, part.Was = e.Version, true, e.Score
		}
		if row.Elements = append(row.Elements, part); len(row.Elements) == elementsAtOnce {
			add()
		}
	}
	if len(row.Elements) > 0 {
		add()
	}
	return rows
}

// stateReader gives rows that were made beforehand.
type stateReader struct {
	cut  feed.Cut
	mu   sync.Mutex
	rows []event.Mutation
	left int // calls until it is lost; below 0: it isn't
	err  error
}

func (s *stateReader) Cut() feed.Cut { return s.cut }

func (s *stateReader) Next() ([]event.Mutation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return nil, s.err
	case s.left == 0:
		return nil, errors.New("the state that was read from is being replaced")
	case len(s.rows) == 0:
		return nil, io.EOF
	}
	s.left--
	n := min(rowsAtOnce, len(s.rows))
	rows := s.rows[:n]
	s.rows = s.rows[n:]
	return rows, nil
}

func (s *stateReader) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.New("the reader of the state is closed")
}

// Limits of a Replica's Holding.
const (
	LimitBytes = 1 << 20
	LimitAge   = 72 * time.Hour
)

// Leading says whether the node is the cell's leader.
func (r *Replica) Leading() bool { return r.leads == nil || r.leads() }

// Holding tells of the consumers that any replica of the history was told of.
func (r *Replica) Holding() (feed.Holding, error) {
	st, err := r.State()
	if err != nil {
		return feed.Holding{}, err
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	out := feed.Holding{First: st.Oldest.Index + 1, Bytes: r.h.bytesLocked(st.Oldest.Index), LimitBytes: LimitBytes, LimitAge: LimitAge}
	for _, id := range slices.Sorted(maps.Keys(r.h.mu.consumers)) {
		c := feed.Consumer{ID: id, Position: r.h.mu.consumers[id], HeadroomBytes: LimitBytes, Headroom: LimitAge, HeadroomDisk: -1}
		c.Lost = c.Position.Index < st.Oldest.LastEvent.Index
		if last := st.Head.LastEvent.Index; last > c.Position.Index {
			c.LagEntries, c.LagBytes = last-c.Position.Index, r.h.bytesLocked(c.Position.Index)
		}
		c.HeadroomBytes -= int64(c.LagBytes)
		out.Consumers = append(out.Consumers, c)
	}
	return out, nil
}

// bytesLocked is what the entries after an index take.
func (h *History) bytesLocked(after uint64) (n uint64) {
	for i := int(after); i < len(h.mu.entries); i++ {
		n += uint64(len(h.mu.entries[i].Data))
	}
	return n
}

// MoveConsumer keeps consumers for all replicas of the history.
func (r *Replica) MoveConsumer(_ context.Context, id string, position event.Position, back bool) error {
	if !r.Leading() {
		return feed.ErrNotLeader
	}
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	if n := uint64(len(r.h.mu.entries)); position.Index > n {
		return &feed.Error{Kind: feed.Ahead, Applied: n, What: fmt.Sprintf("the log ends with %d", n)}
	}
	if r.h.mu.consumers == nil {
		r.h.mu.consumers = make(map[string]event.Position)
	}
	switch at := r.h.mu.consumers[id]; {
	case position.IsZero():
		delete(r.h.mu.consumers, id)
	case back || position.Compare(at) > 0:
		r.h.mu.consumers[id] = position
	}
	return nil
}

// SetLeader makes another node the leader; -1: there is none.
func (c *Cell) SetLeader(node int) { c.leader.Store(int64(node)) }
