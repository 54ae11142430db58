package multiraft

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// follower is one that isn't the leader and has what was committed.
func (c *cluster) follower() *host {
	c.t.Helper()
	c.commit("before")
	h := c.hosts[c.leader().id%3]
	eventually(c.t, "the follower has it", func() bool { return h.machine.has("before") })
	return h
}

// The state machine has the snapshot before the log is reset to it. Then entries go on after it.
func TestSnapshotIsInstalledBeforeTheLogIsReset(t *testing.T) {
	c := newCluster(t, 3)
	h := c.follower()
	c.snapshotFor(h)
	checked := false
	h.machine.mu.Lock()
	h.machine.mu.install = func(meta raftpb.SnapshotMetadata, _ string) error {
		checked = true
		if last := h.log.Group(testGroup).LastIndex(); last >= meta.Index {
			t.Errorf("the log goes up to %d while snapshot %d is being installed", last, meta.Index)
		}
		return nil
	}
	h.machine.mu.Unlock()
	c.isolate(h, false)
	eventually(t, "the snapshot is installed", func() bool { return h.machine.installed.Load() == 1 })
	if !checked {
		t.Error("Install wasn't called")
	}
	c.commit("after")
	eventually(t, "entries go on after it", func() bool { return h.machine.has("after") })
	if first := h.log.Group(testGroup).FirstIndex(); first < 3 {
		t.Errorf("the log begins at %d", first)
	}
	must(t, h.stop())
	h.start()
	c.commit("after the restart")
	eventually(t, "it has it", func() bool { return h.machine.has("after the restart") })
}

// A crash after the state was replaced, before the log was: the state wins.
func TestCrashBetweenStateAndLog(t *testing.T) {
	c := newCluster(t, 3)
	h := c.follower()
	c.snapshotFor(h)
	replaced, dead := make(chan struct{}), make(chan struct{})
	h.machine.mu.Lock()
	h.machine.mu.install = func(meta raftpb.SnapshotMetadata, _ string) error {
		h.machine.mu.Lock()
		h.machine.mu.applied = meta
		h.machine.mu.Unlock()
		close(replaced)
		<-dead // the loop ends meanwhile: it doesn't hear of the installation
		return nil
	}
	h.machine.mu.Unlock()
	c.isolate(h, false)
	<-replaced
	h.cancel()
	<-h.node.Load().stopped
	close(dead)
	must(t, h.stop())
	if h.log.Group(testGroup).LastIndex() >= h.machine.applied() {
		t.Fatal("the log was reset")
	}
	h.machine.mu.Lock()
	h.machine.mu.install = nil
	h.machine.mu.Unlock()
	h.start()
	if got := h.machine.installed.Load(); got != 0 {
		t.Errorf("%d installations were finished, want none", got)
	}
	c.commit("after")
	eventually(t, "entries go on after it", func() bool { return h.machine.has("after") })
}

// Files that aren't what the message says end the node.
func TestWrongSnapshotFilesAreAnError(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"of another position": func(dir string) error { return os.WriteFile(filepath.Join(dir, "index"), []byte("1"), 0o600) },
		"missing":             func(dir string) error { return os.Remove(filepath.Join(dir, "index")) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3)
			h := c.follower()
			c.snapshotFor(h)
			h.machine.mu.Lock()
			h.machine.mu.install = func(_ raftpb.SnapshotMetadata, dir string) error { return spoil(dir) }
			h.machine.mu.Unlock()
			last := h.log.Group(testGroup).LastIndex()
			c.isolate(h, false)
			<-h.ended
			if h.err == nil || !strings.Contains(h.err.Error(), "install snapshot") {
				t.Errorf("Run: %v", h.err)
			}
			if got := h.log.Group(testGroup).LastIndex(); got != last {
				t.Errorf("the log ends at %d, want %d: it mustn't be reset", got, last)
			}
			h.cancel()
			h.cancel = nil
			h.group.Store(nil)
			_ = h.log.Close()
		})
	}
}
