package feed

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/event"
)

const startTime = int64(1795255200000000000)

// history is what a partition's raft group committed: the same for all replicas.
type history struct {
	mu struct {
		sync.Mutex
		entries []raftpb.Entry // index 1 on
		marks   []Mark
		stamps  []event.Stamp // of the events
		last    event.Stamp
		changed chan struct{}
	}
	names   event.Names
	scratch event.Scratch
}

func newHistory() *history {
	h := &history{names: event.Names{"", "dc-a"}}
	h.mu.last = event.Stamp{Cluster: "dc-a", Namespace: "default", Partition: 3}
	h.mu.marks = []Mark{{}}
	h.mu.changed = make(chan struct{})
	return h
}

// append adds an entry, and returns its position. ev is nil for one that is no event.
func (h *history) append(term uint64, ev *event.Event) event.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := raftpb.Entry{Term: term, Index: uint64(len(h.mu.entries) + 1)}
	at := event.Position{Term: term, Index: e.Index}
	if ev != nil {
		e.Data = event.Append(nil, ev)
	}
	h.mu.entries = append(h.mu.entries, e)
	if ev != nil && ev.Term == term && len(ev.Mutations) > 0 {
		st := h.mu.last
		st.Prev, st.PrevChain, st.Position = st.Position, st.Chain, at
		st.Chain = event.NextChain(st.PrevChain, &st, ev, h.names, &h.scratch)
		h.mu.last = st
		h.mu.stamps = append(h.mu.stamps, st)
		if len(h.mu.stamps)%4 == 0 {
			h.mu.marks = append(h.mu.marks, Mark{Index: at.Index, LastEvent: at, Chain: st.Chain})
		}
	}
	close(h.mu.changed)
	h.mu.changed = make(chan struct{})
	return at
}

// set is an event that sets one key; its time is a second after that of the entry before.
func (h *history) set(term uint64, key, value string) event.Position {
	h.mu.Lock()
	t := startTime + int64(len(h.mu.entries)+1)*int64(time.Second)
	h.mu.Unlock()
	v := event.Version{Time: t, Cluster: 1}
	return h.append(term, &event.Event{Time: t, Term: term, Mutations: []event.Mutation{
		{Op: event.OpSet, Type: event.TypeString, Key: []byte(key), Value: []byte(value), Version: v, Floor: v, ExpiryVersion: v, Command: "set"},
	}})
}

// fill appends n entries, a third of which are no events.
func (h *history) fill(term uint64, n int) {
	for i := range n {
		switch i % 6 {
		case 2:
			h.append(term, nil)
		case 4: // evaluated in another term: rejected
			h.append(term, &event.Event{Time: 1, Term: term - 1, Mutations: []event.Mutation{{Op: event.OpDel, Key: []byte("rejected")}}})
		default:
			h.set(term, fmt.Sprintf("key:%d", i), fmt.Sprintf("value %d", i))
		}
	}
}

func (h *history) stamps() []event.Stamp {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.mu.stamps)
}

// replica is a Source over a history, with a truncation and a lag of its own.
type replica struct {
	h      *history
	mu     sync.Mutex
	oldest Mark
	lag    uint64 // how many of the last entries aren't applied here
	tamper func(raftpb.Entry) raftpb.Entry
}

func (r *replica) ClusterID() string { return r.h.mu.last.Cluster }

func (r *replica) State() (State, error) {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	applied := uint64(len(r.h.mu.entries)) - r.lag
	st := State{Oldest: r.oldest, Names: r.h.names, Head: Mark{Index: applied}}
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

func (r *replica) Mark(index uint64) (Mark, bool, error) {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range slices.Backward(r.h.mu.marks) {
		if m.Index <= index && m.Index >= r.oldest.Index {
			return m, true, nil
		}
	}
	return Mark{}, false, nil
}

// truncate forgets the log up to the last mark at or before index.
func (r *replica) truncate(index uint64) Mark {
	m, _, _ := r.Mark(index)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.oldest = m
	return m
}

// truncateBare forgets the log up to index, as a snapshot does.
func (r *replica) truncateBare(index uint64) {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	m := Mark{Index: index}
	for i := range r.h.mu.stamps {
		if s := &r.h.mu.stamps[i]; s.Position.Index <= index {
			m.LastEvent, m.Chain = s.Position, s.Chain
		}
	}
	r.oldest = m
}

func (r *replica) WaitApplied(ctx context.Context, above uint64) (uint64, error) {
	for {
		r.h.mu.Lock()
		r.mu.Lock()
		applied, changed := uint64(len(r.h.mu.entries))-r.lag, r.h.mu.changed
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

func (r *replica) NewLogReader(from uint64) LogReader { return &logReader{r: r, next: from} }

type logReader struct {
	r    *replica
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
	if l.r.tamper != nil {
		entries = slices.Clone(entries)
		for i := range entries {
			entries[i] = l.r.tamper(entries[i])
		}
	}
	l.next = end + 1
	return entries, nil
}

func (l *logReader) Close() {}

// cell is a cluster of nodes with one partition, default-3, each a gRPC server on a socket of its own.
type cell struct {
	t     testing.TB
	h     *history
	nodes []*node
}

type node struct {
	address string
	replica *replica // nil: none here
	server  *grpc.Server
	served  chan struct{}
	feed    *Server
	cell    *cell
}

func newCell(t testing.TB, h *history, n int) *cell {
	c := &cell{t: t, h: h}
	for range n {
		nd := &node{cell: c, replica: &replica{h: h}}
		c.nodes = append(c.nodes, nd)
	}
	for _, nd := range c.nodes {
		nd.start("127.0.0.1:0")
	}
	t.Cleanup(func() {
		for _, nd := range c.nodes {
			nd.stop()
		}
	})
	return c
}

func (n *node) start(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		n.cell.t.Fatal(err)
	}
	n.address = l.Addr().String()
	n.server = grpc.NewServer(ServerOptions()...)
	n.feed = NewServer(n, Options{Bookmark: 20 * time.Millisecond, Linger: time.Millisecond})
	n.feed.Register(n.server)
	n.served = make(chan struct{})
	go func() {
		defer close(n.served)
		n.server.Serve(l)
	}()
}

// stop ends the node as a crash does: every stream breaks off.
func (n *node) stop() {
	n.server.Stop()
	<-n.served // which closed the listener
}

func (n *node) Source(namespace string, partition uint32) (Source, error) {
	switch {
	case namespace != "default" || partition != 3:
		return nil, ErrUnknown
	case n.replica == nil:
		return nil, ErrNotHere
	}
	return n.replica, nil
}

func (n *node) Partitions(_ context.Context, namespace string) ([]Partition, error) {
	if namespace != "default" {
		return nil, ErrUnknown
	}
	p := Partition{Number: 3, Leader: n.cell.nodes[0].address}
	for _, nd := range n.cell.nodes {
		if nd.replica != nil {
			p.Replicas = append(p.Replicas, nd.address)
		}
	}
	return []Partition{p}, nil
}

func (c *cell) addresses() []string {
	var all []string
	for _, n := range c.nodes {
		all = append(all, n.address)
	}
	return all
}

func (c *cell) open(from From, follow bool) *Reader {
	return c.openConfig(Config{From: from, Follow: follow})
}

func (c *cell) openConfig(cfg Config) *Reader {
	cfg.Nodes, cfg.Namespace, cfg.Partition = c.addresses(), "default", 3
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r, err := Open(ctx, cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { r.Close(); cancel() })
	return r
}
