// Package feedtest is a partition's log in memory, with replicas that serve it over real sockets: what tests of the feed and of what reads
// it run against. Replicas can lag, be truncated, altered, stopped and started again.
package feedtest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
)

const StartTime = int64(1795255200000000000)

// History is what a partition's raft group committed: the same for all replicas.
type History struct {
	mu struct {
		sync.Mutex
		entries []raftpb.Entry // index 1 on
		marks   []feed.Mark
		stamps  []event.Stamp // of the events
		last    event.Stamp
		changed chan struct{}

		consumers map[string]event.Position
	}
	names   event.Names
	scratch event.Scratch
}

// NewHistory is an empty log.
func NewHistory() *History {
	h := &History{names: event.Names{"", "dc-a"}}
	h.mu.last = event.Stamp{Cluster: "dc-a", Namespace: "default", Partition: 3}
	h.mu.marks = []feed.Mark{{}}
	h.mu.changed = make(chan struct{})
	return h
}

// Append adds an entry, and returns its position. ev is nil for one that is no event.
func (h *History) Append(term uint64, ev *event.Event) event.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := raftpb.Entry{Term: term, Index: uint64(len(h.mu.entries) + 1)}
	at := event.Position{Term: term, Index: e.Index}
	if ev != nil {
		e.Data = event.Append(nil, ev)
	}
	h.mu.entries = append(h.mu.entries, e)
	if ev != nil && ev.Term == term {
		h.names = slices.Clone(h.names).Add(ev.Clusters)
	}
	if ev != nil && ev.Term == term && len(ev.Mutations) > 0 {
		st := h.mu.last
		st.Prev, st.PrevChain, st.Position = st.Position, st.Chain, at
		st.Chain = event.NextChain(st.PrevChain, &st, ev, h.names, &h.scratch)
		h.mu.last = st
		h.mu.stamps = append(h.mu.stamps, st)
		if len(h.mu.stamps)%4 == 0 {
			h.mu.marks = append(h.mu.marks, feed.Mark{Index: at.Index, LastEvent: at, Chain: st.Chain})
		}
	}
	close(h.mu.changed)
	h.mu.changed = make(chan struct{})
	return at
}

// Set is an event that sets one key; its time is a second after that of the entry before.
func (h *History) Set(term uint64, key, value string) event.Position {
	h.mu.Lock()
	t := StartTime + int64(len(h.mu.entries)+1)*int64(time.Second)
	h.mu.Unlock()
	v := event.Version{Time: t, Cluster: 1}
	return h.Append(term, &event.Event{Time: t, Term: term, Mutations: []event.Mutation{
		{Op: event.OpSet, Type: event.TypeString, Key: []byte(key), Value: []byte(value), Version: v, Floor: v, ExpiryVersion: v, Command: "set"},
	}})
}

// Fill appends n entries, a third of which are no events.
func (h *History) Fill(term uint64, n int) {
	for i := range n {
		switch i % 6 {
		case 2:
			h.Append(term, nil)
		case 4: // evaluated in another term: rejected
			h.Append(term, &event.Event{Time: 1, Term: term - 1, Mutations: []event.Mutation{{Op: event.OpDel, Key: []byte("rejected")}}})
		default:
			h.Set(term, fmt.Sprintf("key:%d", i), fmt.Sprintf("value %d", i))
		}
	}
}

// Stamps are those of all events.
func (h *History) Stamps() []event.Stamp {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.mu.stamps)
}

// Replica is a Source over a history, with a truncation of its own. It can be held back.
type Replica struct {
	h      *History
	mu     sync.Mutex
	oldest feed.Mark
	hold   uint64 // nothing after it is applied here; 0: everything is
	// Tamper, set before the replica serves, alters what its log says.
	Tamper func(raftpb.Entry) raftpb.Entry
	// StateCalls, set before the replica serves, is after how many calls of Next a state is lost; 0: it never is.
	StateCalls int
	leads      func() bool // nil: it does
	lone       atomic.Bool
}

// NewReplica is a replica of a history that no node serves.
func NewReplica(h *History) *Replica { return &Replica{h: h} }

// Hold keeps the replica from applying more than entry index; 0 lets it go on.
func (r *Replica) Hold(index uint64) {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold = index
	close(r.h.mu.changed)
	r.h.mu.changed = make(chan struct{})
}

// Lone has the replica know no leader, or know one again.
func (r *Replica) Lone(lone bool) { r.lone.Store(lone) }

// Led implements feed.LedSource.
func (r *Replica) Led() bool { return !r.lone.Load() }

func (r *Replica) appliedLocked() uint64 {
	if n := uint64(len(r.h.mu.entries)); r.hold == 0 || n < r.hold {
		return n
	}
	return r.hold
}

// ClusterID is always dc-a.
func (r *Replica) ClusterID() string { return "dc-a" }

// State is what is applied, as far as it is held back.
func (r *Replica) State() (feed.State, error) {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	applied := r.appliedLocked()
	st := feed.State{Oldest: r.oldest, Names: r.h.names, Head: feed.Mark{Index: applied}}
	for i := range r.h.mu.stamps {
		if s := &r.h.mu.stamps[i]; s.Position.Index <= applied {
			st.Head.LastEvent, st.Head.Chain = s.Position, s.Chain
		}
	}
	if applied > 0 {
		st.Applied = event.Position{Term: r.h.mu.entries[applied-1].Term, Index: applied}
	}
	return st, nil
}

// Mark is the last one at or before index. There is one after every fourth event.
func (r *Replica) Mark(index uint64) (feed.Mark, bool, error) {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	for _, m := range slices.Backward(r.h.mu.marks) {
		if m.Index <= index {
			return m, true, nil
		}
	}
	return feed.Mark{}, false, nil
}

// Truncate forgets the log up to the last mark at or before index.
func (r *Replica) Truncate(index uint64) feed.Mark {
	m, _, _ := r.Mark(index)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.oldest = m
	return m
}

// TruncateBare forgets the log up to index, as a snapshot does.
func (r *Replica) TruncateBare(index uint64) {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	m := feed.Mark{Index: index}
	for i := range r.h.mu.stamps {
		if s := &r.h.mu.stamps[i]; s.Position.Index <= index {
			m.LastEvent, m.Chain = s.Position, s.Chain
		}
	}
	r.oldest = m
}

// WaitApplied waits for more than above, as far as it is held back.
func (r *Replica) WaitApplied(ctx context.Context, above uint64) (uint64, error) {
	for {
		r.h.mu.Lock()
		r.mu.Lock()
		applied, changed := r.appliedLocked(), r.h.mu.changed
		r.mu.Unlock()
		r.h.mu.Unlock()
		if applied > above {
			return applied, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// NewLogReader reads the history, unless it was truncated here.
func (r *Replica) NewLogReader(from uint64) feed.LogReader { return &logReader{r: r, next: from} }

type logReader struct {
	r    *Replica
	next uint64
}

func (l *logReader) Next(upTo uint64) ([]raftpb.Entry, error) {
	l.r.h.mu.Lock()
	defer l.r.h.mu.Unlock()
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	if l.next <= l.r.oldest.Index {
		return nil, raft.ErrCompacted
	}
	if l.next > upTo {
		return nil, nil
	}
	end := min(upTo, l.next+4095)
	entries := l.r.h.mu.entries[l.next-1 : end]
	if l.r.Tamper != nil {
		entries = slices.Clone(entries)
		for i := range entries {
			entries[i] = l.r.Tamper(entries[i])
		}
	}
	l.next = end + 1
	return entries, nil
}

func (l *logReader) Close() {}

// Cell is a cluster of nodes with one partition, default-3, each a gRPC server on a socket of its own.
type Cell struct {
	t      testing.TB
	h      *History
	leader atomic.Int64 // index of the leading node
	Nodes  []*Node
}

// Node is one gRPC server of a cell, and its directory.
type Node struct {
	Address string
	Replica *Replica // nil: none here
	Feed    *feed.Server
	// Options are the server's from its next Start on.
	Options feed.Options

	server  *grpc.Server
	served  chan struct{}
	cell    *Cell
	streams atomic.Int64
}

// Streams is how many subscriptions came since the node was made.
func (n *Node) Streams() int64 { return n.streams.Load() }

// NewCell starts n nodes, each with a replica of h. They stop with the test. Node 0 is called the leader: see
// SetLeader.
func NewCell(t testing.TB, h *History, n int) *Cell {
	c := &Cell{t: t, h: h}
	for i := range n {
		leads := func() bool { return c.leader.Load() == int64(i) }
		nd := &Node{cell: c, Replica: &Replica{h: h, leads: leads}, Options: feed.Options{Bookmark: 20 * time.Millisecond, Linger: time.Millisecond}}
		c.Nodes = append(c.Nodes, nd)
	}
	for _, nd := range c.Nodes {
		nd.Start("127.0.0.1:0")
	}
	t.Cleanup(func() {
		for _, nd := range c.Nodes {
			nd.Stop()
		}
	})
	return c
}

// Start serves at an address: a node that was stopped, at the one it had.
func (n *Node) Start(at string) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		n.cell.t.Fatal(err)
	}
	n.Address = l.Addr().String()
	count := func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		n.streams.Add(1)
		return handler(srv, stream)
	}
	n.server = grpc.NewServer(append(feed.ServerOptions(), grpc.StreamInterceptor(count))...)
	n.Feed = feed.NewServer(n, n.Options)
	n.Feed.Register(n.server)
	n.served = make(chan struct{})
	go func() {
		defer close(n.served)
		n.server.Serve(l)
	}()
}

// Stop ends the node as a crash does: every stream breaks off.
func (n *Node) Stop() {
	n.server.Stop()
	<-n.served // which closed the listener
}

// Source is the node's replica.
func (n *Node) Source(namespace string, partition uint32) (feed.Source, error) {
	switch {
	case namespace != "default" || partition != 3:
		return nil, feed.ErrUnknown
	case n.Replica == nil:
		return nil, feed.ErrNotHere
	}
	return n.Replica, nil
}

// Partitions is the cell's only one.
func (n *Node) Partitions(_ context.Context, namespace string) ([]feed.Partition, error) {
	if namespace != "default" {
		return nil, feed.ErrUnknown
	}
	p := feed.Partition{Number: 3}
	if i := n.cell.leader.Load(); i >= 0 {
		p.Leader = n.cell.Nodes[i].Address
	}
	for _, nd := range n.cell.Nodes {
		if nd.Replica != nil {
			p.Replicas = append(p.Replicas, nd.Address)
		}
	}
	return []feed.Partition{p}, nil
}

// Addresses are those of all nodes.
func (c *Cell) Addresses() []string {
	var all []string
	for _, n := range c.Nodes {
		all = append(all, n.Address)
	}
	return all
}

// ForgetMarks leaves only the mark at the beginning of the log.
func (h *History) ForgetMarks() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.marks = []feed.Mark{{}}
}
