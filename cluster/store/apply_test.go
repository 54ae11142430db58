package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/engine/mem"
)

// writes counts an engine's writes and fails one.
type writes struct {
	engine.Engine
	n, fail int
	before  func()
}

var errDisk = errors.New("disk")

func (w *writes) Write(b *engine.Batch) error {
	if w.n++; w.n == w.fail {
		return errDisk
	}
	if w.before != nil {
		w.before()
	}
	return w.Engine.Write(b)
}

// TestCommitIsOneWrite: rows and state come with one write, so that no crash can part them; and none is done for nothing.
func TestCommitIsOneWrite(t *testing.T) {
	e := &writes{Engine: memEngine(t)}
	s := openStore(t, e, nil)
	a := s.NewApply()
	w := newWorld()
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 50 {
		for range 20 {
			gather(t, a, w.step(r))
		}
		a.Mark()
		a.SetConfState([]byte{byte(i)})
		must(t, a.Commit())
		must(t, a.Commit())
		if e.n != i+1 {
			t.Fatalf("%d writes after %d commits", e.n, i+1)
		}
	}
}

// TestCrashAnywhere: whatever prefix of its writes an engine comes back with, the state row tells exactly what the rows hold, and
// applying the rest of the log leads to where it would have led.
func TestCrashAnywhere(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 4))
		w := newWorld()
		w.replicates = seed%2 == 1
		var entries []entry
		for range 60 {
			entries = append(entries, w.step(r))
		}
		e, err := mem.Open(t.TempDir(), mem.Options{CrashPoints: true})
		must(t, err)
		s := openStore(t, e, nil)
		a := s.NewApply()
		for _, en := range entries {
			gather(t, a, en)
			if r.IntN(3) == 0 {
				must(t, a.Commit())
			}
		}
		must(t, a.Commit())
		want := rowsOf(t, e)
		for point := 0; ; point++ {
			dir := filepath.Join(t.TempDir(), "crashed")
			last := false
			must(t, e.Crash(dir, func(n int) int { last = point >= n-1; return min(point, n-1) }))
			recoverAndGoOn(t, dir, entries, want)
			if last {
				break
			}
		}
		must(t, e.Close())
	}
}

func recoverAndGoOn(t *testing.T, dir string, entries []entry, want []byte) {
	t.Helper()
	e, err := mem.Open(dir, mem.Options{})
	must(t, err)
	defer func() { must(t, e.Close()) }()
	s := openStore(t, e, nil)
	applied := s.State().Applied
	if !bytes.Equal(rowsOf(t, e), rowsUpTo(t, entries, applied)) {
		t.Fatalf("the rows aren't those of %s", applied)
	}
	a := s.NewApply()
	for _, en := range entries {
		if en.pos.Index > applied.Index {
			gather(t, a, en)
		}
	}
	must(t, a.Commit())
	if !bytes.Equal(rowsOf(t, e), want) {
		t.Fatalf("from %s on, the log leads to other rows", applied)
	}
}

func rowsUpTo(t *testing.T, entries []entry, pos event.Position) []byte {
	e := memEngine(t)
	if pos.IsZero() {
		return rowsOf(t, e)
	}
	a := openStore(t, e, nil).NewApply()
	for _, en := range entries {
		if en.pos.Index <= pos.Index {
			gather(t, a, en)
		}
	}
	must(t, a.Commit())
	return rowsOf(t, e)
}

func TestRefusals(t *testing.T) {
	at := func(term, index uint64) event.Position { return event.Position{Term: term, Index: index} }
	one := func(m event.Mutation) *event.Event { return &event.Event{Term: 1, Mutations: []event.Mutation{m}} }
	set := event.Mutation{Op: event.OpSet, Key: []byte("k"), Version: version(1)}
	for name, c := range map[string]struct {
		pos  event.Position
		ev   *event.Event
		says string
	}{
		"unknown op":       {at(1, 2), one(event.Mutation{Op: 99, Key: []byte("k")}), "op 99 is unknown"},
		"another term":     {at(2, 2), one(set), "evaluated in term 1"},
		"a gap":            {at(1, 3), one(set), "index 2 is next"},
		"a repetition":     {at(1, 1), one(set), "index 2 is next"},
		"an older term":    {at(0, 2), one(set), "of term 1 or later"},
		"expire of none":   {at(1, 2), one(event.Mutation{Op: event.OpExpire, Key: []byte("k")}), "without the key"},
		"expireat of none": {at(1, 2), one(event.Mutation{Op: event.OpExpireAt, Key: []byte("k"), Before: event.Before{Exists: true}}), "without the key and version"},
		"cluster renamed":  {at(1, 2), &event.Event{Term: 1, Clusters: []event.ClusterName{{Number: 1, ID: "x"}, {Number: 1, ID: "y"}}}, "numbers never change"},
		"cluster 0":        {at(1, 2), &event.Event{Term: 1, Clusters: []event.ClusterName{{Number: 0, ID: "x"}}}, "cluster number 0"},
		"cluster too high": {at(1, 2), &event.Event{Term: 1, Clusters: []event.ClusterName{{Number: maxClusters + 1, ID: "x"}}}, "cluster number"},
	} {
		s := openStore(t, memEngine(t), nil)
		a := s.NewApply()
		a.Skip(at(1, 1))
		must(t, a.Commit())
		rows := rowsOf(t, s.engine)
		err := a.Event(c.pos, c.ev)
		if !errors.Is(err, ErrEvent) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v with %q", name, err, ErrEvent, c.says)
		}
		a.Skip(at(1, 2))
		if got := a.Commit(); got == nil {
			t.Errorf("%s: committed nevertheless", name)
		}
		if !bytes.Equal(rows, rowsOf(t, s.engine)) || s.State().Applied != at(1, 1) {
			t.Errorf("%s: something was applied", name)
		}
	}
}

// TestFailedWrite: a write that fails leaves State where it was, and the Apply says so again.
func TestFailedWrite(t *testing.T) {
	e := &writes{Engine: memEngine(t), fail: 2}
	s := openStore(t, e, nil)
	a := s.NewApply()
	a.Skip(event.Position{Term: 1, Index: 1})
	must(t, a.Commit())
	a.Skip(event.Position{Term: 1, Index: 2})
	for range 2 {
		if err := a.Commit(); !errors.Is(err, errDisk) || s.State().Applied.Index != 1 {
			t.Fatalf("got %v at %s", err, s.State().Applied)
		}
	}
}

func TestAnotherPartitionsRows(t *testing.T) {
	e := memEngine(t)
	s := openStore(t, e, nil)
	a := s.NewApply()
	a.Skip(event.Position{Term: 1, Index: 1})
	must(t, a.Commit())
	other := testID
	other.Partition++
	if _, err := Open(e, other, nil); !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), "default-4 of cluster dc-a") {
		t.Fatalf("got %v, want %v", err, ErrIdentity)
	}
}

// TestCheckpointState: the state and identity of a checkpoint come from its rows, though the store has gone on.
func TestCheckpointState(t *testing.T) {
	e, err := mem.Open(t.TempDir(), mem.Options{})
	must(t, err)
	s := openStore(t, e, nil)
	a := s.NewApply()
	w := newWorld()
	r := rand.New(rand.NewPCG(5, 5))
	for range 30 {
		gather(t, a, w.step(r))
	}
	a.SetConfState([]byte("voters 1 2 3"))
	must(t, a.Commit())
	want := s.State()
	dir := filepath.Join(t.TempDir(), "checkpoint")
	must(t, s.Checkpoint(dir))
	gather(t, a, w.skip())
	must(t, a.Commit())
	copied, err := mem.Open(dir, mem.Options{})
	must(t, err)
	got, id, err := StateOfCheckpoint(copied)
	must(t, err)
	if !reflect.DeepEqual(got, want) || id != testID {
		t.Fatalf("got %+v of %s, want %+v", got, id, want)
	}
	flushed, err := s.Flush()
	must(t, err)
	if flushed != w.pos {
		t.Fatalf("flushed %s, want %s", flushed, w.pos)
	}
	must(t, errors.Join(copied.Close(), e.Close()))
}

// TestMarks: every 256th event has a mark, as has what was asked for; each has the chain that was current there; trimming keeps what
// it is asked to keep.
func TestMarks(t *testing.T) {
	s := openStore(t, memEngine(t), nil)
	a := s.NewApply()
	w := newWorld()
	r := rand.New(rand.NewPCG(6, 6))
	type at struct {
		chain event.Chain
		last  event.Position
	}
	history := []at{{}}
	for range 1200 {
		gather(t, a, w.step(r))
		if w.pos.Index == 777 {
			a.Mark()
		}
		must(t, a.Commit())
		st := s.State()
		history = append(history, at{st.Chain, st.LastEvent})
	}
	found := map[uint64]bool{}
	check := func(from uint64) {
		t.Helper()
		for i := from; i <= 1200; i++ {
			m, ok, err := s.MarkAtOrBefore(i)
			must(t, err)
			if !ok || m.Index > i || m.Chain != history[m.Index].chain || m.LastEvent != history[m.Index].last {
				t.Fatalf("mark at or before %d: %+v, %v", i, m, ok)
			}
			found[m.Index] = true
		}
	}
	check(0)
	if want := w.linked/markEvery + 2; len(found) != want || !found[0] || !found[777] {
		t.Fatalf("marks %v: want %d of them", found, want)
	}
	must(t, a.TrimMarks(800))
	must(t, a.Commit())
	check(777)
	if m, ok, err := s.MarkAtOrBefore(776); ok || err != nil {
		t.Fatalf("776 after trimming: %+v, %v, %v", m, ok, err)
	}
	if m, ok, err := s.MarkAtOrBefore(1<<64 - 1); !ok || err != nil || m.Index < 777 {
		t.Fatalf("the last mark: %+v, %v, %v", m, ok, err)
	}
}

// TestDeadGenerations: a collection that is deleted, expires or is overwritten leaves its elements to Clean, which takes them,
// few or many, and no others.
func TestDeadGenerations(t *testing.T) {
	for _, op := range []event.Op{event.OpSet, event.OpDel, event.OpExpire, event.OpExpireAt} {
		e := memEngine(t)
		s := openStore(t, e, nil)
		var b engine.Batch
		for _, key := range []string{"h", "h\x00", "i"} {
			for gen := range uint64(3) {
				for i := range 100 * (gen + 1) / 2 {
					b.Put(appendElementKey(nil, []byte(key), gen+1, fmt.Append(nil, i)), appendElement(nil, &element{kind: event.TypeZSet, version: version(1)}))
					b.Put(appendScoreKey(nil, []byte(key), gen+1, float64(i), fmt.Append(nil, i)), nil)
				}
			}
		}
		must(t, e.Write(&b))
		all := countRows(t, e, famElement)
		a := s.NewApply()
		for i, gen := range []uint64{1, 3} {
			m := event.Mutation{Op: op, Type: event.TypeZSet, Key: []byte("h"), Version: version(2), ExpireAt: 7,
				Before: event.Before{Exists: true, Type: event.TypeZSet, Generation: gen, Version: version(1), ExpireAt: 5}}
			must(t, a.Event(event.Position{Term: 1, Index: uint64(i) + 1}, &event.Event{Term: 1, Mutations: []event.Mutation{m}}))
		}
		must(t, a.Commit())
		want := 200
		if op == event.OpExpireAt { // the same generation lives on
			want = 0
		}
		if n, err := s.CleanUps(10); err != nil || (n == 2) != (want > 0) {
			t.Fatalf("op %s: %d clean-ups, %v", op, n, err)
		}
		cleanAll(t, s)
		if elements, scores := countRows(t, e, famElement), countRows(t, e, famScore); elements != all-want || scores != elements {
			t.Fatalf("op %s: %d elements and %d scores of %d are left, want %d fewer", op, elements, scores, all, want)
		}
		if n, err := s.CleanUps(10); err != nil || n != 0 {
			t.Fatalf("op %s: %d clean-ups left, %v", op, n, err)
		}
	}
}

// TestSweepBelongsToItsJob: Clean is half through the expiry index for one range delete when everything is deleted; the next range
// delete's sweep must begin at the start.
func TestSweepBelongsToItsJob(t *testing.T) {
	s := openStore(t, memEngine(t), nil)
	a := s.NewApply()
	w := newWorld()
	round := func(do func()) {
		w.begin()
		do()
		gather(t, a, w.end())
		must(t, a.Commit())
	}
	for from := range int64(2) {
		round(func() {
			for i := range int64(6) {
				w.set(fmt.Sprint("a", i), "v", 5000-1000*from+i)
			}
			w.rangeDelete("a", "b")
		})
		_, err := s.Clean(3)
		must(t, err)
		if from == 0 {
			round(func() { w.rangeDelete("", "") })
		}
	}
	cleanAll(t, s)
	if n := countRows(t, s.engine, famExpiry); n != 0 {
		t.Fatalf("%d expiry rows are left", n)
	}
}
