package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// item is an element in the model.
type item struct {
	version event.Version
	value   string
	score   float64
}

// subs are the elements of random stories: few, the empty one and those with bytes that could be taken for something else among them.
var subs = []string{"", "\x00", "\x00\x01", "a", "ab", "b", "\xff", "\xff\xff"}

var scores = []float64{math.Inf(-1), -2.5, -1, 0, 1, 1.5, math.Inf(1)}

// change begins an op on elements of key: in the life that it has if that is of the op's type, else in a new one.
func (w *world) change(op event.Op, key string, whole bool) (m event.Mutation, all map[string]item) {
	m, old := w.mutation(op, key)
	m.Type, m.KeyVersion, m.Floor, m.Tombstone, m.Whole = op.ElementType(), m.Version, w.floor(key), false, whole
	if old.Type == m.Type && !whole && !old.Expired(w.wall) {
		m.Generation, m.Count, m.ExpireAt, m.ExpiryVersion = old.Generation, old.Count, old.ExpireAt, old.ExpiryVersion
		return m, maps.Clone(w.items[key])
	}
	m.Generation = uint64(m.Version.Time)
	if whole {
		m.Floor, m.ExpiryVersion = m.Version, m.Version
	}
	return m, map[string]item{}
}

// element adds one element to a change, which takes all to what it is then.
func (w *world) element(m *event.Mutation, all map[string]item, e event.Element) {
	sub := string(e.Sub)
	if was, ok := all[sub]; ok {
		e.Prev, e.Exists, e.Was = was.version, true, was.score
	} else if !m.Whole {
		e.Prev = w.dead[string(m.Key)][sub]
	}
	m.ElementTombstones = w.replicates && m.Op == event.OpHDel
	if m.Op.Removes() || m.Op == event.OpBits && len(e.Value) == 0 {
		delete(all, sub)
	} else {
		all[sub] = item{version: m.Version, value: string(e.Value), score: e.Score}
	}
	m.Elements = append(m.Elements, e)
}

// finish ends a change with all as the key's elements.
func (w *world) finish(m event.Mutation, all map[string]item, count int) {
	key := string(m.Key)
	m.Count = uint64(count)
	m.Tombstone = w.replicates && count == 0
	if w.dead[key] == nil {
		w.dead[key] = map[string]event.Version{}
	}
	for _, e := range m.Elements {
		if m.ElementTombstones {
			w.dead[key][string(e.Sub)] = m.Version
		} else if !e.Exists && !m.Whole {
			delete(w.dead[key], string(e.Sub))
		}
	}
	if count == 0 {
		if m.Before.Exists || !m.Prev.IsZero() {
			w.bury(m)
		}
		return
	}
	w.items[key] = all
	w.keep(m, event.Meta{
		Type: m.Type, Version: m.Version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion,
		Generation: m.Generation, Count: m.Count, Value: m.Value,
	})
}

// randomElements makes a random change of some elements.
func (w *world) randomElements(r *rand.Rand, key string) {
	ops := []event.Op{event.OpHSet, event.OpSAdd, event.OpZAdd, event.OpRPush, event.OpBits}
	op := ops[r.IntN(len(ops))]
	whole := r.IntN(8) == 0
	if old, ok := w.keys[key]; ok && !whole && !old.Expired(w.wall) { // of the type that is there
		if old.Type == event.TypeString {
			return
		}
		for op.ElementType() != old.Type {
			op = ops[r.IntN(len(ops))]
		}
		if r.IntN(3) == 0 {
			w.removeElements(r, key, op)
			return
		}
	}
	m, all := w.change(op, key, whole)
	for _, i := range r.Perm(len(subs))[:1+r.IntN(3)] {
		e := event.Element{Sub: []byte(subs[i]), Value: fmt.Append(nil, "v", r.IntN(100))}
		switch m.Type {
		case event.TypeZSet:
			e.Value, e.Score = nil, scores[r.IntN(len(scores))]
		case event.TypeSet:
			e.Value = nil
		case event.TypeBitmap:
			e.Sub = binary.BigEndian.AppendUint32(nil, uint32(i))
			e.Value = e.Value[:r.IntN(len(e.Value))]
		case event.TypeList:
			m.Value = []byte("ends")
		}
		w.element(&m, all, e)
	}
	count := len(all)
	if m.Type == event.TypeBitmap { // bytes: there may be some without a segment, or, when the key goes, segments that nobody names
		count = r.IntN(4)
		if count == 0 && m.Generation != m.Before.Generation {
			count = 1
		}
	}
	w.finish(m, all, count)
}

// removeElements removes some of the elements that are there.
func (w *world) removeElements(r *rand.Rand, key string, op event.Op) {
	removes := map[event.Type]event.Op{
		event.TypeHash: event.OpHDel, event.TypeSet: event.OpSRem, event.TypeZSet: event.OpZRem, event.TypeList: event.OpLPop,
	}
	remove, ok := removes[op.ElementType()]
	if !ok {
		return
	}
	m, all := w.change(remove, key, false)
	present := sortedKeys(all)
	for _, i := range r.Perm(len(present))[:1+r.IntN(len(present))] {
		w.element(&m, all, event.Element{Sub: []byte(present[i])})
	}
	w.finish(m, all, len(all))
}

// countItems is how many elements the keys of a type have, or all keys.
func (w *world) countItems(t event.Type) (n int) {
	for key, all := range w.items {
		if t == event.TypeNone || w.keys[key].Type == t {
			n += len(all)
		}
	}
	return n
}

// compareElements checks the elements of all collections, read one by one, in their order, and by score.
func compareElements(t testing.TB, s *Store, w *world) {
	t.Helper()
	snap := s.Snapshot()
	defer snap.Close()
	for key, m := range w.keys {
		if m.Type <= event.TypeString {
			continue
		}
		got := map[string]item{}
		must(t, snap.Elements([]byte(key), &m, Range{}, func(sub []byte, e *Element) bool {
			got[string(sub)] = item{version: e.Version, value: string(e.Value), score: e.Score}
			return true
		}))
		if !maps.Equal(got, w.items[key]) {
			t.Fatalf("%s %q: got %v, want %v", m.Type, key, got, w.items[key])
		}
		for _, sub := range subs {
			e, _, ok, err := s.Element(nil, []byte(key), &m, []byte(sub))
			must(t, err)
			want, there := w.items[key][sub]
			if ok != there || e.Version != want.version || string(e.Value) != want.value || e.Score != want.score {
				t.Fatalf("%s %q, element %q: got %+v, %v; want %+v, %v", m.Type, key, sub, e, ok, want, there)
			}
		}
		compareScores(t, snap, key, &m, w.items[key])
	}
}

func compareScores(t testing.TB, snap *Snapshot, key string, m *event.Meta, all map[string]item) {
	t.Helper()
	var got, want []ScoreKey
	must(t, snap.Scores([]byte(key), m, ScoreRange{}, func(score float64, member []byte) bool {
		got = append(got, ScoreKey{Score: score, Member: []byte(string(member))})
		return true
	}))
	if m.Type == event.TypeZSet {
		want = inOrder(all)
	}
	if !slices.EqualFunc(got, want, func(a, b ScoreKey) bool { return compareScoreKeys(a, b) == 0 }) {
		t.Fatalf("%s %q by score: got %v, want %v", m.Type, key, got, want)
	}
}

func inOrder(all map[string]item) (keys []ScoreKey) {
	for member, it := range all {
		keys = append(keys, ScoreKey{Score: it.score, Member: []byte(member)})
	}
	slices.SortFunc(keys, compareScoreKeys)
	return keys
}

func compareScoreKeys(a, b ScoreKey) int {
	if a.Score != b.Score {
		return map[bool]int{true: -1, false: 1}[a.Score < b.Score]
	}
	return slices.Compare(a.Member, b.Member)
}

// TestCleanQueueOverflows: jobs for which there is no room in memory are found in the engine, and so are those of before the store was opened.
func TestCleanQueueOverflows(t *testing.T) {
	e, w := memEngine(t), newWorld()
	bury := func(s *Store, n int) {
		a := s.NewApply()
		for i := range n {
			key := fmt.Sprintf("%010000d", i)
			w.begin()
			m, all := w.change(event.OpSAdd, key, false)
			w.element(&m, all, event.Element{Sub: []byte("a")})
			w.finish(m, all, 1)
			w.del(key)
			gather(t, a, w.end())
			must(t, a.Commit())
		}
	}
	cleaned := func(s *Store) {
		t.Helper()
		cleanAll(t, s)
		if jobs, rows := countRows(t, e, famCleanup), countRows(t, e, famElement); jobs+rows+s.queue.bytes != 0 || s.CleanDue() {
			t.Fatalf("%d jobs, %d rows are left", jobs, rows)
		}
	}
	bury(openStore(t, e, nil), 10)
	s := openStore(t, e, nil)
	cleaned(s)
	const more = 20
	bury(s, queueBytes/10000+more)
	if n := countRows(t, e, famCleanup); len(s.queue.jobs) > n-more || s.queue.bytes > queueBytes {
		t.Fatalf("%d jobs of %d, of %d bytes, are in memory", len(s.queue.jobs), n, s.queue.bytes)
	}
	cleaned(s)
}
