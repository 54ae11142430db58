package feedtest

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/feed"
)

// NewHistoryOf is an empty log of a partition other than 3.
func NewHistoryOf(partition uint32) *History {
	h := NewHistory()
	h.mu.last.Partition = partition
	return h
}

// Namespace is one node that has the only replicas of the partitions of a namespace called default: partition i's log is Replicas[i]'s.
type Namespace struct {
	Address  string
	Replicas []*Replica
	// Silent, set before the first call, are partitions of which the node knows no replica.
	Silent map[uint32]bool

	server *grpc.Server
	served chan struct{}
}

// NewNamespace starts it over histories, of partitions 0 and up. It stops with the test.
func NewNamespace(t testing.TB, histories ...*History) *Namespace {
	return NewNamespaceWith(t, func(string, grpc.ServiceRegistrar) {}, histories...)
}

// NewNamespaceWith is NewNamespace on a node that has other services, too. register is told the node's address.
func NewNamespaceWith(t testing.TB, register func(address string, g grpc.ServiceRegistrar), histories ...*History) *Namespace {
	n := &Namespace{served: make(chan struct{})}
	for _, h := range histories {
		n.Replicas = append(n.Replicas, &Replica{h: h})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.Address = l.Addr().String()
	n.server = grpc.NewServer(feed.ServerOptions()...)
	feed.NewServer(n, feed.Options{Bookmark: 20 * time.Millisecond, Linger: time.Millisecond}).Register(n.server)
	register(n.Address, n.server)
	go func() {
		defer close(n.served)
		n.server.Serve(l)
	}()
	t.Cleanup(n.Stop)
	return n
}

// Stop ends the node as a crash does.
func (n *Namespace) Stop() {
	n.server.Stop()
	<-n.served
}

// Source is a partition's replica.
func (n *Namespace) Source(namespace string, partition uint32) (feed.Source, error) {
	if namespace != "default" || int(partition) >= len(n.Replicas) {
		return nil, feed.ErrUnknown
	}
	return n.Replicas[partition], nil
}

// Partitions are all of them, each with this node alone.
func (n *Namespace) Partitions(_ context.Context, namespace string) ([]feed.Partition, error) {
	if namespace != "default" {
		return nil, feed.ErrUnknown
	}
	var all []feed.Partition
	for i := range n.Replicas {
		p := feed.Partition{Number: uint32(i), Leader: n.Address, Replicas: []string{n.Address}}
		if n.Silent[p.Number] {
			p.Leader, p.Replicas = "", nil
		}
		all = append(all, p)
	}
	return all, nil
}
