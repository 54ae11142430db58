package partition

import "testing"

// Commands on all types in one cluster, where keys end, change their type and are made anew: the other has the same in the end, and nothing is a conflict where
// nobody else writes.
func TestReplayAllTypes(t *testing.T) {
	a, b, load, _ := two(t, 1, 1)
	s := a.flows(b)
	for range 30 {
		load.run(20)
		s.catchUp()
		if records, _ := b.leader().conflictRows(); len(records) > 0 {
			rec := records[0]
			t.Fatalf("%d conflicts, and nobody else writes; the first: %s of %q, type %s, over %q, %s %s", len(records), rec.Op, rec.Key, rec.There.Type, rec.Here.Type, rec.Action, rec.Reason)
		}
	}
	a.sameAs(b)
}
