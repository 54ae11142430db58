package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// compare checks a store against the model: every key's meta, the order of keys, counts, the expiry index, tombstones, own rows.
func compare(t testing.TB, s *Store, w *world) {
	t.Helper()
	var keys []string
	var expiring int64
	must(t, s.Keys(nil, func(key []byte, m *event.Meta) bool {
		keys = append(keys, string(key))
		got, want := fmt.Sprintf("%+v", *m), fmt.Sprintf("%+v", w.keys[string(key)])
		if got != want {
			t.Errorf("key %q: got %s, want %s", key, got, want)
		}
		return true
	}))
	if want := sortedKeys(w.keys); !slices.Equal(keys, want) {
		t.Fatalf("keys: got %q, want %q", keys, want)
	}
	want := map[string]int64{}
	for k, m := range w.keys {
		if m.ExpireAt != 0 {
			expiring++
			want[k] = m.ExpireAt
		}
	}
	got := map[string]int64{}
	last := int64(-1 << 63)
	must(t, s.Expired(1<<62, 1<<30, func(key []byte, at int64) bool {
		if at < last {
			t.Errorf("expiry index: %d after %d", at, last)
		}
		last = at
		got[string(key)] = at
		return true
	}))
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("expiry index: got %v, want %v", got, want)
	}
	st := s.State()
	if st.Keys != int64(len(w.keys)) || st.Expiring != expiring {
		t.Fatalf("counts: got %d keys, %d expiring; want %d, %d", st.Keys, st.Expiring, len(w.keys), expiring)
	}
	compareState(t, &st, w)
	compareTombstones(t, s, w)
	compareElements(t, s, w)
	compareOwn(t, s, w)
}

func compareState(t testing.TB, st *State, w *world) {
	t.Helper()
	if st.Applied != w.pos || st.LastEvent != w.last || st.Events != uint64(w.linked) {
		t.Fatalf("state: applied %s, last event %s, %d events; want %s, %s, %d", st.Applied, st.LastEvent, st.Events, w.pos, w.last, w.linked)
	}
	if w.ev != nil && (st.Clock != w.clock || st.Wall != w.ev.Wall) {
		t.Fatalf("clocks: got %d, %d; want %d, %d", st.Clock, st.Wall, w.clock, w.ev.Wall)
	}
}

func compareTombstones(t testing.TB, s *Store, w *world) {
	t.Helper()
	n := 0
	must(t, scan(s.engine, []byte{famTombstone}, []byte{famTombstone + 1}, func(_, _ []byte) (bool, error) { n++; return true, nil }))
	dead := 0
	for key, subs := range w.dead {
		dead += len(subs)
		for sub, want := range subs {
			v, _, err := s.ElementTombstone(nil, []byte(key), []byte(sub))
			must(t, err)
			if v != want {
				t.Fatalf("tombstone of %q in %q: got %v, want %v", sub, key, v, want)
			}
		}
	}
	if n != len(w.tombstones)+dead {
		t.Fatalf("%d tombstones, want %d of keys and %d of elements", n, len(w.tombstones), dead)
	}
	for _, k := range universe {
		if _, dead := w.tombstones[k]; dead {
			continue
		}
		if m, _, ok, err := s.Tombstone(nil, []byte(k)); err != nil || ok {
			t.Fatalf("%q isn't deleted: its tombstone is %+v, %v", k, m, err)
		}
	}
	for k, want := range w.tombstones {
		m, _, ok, err := s.Tombstone(nil, []byte(k))
		must(t, err)
		if !ok || m.Version != want.Version || m.Floor != want.Floor || m.ExpireAt != want.ExpireAt || m.ExpiryVersion != want.ExpiryVersion {
			t.Fatalf("tombstone of %q: got %+v, want %+v", k, m, want)
		}
	}
}

func compareOwn(t testing.TB, s *Store, w *world) {
	t.Helper()
	got := map[string]string{}
	must(t, s.Own(event.OwnConsumer, func(id, value []byte) bool {
		got[fmt.Sprint(event.OwnConsumer, " ", string(id))] = string(value)
		return true
	}))
	if !reflect.DeepEqual(got, w.own) {
		t.Fatalf("own rows: got %v, want %v", got, w.own)
	}
	for i := range 3 {
		id := fmt.Sprint("c", i)
		want, there := w.own[fmt.Sprint(event.OwnConsumer, " ", id)]
		value, ok, err := s.OwnValue([]byte("dst"), event.OwnConsumer, []byte(id))
		must(t, err)
		if ok != there || string(value) != "dst"+want {
			t.Fatalf("own row %s: got %q, %v; want %q, %v", id, value, ok, want, there)
		}
	}
}

// TestFoldEqualsModel applies random entries in random commits and compares the store with the model after each commit; now and
// then it cleans, trims, or opens the store anew.
func TestFoldEqualsModel(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			w := newWorld()
			w.replicates = seed%2 == 1
			e := memEngine(t)
			s := openStore(t, e, nil)
			a := s.NewApply()
			for range 150 {
				for range 1 + r.IntN(4) {
					gather(t, a, w.step(r))
				}
				must(t, a.Commit())
				compare(t, s, w)
				switch r.IntN(12) {
				case 0:
					_, err := s.Clean(1 + r.IntN(4))
					must(t, err)
					compare(t, s, w)
				case 1:
					s = openStore(t, e, nil)
					a = s.NewApply()
				}
			}
			cleanAll(t, s)
			compare(t, s, w)
			if n := countRows(t, e, famExpiry); int64(n) != s.State().Expiring {
				t.Fatalf("%d expiry rows after the clean-up, want %d", n, s.State().Expiring)
			}
			if n, want := countRows(t, e, famElement), w.countItems(event.TypeNone); n != want {
				t.Fatalf("%d element rows after the clean-up, want %d", n, want)
			}
			if n, want := countRows(t, e, famScore), w.countItems(event.TypeZSet); n != want {
				t.Fatalf("%d score rows after the clean-up, want %d", n, want)
			}
			if n := countRows(t, e, famCleanup); n != 0 {
				t.Fatalf("%d clean-up rows are left", n)
			}
		})
	}
}

func cleanAll(t testing.TB, s *Store) {
	t.Helper()
	for more := true; more; {
		var err error
		more, err = s.Clean(3)
		must(t, err)
	}
}

func countRows(t testing.TB, r engine.Reader, family byte) (n int) {
	t.Helper()
	must(t, scan(r, []byte{family}, []byte{family + 1}, func(_, _ []byte) (bool, error) { n++; return true, nil }))
	return n
}

// rowsOf is everything that an engine holds.
func rowsOf(t testing.TB, r engine.Reader) []byte {
	t.Helper()
	var b []byte
	must(t, scan(r, nil, nil, func(key, value []byte) (bool, error) {
		b = fmt.Appendf(b, "%x %x\n", key, value)
		return true, nil
	}))
	return b
}

// TestBatchingDoesNotShow: the same entries, committed one by one, all at once and anyhow, give the same rows, byte for byte.
func TestBatchingDoesNotShow(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := newWorld()
		w.replicates = seed%2 == 1
		entries := make([]entry, 600)
		for i := range entries {
			entries[i] = w.step(r)
		}
		apply := func(commit func(i int) bool) []byte {
			e := memEngine(t)
			a := openStore(t, e, nil).NewApply()
			for i, en := range entries {
				gather(t, a, en)
				if commit(i) {
					must(t, a.Commit())
				}
			}
			must(t, a.Commit())
			return rowsOf(t, e)
		}
		one := apply(func(int) bool { return true })
		all := apply(func(int) bool { return false })
		some := apply(func(int) bool { return r.IntN(7) == 0 })
		if !bytes.Equal(one, all) || !bytes.Equal(one, some) {
			t.Fatalf("seed %d: rows differ with the commits", seed)
		}
	}
}
