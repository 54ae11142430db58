package partition

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
)

// content is all that a replica's store says of its keys: a line for each meta row, element, place by score, and tombstone. Tombstones are
// looked for under the keys and members that typesLoad draws.
func (m *member) content() (lines []string) {
	m.t.Helper()
	s := m.replica.store
	snap := s.Snapshot()
	defer snap.Close()
	var keys []string
	must(m.t, snap.Keys(nil, func(key []byte, _ *event.Meta) bool {
		keys = append(keys, string(key))
		return true
	}))
	for _, key := range keys {
		meta, _, _, err := snap.Meta(nil, []byte(key))
		must(m.t, err)
		lines = append(lines, fmt.Sprintf("%q %+v", key, meta))
		must(m.t, snap.Elements([]byte(key), &meta, store.Range{}, func(sub []byte, e *store.Element) bool {
			lines = append(lines, fmt.Sprintf("  %q %+v", sub, *e))
			return true
		}))
		must(m.t, snap.Scores([]byte(key), &meta, store.ScoreRange{}, func(score float64, sub []byte) bool {
			lines = append(lines, fmt.Sprintf("  %v %q", score, sub))
			return true
		}))
	}
	for _, key := range typeKeys {
		meta, _, ok, err := s.Tombstone(nil, []byte(key))
		must(m.t, err)
		if ok {
			lines = append(lines, fmt.Sprintf("tombstone %q %+v", key, meta))
		}
		for _, sub := range typeMembers {
			v, _, err := snap.ElementTombstone(nil, []byte(key), []byte(sub))
			must(m.t, err)
			if !v.IsZero() {
				lines = append(lines, fmt.Sprintf("tombstone %q %q %+v", key, sub, v))
			}
		}
	}
	return lines
}

// elementsAreTheLogs compares the elements that the store has, with their versions, and the order of sorted sets, with what folding the log
// gives.
func (m *member) elementsAreTheLogs() {
	m.t.Helper()
	fold := m.folded()
	must(m.t, fold.Err())
	snap := m.replica.store.Snapshot()
	defer snap.Close()
	for _, key := range fold.Keys() {
		meta, _, _, err := snap.Meta(nil, []byte(key))
		must(m.t, err)
		var got, want, order []event.Folded
		must(m.t, snap.Elements([]byte(key), &meta, store.Range{}, func(sub []byte, e *store.Element) bool {
			got = append(got, event.Folded{Sub: slices.Clone(sub), Value: slices.Clone(e.Value), Score: e.Score, Version: e.Version})
			return true
		}))
		must(m.t, snap.Scores([]byte(key), &meta, store.ScoreRange{}, func(score float64, sub []byte) bool {
			order = append(order, event.Folded{Sub: slices.Clone(sub), Score: score})
			return true
		}))
		for e := range fold.Elements([]byte(key)) {
			want = append(want, e)
		}
		if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
			m.t.Errorf("node %d: %s %q: the store has\n%s\nthe log gives\n%s", m.id, meta.Type, key, a, b)
		}
		if meta.Type == event.TypeZSet && !ordered(order, want) {
			m.t.Errorf("node %d: %q: in the order of scores %+v, of members %+v", m.id, key, order, want)
		}
	}
}

// ordered says whether places are those of all members, in the order of scores.
func ordered(places, members []event.Folded) bool {
	var want []event.Folded
	for _, e := range members {
		want = append(want, event.Folded{Sub: e.Sub, Score: e.Score})
	}
	slices.SortFunc(want, func(a, b event.Folded) int {
		return compareScores(&command.ScoreKey{Score: a.Score, Member: a.Sub}, &command.ScoreKey{Score: b.Score, Member: b.Sub})
	})
	return fmt.Sprint(places) == fmt.Sprint(want)
}

// tombstonesAreTheLogs looks for the tombstone of each field whose removal asked for one, unless the field or the whole key was written since.
func (m *member) tombstonesAreTheLogs() {
	m.t.Helper()
	type field struct{ key, sub string }
	want, floors := map[field]event.Version{}, map[string]event.Version{}
	for _, ev := range m.events(m.replica.FirstIndex()) {
		for i := range ev.Mutations {
			change := &ev.Mutations[i]
			floors[string(change.Key)] = change.Floor
			for j := range change.Elements {
				at := field{string(change.Key), string(change.Elements[j].Sub)}
				delete(want, at)
				if change.ElementTombstones {
					want[at] = change.Version
				}
			}
		}
	}
	snap := m.replica.store.Snapshot()
	defer snap.Close()
	for at, version := range want {
		got, _, err := snap.ElementTombstone(nil, []byte(at.key), []byte(at.sub))
		must(m.t, err)
		if version.Time > floors[at.key].Time && got != version {
			m.t.Errorf("node %d: the tombstone of %q in %q is %v, want %v", m.id, at.sub, at.key, got, version)
		}
	}
}

// agree compares all replicas with each other; those that have their whole log, with it, and returns how many these are.
func (l *typesLoad) agree() (whole int) {
	c := l.c
	c.t.Helper()
	l.settle()
	c.equal()
	want := c.leader().content()
	for _, m := range c.members {
		if got := m.content(); !slices.Equal(got, want) {
			c.t.Errorf("node %d:\n%s\nthe leader:\n%s", m.id, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if m.replica.FirstIndex() <= 2 {
			m.equalsItsLog()
			m.elementsAreTheLogs()
			m.tombstonesAreTheLogs()
			whole++
		}
	}
	return whole
}

// agreeWhole wants that all have their whole log.
func (l *typesLoad) agreeWhole() {
	l.c.t.Helper()
	if n := l.agree(); n != len(l.c.members) {
		l.c.t.Errorf("%d of %d replicas have their whole log", n, len(l.c.members))
	}
}

// replicating has the namespace keep tombstones from now on, as the entry does that a syncer's registration writes.
func (c *cluster) replicating() {
	c.t.Helper()
	leader := c.leader()
	done := make(chan struct{})
	req := &command.Request{}
	l := &lane{reqs: []*command.Request{req}, next: 1, open: 1, uncounted: true, done: func() { close(done) }}
	must(c.t, leader.replica.do(context.Background(), func() {
		leader.replica.changeOwn(answer{lane: l, req: req}, store.ReplicatesChange())
	}))
	answered(c.t, "the entry", done)
	must(c.t, leader.replica.do(context.Background(), func() { must(c.t, leader.replica.readSettings()) }))
	if !leader.replica.replicates {
		c.t.Fatal("it doesn't replicate")
	}
}

// bothWays runs a test in a namespace as it is at first, and in one that replicates.
func bothWays(t *testing.T, size int, test func(*testing.T, *cluster, *typesLoad)) {
	for _, replicates := range []bool{false, true} {
		t.Run(fmt.Sprint("replicates ", replicates), func(t *testing.T) {
			c, l := typesCluster(t, size)
			if replicates {
				c.replicating()
			}
			test(t, c, l)
		})
	}
}

// Random commands on all types, alone, in pipelines, in transactions: what each replica has is what the log folds to, element by element.
func TestTypesAreTheirLog(t *testing.T) {
	bothWays(t, 3, func(t *testing.T, c *cluster, l *typesLoad) {
		for round := 0; round < 12 || len(l.missing()) > 0; round++ {
			if round == 60 {
				t.Fatalf("no success of %q", l.missing())
			}
			l.run(150)
			l.agreeWhole()
		}
	})
}

// A replica that fell behind the log, and one that lost all, get every type by a snapshot, with elements, places and tombstones, and go on from there
// as leaders.
func TestTypesBySnapshot(t *testing.T) {
	bothWays(t, 3, func(t *testing.T, c *cluster, l *typesLoad) {
		for _, wiped := range []bool{false, true} {
			l.run(100)
			leader := c.leader()
			m := c.members[int(leader.id)%3]
			c.isolate(m, true)
			l.run(200)
			for _, other := range c.members {
				if other != m {
					eventually(t, "its log is truncated", func() bool {
						other.forget()
						return other.replica.FirstIndex() > 2
					})
				}
			}
			if wiped {
				c.isolate(m, false)
				m.shutdown()
				m.wipe()
				m.start()
				c.transfer(c.members[6-int(c.leader().id)-int(m.id)-1]) // the leader remembers what it had acknowledged; the next one asks
			} else {
				c.isolate(m, false)
			}
			l.run(20)
			eventually(t, "its log begins after the snapshot", func() bool { return m.replica.FirstIndex() > 2 })
			if n := l.agree(); n != 0 {
				t.Fatalf("%d replicas have their whole log", n)
			}
			c.transfer(m)
			l.run(100)
			l.agree()
		}
	})
}

// Replicas crash at any write of their stores and start again, leaders among them.
func TestTypesAfterCrashes(t *testing.T) {
	bothWays(t, 3, func(t *testing.T, c *cluster, l *typesLoad) {
		for range 6 {
			l.run(60)
			m := c.members[l.r.IntN(3)]
			if l.r.IntN(2) == 0 {
				must(t, m.replica.Flush())
				l.run(10)
			}
			m.crash(func(n int) int { return l.r.IntN(n) })
			m.start()
			l.run(10)
			l.agreeWhole()
		}
	})
}

// A store that is written again from nothing by its log alone is the same: the projection needs nothing but the entries.
func TestTypesFromTheLogAlone(t *testing.T) {
	bothWays(t, 1, func(t *testing.T, c *cluster, l *typesLoad) {
		m := c.leader()
		l.run(500)
		l.settle()
		want, sum := m.content(), m.sum(t.Context(), event.Position{})
		answered(t, "the checksum", sum.done)
		must(t, sum.err)
		m.shutdown()
		must(t, os.RemoveAll(filepath.Join(m.dir, "default-0", storeDir)))
		m.start()
		c.leader()
		l.settle()
		again := m.sum(t.Context(), event.Position{})
		answered(t, "the checksum", again.done)
		must(t, again.err)
		if again.sum.Total != sum.sum.Total || !slices.Equal(m.content(), want) {
			t.Errorf("from the log alone:\n%s\nbefore:\n%s", strings.Join(m.content(), "\n"), strings.Join(want, "\n"))
		}
		l.run(50)
		l.agreeWhole()
	})
}
