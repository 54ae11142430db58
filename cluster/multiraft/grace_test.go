package multiraft

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cluster/transport"
)

// A replica that has voted or followed before has forgotten, after a restart, which leader it promised an election timeout to.
func TestNoVotesInTheGraceAfterARestart(t *testing.T) {
	c := newCluster(t, 3)
	h := c.hosts[1]
	if h.group.Load().voteGrace != 0 {
		t.Error("a new replica has a grace")
	}
	c.commit("before")
	eventually(t, "it has it", func() bool { return h.machine.has("before") })
	must(t, h.stop())
	began := monotonic()
	h.start()
	g := h.group.Load()
	timeout := int64(testTick) * int64(h.node.Load().opts.ElectionTicks)
	if g.voteGrace < began+timeout || g.voteGrace > monotonic()+timeout {
		t.Errorf("the grace ends %v after the start, want an election timeout, %v", time.Duration(g.voteGrace-began), time.Duration(timeout))
	}
	must(t, h.node.Load().wait(func() error {
		const transfer = "CampaignTransfer"
		end := g.voteGrace
		for _, test := range []struct {
			m     raftpb.Message
			grace int64
			want  bool
		}{
			{raftpb.Message{Type: raftpb.MsgVote}, monotonic() + timeout, false},
			{raftpb.Message{Type: raftpb.MsgPreVote}, monotonic() + timeout, false},
			{raftpb.Message{Type: raftpb.MsgVote, Context: []byte(transfer)}, monotonic() + timeout, true},
			{raftpb.Message{Type: raftpb.MsgHeartbeat}, monotonic() + timeout, true},
			{raftpb.Message{Type: raftpb.MsgApp}, monotonic() + timeout, true},
			{raftpb.Message{Type: raftpb.MsgVote}, monotonic(), true},
			{raftpb.Message{Type: raftpb.MsgPreVote}, monotonic(), true},
		} {
			g.voteGrace = test.grace
			if got := g.admits(&test.m); got != test.want {
				t.Errorf("%s (%q), %v before the end of the grace: admitted %v", test.m.Type, test.m.Context, time.Duration(test.grace-monotonic()), got)
			}
		}
		g.voteGrace = end
		return nil
	}))
}

// Nor does it stand for election at once then, although it was meant to lead at first.
func TestNoCampaignInTheGrace(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	h := c.hosts[1]
	eventually(t, "it has it", func() bool { return h.machine.has("before") })
	must(t, h.stop())
	c.isolate(h, true)
	early := monotonic() + int64(testTick)*9
	var campaigned atomic.Int64
	c.see(func(from, _ transport.NodeID, m *raftpb.Message) {
		if from == h.id && m.Type == raftpb.MsgPreVote {
			campaigned.CompareAndSwap(0, monotonic())
		}
	})
	h.campaign = true
	h.start()
	eventually(t, "it stands for election", func() bool { return campaigned.Load() != 0 })
	if at := campaigned.Load(); at < early {
		t.Errorf("it stood for election %v before an election timeout had passed", time.Duration(early-at))
	}
}

// A member that lost its log has acknowledged what it doesn't have. The node lives, and the next leader brings it up to date.
func TestLostLog(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	h := c.hosts[c.leader().id%3]
	eventually(t, "the follower has it", func() bool { return h.machine.has("before") })
	must(t, h.stop())
	must(t, os.RemoveAll(filepath.Join(h.dir, "wal")))
	h.machine = nil
	var heard atomic.Bool
	c.see(func(_, to transport.NodeID, m *raftpb.Message) {
		if to == h.id && m.Type == raftpb.MsgHeartbeat && m.Commit > base.Index {
			heard.Store(true)
		}
	})
	h.start()
	old := c.leader()
	eventually(t, "the leader remembers what it had", func() bool { return heard.Load() || c.leader() != old })
	to := c.hosts[6-int(old.id)-int(h.id)-1]
	eventually(t, "another leads", func() bool {
		old.group.Load().TransferLeadership(uint64(to.id))
		return to.machine.leadership().Leading
	})
	c.commit("after")
	eventually(t, "it has all", func() bool { return h.machine.has("before") && h.machine.has("after") })
}

// One that is too far behind in applying takes no entries, and has them all in the end.
func TestBacklogHoldsEntriesBack(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	leader := c.leader()
	h := c.hosts[leader.id%3]
	eventually(t, "the follower has it", func() bool { return h.machine.has("before") })
	h.machine.stall.Store(h.node.Load().opts.MaxBacklog)
	last := h.log.Group(testGroup).LastIndex()
	for range 3 {
		c.commit("without it")
	}
	if got := h.log.Group(testGroup).LastIndex(); got > last {
		t.Errorf("it took entries up to %d, want %d", got, last)
	}
	h.machine.stall.Store(0)
	eventually(t, "it has caught up", func() bool { return h.machine.applied() >= leader.machine.applied() })
}

// While its loop is held up a follower counts no ticks, and it doesn't make up for them: no election at once.
func TestMissedTicksAreNotMadeUpFor(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	leader := c.leader()
	h := c.hosts[leader.id%3]
	c.isolate(h, true)
	ticks := h.node.Load().opts.ElectionTicks
	release, held := make(chan struct{}), make(chan struct{})
	var campaigned atomic.Int64
	go func() {
		must(t, h.node.Load().wait(func() error {
			_ = h.group.Load().raft.Step(raftpb.Message{Type: raftpb.MsgHeartbeat, From: uint64(leader.id), To: uint64(h.id), Term: leader.machine.leadership().Term})
			close(held)
			<-release
			return nil
		}))
	}()
	<-held
	during(4*ticks, func() {})
	c.see(func(from, _ transport.NodeID, m *raftpb.Message) {
		if from == h.id && m.Type == raftpb.MsgPreVote {
			campaigned.CompareAndSwap(0, monotonic())
		}
	})
	began := monotonic()
	close(release)
	eventually(t, "it stands for election", func() bool { return campaigned.Load() != 0 })
	if waited := time.Duration(campaigned.Load() - began); waited < time.Duration(ticks-2)*testTick {
		t.Errorf("it stood for election after %v, want an election timeout at least: %v", waited, time.Duration(ticks)*testTick)
	}
}

// The one who takes over finds no lease (machine.LeadershipChanged), although it needn't wait for an election timeout.
func TestTransferDropsTheLease(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	for i := range 6 {
		old := c.leader()
		term := old.machine.leadership().Term
		eventually(t, "the leader has a lease", func() bool { return old.group.Load().LeaseValid(term) || !old.machine.leadership().Leading })
		to := c.hosts[(int(old.id)+i%2)%3]
		eventually(t, "the other leads", func() bool {
			if old.machine.leadership().Leading {
				old.group.Load().TransferLeadership(uint64(to.id))
			}
			return to.machine.leadership().Leading || c.leader() != old
		})
	}
}

// Transfers that can't be are given up: to oneself, to somebody who isn't there. The lease comes back.
func TestTransferThatCannotBe(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	h := c.leader()
	g, term := h.group.Load(), h.machine.leadership().Term
	g.TransferLeadership(99)
	g.TransferLeadership(uint64(h.id))
	must(t, h.node.Load().wait(func() error {
		if g.lease.blocked || len(g.lease.pending) > 0 {
			t.Error("the lease waits for somebody who will never answer")
		}
		return nil
	}))
	to := c.hosts[h.id%3]
	c.cut(h, to, true) // what it is asked is lost
	g.TransferLeadership(uint64(to.id))
	eventually(t, "the lease is dropped", func() bool { return !g.LeaseValid(term) })
	eventually(t, "the transfer is given up", func() bool {
		blocked := false
		must(t, h.node.Load().wait(func() error { blocked = g.lease.blocked; return nil }))
		return !blocked
	})
	during(5, func() {
		if g.LeaseValid(term) {
			t.Error("a lease before the transferee has answered")
		}
	})
	c.cut(h, to, false)
	eventually(t, "there is a lease again", func() bool {
		l := h.machine.leadership()
		return g.LeaseValid(l.Term) || !l.Leading
	})
}

// Leaders come and go by cuts, transfers and restarts: none ever leads while another holds a lease (machine.LeadershipChanged).
func TestLeaseEndsBeforeTheNextLeader(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c := newCluster(t, 3)
	for range 12 {
		h := c.leader()
		eventually(t, "the leader has a lease", func() bool {
			l := h.machine.leadership()
			return h.group.Load().LeaseValid(l.Term) || !l.Leading
		})
		other := c.hosts[(int(h.id)+r.IntN(2))%3]
		switch r.IntN(4) {
		case 0:
			c.isolate(h, true)
			c.leader(h)
			c.isolate(h, false)
		case 1: // the leader hears nobody, and is heard
			for _, from := range c.hosts {
				c.cut(from, h, true)
			}
			eventually(t, "it steps down", func() bool { return !h.machine.leadership().Leading })
			c.isolate(h, false)
		case 2:
			h.group.Load().TransferLeadership(uint64(other.id))
		case 3: // a follower that restarts, while the other is cut off from the leader
			third := c.hosts[6-int(h.id)-int(other.id)-1]
			c.cut(h, third, true)
			c.cut(third, h, true)
			must(t, other.stop())
			other.start()
			during(r.IntN(15), func() {})
			c.isolate(h, false)
		}
	}
}
