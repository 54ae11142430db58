package partition

import (
	"fmt"
	"strings"
	"testing"
)

// large writes collections that take several rows, and one value of its own.
func (s *side) large(tag string) {
	s.t.Helper()
	for i := range 30 {
		n := fmt.Sprintf("%05d", i)
		s.do("hset", "large-h", n, tag+strings.Repeat("v", 20<<10))
		s.do("rpush", "large-l", tag+strings.Repeat("i", 20<<10))
		s.do("sadd", "large-s", tag+n+strings.Repeat("m", 20<<10))
		s.do("zadd", "large-z", n, tag+n+strings.Repeat("m", 20<<10))
		s.do("setbit", "large-b", fmt.Sprint(i*40_000), "1")
	}
	s.do("set", "large-v", strings.Repeat(tag, 300<<10))
}

// feedsWhatItHas wants that the log, as readers of the feed fold it, gives the state.
func (m *member) feedsWhatItHas() {
	m.t.Helper()
	s, err := m.replica.OpenState(nil, false)
	must(m.t, err)
	defer s.Close()
	fold, versions, err := readState(s)
	must(m.t, err)
	if got, want := live(m.foldLog(s.State().Applied.Index), s.State().Wall, nil), live(fold, s.State().Wall, versions); got != want {
		m.t.Errorf("node %d has\n%s\nits log gives\n%s", m.id, want, got)
	}
}

// TestFullSync: a target that is empty, or has what it once got, has the source's content after a full sync, whatever was written and deleted meanwhile, in
// clusters cut alike and not.
func TestFullSync(t *testing.T) {
	for _, shape := range [][2]int{{1, 1}, {4, 8}, {8, 3}} {
		t.Run(fmt.Sprint(shape[0], " to ", shape[1]), func(t *testing.T) {
			t.Parallel()
			draw := seeded(t)
			a := newSide(t, "dc-a", shape[0], 1)
			b := newSide(t, "dc-b", shape[1], 1)
			a.replicates("dc-b")
			a.fill(draw, 3000)
			a.large("one")
			a.fullSync(b, draw, 0)
			a.equals(b)
			a.fill(draw, 3000)
			a.do("del", "large-h")
			a.do("sadd", "large-h", "another type")
			a.do("ltrim", "large-l", "3", "5")
			a.do("set", "large-z", "a string")
			a.do("del", "large-b")
			a.do("srem", "large-s", "one00003"+strings.Repeat("m", 20<<10))
			got := a.fullSync(b, draw, 3)
			a.equals(b)
			if got.Conflicts != 0 {
				t.Errorf("%d conflicts, and nobody wrote to the target", got.Conflicts)
			}
			if got := a.fullSync(b, draw, 1); got.Applied != 0 || got.Conflicts != 0 {
				t.Errorf("taken over again it applies %d, with %d conflicts", got.Applied, got.Conflicts)
			}
			a.equals(b)
			for _, c := range b.parts {
				c.agreeOnRows()
				c.leader().feedsWhatItHas()
			}
		})
	}
}

// TestFullSyncBack: what the source made and the target has taken over is known there for what it is when the target's state comes back, though each
// partition has places only of those that share keys with it.
func TestFullSyncBack(t *testing.T) {
	for _, shape := range [][2]int{{4, 4}, {4, 8}} {
		t.Run(fmt.Sprint(shape[0], " to ", shape[1]), func(t *testing.T) {
			t.Parallel()
			draw := seeded(t)
			a := newSide(t, "dc-a", shape[0], 1)
			b := newSide(t, "dc-b", shape[1], 1)
			a.replicates("dc-b")
			a.fill(draw, 1000)
			a.fullSync(b, draw, 0)
			b.fill(draw, 1000)
			if got := b.fullSync(a, draw, 0); got.Applied == 0 || got.Conflicts != 0 {
				t.Errorf("%d applied, with %d conflicts, and each has only changed what it had from the other", got.Applied, got.Conflicts)
			}
			a.equals(b)
		})
	}
}
