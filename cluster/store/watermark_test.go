package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// moveTo applies a change of the watermark.
func moveTo(t testing.TB, w *world, a *Apply, at int64) {
	t.Helper()
	w.begin()
	w.ev.Own = append(w.ev.Own, Watermark(at))
	gather(t, a, w.end())
	must(t, a.Commit())
}

// A tombstone exists as long as one of its registers is above the watermark.
func TestTombstonesUnderTheWatermark(t *testing.T) {
	for name, m := range map[string]event.Meta{
		"version": {Version: version(7), Floor: version(5), ExpiryVersion: version(5)}, "floor": {Version: version(5), Floor: version(7)},
		"expiry": {ExpiryVersion: version(7)},
	} {
		s := openStore(t, memEngine(t), nil)
		w, a := newWorld(), s.NewApply()
		w.begin()
		w.ev.Mutations = []event.Mutation{
			{Op: event.OpDel, Type: event.TypeHash, Key: []byte("k"), Version: version(5), Floor: m.Floor, KeyVersion: m.Version, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion, Tombstone: true},
			{Op: event.OpHDel, Type: event.TypeHash, Key: []byte("h"), Version: version(7), KeyVersion: version(7), Generation: 1, Count: 1, ElementTombstones: true,
				Elements: []event.Element{{Sub: []byte("f")}}},
		}
		gather(t, a, w.end())
		must(t, a.Commit())
		for at := int64(4); at < 9; at++ {
			moveTo(t, w, a, at)
			got, _, ok, err := s.Tombstone(nil, []byte("k"))
			must(t, err)
			if ok != (at < 7) || ok && !reflect.DeepEqual(got, event.Meta{Version: m.Version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion, Value: got.Value}) {
				t.Errorf("%s, watermark %d: %+v, %v", name, at, got, ok)
			}
			snap := s.Snapshot()
			for from, read := range map[string]func(_, key, sub []byte) (event.Version, []byte, error){
				"store": s.ElementTombstone, "live": s.Live(nil).ElementTombstone, "snapshot": snap.ElementTombstone} {
				if v, _, err := read(nil, []byte("h"), []byte("f")); err != nil || v.IsZero() != (at >= 7) {
					t.Errorf("%s, watermark %d: element's tombstone %v, %v", from, at, v, err)
				}
			}
			snap.Close()
		}
	}
}

// A tombstone with an expiry is there until that is behind by more than clocks may be apart.
func TestTombstoneWithAnExpiryUnderTheWatermark(t *testing.T) {
	s := openStore(t, memEngine(t), nil)
	w, a := newWorld(), s.NewApply()
	w.begin()
	w.ev.Mutations = []event.Mutation{{Op: event.OpHDel, Type: event.TypeHash, Key: []byte("k"), Version: version(5), KeyVersion: version(5), Generation: 1,
		ExpireAt: 2_000_000, ExpiryVersion: version(4), Tombstone: true, Elements: []event.Element{{Sub: []byte("f")}}}}
	gather(t, a, w.end())
	must(t, a.Commit())
	for at, want := range map[int64]bool{5: true, 2000e9: true, 2000e9 + 3599e9: true, 2000e9 + 3600e9: false} {
		if m := (event.Meta{Version: version(5), ExpireAt: 2_000_000}); m.Forgotten(at) == want {
			t.Errorf("at %d: forgotten", at)
		}
	}
	for _, at := range []int64{2000e9 + 3599e9, 2000e9 + 3600e9} {
		moveTo(t, w, a, at)
		if _, _, ok, err := s.Tombstone(nil, []byte("k")); err != nil || ok != (at < 2000e9+3600e9) {
			t.Errorf("watermark %d: %v, %v", at, ok, err)
		}
	}
}

// What a tombstone's version is: that of the whole-key write that it is, or of a later element; not of a write of an absent key's expiry.
func TestTombstoneVersions(t *testing.T) {
	for name, c := range map[string]struct {
		m    event.Mutation
		want event.Version
	}{
		"del":               {event.Mutation{Op: event.OpDel, Version: version(5), Floor: version(5)}, version(5)},
		"del, later fields": {event.Mutation{Op: event.OpDel, Version: version(5), Floor: version(5), KeyVersion: version(8)}, version(8)},
		"expiry":            {event.Mutation{Op: event.OpDel, Version: version(9), Floor: version(5)}, version(5)},
		"expiry of nothing": {event.Mutation{Op: event.OpDel, Version: version(9)}, event.Version{}},
		"expired":           {event.Mutation{Op: event.OpExpire, Version: version(9), Floor: version(5), Before: event.Before{Exists: true}}, version(9)},
	} {
		s := openStore(t, memEngine(t), nil)
		w, a := newWorld(), s.NewApply()
		w.begin()
		c.m.Key, c.m.ExpireAt, c.m.ExpiryVersion, c.m.Tombstone = []byte("k"), 77, version(9), true
		w.ev.Mutations = []event.Mutation{c.m}
		gather(t, a, w.end())
		must(t, a.Commit())
		m, _, ok, err := s.Tombstone(nil, []byte("k"))
		must(t, err)
		if !ok || m.Version != c.want || m.Floor != c.m.Floor || m.ExpireAt != 77 || m.ExpiryVersion != version(9) {
			t.Errorf("%s: %+v, want version %v", name, m, c.want)
		}
		if st := s.State(); c.m.Op == event.OpDel && st.Expiring != 0 {
			t.Errorf("%s: %d keys with an expiry", name, st.Expiring)
		}
	}
}

// The watermark never falls, and is there again after a restart.
func TestWatermarkRises(t *testing.T) {
	e := memEngine(t)
	s := openStore(t, e, nil)
	w, a := newWorld(), s.NewApply()
	for i, at := range []int64{5, 9, 7, 9, 12, 3} {
		moveTo(t, w, a, at)
		want := []int64{5, 9, 9, 9, 12, 12}[i]
		again := openStore(t, e, nil)
		if s.Watermark() != want || again.Watermark() != want || again.State().Watermark != want {
			t.Fatalf("moved to %d: %d, %d after a restart, want %d", at, s.Watermark(), again.Watermark(), want)
		}
	}
	w.begin()
	w.ev.Own = []event.OwnChange{{Kind: event.OwnWatermark, Value: []byte("short")}}
	if en := w.end(); a.Event(en.pos, en.ev) == nil {
		t.Error("a watermark of five bytes is applied")
	}
}

// Reclaiming takes what is under the watermark and nothing else, in bounded steps, and nobody sees it.
func TestReclaim(t *testing.T) {
	gone, kept := 0, 0
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 9))
		w := newWorld()
		w.replicates = true
		s := openStore(t, memEngine(t), nil)
		a := s.NewApply()
		for range 300 {
			gather(t, a, w.step(r))
		}
		must(t, a.Commit())
		at := w.clock - r.Int64N((w.clock-1_000_000)/8)
		moveTo(t, w, a, at)
		s.reclaiming.swept = at - reclaimEvery // due, as it isn't at so small a time
		before, seen := checksum(t, s), visible(t, s, w)
		rows, under := tombstonesOf(t, s, at)
		for n := 0; s.CleanDue(); n++ {
			_, err := s.Clean(3)
			must(t, err)
			if left, _ := tombstonesOf(t, s, at); rows-left > 3*(n+1) {
				t.Fatalf("seed %d: %d gone after %d steps of 3", seed, rows-left, n+1)
			}
			if n > 10_000 {
				t.Fatal("it doesn't end")
			}
		}
		left, still := tombstonesOf(t, s, at)
		if gone, kept = gone+under, kept+left; still != 0 || left != rows-under {
			t.Fatalf("seed %d: %d of %d tombstones left, %d of %d under the watermark", seed, left, rows, still, under)
		}
		if got := checksum(t, s); got.Total != before.Total {
			t.Fatalf("seed %d: the checksum was %s, is %s", seed, before.Total, got.Total)
		}
		if got := visible(t, s, w); got != seen {
			t.Fatalf("seed %d: before\n%s\nafter\n%s", seed, seen, got)
		}
		if moveTo(t, w, a, at+reclaimEvery-1); s.CleanDue() {
			t.Fatalf("seed %d: due again too soon", seed)
		}
		if moveTo(t, w, a, at+reclaimEvery); !s.CleanDue() {
			t.Fatalf("seed %d: never due again", seed)
		}
	}
	if gone == 0 || kept == 0 {
		t.Fatalf("%d tombstones reclaimed, %d kept: the stories are of no use", gone, kept)
	}
}

// tombstonesOf counts tombstones' rows, and those at or below a time.
func tombstonesOf(t testing.TB, s *Store, at int64) (all, under int) {
	t.Helper()
	must(t, scan(s.engine, []byte{famTombstone}, []byte{famTombstone + 1}, func(key, row []byte) (bool, error) {
		all++
		gone, err := forgotten(key, row, at)
		if gone {
			under++
		}
		return true, err
	}))
	return all, under
}

// visible is what readers see of tombstones.
func visible(t testing.TB, s *Store, w *world) (seen string) {
	t.Helper()
	for _, key := range universe {
		m, _, ok, err := s.Tombstone(nil, []byte(key))
		must(t, err)
		seen += fmt.Sprintln(key, m.Version, m.Floor, ok)
		for _, sub := range sortedKeys(w.dead[key]) {
			v, _, err := s.ElementTombstone(nil, []byte(key), []byte(sub))
			must(t, err)
			seen += fmt.Sprintln(key, sub, v)
		}
	}
	return seen
}

// What one cluster may have forgotten while another remembers it counts for none of them.
func TestChecksumForgetsWithTheWatermark(t *testing.T) {
	sum := func(watermark int64, m event.Meta, tomb *event.Meta) Sum {
		var order []string
		metas := map[string]event.Meta{}
		if m.Type != event.TypeNone {
			order, metas["k"] = []string{"k"}, m
		}
		s := fill(t, event.Names{"", "dc-a"}, metas, order)
		var b engine.Batch
		if tomb != nil {
			b.Put(appendTombstoneKey(nil, []byte("k")), appendMeta(nil, tomb))
		}
		must(t, s.engine.Write(&b))
		c, err := s.ChecksumAbove(context.Background(), nil, watermark, 0)
		must(t, err)
		if c.Watermark != watermark {
			t.Fatalf("made by %d, want %d", c.Watermark, watermark)
		}
		return c.Total
	}
	hash := event.Meta{Type: event.TypeHash, Version: version(20), Generation: 1}
	with := func(floor, expiry event.Version, at int64) event.Meta {
		m := hash
		m.Floor, m.ExpiryVersion, m.ExpireAt = floor, expiry, at
		return m
	}
	none := event.Version{}
	for name, c := range map[string]struct {
		watermark int64
		a, b      Sum
		same      bool
	}{
		"floor above":              {9, sum(9, hash, nil), sum(9, with(version(10), none, 0), nil), false},
		"floor under":              {10, sum(10, hash, nil), sum(10, with(version(10), none, 0), nil), true},
		"cleared expiry above":     {9, sum(9, hash, nil), sum(9, with(none, version(10), 0), nil), false},
		"cleared expiry under":     {10, sum(10, hash, nil), sum(10, with(none, version(10), 0), nil), true},
		"expiry":                   {10, sum(10, hash, nil), sum(10, with(none, version(10), 500), nil), false},
		"nobody's expiry":          {9, sum(9, hash, nil), sum(9, with(none, event.Version{Time: 12}, 0), nil), true},
		"tombstone beside the key": {0, sum(0, hash, nil), sum(0, hash, &event.Meta{ExpiryVersion: version(10)}), true},
		"tombstone above":          {9, sum(9, event.Meta{}, nil), sum(9, event.Meta{}, &event.Meta{ExpiryVersion: version(10)}), false},
		"tombstone under":          {10, sum(10, event.Meta{}, nil), sum(10, event.Meta{}, &event.Meta{ExpiryVersion: version(10)}), true},
		"tombstone, partly under": {10, sum(10, event.Meta{}, &event.Meta{Version: version(8), ExpiryVersion: version(11)}),
			sum(10, event.Meta{}, &event.Meta{ExpiryVersion: version(11)}), true},
		"tombstone of what expired": {0, sum(0, event.Meta{}, nil), sum(0, event.Meta{}, &event.Meta{Version: version(8), ExpireAt: 100, ExpiryVersion: version(9)}), true},
	} {
		if (c.a == c.b) != c.same {
			t.Errorf("%s: the same sum: %v, want %v", name, c.a == c.b, c.same)
		}
	}
}
