// Package peerstest is a cluster of which only the conflict log is there: nodes that serve it by the real service, over rows in memory.
package peerstest

import (
	"bytes"
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/conflict"
	"github.com/zankv/zankv/replay/replaypb"
	"github.com/zankv/zankv/replay/serve"
)

// Namespace is the one there is.
const Namespace = "default"

// ID is the cluster's.
const ID = "dc-b"

// Cluster is a cluster of some nodes and partitions. The first node leads all partitions at first.
type Cluster struct {
	Addresses []string
	mu        struct {
		sync.Mutex
		leader int // -1: nobody
		logs   []log
		asked  int // pages that were read
		onPage func(n int)
	}
}

type log []serve.Row

// New starts one.
func New(t *testing.T, nodes, partitions int) *Cluster {
	t.Helper()
	c := &Cluster{}
	c.mu.logs = make([]log, partitions)
	for i := range nodes {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g := grpc.NewServer()
		serve.NewServer(&node{c, i}, serve.Options{}).Register(g)
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = g.Serve(ln) // ends with Stop
		}()
		t.Cleanup(func() {
			g.Stop()
			<-served
		})
		c.Addresses = append(c.Addresses, ln.Addr().String())
	}
	return c
}

// Lead makes a node lead all partitions; -1: none does.
func (c *Cluster) Lead(node int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.leader = node
}

// OnPage calls f after each page that is read of a log, with how many were.
func (c *Cluster) OnPage(f func(n int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.asked, c.mu.onPage = 0, f
}

// Add puts conflicts into a partition's log.
func (c *Cluster) Add(partition int, recs ...conflict.Record) {
	for i := range recs {
		c.put(partition, serve.Row{ID: recs[i].RowID(), Value: recs[i].Append(nil)})
	}
}

// AddDiverged puts keys that have diverged into a partition's log.
func (c *Cluster) AddDiverged(partition int, keys ...conflict.Diverged) {
	for i := range keys {
		c.put(partition, serve.Row{ID: keys[i].RowID(), Value: keys[i].Append(nil)})
	}
}

func (c *Cluster) put(partition int, row serve.Row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rows := append(c.mu.logs[partition], row)
	slices.SortFunc(rows, func(a, b serve.Row) int { return bytes.Compare(a.ID, b.ID) })
	c.mu.logs[partition] = rows
}

// Rows is how many there are, of all partitions.
func (c *Cluster) Rows() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.mu.logs {
		n += len(l)
	}
	return n
}

// node is one of its nodes.
type node struct {
	c *Cluster
	i int
}

func (n *node) Cluster() string { return ID }

func (n *node) leader() string {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.c.mu.leader < 0 {
		return ""
	}
	return n.c.Addresses[n.c.mu.leader]
}

func (n *node) Topology(_ context.Context, namespace string) (*replaypb.TopologyResponse, error) {
	top := &replaypb.TopologyResponse{Cluster: ID, Namespaces: []string{Namespace}}
	for i, address := range n.c.Addresses {
		top.Nodes = append(top.Nodes, &replaypb.Node{Id: uint64(i + 1), Grpc: address, Alive: true})
	}
	if namespace == "" {
		return top, nil
	}
	if namespace != Namespace {
		return nil, serve.ErrUnknown
	}
	for i := range n.c.mu.logs {
		top.Partitions = append(top.Partitions, &replaypb.Partition{Number: uint32(i), Leader: n.leader(), Replicas: n.c.Addresses})
	}
	return top, nil
}

func (n *node) Target(namespace string, number uint32) (serve.Target, string, error) {
	if namespace != Namespace || int(number) >= len(n.c.mu.logs) {
		return nil, "", serve.ErrUnknown
	}
	return &replica{node: n, number: int(number)}, n.leader(), nil
}

// replica has a conflict log and nothing else.
type replica struct {
	serve.Target
	node   *node
	number int
}

func (r *replica) Leading() bool { return r.node.leader() == r.node.c.Addresses[r.node.i] }

func (r *replica) Places() (serve.Places, error) { return serve.Places{Leading: r.Leading()}, nil }

func (r *replica) Conflicts(after []byte, limit int, pass func(*conflict.Record, *conflict.Diverged) bool) (rows []serve.Row, next []byte, err error) {
	c := r.node.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, row := range c.mu.logs[r.number] {
		if bytes.Compare(row.ID, after) <= 0 {
			continue
		}
		rec, d, err := conflict.Row(row.ID, row.Value)
		if err != nil {
			return nil, nil, err
		}
		if !pass(rec, d) {
			continue
		}
		if rows = append(rows, row); len(rows) == limit {
			next = row.ID
			break
		}
	}
	if c.mu.asked++; c.mu.onPage != nil {
		f, n := c.mu.onPage, c.mu.asked
		c.mu.Unlock()
		f(n)
		c.mu.Lock()
	}
	return rows, next, nil
}

func (r *replica) PurgeConflicts(_ context.Context, ids [][]byte) (removed int, err error) {
	if !r.Leading() {
		return 0, partition.ErrNotLeader
	}
	c := r.node.c
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.mu.logs[r.number])
	c.mu.logs[r.number] = slices.DeleteFunc(c.mu.logs[r.number], func(row serve.Row) bool {
		return slices.ContainsFunc(ids, func(id []byte) bool { return bytes.Equal(id, row.ID) })
	})
	return before - len(c.mu.logs[r.number]), nil
}
