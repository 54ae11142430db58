package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// TestCacheEqualsEngine: with the cache on, off, on again and shared with another store, reads are those of the model.
func TestCacheEqualsEngine(t *testing.T) {
	cache := NewCache(1)
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 8))
		w := newWorld()
		w.replicates = seed%2 == 1
		s := openStore(t, memEngine(t), cache)
		s.SetCaching(true)
		a := s.NewApply()
		var buf []byte
		for range 400 {
			for range 1 + r.IntN(3) {
				gather(t, a, w.step(r))
			}
			must(t, a.Commit())
			for range 6 {
				buf = sameAsModel(t, s, w, buf, universe[r.IntN(len(universe))])
			}
			compareElements(t, s, w)
			compareTombstones(t, s, w)
			switch r.IntN(30) {
			case 0:
				s.SetCaching(false)
			case 1, 2:
				s.SetCaching(true)
			}
		}
	}
	if st := cache.Stats(); st.Gets == st.Misses || st.Misses == 0 {
		t.Fatalf("the cache wasn't tried: %+v", st)
	}
}

func sameAsModel(t *testing.T, s *Store, w *world, buf []byte, key string) []byte {
	t.Helper()
	m, buf, ok, err := s.Meta(buf, []byte(key))
	must(t, err)
	want, exists := w.keys[key]
	if ok != exists || (ok && fmt.Sprintf("%+v", m) != fmt.Sprintf("%+v", want)) {
		t.Fatalf("key %q: got %+v, %v; want %+v, %v", key, m, ok, want, exists)
	}
	return buf
}

// TestLargeRowsAreNotCached: a row too large for the cache takes the older one out of it.
func TestLargeRowsAreNotCached(t *testing.T) {
	w := newWorld()
	s := openStore(t, memEngine(t), NewCache(1))
	s.SetCaching(true)
	a := s.NewApply()
	for _, size := range []int{10, 59 << 10, 61 << 10, 64 << 10, 1 << 20, 20} {
		w.begin()
		w.set("k", string(bytes.Repeat([]byte{byte(size >> 8)}, size)), 0)
		gather(t, a, w.end())
		must(t, a.Commit())
		for range 2 {
			sameAsModel(t, s, w, nil, "k")
		}
	}
}

// TestSmallThenLargeInOneCommit: the large row, which the cache doesn't take, must take out the small one that came before it.
func TestSmallThenLargeInOneCommit(t *testing.T) {
	w := newWorld()
	s := openStore(t, memEngine(t), NewCache(1))
	s.SetCaching(true)
	a := s.NewApply()
	w.begin()
	w.set("k", "small", 0)
	w.set("k", string(make([]byte, 70<<10)), 0)
	gather(t, a, w.end())
	must(t, a.Commit())
	sameAsModel(t, s, w, nil, "k")
}

// TestCachingFromBetween: a partition that becomes leader between gathering an entry and committing it, and reads the key
// meanwhile, has the old row in the cache then, but not after the commit.
func TestCachingFromBetween(t *testing.T) {
	w := newWorld()
	s := openStore(t, memEngine(t), NewCache(1))
	a := s.NewApply()
	for range 2 {
		w.begin()
		w.set("k", fmt.Sprint("v", w.clock), 0)
		gather(t, a, w.end())
		s.SetCaching(true)
		_, _, _, err := s.Meta(nil, []byte("k"))
		must(t, err)
		must(t, a.Commit())
		sameAsModel(t, s, w, nil, "k")
		s.SetCaching(false)
	}
}

// TestReadsNeverGoBackward: while one goroutine applies, readers of one key through cache, engine, iterator and State only see it
// grow, and never less than the State that they have seen.
func TestReadsNeverGoBackward(t *testing.T) {
	s := openStore(t, memEngine(t), NewCache(1))
	s.SetCaching(true)
	w := newWorld()
	a := s.NewApply()
	var done atomic.Bool
	var readers sync.WaitGroup
	for i := range 3 {
		readers.Go(func() {
			if err := watch(s, i, &done); err != nil {
				t.Error(err)
			}
		})
	}
	r := rand.New(rand.NewPCG(9, 9))
	var buf []byte
	for n := range 6000 {
		w.begin()
		w.set("k", string(binary.BigEndian.AppendUint64(nil, uint64(n)+1)), 0)
		gather(t, a, w.end())
		must(t, a.Commit())
		switch r.IntN(100) {
		case 0:
			s.SetCaching(r.IntN(2) == 0)
		case 1, 2, 3:
			var err error
			_, buf, _, err = s.Meta(buf, []byte("k"))
			must(t, err)
		}
	}
	done.Store(true)
	readers.Wait()
}

// watch reads until done, each time another way.
func watch(s *Store, way int, done *atomic.Bool) error {
	var buf []byte
	var seen uint64
	for n := way; !done.Load(); n++ {
		floor := s.State().Applied.Index
		var got uint64
		number := func(m *event.Meta) { got = binary.BigEndian.Uint64(m.Value) }
		var err error
		switch n % 4 {
		case 0:
			err = s.Keys(nil, func(_ []byte, m *event.Meta) bool { number(m); return true })
		case 1:
			snap := s.Snapshot()
			var st State
			st, err = snap.State()
			_ = snap.Keys(nil, func(_ []byte, m *event.Meta) bool { number(m); return true })
			if err == nil && st.Applied.Index != got {
				err = fmt.Errorf("snapshot: state at %d, row %d", st.Applied.Index, got)
			}
			snap.Close()
		default:
			var m event.Meta
			var ok bool
			if m, buf, ok, err = s.Meta(buf, []byte("k")); ok {
				number(&m)
			}
		}
		if err != nil {
			return err
		}
		if got < seen || got < floor {
			return fmt.Errorf("read %d, way %d, after %d and state %d", got, n%4, seen, floor)
		}
		seen = got
	}
	return nil
}

// TestCacheIsNotAskedDuringWrite walks the interleaving that would let a read go back: a reader that gets the new row from the engine
// while the commit hasn't reached the cache, then another from the cache.
func TestCacheIsNotAskedDuringWrite(t *testing.T) {
	e := &writes{Engine: memEngine(t)}
	s := openStore(t, e, NewCache(1))
	s.SetCaching(true)
	w := newWorld()
	a := s.NewApply()
	for range 3 {
		w.begin()
		w.set("k", "v", 0)
		gather(t, a, w.end())
		must(t, a.Commit())
		key := appendCacheKey(nil, s.epoch.Load(), appendMetaKey(nil, []byte("k")))
		if !s.cache.rows.Has(key) {
			t.Fatal("the row isn't in the cache after its commit")
		}
		gets := s.cache.Stats().Gets
		e.before = func() {
			if _, _, ok, err := s.Meta(nil, []byte("k")); !ok || err != nil {
				t.Errorf("read while a row is written: %v, %v", ok, err)
			}
			if s.cache.Stats().Gets != gets {
				t.Error("the cache is asked while a new row is being written")
			}
		}
	}
}

// TestMetaDoesNotAllocate holds the promise of Meta and of the projection.
func TestMetaDoesNotAllocate(t *testing.T) {
	s := openStore(t, memEngine(t), NewCache(1))
	s.SetCaching(true)
	w := newWorld()
	a := s.NewApply()
	w.begin()
	w.set("table:key", "value", 0)
	gather(t, a, w.end())
	must(t, a.Commit())
	buf, key := make([]byte, 0, 256), []byte("table:key")
	if n := testing.AllocsPerRun(100, func() { _, buf, _, _ = s.Meta(buf, key) }); n != 0 {
		t.Errorf("Meta: %v allocations", n)
	}
	if _, err := s.Checksum(context.Background(), nil); err != nil {
		t.Error(err)
	}
}
