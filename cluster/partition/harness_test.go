package partition

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/engine/mem"
	"github.com/zankv/zankv/cluster/multiraft"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/cluster/transport"
	"github.com/zankv/zankv/wal"
)

const testGroup = 10000

// member is one node of a test's cluster: the real log, transport and raft loop, with one replica on them.
type member struct {
	t        *testing.T
	c        *cluster
	id       transport.NodeID
	dir      string
	listener net.Listener
	log      *wal.Log
	net      *transport.Transport
	node     *multiraft.Node
	replica  *Replica
	live     atomic.Pointer[Replica] // replica, for goroutines that use it while the member is restarted
	stop     context.CancelFunc
	running  sync.WaitGroup
	engine   atomic.Pointer[mem.Engine] // of the store
}

// cluster is a group of replicas on loopback, over engines in memory that lose what wasn't flushed.
type cluster struct {
	t       *testing.T
	addrs   sync.Map // transport.NodeID → string
	members []*member
	tune    func(*Options)
	// cuts holds the pairs [2]transport.NodeID{from, to} whose messages are lost.
	cuts sync.Map
	lose atomic.Pointer[func(*raftpb.Message) bool] // single messages are lost by it, nil none
}

// isolate cuts a member off from all others, or lets it back.
func (c *cluster) isolate(m *member, cut bool) {
	for _, other := range c.members {
		if other != m {
			c.cut(m, other, cut)
			c.cut(other, m, cut)
		}
	}
}

func (c *cluster) cut(from, to *member, cut bool) {
	pair := [2]transport.NodeID{from.id, to.id}
	if cut {
		c.cuts.Store(pair, true)
	} else {
		c.cuts.Delete(pair)
	}
}

func (c *cluster) isCut(from, to transport.NodeID) bool {
	_, cut := c.cuts.Load([2]transport.NodeID{from, to})
	return cut
}

func newCluster(t *testing.T, size int, tune func(*Options)) *cluster {
	t.Helper()
	c := &cluster{t: t, tune: tune}
	for i := range size {
		c.members = append(c.members, &member{t: t, c: c, id: transport.NodeID(i + 1), dir: t.TempDir()})
	}
	for _, m := range c.members {
		m.start()
	}
	t.Cleanup(func() {
		for _, m := range c.members {
			if m.replica != nil {
				m.shutdown()
			}
		}
	})
	return c
}

func (m *member) Deliver(from transport.NodeID, msgs []transport.Message) {
	if m.c.isCut(from, m.id) {
		return
	}
	if lose := m.c.lose.Load(); lose != nil {
		msgs = slices.DeleteFunc(slices.Clone(msgs), func(msg transport.Message) bool { return (*lose)(&msg.Message) })
	}
	m.node.Deliver(from, msgs)
}
func (m *member) Unreachable(to transport.NodeID) { m.node.Unreachable(to) }
func (m *member) BeginSnapshot(from transport.NodeID, h transport.SnapshotHeader) (string, bool, error) {
	if m.c.isCut(from, m.id) {
		return "", false, nil
	}
	dir, err := m.node.IncomingDir(h.Group)
	return dir, err == nil, err
}
func (m *member) FinishSnapshot(_ transport.NodeID, h transport.SnapshotHeader, dir string) error {
	return m.node.DeliverSnapshot(h.Group, h.Message, dir)
}
func (m *member) AbortSnapshot(transport.NodeID, transport.SnapshotHeader, string, error) {}

func (m *member) start() {
	m.t.Helper()
	var err error
	m.listener, err = net.Listen("tcp", "127.0.0.1:0")
	must(m.t, err)
	m.c.addrs.Store(m.id, m.listener.Addr().String())
	logger := slog.New(slog.DiscardHandler)
	m.log, err = wal.Open(wal.Options{Dir: filepath.Join(m.dir, "wal"), SegmentBytes: 1 << 20, Logger: logger})
	must(m.t, err)
	m.net = transport.New(transport.Options{
		Self: m.id, Cluster: "test", Listener: m.listener, Logger: logger,
		Resolve: func(id transport.NodeID) (string, bool) {
			addr, ok := m.c.addrs.Load(id)
			if !ok {
				return "", false
			}
			return addr.(string), true
		},
	}, m)
	m.node = multiraft.New(multiraft.Options{Log: m.log, Transport: m.net, Logger: logger, Tick: 20 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	m.running.Go(func() {
		if err := m.node.Run(ctx); err != nil {
			m.t.Errorf("node %d: %v", m.id, err)
		}
	})
	m.running.Go(func() { _ = m.net.Run(ctx) })
	voters := map[uint64]transport.NodeID{}
	for _, other := range m.c.members {
		voters[uint64(other.id)] = other.id
	}
	opts := Options{
		Cluster: "test", Namespace: "default", Group: testGroup, Replica: uint64(m.id), Voters: voters,
		Preferred: m.id == 1, Dir: filepath.Join(m.dir, "default-0"), OpenEngine: m.openEngine,
		Cache: store.NewCache(1 << 20), Log: m.log, Node: m.node, Logger: logger,
		Fatal: func(err error) { m.t.Errorf("node %d: %v", m.id, err) },
	}
	if m.c.tune != nil {
		m.c.tune(&opts)
	}
	m.replica, err = Open(opts)
	must(m.t, err)
	m.live.Store(m.replica)
}

func (m *member) openEngine(dir string) (engine.Engine, error) {
	e, err := mem.Open(dir, mem.Options{CrashPoints: true})
	if err == nil && filepath.Base(dir) == storeDir {
		m.engine.Store(e)
	}
	return e, err
}

// crash ends the member as kill -9 does: of its store it keeps what pick chooses among the states since the last flush.
func (m *member) crash(pick func(n int) int) {
	m.t.Helper()
	m.stop()
	m.running.Wait()
	survived := filepath.Join(m.dir, "survived")
	must(m.t, m.engine.Load().Crash(survived, pick))
	m.shutdown()
	live := filepath.Join(m.dir, "default-0", storeDir)
	must(m.t, os.RemoveAll(live))
	must(m.t, os.Rename(survived, live))
}

// shutdown ends the member as a process does on SIGTERM.
func (m *member) shutdown() {
	m.live.Store(nil)
	m.stop()
	m.running.Wait()
	if err := m.replica.Close(); err != nil {
		m.t.Errorf("node %d: close: %v", m.id, err)
	}
	m.net.Close()
	_ = m.log.Close()
	m.replica = nil
}

// wipe forgets all that the member had on disk.
func (m *member) wipe() { must(m.t, os.RemoveAll(m.dir)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// leader waits for a replica that serves.
func (c *cluster) leader() *member {
	c.t.Helper()
	var found *member
	eventually(c.t, "a leader serves", func() bool {
		found = c.serving()
		return found != nil
	})
	return found
}

// serving is who serves in the latest term, nil if nobody does.
func (c *cluster) serving() (found *member) {
	for _, m := range c.members {
		if m.replica == nil || !m.replica.Leading() {
			continue
		}
		if found == nil || m.replica.Leadership().Term > found.replica.Leadership().Term {
			found = m
		}
	}
	return found
}

// eventually polls what no event can be had for, for ten seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func request(args ...string) *command.Request {
	r := &command.Request{}
	for _, a := range args {
		r.Args = append(r.Args, []byte(a))
	}
	r.Spec, r.ReadStale = command.LookupStale(r.Args[0])
	if r.Spec == nil {
		panic(fmt.Sprint("no such command: ", args))
	}
	return r
}

// submit runs requests as one lane and waits.
func (m *member) submit(reqs ...*command.Request) {
	m.t.Helper()
	done := make(chan struct{})
	m.replica.Submit(reqs, func() { close(done) })
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		m.t.Fatal("a lane got no answer within 10 s")
	}
}

// do runs one command on whoever leads, again and again as long as it didn't happen.
func (c *cluster) do(args ...string) string {
	c.t.Helper()
	reply := ""
	eventually(c.t, fmt.Sprint(args, " is answered"), func() bool {
		req := request(args...)
		c.leader().submit(req)
		reply = string(req.Reply.Buf)
		return req.Outcome == command.Answered
	})
	return reply
}

// do runs f in the replica's goroutine and waits for it.
func (r *Replica) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	r.box.call(func() {
		f()
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-r.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}
