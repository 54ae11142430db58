package multiraft

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cluster/transport"
)

// within fails the test if f doesn't return.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: not within 10 s", what)
	}
}

func (m *machine) silence() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.silent = true
}

// Once Remove has returned nothing calls the state machine, and nothing that was asked of the group stays without an answer.
func TestRemove(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	h := c.leader()
	g, node, term := h.group.Load(), h.node.Load(), h.machine.leadership().Term
	c.isolate(h, true) // so that the read isn't confirmed
	answers := make(chan bool, 2)
	g.ReadIndex(term, func(ok bool) { answers <- ok })
	must(t, node.Remove(testGroup))
	h.machine.silence()
	g.ReadIndex(term, func(ok bool) { answers <- ok })
	within(t, "reads of a removed group", func() {
		for range 2 {
			if <-answers {
				t.Error("a read of a removed group was confirmed")
			}
		}
	})
	within(t, "the status of a removed group", func() {
		if _, ok := g.Status(); ok {
			t.Error("a removed group has a status")
		}
	})
	if g.LeaseValid(term) {
		t.Error("a removed group has a lease")
	}
	g.Wake()
	g.TransferLeadership(2)
	c.isolate(h, false)
	node.Deliver(2, []transport.Message{{Group: testGroup, Message: raftpb.Message{Type: raftpb.MsgHeartbeat, From: 2, To: uint64(h.id), Term: term + 5}}})
	must(t, node.Remove(testGroup))
	must(t, node.wait(func() error { return nil })) // the loop has been round
	if node.Group(testGroup) != nil {
		t.Error("a removed group is found")
	}
	h.group.Store(nil)
	c.leader(h)
}

// snapshotFor cuts a follower off, and truncates the others' logs behind what it lacks.
func (c *cluster) snapshotFor(h *host) {
	c.t.Helper()
	c.isolate(h, true)
	for _, data := range []string{"a", "b", "c"} {
		c.t.Helper()
		leader := c.leader(h)
		leader.offer(leader.machine.leadership().Term, 1000+c.generation.Add(1), data)
		eventually(c.t, data, func() bool { return leader.machine.has(data) })
	}
	for _, other := range c.hosts {
		if other != h {
			eventually(c.t, "the others have it", func() bool { return other.machine.has("c") })
			must(c.t, other.log.Group(testGroup).Truncate(other.machine.applied()))
		}
	}
}

// Remove waits for an installation under way, and its failure then is nobody's.
func TestRemoveWhileASnapshotIsInstalled(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	leader := c.leader()
	h := c.hosts[leader.id%3] // a follower
	c.snapshotFor(h)
	began, goOn := make(chan struct{}), make(chan struct{})
	h.machine.mu.Lock()
	h.machine.mu.install = func(raftpb.SnapshotMetadata, string) error {
		close(began)
		<-goOn
		return errors.New("the replica is closing")
	}
	h.machine.mu.Unlock()
	c.isolate(h, false)
	<-began
	removed := make(chan struct{})
	go func() {
		must(t, h.node.Load().Remove(testGroup))
		close(removed)
	}()
	eventually(t, "the group is gone", func() bool { return h.node.Load().Group(testGroup) == nil })
	select {
	case <-removed:
		t.Error("Remove returned although Install is being called")
	default:
	}
	close(goOn)
	within(t, "Remove", func() { <-removed })
	h.machine.silence()
	if err := h.node.Load().wait(func() error { return nil }); err != nil {
		t.Fatalf("the node can't go on: %v (%v)", err, h.err)
	}
	h.group.Store(nil)
}

// A snapshot that comes for a group that was removed meanwhile, or that nobody needs, leaves no files.
func TestUnwantedSnapshotsAreRemoved(t *testing.T) {
	c := newCluster(t, 3)
	c.commit("before")
	leader := c.leader()
	h := c.hosts[leader.id%3]
	eventually(t, "the follower has it", func() bool { return h.machine.has("before") })
	conf, _ := c.conf()
	arrive := func() string {
		dir := filepath.Join(t.TempDir(), "in")
		must(t, os.MkdirAll(dir, 0o755))
		m := raftpb.Message{Type: raftpb.MsgSnap, From: uint64(leader.id), To: uint64(h.id), Term: leader.machine.leadership().Term,
			Snapshot: raftpb.Snapshot{Metadata: raftpb.SnapshotMetadata{Index: 1, Term: 1, ConfState: conf}}}
		data, err := m.Marshal()
		must(t, err)
		must(t, h.node.Load().DeliverSnapshot(testGroup, data, dir))
		return dir
	}
	dirs := []string{arrive(), arrive(), arrive()}
	held := h.node.Load().wait
	must(t, held(func() error { return nil }))
	eventually(t, "old snapshots' folders are gone", func() bool {
		for _, dir := range dirs {
			if _, err := os.Stat(dir); err == nil {
				return false
			}
		}
		return true
	})
	if h.machine.installed.Load() != 0 {
		t.Error("a snapshot that is older than what is committed was installed")
	}
	var late string
	must(t, held(func() error { // the message is in the inbox before the removal, and is taken after it
		late = arrive()
		h.group.Load().removed = true
		return nil
	}))
	eventually(t, "a removed group's snapshot is gone", func() bool { _, err := os.Stat(late); return os.IsNotExist(err) })
	must(t, held(func() error { h.group.Load().removed = false; return nil }))
}
