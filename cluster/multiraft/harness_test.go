package multiraft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cluster/transport"
	"github.com/zankv/zankv/wal"
)

const (
	testGroup = 7
	testTick  = 10 * time.Millisecond
)

// base is where the log of every group begins: at an entry that all replicas share.
var base = wal.Base{Index: 1, Term: 1}

// machine is a state machine whose state is the list of entries that it was given.
type machine struct {
	t     *testing.T
	host  *host
	dir   string
	stall atomic.Int64 // its backlog

	mu struct {
		sync.Mutex
		queue    []*Proposal
		assigned map[*Proposal]uint64
		dropped  []*Proposal
		applied  raftpb.SnapshotMetadata
		entries  map[uint64]string // of normal entries with data
		now      Leadership
		folders  int
		silent   bool // it was removed: no call is right any more
		install  func(raftpb.SnapshotMetadata, string) error
	}
	installed atomic.Int64
}

func (m *machine) lock() func() {
	m.mu.Lock()
	if m.mu.silent {
		m.t.Errorf("node %d: a removed group's state machine was called", m.host.id)
	}
	return m.mu.Unlock
}

func (m *machine) TakeProposal() *Proposal {
	defer m.lock()()
	if len(m.mu.queue) == 0 {
		return nil
	}
	p := m.mu.queue[0]
	m.mu.queue = m.mu.queue[1:]
	return p
}

func (m *machine) Assigned(p *Proposal, index uint64) {
	defer m.lock()()
	m.mu.assigned[p] = index
}

func (m *machine) Dropped(p *Proposal) {
	defer m.lock()()
	m.mu.dropped = append(m.mu.dropped, p)
}

func (m *machine) Committed(c Committed) {
	defer m.lock()()
	for _, e := range c.Entries {
		if e.Index != m.mu.applied.Index+1 {
			m.t.Errorf("node %d: entry %d after %d", m.host.id, e.Index, m.mu.applied.Index)
		}
		m.mu.applied.Index, m.mu.applied.Term = e.Index, e.Term
		if len(e.Data) > 0 {
			m.mu.entries[e.Index] = string(e.Data)
		}
	}
}

func (m *machine) Backlog() int64 { return m.stall.Load() }

// LeadershipChanged holds invariant 3: whoever becomes leader, nobody has a lease of an earlier term then.
func (m *machine) LeadershipChanged(l Leadership) {
	if l.Leading {
		for _, other := range m.host.c.hosts {
			if g := other.group.Load(); g != nil && other != m.host {
				if at := g.lease.current.Load(); at != nil && at.term < l.Term && g.lease.valid(at.term) {
					m.t.Errorf("node %d leads term %d, and node %d has a lease of term %d for %v more", m.host.id, l.Term, other.id, at.term, time.Duration(at.until-monotonic()))
				}
			}
		}
	}
	defer m.lock()()
	m.mu.now = l
}

func (m *machine) Snapshot() (raftpb.Snapshot, error) {
	defer m.lock()()
	if m.mu.applied.Index == 0 {
		return raftpb.Snapshot{}, raft.ErrSnapshotTemporarilyUnavailable
	}
	return raftpb.Snapshot{Metadata: m.mu.applied}, nil
}

func (m *machine) OpenSnapshot(index uint64) (string, func(), error) {
	defer m.lock()()
	dir := filepath.Join(m.dir, fmt.Sprint("out-", index))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	return dir, func() {}, os.WriteFile(filepath.Join(dir, "index"), fmt.Append(nil, index), 0o600)
}

func (m *machine) IncomingDir() (string, error) {
	defer m.lock()()
	m.mu.folders++
	return filepath.Join(m.dir, fmt.Sprint("in-", m.mu.folders)), nil
}

func (m *machine) Install(meta raftpb.SnapshotMetadata, dir string) error {
	m.mu.Lock()
	install := m.mu.install
	m.mu.Unlock()
	if install != nil {
		if err := install(meta, dir); err != nil {
			return err
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "index"))
	if err != nil {
		return err
	}
	if string(data) != fmt.Sprint(meta.Index) {
		return fmt.Errorf("the files are of %s, the message of %d", data, meta.Index)
	}
	defer m.lock()()
	m.mu.applied = meta
	return os.RemoveAll(dir)
}

func (m *machine) Installed() { m.installed.Add(1) }

func (m *machine) leadership() Leadership {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.now
}

func (m *machine) applied() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.applied.Index
}

func (m *machine) has(data string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.mu.entries {
		if e == data {
			return true
		}
	}
	return false
}

// wasDropped says what became of the proposals: which were dropped.
func (m *machine) wasDropped() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, p := range m.mu.dropped {
		all = append(all, string(p.Data))
	}
	return all
}

// host is one node with one replica.
type host struct {
	t        *testing.T
	c        *cluster
	id       transport.NodeID
	dir      string
	fs       *faultFS
	log      *wal.Log
	node     atomic.Pointer[Node]
	group    atomic.Pointer[Group]
	machine  *machine
	cancel   context.CancelFunc
	ended    chan struct{}
	campaign bool
	err      error // what Run returned
}

// cluster is a group of hosts and the network between them, in which messages keep their order or are lost.
type cluster struct {
	t          *testing.T
	hosts      []*host
	generation atomic.Uint64 // each commit has its own
	net        struct {
		sync.Mutex
		cut  map[[2]transport.NodeID]bool
		seen func(from transport.NodeID, to transport.NodeID, m *raftpb.Message) // called for every message before it is sent
	}
}

func newCluster(t *testing.T, size int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	c.net.cut = make(map[[2]transport.NodeID]bool)
	for i := range size {
		c.hosts = append(c.hosts, &host{t: t, c: c, id: transport.NodeID(i + 1), dir: t.TempDir()})
	}
	for _, h := range c.hosts {
		h.start()
	}
	t.Cleanup(func() {
		for _, h := range c.hosts {
			if h.cancel != nil {
				must(t, h.stop())
			}
		}
	})
	return c
}

func (c *cluster) conf() (conf raftpb.ConfState, nodes map[uint64]transport.NodeID) {
	nodes = make(map[uint64]transport.NodeID)
	for _, h := range c.hosts {
		conf.Voters = append(conf.Voters, uint64(h.id))
		nodes[uint64(h.id)] = h.id
	}
	return conf, nodes
}

// open makes the node, and runs it, without a group.
func (h *host) open() {
	h.t.Helper()
	h.fs = &faultFS{FS: wal.OS}
	logger := slog.New(slog.DiscardHandler)
	var err error
	h.log, err = wal.Open(wal.Options{Dir: filepath.Join(h.dir, "wal"), SegmentBytes: 1 << 20, Logger: logger, FS: h.fs})
	must(h.t, err)
	node := New(Options{Log: h.log, Transport: h, Logger: logger, Tick: testTick})
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel, h.ended = cancel, make(chan struct{})
	h.node.Store(node)
	go func() {
		h.err = node.Run(ctx)
		close(h.ended)
	}()
}

// start opens the node and adds the group. A machine that was there before has kept its state: it is what was durable.
func (h *host) start() {
	h.t.Helper()
	h.open()
	must(h.t, h.add())
}

func (h *host) add() error {
	conf, nodes := h.c.conf()
	if h.machine == nil {
		h.machine = &machine{t: h.t, host: h, dir: h.dir}
		h.machine.mu.applied = raftpb.SnapshotMetadata{Index: base.Index, Term: base.Term, ConfState: conf}
		h.machine.mu.entries = make(map[uint64]string)
	}
	m := h.machine
	m.mu.Lock()
	m.mu.assigned = make(map[*Proposal]uint64)
	applied := m.mu.applied
	m.mu.Unlock()
	g, err := h.node.Load().Add(GroupConfig{
		ID: testGroup, Replica: uint64(h.id), Nodes: nodes, Applied: applied.Index, AppliedTerm: applied.Term,
		ConfState: conf, Machine: m, Campaign: h.campaign,
	})
	h.group.Store(g)
	return err
}

// stop ends the node as SIGTERM does and returns what its loop did.
func (h *host) stop() error {
	h.cancel()
	<-h.ended
	h.cancel = nil
	h.group.Store(nil)
	_ = h.log.Close()
	return h.err
}

// Send implements Sender.
func (h *host) Send(to transport.NodeID, msgs []transport.Message) {
	c := h.c
	c.net.Lock()
	cut, seen := c.net.cut[[2]transport.NodeID{h.id, to}], c.net.seen
	c.net.Unlock()
	if seen != nil {
		for i := range msgs {
			seen(h.id, to, &msgs[i].Message)
		}
	}
	if node := c.hosts[to-1].node.Load(); node != nil && !cut {
		copied := slices.Clone(msgs)
		for i := range copied {
			copied[i].Entries = slices.Clone(copied[i].Entries)
		}
		node.Deliver(h.id, copied)
	}
}

// SendSnapshot implements Sender.
func (h *host) SendSnapshot(_ context.Context, to transport.NodeID, header transport.SnapshotHeader, dir string) error {
	c := h.c
	c.net.Lock()
	cut := c.net.cut[[2]transport.NodeID{h.id, to}]
	c.net.Unlock()
	node := c.hosts[to-1].node.Load()
	if cut || node == nil {
		return errors.New("no way there")
	}
	target, err := node.IncomingDir(header.Group)
	if err != nil {
		return err
	}
	if err := os.CopyFS(target, os.DirFS(dir)); err != nil {
		return err
	}
	return node.DeliverSnapshot(header.Group, header.Message, target)
}

func (c *cluster) cut(from, to *host, cut bool) {
	c.net.Lock()
	defer c.net.Unlock()
	c.net.cut[[2]transport.NodeID{from.id, to.id}] = cut
}

func (c *cluster) isolate(h *host, cut bool) {
	for _, other := range c.hosts {
		c.cut(h, other, cut)
		c.cut(other, h, cut)
	}
}

// see has every message that is sent from now on shown to f.
func (c *cluster) see(f func(from, to transport.NodeID, m *raftpb.Message)) {
	c.net.Lock()
	defer c.net.Unlock()
	c.net.seen = f
}

// leader waits for a leader of the latest term that has applied an entry of it.
func (c *cluster) leader(except ...*host) *host {
	c.t.Helper()
	var found *host
	eventually(c.t, "a leader", func() bool {
		found = nil
		term := uint64(0)
		for _, h := range c.hosts {
			l := h.machine.leadership()
			if h.group.Load() == nil || !l.Leading || slices.Contains(except, h) || l.Term < term {
				continue
			}
			h.machine.mu.Lock()
			ready := h.machine.mu.applied.Term == l.Term
			h.machine.mu.Unlock()
			if ready {
				found, term = h, l.Term
			}
		}
		return found != nil
	})
	return found
}

// offer leaves proposals for the loop.
func (h *host) offer(term, generation uint64, data ...string) {
	var all []*Proposal
	for _, d := range data {
		all = append(all, &Proposal{Data: []byte(d), Term: term, Generation: generation})
	}
	h.machine.mu.Lock()
	h.machine.mu.queue = append(h.machine.mu.queue, all...)
	h.machine.mu.Unlock()
	h.group.Load().Wake()
}

// commit proposes until it is committed everywhere that is up.
func (c *cluster) commit(data string) {
	c.t.Helper()
	h := c.leader()
	h.offer(h.machine.leadership().Term, 1000+c.generation.Add(1), data)
	eventually(c.t, data+" is committed", func() bool { return h.machine.has(data) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls what no event can be had for, for ten seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
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

// during calls check again and again for a number of ticks.
func during(ticks int, check func()) {
	ticker := time.NewTicker(testTick)
	defer ticker.Stop()
	for range ticks {
		<-ticker.C
		check()
	}
}

// faultFS is the operating system's, with syncs that can be made to fail or to wait.
type faultFS struct {
	wal.FS
	mu struct {
		sync.Mutex
		fail    error
		entered chan struct{} // told of every sync that waits
		gate    chan struct{} // what it waits for
	}
}

type faultFile struct {
	wal.File
	fs *faultFS
}

func (f *faultFS) Open(name string) (wal.File, error)   { return f.wrap(f.FS.Open(name)) }
func (f *faultFS) Create(name string) (wal.File, error) { return f.wrap(f.FS.Create(name)) }
func (f *faultFS) wrap(file wal.File, err error) (wal.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{File: file, fs: f}, nil
}

func (f *faultFile) Sync() error {
	f.fs.mu.Lock()
	fail, entered, gate := f.fs.mu.fail, f.fs.mu.entered, f.fs.mu.gate
	f.fs.mu.Unlock()
	if fail != nil {
		return fail
	}
	if gate != nil {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-gate
	}
	return f.File.Sync()
}

// failSyncs makes every sync fail from now on.
func (f *faultFS) failSyncs(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.fail = err
}

// holdSyncs makes syncs wait until open is called; entered is told when the first does.
func (f *faultFS) holdSyncs() (entered <-chan struct{}, open func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.entered, f.mu.gate = make(chan struct{}, 1), make(chan struct{})
	gate := f.mu.gate
	return f.mu.entered, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.mu.gate = nil
		close(gate)
	}
}
