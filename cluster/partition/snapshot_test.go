package partition

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cdc/event"
)

// load writes, overwrites and deletes at random.
func (c *cluster) load(r *rand.Rand, n int) {
	c.t.Helper()
	for range n {
		key := fmt.Sprint("k", r.IntN(40))
		switch r.IntN(5) {
		case 0:
			c.do("del", key)
		case 1:
			c.do("append", key, "x")
		case 2:
			c.do("expire", key, "1000")
		default:
			c.do("set", key, fmt.Sprint(r.IntN(1000)))
		}
	}
}

// forget truncates a member's log as far as its store is flushed, which is all.
func (m *member) forget() {
	m.t.Helper()
	must(m.t, m.replica.Flush())
	must(m.t, m.replica.do(m.t.Context(), func() {
		if err := m.replica.truncate(m.replica.flushed.Load()); err != nil {
			m.t.Error(err)
		}
	}))
}

// behind cuts a follower off and lets the others' logs go on without what it lacks.
func (c *cluster) behind(r *rand.Rand) *member {
	c.t.Helper()
	c.load(r, 10)
	m := c.members[int(c.leader().id)%3]
	c.isolate(m, true)
	c.load(r, 60)
	for _, other := range c.members {
		if other != m {
			other.forget()
		}
	}
	return m
}

func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestFellBehindTheLog(t *testing.T) {
	r := seeded(t)
	c := newCluster(t, 3, nil)
	m := c.behind(r)
	view, err := m.replica.viewAt(t.Context(), event.Position{}) // the installation waits for it
	must(t, err)
	old, watched := m.applied(), m.applied()
	watched.Index += 20
	passed := m.sum(t.Context(), watched)
	m.watching(1)
	c.isolate(m, false)
	eventually(t, "the snapshot has come", func() bool {
		_, err := os.Stat(filepath.Join(m.dir, "default-0", storeNewDir))
		return err == nil
	})
	if state, err := view.snap.State(); err != nil || state.Applied != old {
		t.Errorf("the view is of %s, want %s (%v)", state.Applied, old, err)
	}
	view.close()
	eventually(t, "it is installed", func() bool { return m.applied().Index > old.Index })
	answered(t, "the checksum of a position that the snapshot has passed", passed.done)
	if passed.err == nil || !strings.Contains(passed.err.Error(), ErrPast.Error()) {
		t.Errorf("%v, want ErrPast", passed.err)
	}
	c.load(r, 10)
	c.equal()
	for _, name := range []string{storeNewDir, inPrefix + "1"} {
		if _, err := os.Stat(filepath.Join(m.dir, "default-0", name)); err == nil {
			t.Errorf("%s was left", name)
		}
	}
	m.crash(nil)
	m.start()
	c.load(r, 5)
	c.equal()
	for _, m := range c.members {
		m.equalsTheStoreOf(c.leader())
	}
}

// equalsTheStoreOf compares the chain too, which a snapshot must have carried.
func (m *member) equalsTheStoreOf(other *member) {
	m.t.Helper()
	var a, b string
	eventually(m.t, "both have applied the same", func() bool {
		s, _ := m.replica.State()
		o, _ := other.replica.State()
		a, b = fmt.Sprint(s.Chain, s.LastEvent, s.Keys, s.Expiring, s.Clock), fmt.Sprint(o.Chain, o.LastEvent, o.Keys, o.Expiring, o.Clock)
		return s.Applied == o.Applied
	})
	if a != b {
		m.t.Errorf("node %d: %s; node %d: %s", m.id, a, other.id, b)
	}
}

// A member that lost all it had comes back by a snapshot.
func TestWipedMember(t *testing.T) {
	r := seeded(t)
	c := newCluster(t, 3, nil)
	m := c.behind(r)
	c.isolate(m, false)
	m.shutdown()
	m.wipe()
	m.start()
	c.load(r, 10)
	c.equal()
}

// The name store.new commits an installation: a crash at any moment after it ends with the new state, which is ahead of its log.
func TestCrashInTheMiddleOfAnInstallation(t *testing.T) {
	for name, at := range map[string]func(live string){
		"before the old state is removed": func(string) {},
		"the old state is half removed":   func(live string) { must(t, os.Remove(filepath.Join(live, "state"))) },
		"after it is removed":             func(live string) { must(t, os.RemoveAll(live)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := seeded(t)
			c := newCluster(t, 3, nil)
			m := c.behind(r)
			m.shutdown()
			dir := filepath.Join(m.dir, "default-0")
			must(t, os.Mkdir(filepath.Join(dir, inPrefix+"7"), 0o755))
			must(t, os.Mkdir(filepath.Join(dir, outPrefix+"7"), 0o755))
			must(t, c.leader().replica.store.Checkpoint(filepath.Join(dir, storeNewDir)))
			at(filepath.Join(dir, storeDir))
			want := c.leader().applied()
			m.start()
			if got := m.applied(); got.Index < want.Index {
				t.Errorf("it starts at %s, want %s: the new state", got, want)
			}
			for _, left := range []string{storeNewDir, inPrefix + "7", outPrefix + "7"} {
				if _, err := os.Stat(filepath.Join(dir, left)); err == nil {
					t.Errorf("%s was left", left)
				}
			}
			c.isolate(m, false)
			c.load(r, 10)
			c.equal()
		})
	}
}

// Files that are damaged, or of another position or partition, are an error, and the state stays.
func TestWrongSnapshotFiles(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.do("set", "a", "1")
	m := c.leader()
	at := m.applied()
	for name, test := range map[string]struct {
		meta  raftpb.SnapshotMetadata
		spoil func(dir string)
	}{
		"another index": {raftpb.SnapshotMetadata{Index: at.Index + 1, Term: at.Term}, func(string) {}},
		"another term":  {raftpb.SnapshotMetadata{Index: at.Index, Term: at.Term + 1}, func(string) {}},
		"damaged": {raftpb.SnapshotMetadata{Index: at.Index, Term: at.Term}, func(dir string) {
			path := filepath.Join(dir, "state")
			data, err := os.ReadFile(path)
			must(t, err)
			data[len(data)/2] ^= 1
			must(t, os.WriteFile(path, data, 0o600))
		}},
		"empty": {raftpb.SnapshotMetadata{Index: at.Index, Term: at.Term}, func(dir string) { must(t, os.Remove(filepath.Join(dir, "state"))) }},
	} {
		dir, err := m.replica.IncomingDir()
		must(t, err)
		must(t, m.replica.store.Checkpoint(dir))
		test.spoil(dir)
		if err := m.replica.Install(test.meta, dir); err == nil {
			t.Errorf("%s: it was installed", name)
		}
		if _, err := os.Stat(filepath.Join(m.dir, "default-0", storeNewDir)); err == nil {
			t.Errorf("%s: it has the name that commits it", name)
		}
	}
	if got := c.do("get", "a"); got != "$1\r\n1\r\n" {
		t.Errorf("get: %q", got)
	}
}

// Crashes lose what wasn't flushed; the log brings it back.
func TestCrashesUnderLoad(t *testing.T) {
	r := seeded(t)
	c := newCluster(t, 3, nil)
	for range 6 {
		c.load(r, 15)
		m := c.members[r.IntN(3)]
		if r.IntN(2) == 0 {
			must(t, m.replica.Flush())
			c.load(r, 5)
		}
		m.crash(func(n int) int { return r.IntN(n) })
		m.start()
	}
	c.load(r, 5)
	c.equal()
	for _, m := range c.members {
		m.equalsItsLog()
	}
}
