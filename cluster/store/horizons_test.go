package store

import (
	"maps"
	"testing"

	"github.com/zankv/zankv/cdc/event"
)

// TestHorizons: a state comes after what a cluster made as far as all of its partitions are in, and of one that isn't wholly known nothing is said.
func TestHorizons(t *testing.T) {
	s := openStore(t, memEngine(t), nil)
	a, w := s.NewApply(), newWorld()
	at := func(time int64) *Sender {
		return &Sender{Partitions: 2, Hash: "crc16", Reached: Cursor{Position: event.Position{Term: 1, Index: 5}, Done: AllDone}, Time: time}
	}
	cut := Cut{"murmur3", 2}
	check := func(what string, want map[string]int64) {
		t.Helper()
		snap := s.Snapshot()
		defer snap.Close()
		got, err := snap.Horizons(cut)
		must(t, err)
		want[testID.Cluster] = s.State().Clock
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	put := func(cluster, namespace string, partition uint32, to *Sender) {
		w.begin()
		w.ev.Own = append(w.ev.Own, SenderChange(SenderID{cluster, namespace, partition}, to))
		gather(t, a, w.end())
		must(t, a.Commit())
	}
	w.begin()
	w.set("k", "v", 0)
	gather(t, a, w.end())
	must(t, a.Commit())
	check("no sender", map[string]int64{})
	put("b", "default", 1, at(70))
	check("the first partition isn't known", map[string]int64{})
	put("b", "default", 0, at(90))
	check("both", map[string]int64{"b": 70})
	put("b", "other", 0, at(50))
	check("another namespace, in part", map[string]int64{})
	put("b", "other", 1, at(60))
	put("c", "default", 0, at(10))
	check("another cluster, in part", map[string]int64{"b": 50})
	unsent := at(0)
	unsent.Reached = Cursor{}
	put("c", "default", 1, unsent)
	check("nothing sent", map[string]int64{"b": 50})
	put("c", "default", 1, at(20))
	check("all", map[string]int64{"b": 50, "c": 10})
	put("d", "default", 0, &Sender{})
	check("a sender of no size", map[string]int64{"b": 50, "c": 10})
}

// TestHorizonsOfPairs: only of those of a cluster's partitions that can share keys with this one is a place asked for, and only theirs counts.
func TestHorizonsOfPairs(t *testing.T) {
	at := func(cut Cut, time int64) *Sender {
		return &Sender{Partitions: cut.Partitions, Hash: cut.Hash, Reached: Cursor{Position: event.Position{Term: 1, Index: 5}, Done: AllDone}, Time: time}
	}
	places := func(cut Cut, times ...int64) map[uint32]*Sender { // by partition, 0 being none
		all := map[uint32]*Sender{}
		for n, time := range times {
			if time != 0 {
				all[uint32(n)] = at(cut, time)
			}
		}
		return all
	}
	own := Cut{"crc16", 4} // this is partition 3
	four, eight := Cut{"crc16", 4}, Cut{"crc16", 8}
	mixed := places(eight, 0, 0, 0, 0, 0, 0, 60, 70)
	mixed[3] = at(four, 90)
	for _, c := range []struct {
		what string
		own  Cut
		have map[uint32]*Sender
		want int64
	}{
		{"as many", own, places(four, 0, 0, 0, 40), 40},
		{"as many, and places of before", own, places(four, 10, 20, 30, 40), 40},
		{"as many, not this one", own, places(four, 10, 20, 30), 0},
		{"twice as many", own, places(eight, 0, 0, 0, 0, 0, 0, 70, 60), 60},
		{"twice as many, one lacking", own, places(eight, 0, 0, 0, 0, 0, 50, 0, 60), 0},
		{"three", own, places(Cut{"crc16", 3}, 0, 0, 30), 30},
		{"by murmur3, as many", Cut{"murmur3", 4}, places(Cut{"murmur3", 4}, 0, 0, 0, 40), 40},
		{"by murmur3, six", Cut{"murmur3", 4}, places(Cut{"murmur3", 6}, 0, 20, 0, 40, 0, 60), 20},
		{"by murmur3, six, one lacking", Cut{"murmur3", 4}, places(Cut{"murmur3", 6}, 0, 20, 0, 40), 0},
		{"by another hash", own, places(Cut{"murmur3", 2}, 30, 40), 30},
		{"by another hash, one lacking", own, places(Cut{"murmur3", 2}, 0, 40), 0},
		{"how this is cut isn't known", Cut{}, places(four, 0, 0, 0, 40), 0},
		{"cut anew", own, mixed, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := openStore(t, memEngine(t), nil)
			a, w := s.NewApply(), newWorld()
			w.begin()
			w.set("k", "v", 0)
			for n, to := range c.have {
				w.ev.Own = append(w.ev.Own, SenderChange(SenderID{"b", "default", n}, to))
			}
			gather(t, a, w.end())
			must(t, a.Commit())
			snap := s.Snapshot()
			defer snap.Close()
			got, err := snap.Horizons(c.own)
			must(t, err)
			if got["b"] != c.want {
				t.Errorf("%v, want %d", got, c.want)
			}
		})
	}
}
