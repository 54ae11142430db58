package multiraft

import (
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cluster/transport"
)

// Once one proposal of a generation is dropped, so are all later ones: nothing overtakes it. The next generation goes on.
func TestDroppedGeneration(t *testing.T) {
	c := newCluster(t, 3)
	h := c.leader()
	term := h.machine.leadership().Term
	h.machine.mu.Lock()
	for _, p := range []Proposal{
		{Data: []byte("first"), Term: term, Generation: 0},
		{Data: []byte("of another term"), Term: term - 1, Generation: 0},
		{Data: []byte("overtakes"), Term: term, Generation: 0},
		{Data: []byte("next generation"), Term: term, Generation: 1},
		{Data: []byte("of another term again"), Term: term + 1, Generation: 1},
		{Data: []byte("late"), Term: term, Generation: 0},
		{Data: []byte("overtakes again"), Term: term, Generation: 1},
		{Data: []byte("last"), Term: term, Generation: 2},
	} {
		h.machine.mu.queue = append(h.machine.mu.queue, &p)
	}
	h.machine.mu.Unlock()
	h.group.Load().Wake()
	eventually(t, "the last is committed", func() bool { return h.machine.has("last") })
	want := []string{"of another term", "overtakes", "of another term again", "late", "overtakes again"}
	if got := h.machine.wasDropped(); !slices.Equal(got, want) {
		t.Errorf("dropped %q, want %q", got, want)
	}
	for _, data := range append(want, "first", "next generation") {
		if got, dropped := h.machine.has(data), slices.Contains(want, data); got == dropped {
			t.Errorf("%q: committed %v, dropped %v", data, got, dropped)
		}
	}
	h.machine.mu.Lock()
	defer h.machine.mu.Unlock()
	for p, index := range h.machine.mu.assigned {
		if got := h.machine.mu.entries[index]; got != string(p.Data) {
			t.Errorf("%q was assigned index %d, where %q is", p.Data, index, got)
		}
	}
}

// A follower's proposals are dropped. Raft itself forwards nothing either.
func TestFollowersDontPropose(t *testing.T) {
	c := newCluster(t, 3)
	leader := c.leader()
	h := c.hosts[leader.id%3]
	eventually(t, "the follower knows the leader", func() bool { return h.machine.leadership().Leader == uint64(leader.id) })
	c.see(func(from, _ transport.NodeID, m *raftpb.Message) {
		if m.Type == raftpb.MsgProp {
			t.Errorf("node %d forwards a proposal", from)
		}
	})
	h.offer(h.machine.leadership().Term, 0, "a", "b")
	eventually(t, "they are dropped", func() bool { return slices.Equal(h.machine.wasDropped(), []string{"a", "b"}) })
	if err := h.node.Load().wait(func() error { return h.group.Load().raft.Propose([]byte("x")) }); err == nil {
		t.Error("raft takes a proposal on a follower")
	}
	c.commit("after")
	for _, h := range c.hosts {
		if h.machine.has("a") || h.machine.has("b") || h.machine.has("x") {
			t.Errorf("node %d: a follower's proposal was committed", h.id)
		}
	}
}

// What a leader proposed while it was cut off is in its log, and is overwritten; what it is told of later is dropped.
func TestProposalsOfADeposedLeader(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	old := c.leader()
	term := old.machine.leadership().Term
	c.isolate(old, true)
	old.offer(term, 1<<40, "lost-1", "lost-2", "lost-3")
	eventually(t, "they have their indexes", func() bool {
		old.machine.mu.Lock()
		defer old.machine.mu.Unlock()
		n := 0
		for p := range old.machine.mu.assigned {
			if p.Generation == 1<<40 {
				n++
			}
		}
		return n == 3
	})
	now := c.leader(old)
	now.offer(now.machine.leadership().Term, 1<<40, "won")
	eventually(t, "the new leader's is committed", func() bool { return now.machine.has("won") })
	eventually(t, "the old leader steps down", func() bool { return !old.machine.leadership().Leading })
	old.offer(term, 1<<40, "late")
	eventually(t, "the deposed leader drops", func() bool { return slices.Contains(old.machine.wasDropped(), "late") })
	c.isolate(old, false)
	eventually(t, "the old leader has it", func() bool { return old.machine.has("won") })
	for _, h := range c.hosts {
		for i := 1; i <= 3; i++ {
			if h.machine.has(fmt.Sprint("lost-", i)) {
				t.Errorf("node %d: lost-%d was committed", h.id, i)
			}
		}
	}
}
