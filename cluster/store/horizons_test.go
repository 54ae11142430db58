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
	check := func(what string, want map[string]int64) {
		t.Helper()
		snap := s.Snapshot()
		defer snap.Close()
		got, err := snap.Horizons()
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
