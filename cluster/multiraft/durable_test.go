package multiraft

import (
	"errors"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cluster/transport"
	"github.com/zankv/zankv/wal"
)

// Acknowledgements of entries and votes leave only after the sync: while the disk of the only follower is slow, nothing is
// committed, and nobody is told that it has the entry.
func TestAcknowledgedOnlyAfterTheSync(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	leader := c.leader()
	h := c.hosts[leader.id%3]
	for _, other := range c.hosts {
		if other != leader && other != h {
			must(t, other.stop())
			other.node.Store(nil)
		}
	}
	eventually(t, "the follower has it", func() bool { return h.machine.has("before") })
	last := h.log.Group(testGroup).LastIndex()
	entered, open := h.fs.holdSyncs()
	var early atomic.Bool
	c.see(func(from, _ transport.NodeID, m *raftpb.Message) {
		if from == h.id && m.Type == raftpb.MsgAppResp && m.Index > last && !m.Reject {
			early.Store(true)
		}
	})
	leader.offer(leader.machine.leadership().Term, 1<<40, "slow")
	<-entered
	if early.Load() || leader.machine.has("slow") {
		t.Errorf("before the sync: acknowledged %v, committed %v", early.Load(), leader.machine.has("slow"))
	}
	open()
	eventually(t, "it is committed", func() bool { return leader.machine.has("slow") })
	if !early.Load() {
		t.Error("it was committed without the follower's answer")
	}
}

// A group of one commits in the round that writes: only after its own sync.
func TestAloneCommittedOnlyAfterTheSync(t *testing.T) {
	c := newCluster(t, 1)
	c.commit("before")
	h := c.leader()
	entered, open := h.fs.holdSyncs()
	h.offer(h.machine.leadership().Term, 1<<40, "slow")
	<-entered
	if h.machine.has("slow") {
		t.Error("committed before the sync")
	}
	open()
	eventually(t, "it is committed", func() bool { return h.machine.has("slow") })
}

func TestVotesLeaveOnlyAfterTheSync(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	leader := c.leader()
	h := c.hosts[leader.id%3]
	eventually(t, "the follower has it", func() bool { return h.machine.has("before") })
	must(t, leader.stop())
	leader.node.Store(nil)
	entered, open := h.fs.holdSyncs()
	var voted atomic.Bool
	c.see(func(from, _ transport.NodeID, m *raftpb.Message) {
		if from == h.id && (m.Type == raftpb.MsgVoteResp && !m.Reject || m.Type == raftpb.MsgVote) {
			voted.Store(true)
		}
	})
	<-entered // it votes, for itself or for the other
	if voted.Load() {
		t.Error("a vote left before it was synced")
	}
	open()
	c.leader(leader)
}

// A log that can't be written ends the node, and nothing of the failed round is acknowledged or applied.
func TestFailedAppendEndsTheNode(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	h := c.leader()
	broken := errors.New("the disk is gone")
	var after atomic.Bool
	applied := h.machine.applied()
	h.fs.failSyncs(broken)
	h.offer(h.machine.leadership().Term, 1<<40, "lost")
	<-h.ended
	c.see(func(from, _ transport.NodeID, m *raftpb.Message) {
		if from == h.id {
			after.Store(true)
		}
	})
	if !errors.Is(h.err, broken) || !errors.Is(h.err, wal.ErrPoisoned) {
		t.Errorf("Run: %v, want the disk's error, poisoned", h.err)
	}
	if got := h.machine.applied(); got != applied {
		t.Errorf("applied %d after the failure, %d before", got, applied)
	}
	if _, ok := h.group.Load().Status(); ok {
		t.Error("a node that ended tells its status")
	}
	if err := h.node.Load().Remove(testGroup); !errors.Is(err, ErrStopped) {
		t.Errorf("Remove: %v, want ErrStopped", err)
	}
	h.cancel = nil
	h.group.Store(nil)
	_ = h.log.Close()
	c.leader(h)
	if after.Load() {
		t.Error("it sent something after its end")
	}
}
