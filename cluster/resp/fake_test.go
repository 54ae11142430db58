package resp

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// fakePartition is the state of one partition, shared by its replicas: a map that the real commands run against.
type fakePartition struct {
	command.View // of collections, which this one doesn't have: nil

	mu     sync.Mutex
	keys   map[string]*event.Meta
	leader atomic.Uint64 // node id, 0 for none
	// fault, if set, is asked before each write of a batch: Elsewhere stops the batch there, Unknown runs it and says so.
	fault atomic.Pointer[func(*command.Request) command.Outcome]
	log   []string // the writes, as they were evaluated

	version int64
	waits   fakeWaits
	reading atomic.Int64 // reads of many rows in work
	context command.Context
}

// transaction runs a queue as one, unless a watched key has changed.
func (p *fakePartition) transaction(req *command.Request) {
	for _, w := range req.Watched {
		c := command.Context{Now: time.Now().UnixMilli(), View: p}
		if holds, err := c.WatchHolds(&w); err != nil || !holds {
			req.Reply.NullArray()
			return
		}
	}
	req.Reply.Array(len(req.Queue))
	for _, q := range req.Queue {
		one := command.Request{Spec: q.Spec, Args: q.Args, Reply: command.Reply{RESP3: req.Reply.RESP3}}
		p.run(&one, p)
		req.Reply.Buf = append(req.Reply.Buf, one.Reply.Buf...)
	}
}

func (p *fakePartition) Meta(key []byte) (event.Meta, bool, error) {
	m, ok := p.keys[string(key)]
	if !ok {
		return event.Meta{}, false, nil
	}
	return *m, true, nil
}

func (p *fakePartition) Keys(from []byte, visit func([]byte, *event.Meta) bool) error {
	var all []string
	for k := range p.keys {
		if k >= string(from) {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	for _, k := range all {
		if m := p.keys[k]; m != nil && !visit([]byte(k), m) {
			break
		}
	}
	return nil
}

func (p *fakePartition) Len() int64 { return int64(len(p.keys)) }

func (p *fakePartition) Emit(m *event.Mutation) {
	switch m.Op {
	case event.OpDel, event.OpExpire:
		delete(p.keys, string(m.Key))
	case event.OpRange:
		for k := range p.keys {
			if k >= string(m.Key) && (len(m.Value) == 0 || k < string(m.Value)) {
				delete(p.keys, k)
			}
		}
	case event.OpExpireAt, event.OpPersist:
		p.keys[string(m.Key)].ExpireAt = m.ExpireAt
	default:
		p.version++
		p.keys[string(m.Key)] = &event.Meta{Type: m.Type, Value: bytes.Clone(m.Value), ExpireAt: m.ExpireAt, Version: event.Version{Time: p.version}}
	}
}

func (p *fakePartition) run(req *command.Request, tx command.Tx) {
	c := &p.context // used again: what is measured here is the front end
	c.Spec, c.Args, c.Now, c.View, c.Tx, c.Reply, c.Random = req.Spec, req.Args, time.Now().UnixMilli(), p, tx, &req.Reply, rand.Uint64()
	c.Resume, c.More = nil, nil
	for {
		if err := req.Spec.Run(c); err != nil {
			panic(err)
		}
		if c.More == nil {
			return
		}
		c.Resume = c.More
	}
}

// fakeReplica is one node's replica. Submits queue up and are run by one goroutine.
type fakeReplica struct {
	p     *fakePartition
	node  uint64
	queue chan fakeBatch
}

type fakeBatch struct {
	reqs []*command.Request
	done func()
}

func (r *fakeReplica) Leading() bool { return r.p.leader.Load() == r.node }

func (r *fakeReplica) Read(req *command.Request) bool {
	if !r.Leading() && !req.ReadStale {
		return false
	}
	if req.Spec.Flags&command.ManyRows != 0 {
		r.p.readMany(req)
		return true
	}
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.p.run(req, nil)
	return true
}

// readMany reads without the lock: a reply that goes on in parts takes as long as its client does.
func (p *fakePartition) readMany(req *command.Request) {
	p.reading.Add(1)
	defer p.reading.Add(-1)
	then := &fakePartition{keys: make(map[string]*event.Meta)} // a snapshot
	p.mu.Lock()
	if m := p.keys[string(req.Args[1])]; m != nil {
		then.keys[string(req.Args[1])] = m
	}
	p.mu.Unlock()
	c := &command.Context{Spec: req.Spec, Args: req.Args, Reply: &req.Reply, View: then}
	n := len(req.Reply.Buf)
	err := req.Spec.Run(c)
	if req.Outcome = command.Answered; err == nil {
		return
	}
	if req.Reply.Spilled() {
		req.Reply.Buf, req.Outcome = req.Reply.Buf[:0], command.Unknown
		return
	}
	req.Reply.Buf = req.Reply.Buf[:n]
	req.Reply.Error("ERR the state can't be read: " + err.Error())
}

func (r *fakeReplica) Submit(reqs []*command.Request, done func()) { r.queue <- fakeBatch{reqs, done} }

func (r *fakeReplica) work() {
	for b := range r.queue {
		if r.batch(b) {
			b.done()
		}
	}
}

// batch runs what was submitted; false: a blocking command waits, and will be answered.
func (r *fakeReplica) batch(b fakeBatch) bool {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	defer r.p.serveWaits()
	reqs := b.reqs
	for i, req := range reqs {
		outcome := command.Answered
		if !r.Leading() && !req.ReadStale {
			outcome = command.Elsewhere
		} else if fault := r.p.fault.Load(); fault != nil && (req.Spec.Flags&command.Write != 0 || req.Spec == command.Exec) {
			outcome = (*fault)(req)
		}
		if outcome == command.Elsewhere {
			for _, rest := range reqs[i:] {
				rest.Outcome = command.Elsewhere
			}
			return true
		}
		if len(reqs) == 1 && req.Spec.Flags&command.Blocking != 0 {
			if !r.block(req, b.done) {
				return false
			}
			req.Outcome = command.Answered
			return true
		}
		if req.Spec == command.Exec {
			r.p.transaction(req)
		} else {
			r.p.run(req, r.p)
		}
		if req.Spec.Flags&command.Write != 0 && len(r.p.log) < 1000 {
			r.p.log = append(r.p.log, string(bytes.Join(req.Args, []byte(" "))))
		}
		if req.Outcome = outcome; outcome == command.Unknown {
			req.Reply.Buf = req.Reply.Buf[:0]
			req.Reply.Error(unknownOutcome)
		}
	}
	return true
}

// fakeCluster is nodes that share their partitions' state; who leads what can be changed at any time.
type fakeCluster struct {
	t          testing.TB
	namespaces map[string]*Namespace
	parts      map[string][]*fakePartition
	nodes      []*fakeNode
}

type fakeNode struct {
	cluster  *fakeCluster
	srv      *Server
	node     Node
	replicas map[string][]*fakeReplica
	addr     map[PortKind]string // of the first namespace's ports
	stopGRPC func()
	sees     atomic.Pointer[*Namespace] // what this node takes every namespace for
}

func (n *fakeNode) Namespace(name string) (*Namespace, bool) {
	if other := n.sees.Load(); other != nil {
		return *other, *other != nil
	}
	ns, ok := n.cluster.namespaces[name]
	return ns, ok
}

func (n *fakeNode) Executor(ns *Namespace, partition int) Executor {
	if r := n.replicas[ns.Name][partition]; r != nil {
		return r
	}
	return nil
}

func (n *fakeNode) Leader(ns *Namespace, partition int) (Node, bool) {
	id := n.cluster.parts[ns.Name][partition].leader.Load()
	if id == 0 {
		return Node{}, false
	}
	return n.cluster.nodes[id-1].node, true
}

func (n *fakeNode) Replicas(*Namespace, int) (all []Node) {
	for _, other := range n.cluster.nodes {
		all = append(all, other.node)
	}
	return all
}

func (n *fakeNode) Info(ns *Namespace, section string) []InfoField {
	if section == "keyspace" && ns != nil {
		return []InfoField{{"db0", "keys=0,expires=0,avg_ttl=0"}}
	}
	return nil
}

// newCluster starts nodes that all hold replicas of every partition of the namespaces; partition p is led by node p mod n. The first
// namespace gets a bound port and a cluster port on each.
func newCluster(t testing.TB, nodes int, change func(*Options), namespaces ...*Namespace) *fakeCluster {
	c := &fakeCluster{t: t, namespaces: make(map[string]*Namespace), parts: make(map[string][]*fakePartition)}
	for _, ns := range namespaces {
		c.namespaces[ns.Name] = ns
		for p := range ns.Partitions {
			part := &fakePartition{keys: make(map[string]*event.Meta)}
			part.waits.ended = make(map[*command.Request]command.UnblockHow)
			part.leader.Store(uint64(p%nodes) + 1)
			c.parts[ns.Name] = append(c.parts[ns.Name], part)
		}
	}
	for i := range nodes {
		c.nodes = append(c.nodes, c.newNode(uint64(i)+1))
	}
	for _, n := range c.nodes {
		n.start(t, change, namespaces[0])
	}
	return c
}

func (c *fakeCluster) newNode(id uint64) *fakeNode {
	n := &fakeNode{cluster: c, node: Node{ID: id, Host: "127.0.0.1"}, replicas: make(map[string][]*fakeReplica), addr: make(map[PortKind]string)}
	for name, parts := range c.parts {
		for _, p := range parts {
			r := &fakeReplica{p: p, node: id, queue: make(chan fakeBatch, 1024)}
			go r.work()
			c.t.Cleanup(func() { close(r.queue) })
			n.replicas[name] = append(n.replicas[name], r)
		}
	}
	return n
}

func (n *fakeNode) start(t testing.TB, change func(*Options), first *Namespace) {
	opt := Options{Backend: n, NodeID: n.node.ID}
	if change != nil {
		change(&opt)
	}
	srv, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	n.srv = srv
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	group.Go(func() { srv.Run(ctx) })
	listen := func() (net.Listener, int) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return ln, ln.Addr().(*net.TCPAddr).Port
	}
	serve := func(kind PortKind, ns string) int {
		ln, port := listen()
		n.addr[kind] = ln.Addr().String()
		group.Go(func() {
			if err := srv.Serve(ln, kind, ns); err != nil {
				t.Error(err)
			}
		})
		return port
	}
	n.node.RedisPort = serve(SharedPort, "")
	n.node.NamespacePort = serve(NamespacePort, first.Name)
	n.node.ClusterPort = serve(ClusterPort, first.Name)
	ln, port := listen()
	n.node.GRPCPort = port
	g := grpc.NewServer(grpc.MaxRecvMsgSize(maxFrame), grpc.MaxSendMsgSize(maxFrame))
	srv.RegisterForward(g)
	n.stopGRPC = g.Stop
	group.Go(func() { g.Serve(ln) })
	t.Cleanup(func() {
		cancel()
		srv.Close()
		g.Stop()
		group.Wait()
	})
}
