package datanode

import (
	"context"
	"net"
	"strconv"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cdc/changefeed/remote"
	"github.com/zankv/zankv/cdc/changefeed/worker"
)

// Changefeeds are what a node has to know to run changefeeds. Without a Registry it knows nothing of them.
type Changefeeds struct {
	Registry changefeed.Registry
	// Sinks are by the scheme of their URIs; Checks say what is wrong with a definition's sink before it is stored.
	Sinks       map[string]worker.OpenSink
	Checks      map[string]func(ctx context.Context, s *changefeed.Spec) error
	OpenArchive worker.OpenArchive
	// CloseSinks ends what the sinks share, when the node is closed; nil if that is nothing.
	CloseSinks func() error
	// MemoryBytes is what everything that this node runs may hold of events on their way to sinks (256 MiB).
	MemoryBytes int64
	// Off says that this node takes no partitions. It answers and defines all the same.
	Off bool
}

// changefeeds are what is made of them: all nil without a Registry, manager nil when this node takes no partitions.
type changefeeds struct {
	source  *feedSource
	admin   *admin.Server
	remote  *remote.Server
	manager *worker.Manager
	budget  *changefeed.Budget
}

// openChangefeeds prepares what runChangefeeds runs and the gRPC port serves.
func (n *Node) openChangefeeds() error {
	o := &n.opts.Changefeeds
	if o.Registry == nil {
		return nil
	}
	address := net.JoinHostPort(n.opts.Advertise, strconv.Itoa(port(n.opts.Listeners.GRPC)))
	far, err := worker.NewFeedSource(worker.FeedSourceOptions{Cluster: n.opts.ClusterID, Nodes: []string{address}, Logger: n.opts.Logger})
	if err != nil {
		return err
	}
	n.cdc.source = &feedSource{n: n, far: far, patience: patience}
	n.cdc.admin = admin.NewServer(admin.Options{
		Registry: o.Registry, Source: n.cdc.source, Partitions: n.partitionsOf, Sinks: o.Checks, Logger: n.opts.Logger,
	})
	n.cdc.remote = remote.NewServer(remote.ServerOptions{Registry: o.Registry, Cluster: n.opts.ClusterID, Nodes: n.grpcAddresses, Logger: n.opts.Logger})
	if o.Off {
		return nil
	}
	if o.MemoryBytes == 0 {
		o.MemoryBytes = worker.DefaultBudget
	}
	n.cdc.budget = changefeed.NewBudget(o.MemoryBytes)
	n.cdc.manager, err = worker.New(worker.Options{
		Registry: o.Registry, Source: n.cdc.source, Sinks: o.Sinks, OpenArchive: o.OpenArchive, Process: address,
		Budget: n.cdc.budget, Logger: n.opts.Logger,
	})
	return err
}

// grpcAddresses are those of the cluster's nodes that are there.
func (n *Node) grpcAddresses() []string {
	view := n.opts.Meta.View()
	var all []string
	for id, node := range view.Nodes {
		if node.Live {
			all = append(all, grpcAddress(view, id))
		}
	}
	return all
}

// runChangefeeds runs what this node claims, from when its own replicas are open. On the way out everything is flushed, saved and released.
func (n *Node) runChangefeeds(ctx context.Context) error {
	if n.cdc.manager == nil {
		return nil
	}
	select {
	case <-n.placed:
		return n.cdc.manager.Run(ctx)
	case <-ctx.Done():
		return nil
	}
}

// running are the partitions that this node runs.
func (n *Node) running() []worker.Running {
	if n.cdc.manager == nil {
		return nil
	}
	return n.cdc.manager.Feeds()
}
