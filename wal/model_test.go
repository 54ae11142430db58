package wal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// modelGroup is what a group holds on disk: base with its term, the entries after it.
type modelGroup struct {
	hs      raftpb.HardState
	base    Base
	entries []raftpb.Entry
	// truncated is the base in memory: not recorded yet when it is above base.
	truncated Base
}

func (m modelGroup) last() uint64 { return m.base.Index + uint64(len(m.entries)) }

func (m modelGroup) term(i uint64) uint64 {
	if i == m.base.Index {
		return m.base.Term
	}
	return m.entries[i-m.base.Index-1].Term
}

// forget moves the base up to b.
func (m modelGroup) forget(b Base) modelGroup {
	if b.Index > m.base.Index {
		m.entries = m.entries[b.Index-m.base.Index:]
		m.base = b
	}
	return m
}

// model is the whole log. States are replaced, never changed.
type model map[uint64]modelGroup

func (m model) apply(updates []Update) model {
	out := maps.Clone(m)
	for id, g := range out {
		out[id] = g.forget(g.truncated)
	}
	for _, u := range updates {
		g := out[u.Group]
		if u.Snapshot != nil {
			g.base, g.truncated, g.entries = *u.Snapshot, *u.Snapshot, nil
		}
		if len(u.Entries) > 0 {
			keep := u.Entries[0].Index - g.base.Index - 1
			g.entries = append(slices.Clone(g.entries[:keep]), u.Entries...)
		}
		if u.HardState != (raftpb.HardState{}) {
			g.hs = u.HardState
		}
		out[u.Group] = g
	}
	return out
}

// compare says how the log differs from the model, as it is in memory (truncations count) or on disk after a reopen.
func (m model) compare(l *Log, memory bool) error {
	for id := uint64(1); id <= modelGroups; id++ {
		g, want := l.Group(id), m[id]
		if memory {
			want = want.forget(want.truncated)
		}
		if err := compareGroup(g, want); err != nil {
			return fmt.Errorf("group %d: %w", id, err)
		}
	}
	return nil
}

func compareGroup(g *Group, want modelGroup) error {
	if g.HardState() != want.hs {
		return fmt.Errorf("hard state %v, want %v", g.HardState(), want.hs)
	}
	if g.FirstIndex() != want.base.Index+1 || g.LastIndex() != want.last() {
		return fmt.Errorf("[%d, %d], want [%d, %d]", g.FirstIndex(), g.LastIndex(), want.base.Index+1, want.last())
	}
	for i := want.base.Index; i <= want.last(); i++ {
		if term, err := g.Term(i); err != nil || term != want.term(i) {
			return fmt.Errorf("term of %d is %d, %v; want %d", i, term, err, want.term(i))
		}
	}
	got, err := g.Entries(want.base.Index+1, want.last()+1, noLimit)
	if err != nil {
		return err
	}
	if err := sameEntries(got, want.entries); err != nil {
		return fmt.Errorf("Entries: %w", err)
	}
	r := g.NewReader(want.base.Index + 1)
	defer r.Close()
	for n := 0; n < len(want.entries); {
		batch, err := r.Next(want.last())
		if err != nil {
			return err
		}
		if err := sameEntries(batch, want.entries[n:n+len(batch)]); err != nil {
			return fmt.Errorf("Reader: %w", err)
		}
		n += len(batch)
	}
	return nil
}

func sameEntries(got, want []raftpb.Entry) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d entries, want %d", len(got), len(want))
	}
	for i, e := range got {
		w := want[i]
		if e.Index != w.Index || e.Term != w.Term || e.Type != w.Type || !bytes.Equal(e.Data, w.Data) {
			return fmt.Errorf("entry %d of term %d with %d bytes, want %d of %d with %d", e.Index, e.Term, len(e.Data), w.Index, w.Term, len(w.Data))
		}
	}
	return nil
}

const modelGroups = 4

// modelRun drives a log and its model side by side. history[0] is the state known durable, the rest what was appended
// since without a sync.
type modelRun struct {
	rng     *rand.Rand
	fs      *crashFS
	o       Options
	l       *Log
	history []model
	// doing is the state that a failed call may have left behind.
	doing model
}

func newModelRun(seed uint64, fs *crashFS) *modelRun {
	r := &modelRun{rng: rand.New(rand.NewPCG(seed, 1)), fs: fs, history: []model{{}}}
	r.o = Options{Dir: "/wal", SegmentBytes: 16 << 10, CacheBytes: 4 << 10, RecycleSegments: 2, FS: fs, Logger: slog.New(slog.DiscardHandler), NoPrezero: seed%2 == 0}
	return r
}

func (r *modelRun) now() model { return r.history[len(r.history)-1] }

// written records a new state.
func (r *modelRun) written(m model, synced bool) {
	if synced {
		r.history = r.history[:0]
	}
	r.history = append(r.history, m)
}

// step does one random thing. The error is of the log; the model is then in doing.
func (r *modelRun) step() error {
	r.doing = nil
	switch n := r.rng.IntN(100); {
	case n < 75:
		return r.append()
	case n < 88:
		return r.truncate()
	case n < 95:
		return r.rewrite()
	case n < 97:
		return r.remove()
	default:
		return r.reopen()
	}
}

func (r *modelRun) append() error {
	var us []Update
	sync := false
	for id := uint64(1); id <= modelGroups; id++ {
		if id == modelGroups && r.rng.IntN(20) > 0 || r.rng.IntN(3) == 0 { // the last group is quiet
			continue
		}
		u := r.update(id, r.now()[id])
		sync = sync || u.MustSync || u.Snapshot != nil
		us = append(us, u)
	}
	r.doing = r.now().apply(us)
	if err := r.l.Append(us); err != nil {
		return err
	}
	r.written(r.doing, sync)
	return nil
}

func (r *modelRun) update(id uint64, g modelGroup) Update {
	g = g.forget(g.truncated)
	u := Update{Group: id, MustSync: r.rng.IntN(3) > 0}
	if r.rng.IntN(40) == 0 {
		index := g.last() + uint64(r.rng.IntN(5))
		u.Snapshot = &Base{Index: index, Term: g.hs.Term + 1}
		g = modelGroup{base: *u.Snapshot, hs: g.hs}
	}
	if r.rng.IntN(5) > 0 {
		first := g.last() + 1
		if r.rng.IntN(6) == 0 && len(g.entries) > 0 {
			first -= uint64(r.rng.IntN(min(len(g.entries), 6)))
		}
		for i := range uint64(r.rng.IntN(4)) {
			e := raftpb.Entry{Term: g.hs.Term + 1, Index: first + i, Type: raftpb.EntryType(r.rng.IntN(3))}
			if n := r.rng.IntN(240); n > 20 { // an append fits in one frame, so it is all or nothing
				e.Data = bytes.Repeat([]byte{byte(r.rng.Uint32())}, n)
			}
			u.Entries = append(u.Entries, e)
		}
	}
	if r.rng.IntN(2) == 0 {
		u.HardState = raftpb.HardState{Term: g.hs.Term + uint64(r.rng.IntN(2)), Vote: r.rng.Uint64N(3), Commit: g.base.Index}
	}
	return u
}

func (r *modelRun) truncate() error {
	id := 1 + r.rng.Uint64N(modelGroups)
	g := r.now()[id]
	g = g.forget(g.truncated)
	if len(g.entries) == 0 {
		return nil
	}
	index := g.base.Index + 1 + r.rng.Uint64N(uint64(len(g.entries)))
	m := maps.Clone(r.now())
	changed := m[id]
	changed.truncated = Base{Index: index, Term: g.term(index)}
	m[id] = changed
	if err := r.l.Group(id).Truncate(index); err != nil {
		return err
	}
	r.history[len(r.history)-1] = m // on disk nothing changed
	return nil
}

func (r *modelRun) rewrite() error {
	id := 1 + r.rng.Uint64N(modelGroups)
	m := maps.Clone(r.now())
	if g, ok := m[id]; ok {
		m[id] = g.forget(g.truncated)
	}
	r.doing = m
	before := r.l.Stats().Frames
	if err := r.l.Rewrite(id); err != nil {
		return err
	}
	if r.l.Stats().Frames > before {
		r.written(m, true)
	}
	return nil
}

func (r *modelRun) remove() error {
	id := 1 + r.rng.Uint64N(modelGroups)
	m := maps.Clone(r.now())
	delete(m, id)
	r.doing = m
	before := r.l.Stats().Frames
	if err := r.l.RemoveGroup(id); err != nil {
		return err
	}
	r.written(m, r.l.Stats().Frames > before) // a group that isn't there is removed without a sync
	return nil
}

// reopen closes the log and opens it, or lets it crash.
func (r *modelRun) reopen() error {
	if err := r.l.Close(); err != nil {
		return err
	}
	r.written(r.now(), true)
	l, err := Open(r.o)
	if err != nil {
		return err
	}
	r.l = l
	return r.adopt()
}

// adopt takes over what the log recovered, which must be one of the states that it may have.
func (r *modelRun) adopt() error {
	candidates := r.history
	if r.doing != nil {
		candidates = append(slices.Clone(candidates), r.doing)
	}
	var errs []error
	for i, m := range slices.Backward(candidates) {
		if err := m.compare(r.l, false); err != nil {
			errs = append(errs, fmt.Errorf("state %d of %d: %w", i, len(candidates), err))
			continue
		}
		m = maps.Clone(m)
		for id, g := range m {
			g.truncated = g.base
			m[id] = g
		}
		r.history, r.doing = []model{m}, nil
		return nil
	}
	return errors.Join(errs...)
}

// crash goes on with what is left after a power failure, or after a kill with keep.
func (r *modelRun) crash(keep bool) error {
	r.fs = r.fs.crash(r.rng, keep)
	r.o.FS = r.fs
	l, err := Open(r.o)
	if err != nil {
		return err
	}
	r.l = l
	return r.adopt()
}

// testSeed is WAL_SEED, or a new one.
func testSeed(t *testing.T) uint64 {
	seed := rand.Uint64()
	if s := os.Getenv("WAL_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("WAL_SEED=%d", seed)
	return seed
}

// TestModel: whatever is done, and however often the process or the machine dies, the log is what the model says.
func TestModel(t *testing.T) {
	seed := testSeed(t)
	for round := range uint64(30) {
		r := newModelRun(seed+round, newCrashFS())
		r.l = mustOpen(t, r.o)
		for i := range 400 {
			err := r.step()
			if err == nil && r.rng.IntN(50) == 0 {
				old := r.l
				err = r.crash(r.rng.IntN(3) == 0)
				old.Close()
			}
			if err == nil && r.rng.IntN(20) == 0 {
				err = r.now().compare(r.l, true)
			}
			if err != nil {
				t.Fatalf("seed %d step %d: %v", seed+round, i, err)
			}
		}
		mustClose(t, r.l)
	}
}

// TestFailEveryIO fails the first, second, third … operation of the same run, lets the machine die there, and looks for
// what was acknowledged.
func TestFailEveryIO(t *testing.T) {
	seed := testSeed(t)
	for n := 1; ; n++ {
		r := newModelRun(seed, newCrashFS())
		r.fs.failAt = n
		done, err := runUntilFailure(r)
		if err != nil {
			t.Fatalf("seed %d, failure %d: %v", seed, n, err)
		}
		if done {
			t.Logf("%d operations failed", n-1)
			return
		}
	}
}

// runUntilFailure says done when no operation failed.
func runUntilFailure(r *modelRun) (done bool, err error) {
	fs := r.fs
	l, err := Open(r.o)
	if r.l = l; err == nil {
		for i := 0; i < 60 && err == nil; i++ {
			err = r.step()
		}
	}
	if err != nil && !errors.Is(err, errInjected) {
		return false, err
	}
	if errors.Is(err, ErrPoisoned) {
		if e := r.l.Append([]Update{{Group: 1, MustSync: true, HardState: hard(9, 9, 9)}}); !errors.Is(e, ErrPoisoned) && !errors.Is(e, ErrClosed) {
			return false, fmt.Errorf("append after %w: %w, want ErrPoisoned", err, e)
		}
	}
	old := r.l
	fs.mu.Lock()
	done = fs.failed == ""
	fs.failAt = 0
	fs.mu.Unlock()
	err2 := r.crash(r.rng.IntN(2) == 0)
	if old != nil {
		old.Close()
	}
	if err2 != nil {
		return false, fmt.Errorf("%s failed (%w), then: %w", fs.failed, err, err2)
	}
	return done, r.l.Close()
}
