package partition

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/engine/mem"
	"github.com/zankv/zankv/cluster/store"
)

// collection is a key in the model of what a write's view shows.
type collection struct {
	meta  event.Meta
	items map[string]command.Element
}

// flightModel drives a flightView without a group: batches are emitted, taken back, applied or dropped by hand.
type flightModel struct {
	t          *testing.T
	r          *Replica
	keys       map[string]collection
	dead       map[string]map[string]event.Version
	applied    map[string]collection
	deadBefore map[string]map[string]event.Version
	index      uint64
	clock      int64
}

func newFlightModel(t *testing.T, replicates bool) *flightModel {
	e, err := mem.Open("", mem.Options{})
	check(t, err)
	t.Cleanup(func() { _ = e.Close() })
	s, err := store.Open(e, store.Identity{Cluster: "dc-a", Namespace: "default"}, nil)
	check(t, err)
	r := &Replica{store: s, apply: s.NewApply(), inflight: map[string]flightKey{}, replicates: replicates, self: 1}
	r.view.r, r.tx.r = r, r
	return &flightModel{t: t, r: r, keys: map[string]collection{}, dead: map[string]map[string]event.Version{}, clock: 1000}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *flightModel) begin() {
	f.clock += 10_000
	f.r.open = f.r.newBatch()
	f.r.open.ev = event.Event{Time: f.clock, Wall: 1, Term: 1, Mutations: f.r.open.ev.Mutations[:0]}
	if f.index == 0 {
		f.r.open.ev.Clusters = []event.ClusterName{{Number: 1, ID: "dc-a"}}
	}
	f.applied, f.deadBefore = maps.Clone(f.keys), maps.Clone(f.dead)
}

// end applies the open batch, or drops it.
func (f *flightModel) end(apply bool) {
	b := f.r.open
	f.r.open = nil
	if apply {
		f.index++
		check(f.t, f.r.apply.Event(event.Position{Term: 1, Index: f.index}, &b.ev))
		check(f.t, f.r.apply.Commit())
	} else {
		f.keys, f.dead = f.applied, f.deadBefore
		f.r.view.ends.forget()
	}
	clear(f.r.inflight)
	f.r.recycle(b)
}

var (
	flightKeys   = []string{"h", "z", "l"}
	flightTypes  = map[string]event.Op{"h": event.OpHSet, "z": event.OpZAdd, "l": event.OpLSet}
	flightRemove = map[event.Op]event.Op{event.OpHSet: event.OpHDel, event.OpZAdd: event.OpZRem, event.OpLSet: event.OpLRem}
)

func sub(r *rand.Rand) string { return fmt.Sprintf("m%02d", r.IntN(30)) }

// mutate emits a random change of a key.
func (f *flightModel) mutate(r *rand.Rand) {
	key := flightKeys[r.IntN(len(flightKeys))]
	old, there := f.keys[key]
	m := event.Mutation{Key: []byte(key), Op: flightTypes[key], Prev: old.meta.Version, Floor: old.meta.Floor}
	m.Before = event.Before{Exists: there && old.meta.Type != event.TypeNone, Type: old.meta.Type, Generation: old.meta.Generation}
	if m.Before.Exists && r.IntN(12) == 0 {
		m.Op, m.Type, m.Floor, m.Tombstone = event.OpDel, old.meta.Type, command.Assigned, f.r.replicates
		f.emit(&m, nil)
		return
	}
	m.Type, m.KeyVersion = m.Op.ElementType(), command.Assigned
	m.Whole = r.IntN(12) == 0
	items := map[string]command.Element{}
	if m.Before.Exists && !m.Whole {
		items = maps.Clone(old.items)
		m.Generation = old.meta.Generation
		if r.IntN(3) == 0 {
			m.Op = flightRemove[m.Op]
		}
	} else {
		m.Generation = command.NewGeneration
	}
	f.elements(r, &m, items)
	if len(m.Elements) == 0 {
		return
	}
	m.Count = uint64(len(items))
	m.Tombstone = f.r.replicates && m.Count == 0
	m.ElementTombstones = f.r.replicates && m.Op == event.OpHDel
	f.emit(&m, items)
}

// elements fills in which elements a mutation changes, and brings items to what they are then.
func (f *flightModel) elements(r *rand.Rand, m *event.Mutation, items map[string]command.Element) {
	seen := map[string]bool{}
	for range 1 + r.IntN(4) {
		s := sub(r)
		was, exists := items[s]
		if seen[s] || m.Op.Removes() && !exists {
			continue
		}
		seen[s] = true
		e := event.Element{Sub: []byte(s), Prev: was.Version, Exists: exists, Was: was.Score}
		if !exists && !m.Whole {
			e.Prev = f.dead[string(m.Key)][s]
		}
		if m.Op.Removes() {
			if m.Type == event.TypeZSet && r.IntN(2) == 0 { // from an end
				s = end(items, r.IntN(2) == 0)
				if seen[s] = true; string(e.Sub) != s {
					e = event.Element{Sub: []byte(s), Prev: items[s].Version, Exists: true, Was: items[s].Score}
				}
			}
			delete(items, s)
		} else if m.Type == event.TypeZSet {
			e.Score = float64(r.IntN(6))
			items[s] = command.Element{Score: e.Score}
		} else {
			e.Value = fmt.Append(nil, r.IntN(1000))
			items[s] = command.Element{Value: e.Value}
		}
		m.Elements = append(m.Elements, e)
	}
}

// end is the first or the last member by score.
func end(items map[string]command.Element, last bool) (at string) {
	first := true
	for s, it := range items {
		was := command.ScoreKey{Score: items[at].Score, Member: []byte(at)}
		if first || compareScores(&command.ScoreKey{Score: it.Score, Member: []byte(s)}, &was) < 0 != last {
			at, first = s, false
		}
	}
	return at
}

func (f *flightModel) emit(m *event.Mutation, items map[string]command.Element) {
	f.r.tx.Emit(m)
	out := f.r.open.ev.Mutations[len(f.r.open.ev.Mutations)-1]
	key := string(m.Key)
	dead := maps.Clone(f.dead[key])
	if dead == nil {
		dead = map[string]event.Version{}
	}
	for i := range out.Elements {
		s := string(out.Elements[i].Sub)
		if it, ok := items[s]; ok {
			it.Version = out.Version
			items[s] = it
		}
		if out.ElementTombstones {
			dead[s] = out.Version
		} else if !out.Elements[i].Exists && !out.Whole {
			delete(dead, s)
		}
		copy(m.Elements[i].Sub, "????") // what was emitted is copied
		copy(m.Elements[i].Value, "????")
	}
	f.dead[key] = dead
	meta, ok := after(&out)
	if !ok {
		delete(f.keys, key)
		return
	}
	for s, it := range items {
		it.Value = bytes.Clone(f.valueOf(&out, s, it.Value))
		items[s] = it
	}
	f.keys[key] = collection{meta: meta, items: items}
}

// valueOf is an element's value as emitted: the caller's memory was overwritten.
func (f *flightModel) valueOf(m *event.Mutation, s string, value []byte) []byte {
	for i := range m.Elements {
		if string(m.Elements[i].Sub) == s {
			return m.Elements[i].Value
		}
	}
	return value
}

// compare reads a key in every way, and wants what the model has.
func (f *flightModel) compare(r *rand.Rand) {
	f.t.Helper()
	v := &f.r.view
	key := flightKeys[r.IntN(len(flightKeys))]
	want, there := f.keys[key]
	m, ok, err := v.Meta([]byte(key))
	check(f.t, err)
	if ok != there || fmt.Sprintf("%+v", m) != fmt.Sprintf("%+v", want.meta) {
		f.t.Fatalf("%s: got %+v, %v; want %+v, %v", key, m, ok, want.meta, there)
	}
	s := sub(r)
	e, ok, err := v.Element([]byte(key), &m, []byte(s))
	check(f.t, err)
	it, there := want.items[s]
	if !there && f.r.replicates {
		it.Version = f.dead[key][s]
	}
	if ok != there || fmt.Sprint(e) != fmt.Sprint(it) {
		f.t.Fatalf("%s %s: got %v, %v; want %v, %v", key, s, e, ok, it, there)
	}
	f.compareRange(r, key, &m, want.items)
	f.compareScores(r, key, &m, want.items)
}

// window is the part of n things in order that a range shows.
func window[T any](all []T, reverse bool, skip int64, limit int) []T {
	all = slices.Clone(all)
	if reverse {
		slices.Reverse(all)
	}
	all = all[min(int(skip), len(all)):]
	return all[:min(limit, len(all))]
}

func (f *flightModel) compareRange(r *rand.Rand, key string, m *event.Meta, items map[string]command.Element) {
	f.t.Helper()
	in := command.Range{Reverse: r.IntN(2) == 0, Skip: r.Int64N(12)}
	if r.IntN(3) == 0 {
		in.From = []byte(sub(r))
	}
	if r.IntN(3) == 0 {
		in.To = []byte(sub(r))
	}
	var got, want []string
	limit := 1 + r.IntN(40)
	check(f.t, f.r.view.Elements([]byte(key), m, in, func(s []byte, e *command.Element) bool {
		got = append(got, fmt.Sprint(string(s), *e))
		return len(got) < limit
	}))
	for _, s := range slices.Sorted(maps.Keys(items)) {
		if s >= string(in.From) && (in.To == nil || s < string(in.To)) {
			want = append(want, fmt.Sprint(s, items[s]))
		}
	}
	if want = window(want, in.Reverse, in.Skip, limit); !slices.Equal(got, want) {
		f.t.Fatalf("%s %+v: got %v, want %v", key, in, got, want)
	}
}

func (f *flightModel) compareScores(r *rand.Rand, key string, m *event.Meta, items map[string]command.Element) {
	f.t.Helper()
	in := command.ScoreRange{Reverse: r.IntN(2) == 0, Skip: max(r.Int64N(24)-12, 0)}
	if r.IntN(3) == 0 {
		in.From = &command.ScoreKey{Score: float64(r.IntN(6)), Member: []byte(sub(r))}
	}
	if r.IntN(3) == 0 {
		in.To = &command.ScoreKey{Score: float64(r.IntN(6)), Member: []byte(sub(r))}
	}
	if m.Type != event.TypeZSet {
		items = nil
	}
	var got, want []command.ScoreKey
	check(f.t, f.r.view.Scores([]byte(key), m, in, func(score float64, member []byte) bool {
		got = append(got, command.ScoreKey{Score: score, Member: bytes.Clone(member)})
		return true
	}))
	order := func(a, b command.ScoreKey) int {
		return cmp.Or(cmp.Compare(a.Score, b.Score), bytes.Compare(a.Member, b.Member))
	}
	for s, it := range items {
		k := command.ScoreKey{Score: it.Score, Member: []byte(s)}
		if (in.From == nil || order(k, *in.From) >= 0) && (in.To == nil || order(k, *in.To) < 0) {
			want = append(want, k)
		}
	}
	slices.SortFunc(want, order)
	if want := window(want, in.Reverse, in.Skip, math.MaxInt); fmt.Sprint(got) != fmt.Sprint(want) {
		f.t.Fatalf("%s %+v: got %v, want %v", key, in, got, want)
	}
	in.Skip = 0
	n, err := f.r.view.CountScores([]byte(key), m, in)
	check(f.t, err)
	if n != int64(len(want)) {
		f.t.Fatalf("%s %+v: counted %d, want %d", key, in, n, len(want))
	}
}

// TestWritesSeeTheOpenBatch: whatever a batch has changed, taken back, or changed in a batch before that was applied or dropped, what the
// next command reads is the applied state with the batch's changes, by every way of reading.
func TestWritesSeeTheOpenBatch(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 4))
		f := newFlightModel(t, seed%2 == 1)
		for range 12 {
			f.begin()
			for range r.IntN(40) {
				before, bytesBefore := len(f.r.open.ev.Mutations), f.r.open.bytes
				keys, dead := maps.Clone(f.keys), maps.Clone(f.dead)
				for range 1 + r.IntN(3) {
					f.mutate(r)
				}
				if r.IntN(2) == 0 {
					f.compare(r)
				}
				if r.IntN(5) == 0 {
					f.r.rollback(f.r.open, before)
					f.keys, f.dead = keys, dead
					if f.r.open.bytes != bytesBefore {
						t.Fatalf("rolled back: %d bytes, want %d", f.r.open.bytes, bytesBefore)
					}
				}
				f.compare(r)
			}
			f.end(r.IntN(4) > 0)
			if r.IntN(3) == 0 {
				_, err := f.r.store.Clean(5)
				check(t, err)
			}
		}
	}
}

// TestUnreadElementsCostNothing: no rows are made of a key that is only written.
func TestUnreadElementsCostNothing(t *testing.T) {
	f := newFlightModel(t, false)
	f.begin()
	r := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		f.mutate(r)
	}
	if f.r.view.over.batch != nil {
		t.Fatal("elements were prepared that nobody read")
	}
}

// TestEndsLeaveFlightAlone: what a batch in flight removes is still in applied state, and a read of that state must find it.
func TestEndsLeaveFlightAlone(t *testing.T) {
	f := newFlightModel(t, false)
	key := []byte("z")
	first := func() (member string) {
		m, _, err := f.r.view.Meta(key)
		check(t, err)
		check(t, f.r.view.Scores(key, &m, command.ScoreRange{}, func(_ float64, sub []byte) bool {
			member = string(sub)
			return false
		}))
		return member
	}
	f.begin()
	m := event.Mutation{Key: key, Op: event.OpZAdd, Type: event.TypeZSet, KeyVersion: command.Assigned, Generation: command.NewGeneration, Count: 2}
	m.Elements = []event.Element{{Sub: []byte("a"), Score: 1}, {Sub: []byte("b"), Score: 2}}
	f.r.tx.Emit(&m)
	generation := f.r.open.ev.Mutations[0].Generation
	f.end(true)

	f.begin()
	flying := f.r.open
	m.Op, m.Generation, m.Count = event.OpZRem, generation, 1
	m.Before = event.Before{Exists: true, Type: event.TypeZSet, Generation: generation}
	m.Elements = []event.Element{{Sub: []byte("a"), Exists: true, Was: 1}}
	f.r.tx.Emit(&m)
	if got := first(); got != "b" {
		t.Fatalf("after the pop: %q", got)
	}
	f.r.open = nil // it was proposed
	f.begin()
	if got := first(); got != "a" {
		t.Fatalf("while the pop is in flight, applied state shows %q first, want a", got)
	}
	f.r.recycle(f.r.open)
	f.r.open = flying
	f.end(true)
	f.begin()
	if got := first(); got != "b" {
		t.Fatalf("after the pop was applied: %q", got)
	}
}

// TestMutationSizeCountsAll: keys, values and every element are in the size that batches are bounded by.
func TestMutationSizeCountsAll(t *testing.T) {
	m := event.Mutation{Key: make([]byte, 10), Value: make([]byte, 20), Before: event.Before{Value: make([]byte, 40)}}
	m.Elements = []event.Element{{Sub: make([]byte, 100), Value: make([]byte, 200)}, {Sub: make([]byte, 400), Value: make([]byte, 800)}}
	if got, want := mutationSize(&m), 70+1500+mutationOverhead+2*elementOverhead; got != want {
		t.Fatalf("%d, want %d", got, want)
	}
}

// TestTornReadIsNoticed: a read without a snapshot that misses an element after its key's life ended, and the clean-up, says so; one that misses
// what was never there doesn't.
func TestTornReadIsNoticed(t *testing.T) {
	f := newFlightModel(t, false)
	key := []byte("s")
	m := event.Mutation{Key: key, Op: event.OpSAdd, Type: event.TypeSet, KeyVersion: command.Assigned, Generation: command.NewGeneration, Count: 1}
	m.Elements = []event.Element{{Sub: []byte("a")}}
	for life := range 2 {
		f.begin()
		m.Whole = life > 0
		f.r.tx.Emit(&m)
		m.Before = event.Before{Exists: true, Type: event.TypeSet, Generation: f.r.open.ev.Mutations[0].Generation}
		if life == 0 {
			f.end(true)
		}
	}
	v := &stateView{store: f.r.store}
	meta, _, err := v.Meta(key)
	check(t, err)
	if _, ok, err := v.Element(key, &meta, []byte("b")); ok || err != nil {
		t.Fatalf("an element that never was: %v, %v", ok, err)
	}
	f.end(true) // replaced, between the reads of a command
	if _, ok, err := v.Element(key, &meta, []byte("a")); !ok || err != nil {
		t.Fatalf("not cleaned up yet: %v, %v", ok, err)
	}
	_, err = f.r.store.Clean(100)
	check(t, err)
	if _, ok, err := v.Element(key, &meta, []byte("a")); ok || !errors.Is(err, errTorn) {
		t.Fatalf("cleaned up: %v, %v; want %v", ok, err, errTorn)
	}
	v.snap = f.r.store.Snapshot()
	defer v.snap.Close()
	if meta, _, err = v.Meta(key); err != nil || meta.Generation == 0 {
		t.Fatal(meta, err)
	}
	if _, ok, err := v.Element(key, &meta, []byte("a")); !ok || err != nil {
		t.Fatalf("on a snapshot: %v, %v", ok, err)
	}
}
