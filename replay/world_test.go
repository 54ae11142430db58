package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// value is a key in a model: its version and what it holds.
type value struct {
	version event.Version
	deleted bool
	fields  map[string]string
}

func (v *value) clone() *value {
	c := *v
	c.fields = maps.Clone(v.fields)
	return &c
}

// apply is what a mutation makes of a key.
func (v *value) apply(m *event.Mutation) {
	v.version, v.deleted = m.Version, m.Op == event.OpDel
	switch {
	case m.Op == event.OpDel:
		v.fields = nil
	case m.Op == event.OpSet:
		v.fields = map[string]string{"": string(m.Value)}
	default:
		if m.Whole || v.fields == nil {
			v.fields = map[string]string{}
		}
		for i := range m.Elements {
			v.fields[string(m.Elements[i].Sub)] = string(m.Elements[i].Value)
		}
	}
}

func (v *value) String() string {
	return fmt.Sprintf("%d/%d deleted=%v %v", v.version.Time, v.version.Cluster, v.deleted, v.fields)
}

// source is one partition of the source: its log, and the state after each event.
type source struct {
	mu        sync.Mutex
	cluster   string
	number    uint32
	count     uint32
	names     event.Names
	hash      func([]byte) uint32
	hashName  string
	events    []event.Event
	stamps    []event.Stamp
	states    []map[string]*value // after each event
	lost      int                 // how many events the log no longer has
	confirmed []int64
	moment    Moment // that Confirm answers with
}

// oneOf is keys of the partition.
func (s *source) key(r *rand.Rand) []byte {
	for {
		key := fmt.Appendf(nil, "t:%03d", r.IntN(200))
		if s.hash(key) == s.number {
			return key
		}
	}
}

// write makes an event of some mutations.
func (s *source) write(r *rand.Rand, mutations int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	prev, chain, state, at := event.Position{}, event.Chain{1}, map[string]*value{}, event.Position{Term: 1, Index: 1}
	if n := len(s.stamps); n > 0 {
		prev, chain, state = s.stamps[n-1].Position, s.stamps[n-1].Chain, s.states[n-1]
		at = event.Position{Term: prev.Term + uint64(r.IntN(20)/19), Index: prev.Index + 1 + uint64(r.IntN(2))}
		if at.Term != prev.Term {
			at.Index++ // a term begins with an entry that is no event
		}
	}
	state = maps.Clone(state)
	ev := event.Event{Time: int64(len(s.events)+1) * 1e6, Wall: int64(len(s.events)), Term: at.Term}
	for i := range mutations {
		key := s.key(r)
		old := &value{}
		if v := state[string(key)]; v != nil {
			old = v
		}
		m := event.Mutation{Key: key, Version: event.Version{Time: ev.Time + int64(i), Cluster: 1}, Prev: old.version, Group: uint32(i / 2), Command: "set"}
		switch kind := r.IntN(10); {
		case kind == 0:
			m.Op = event.OpDel
		case kind < 5:
			m.Op, m.Type = event.OpHSet, event.TypeHash
			_, isString := old.fields[""]
			m.Whole = old.fields == nil || isString
			for f := range 1 + r.IntN(3) {
				m.Elements = append(m.Elements, event.Element{Sub: fmt.Appendf(nil, "f%d", (r.IntN(6)+f)%8), Value: fmt.Appendf(nil, "%d.%d", at.Index, i)})
			}
			seen := map[string]bool{}
			m.Elements = slices.DeleteFunc(m.Elements, func(e event.Element) bool {
				again := seen[string(e.Sub)]
				seen[string(e.Sub)] = true
				return again
			})
		default:
			m.Op, m.Type = event.OpSet, event.TypeString
			m.Value = bytes.Repeat(fmt.Appendf(nil, "%d.%d ", at.Index, i), 1+r.IntN(20))
		}
		v := old.clone()
		v.apply(&m)
		state[string(key)] = v
		ev.Mutations = append(ev.Mutations, m)
	}
	next := chain
	next[1]++
	s.events = append(s.events, ev)
	s.stamps = append(s.stamps, event.Stamp{Cluster: s.cluster, Namespace: "ns", Partition: s.number, Position: at, Prev: prev, PrevChain: chain, Chain: next})
	s.states = append(s.states, state)
}

// Confirm and Hash make it a Confirmer.
func (s *source) Confirm(_ context.Context, namespace string, partition uint32, peer string, time int64) (Moment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmed = append(s.confirmed, time)
	return s.moment, nil
}

func (s *source) Hash(context.Context, string) (string, error) { return s.hashName, nil }

func newSource(number, count uint32) *source {
	return &source{cluster: "src", number: number, count: count, names: event.Names{"", "src", "dst", "third"}, hashName: "crc16",
		hash: func(key []byte) uint32 { return store.PartitionBySlot(key, count) }}
}

// rows gives a writer the state after n events, key by key, in calls of some rows, large keys in several.
func (s *source) rows(ctx context.Context, r *rand.Rand, w changefeed.Writer, n int, after []byte, stop func() bool) error {
	s.mu.Lock()
	state := s.states[n-1]
	s.mu.Unlock()
	var ev event.Event
	flush := func() error {
		defer func() { ev.Mutations = nil }()
		return w.Rows(ctx, &ev, s.names)
	}
	for _, key := range slices.Sorted(maps.Keys(state)) {
		if len(after) > 0 && key <= string(after) {
			continue
		}
		for _, m := range rowsOf(key, state[key]) {
			ev.Mutations = append(ev.Mutations, m)
			if stop() {
				return errStopped
			}
			if r.IntN(4) == 0 {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

// rowsOf is a key as rows, a field each.
func rowsOf(key string, v *value) (rows []event.Mutation) {
	m := event.Mutation{Key: []byte(key), Version: v.version, Floor: v.version, Row: true}
	switch text, isString := v.fields[""]; {
	case v.deleted:
		m.Op = event.OpDel
		return append(rows, m)
	case isString:
		m.Op, m.Type, m.Value = event.OpSet, event.TypeString, []byte(text)
		return append(rows, m)
	}
	for i, f := range slices.Sorted(maps.Keys(v.fields)) {
		part := m
		part.Op, part.Type, part.Whole = event.OpHSet, event.TypeHash, i == 0
		part.Elements = []event.Element{{Sub: []byte(f), Value: []byte(v.fields[f]), Prev: v.version, Exists: true}}
		rows = append(rows, part)
	}
	return rows
}

// carry is a worker: it opens writers and gives them what they want, until the target has the first upTo events. stop is asked before each thing that is given:
// true closes the writer there.
func (s *source) carry(t *testing.T, sink changefeed.Sink, r *rand.Rand, o carrying) {
	t.Helper()
	ctx := t.Context()
	tries := o.tries
	if tries == 0 {
		tries = 400
	}
	var last error
	for range tries {
		done, err := s.attempt(ctx, sink, r, &o)
		if done {
			return
		}
		last = err
		e, ok := errors.AsType[*changefeed.Error](err)
		wrong := ok && (e.Final || e.Code == changefeed.CodeTargetRefused || e.Code == changefeed.CodeInternal ||
			!o.rivals && e.Code == changefeed.CodeTargetGap || o.calm && e.Code != changefeed.CodeNeedsSync)
		if err != nil && err != errStopped && (!ok || wrong) {
			t.Errorf("partition %d: %v", s.number, err)
			return
		}
	}
	if o.tries == 0 {
		t.Errorf("partition %d: no end after %d writers: %v", s.number, tries, last)
	}
}

var errStopped = errors.New("stopped")

type carrying struct {
	upTo   int
	budget int64
	stop   func() bool
	tries  int // writers; 0: until it is done
	// rivals says that others carry the same partition, calm that nothing goes wrong and that snapshots are of later and later states.
	rivals, calm bool
	base         int
	meter        *changefeed.Meter
}

func (s *source) target(o *carrying) changefeed.Target {
	if o.meter == nil {
		o.meter = new(changefeed.Meter)
	}
	spec := &changefeed.Spec{ID: "f", Namespace: "ns"}
	return changefeed.Target{Spec: spec, Cluster: s.cluster, Partition: s.number, Partitions: s.count, Epoch: 1, Budget: changefeed.NewBudget(o.budget), Meter: o.meter}
}

// attempt is one writer's life; true if the target has everything at its end.
func (s *source) attempt(ctx context.Context, sink changefeed.Sink, r *rand.Rand, o *carrying) (bool, error) {
	w, err := sink.Open(ctx, s.target(o))
	if err != nil {
		return false, err
	}
	defer w.Close()
	res := w.Resume()
	at := res.After
	if res.InSnapshot || s.compacted(at) {
		if at, err = s.snapshot(ctx, r, w, at, o); err != nil {
			return false, err
		}
		if s.compacted(at) {
			return false, nil
		}
	}
	for i := range o.upTo {
		st, ev := s.at(i)
		if st.Position.Compare(at) <= 0 {
			continue
		}
		if o.stop() {
			return false, nil
		}
		if err := w.Event(ctx, &st, ev, s.names); err != nil {
			return false, err
		}
	}
	return s.settled(ctx, w, o.upTo)
}

func (s *source) at(i int) (event.Stamp, *event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stamps[i], &s.events[i]
}

// compacted says whether the log no longer has what follows a position.
func (s *source) compacted(at event.Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost > 0 && at.Compare(s.stamps[s.lost-1].Position) < 0
}

func (s *source) snapshot(ctx context.Context, r *rand.Rand, w changefeed.Writer, at event.Position, o *carrying) (event.Position, error) {
	least := max(s.lost, 1)
	for least < o.upTo && s.stamps[least-1].Position.Compare(at) < 0 {
		least++
	}
	n := least + r.IntN(max(o.upTo-least, 0)+1)
	if o.calm {
		o.base = max(o.base+1, least)
		n = o.base
	}
	sw := w.(changefeed.StateWriter)
	want := sw.Wants()
	st, ev := s.at(n - 1)
	next := sw.GoOn(st.Position)
	base := changefeed.Base{Stamp: st, Time: ev.Time + int64(len(ev.Mutations)), Horizons: map[string]int64{"src": ev.Time}}
	if err := w.BeginSnapshot(ctx, &base); err != nil {
		return next, err
	}
	if err := s.rows(ctx, r, w, n, want.AfterKey, o.stop); err != nil {
		return next, err
	}
	if d := w.Durable(); !d.Position.IsZero() {
		return next, fmt.Errorf("durable at %s within a full sync", d.Position)
	}
	return next, w.EndSnapshot(ctx)
}

// settled waits until the target has n events.
func (s *source) settled(ctx context.Context, w changefeed.Writer, n int) (bool, error) {
	if err := w.Flush(ctx); err != nil {
		return false, err
	}
	last, _ := s.at(n - 1)
	for {
		if d := w.Durable(); d.Position.Compare(last.Position) >= 0 {
			if given := !d.Chain.IsZero(); given && d.Chain != last.Chain {
				return false, fmt.Errorf("durable at %s with chain %s, want %s", d.Position, d.Chain, last.Chain)
			}
			return true, nil
		}
		select {
		case <-w.Failed():
			return false, w.Err()
		case <-time.After(time.Millisecond):
		}
	}
}
