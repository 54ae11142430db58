// Package local is a whole cluster in one process: etcd, data nodes and a namespace, for trying ZanKV out and for tests.
//
// The nodes talk over sockets like those of separate processes: there is no short cut between them. They share one process's RocksDB
// block cache, and nothing else.
//
// Concurrency: Start, Wait and Close are for one goroutine. Crash safety: that of the parts; a killed process finds everything that
// was acknowledged when it starts again on the same folder.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zankv/zankv/cdc/changefeed/sinks"
	"github.com/zankv/zankv/cluster/datanode"
	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/engine/rocks"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/meta/admin"
	"github.com/zankv/zankv/cluster/meta/etcdmeta"
	"github.com/zankv/zankv/cluster/meta/etcdserver"
	"github.com/zankv/zankv/cluster/partition"
)

// Namespace is the one that a local cluster has.
const Namespace = "default"

// portStep is the distance of one node's ports from the next node's.
const portStep = 10

// Options of a cluster. Ports are those of the first node; node i adds 10·i. With FreePorts all are chosen by the system.
type Options struct {
	ClusterID                           string
	DataDir                             string
	Nodes, Partitions, Replicas         int
	EtcdPort                            int
	RedisPort, HTTPPort, GRPCPort       int
	RaftPort                            int
	NamespacePort, ClusterPort          int // 0: none
	FreePorts                           bool
	PartitionHash, ReadMode             string
	OptimizedFsync                      bool
	Version                             string
	Logger                              *slog.Logger
	RowCacheBytes                       int
	BlockCacheBytes, MemtableTotalBytes uint64
	ChangefeedMemoryBytes               int64 // of each node; 0: 256 MiB
	ConflictPolicy                      string
	Replication                         partition.Replication // see datanode.Options
	ReplayMemoryBytes                   int64                 // of each node; 0: 256 MiB
	ClockOffset                         time.Duration         // for tests: see datanode.Options
	SyncerOnly                          bool
}

// Cluster is a running cluster.
type Cluster struct {
	opts   Options
	etcd   *etcdserver.Server
	shared *rocks.Shared
	metas  []*etcdmeta.Store
	nodes  []*datanode.Node
	addrs  []Addresses
	stop   context.CancelFunc
	group  *errgroup.Group
}

// Addresses are where one node can be reached; empty where there is none.
type Addresses struct {
	Redis, HTTP, GRPC, Raft, Namespace, Cluster string
}

// Start runs a cluster and returns when every partition has a leader.
func Start(ctx context.Context, opts Options) (_ *Cluster, err error) {
	if opts.Replicas > opts.Nodes {
		return nil, fmt.Errorf("%d replicas need as many nodes; there are %d", opts.Replicas, opts.Nodes)
	}
	c := &Cluster{opts: opts}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	c.etcd, err = etcdserver.Start(ctx, etcdserver.Options{DataDir: filepath.Join(opts.DataDir, "etcd"), ClientPort: c.port(opts.EtcdPort, 0)})
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	c.shared = rocks.NewShared(rocks.SharedOptions{BlockCacheBytes: opts.BlockCacheBytes, MemtableBytes: opts.MemtableTotalBytes})
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	c.group, running = errgroup.WithContext(running)
	for i := range opts.Nodes {
		if err := c.startNode(ctx, running, i); err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
	}
	// A node that fails at once must end the wait.
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(running, func() { cancel(context.Cause(running)) })()
	if err := c.namespace(waiting); err != nil {
		return nil, errors.Join(err, context.Cause(running))
	}
	return c, nil
}

// port is a node's port, or 0 for the system's choice.
func (c *Cluster) port(base, node int) int {
	if c.opts.FreePorts || base == 0 {
		return 0
	}
	return base + node*portStep
}

func (c *Cluster) startNode(ctx, running context.Context, i int) error {
	listeners, addrs, err := c.listen(i)
	if err != nil {
		return err
	}
	store, err := etcdmeta.Open(etcdmeta.Options{
		Endpoints: []string{c.etcd.Endpoint()}, ClusterID: c.opts.ClusterID, Logger: c.opts.Logger,
	})
	if err != nil {
		return err
	}
	c.metas = append(c.metas, store)
	known := sinks.All(sinks.Options{Cluster: c.opts.ClusterID, Nodes: []string{listeners.GRPC.Addr().String()}, Logger: c.opts.Logger})
	node, err := datanode.Open(ctx, datanode.Options{
		ClusterID: c.opts.ClusterID, DataDir: filepath.Join(c.opts.DataDir, "node"+strconv.Itoa(i)), Advertise: "127.0.0.1",
		Version: c.opts.Version, Listeners: listeners, Meta: store, Logger: c.opts.Logger.With("node", i),
		OpenEngine: c.openEngine, EngineName: rocks.Library(), RowCacheBytes: c.opts.RowCacheBytes,
		Replication: c.opts.Replication, ReplayMemoryBytes: c.opts.ReplayMemoryBytes, ClockOffset: c.opts.ClockOffset, SyncerOnly: c.opts.SyncerOnly,
		Changefeeds: datanode.Changefeeds{
			Registry: store.Changefeeds(), Sinks: known.Open, Checks: known.Check, OpenArchive: known.OpenArchive, CloseSinks: known.Close,
			MemoryBytes: c.opts.ChangefeedMemoryBytes,
		},
	})
	if err != nil {
		return err
	}
	c.nodes = append(c.nodes, node)
	c.addrs = append(c.addrs, addrs)
	c.group.Go(func() error {
		if err := node.Run(running); err != nil {
			return fmt.Errorf("node %d: %w", i, err)
		}
		return nil
	})
	return nil
}

func (c *Cluster) listen(i int) (l datanode.Listeners, a Addresses, err error) {
	var open []net.Listener
	listen := func(base int) (net.Listener, string) {
		if err != nil {
			return nil, ""
		}
		var ln net.Listener
		ln, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port(base, i))))
		if err != nil {
			return nil, ""
		}
		open = append(open, ln)
		return ln, ln.Addr().String()
	}
	l.Redis, a.Redis = listen(c.opts.RedisPort)
	l.HTTP, a.HTTP = listen(c.opts.HTTPPort)
	l.GRPC, a.GRPC = listen(c.opts.GRPCPort)
	l.Raft, a.Raft = listen(c.opts.RaftPort)
	if c.opts.NamespacePort != 0 {
		var ln net.Listener
		ln, a.Namespace = listen(c.opts.NamespacePort)
		l.Namespace = map[string]net.Listener{Namespace: ln}
	}
	if c.opts.ClusterPort != 0 {
		var ln net.Listener
		ln, a.Cluster = listen(c.opts.ClusterPort)
		l.Cluster = map[string]net.Listener{Namespace: ln}
	}
	if err != nil {
		for _, ln := range open {
			err = errors.Join(err, ln.Close())
		}
	}
	return l, a, err
}

// startTimeout bounds the wait for nodes, namespace and leaders.
const startTimeout = 60 * time.Second

// namespace makes the namespace if it isn't there and waits for its leaders.
func (c *Cluster) namespace(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ns := meta.DefaultNamespace()
	ns.Name, ns.Partitions, ns.Replicas = Namespace, c.opts.Partitions, c.opts.Replicas
	ns.OptimizedFsync, ns.ReadMode = c.opts.OptimizedFsync, c.opts.ReadMode
	ns.ConflictPolicy = c.opts.ConflictPolicy
	if c.opts.PartitionHash != "" {
		ns.PartitionHash = c.opts.PartitionHash
	}
	_, err := admin.CreateNamespace(ctx, c.metas[0], admin.CreateOptions{Namespace: ns, MinNodes: c.opts.Nodes})
	if errors.Is(err, meta.ErrExists) && c.opts.ConflictPolicy != "" {
		_, err = c.metas[0].SetConflictPolicy(ctx, Namespace, c.opts.ConflictPolicy)
	}
	if err != nil && !errors.Is(err, meta.ErrExists) {
		return fmt.Errorf("namespace %s: %w", Namespace, err)
	}
	if err := admin.WaitReady(ctx, c.metas[0], Namespace); err != nil {
		return fmt.Errorf("namespace %s: %w", Namespace, err)
	}
	return nil
}

// Addresses are the nodes', in their order.
func (c *Cluster) Addresses() []Addresses { return c.addrs }

// EtcdEndpoint is where etcd can be reached.
func (c *Cluster) EtcdEndpoint() string { return c.etcd.Endpoint() }

// Wait returns when ctx ends (nil), or with its error when a node can't go on. Close comes next.
func (c *Cluster) Wait(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- c.group.Wait() }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	case <-c.etcd.Stopped():
		return errors.New("etcd stopped")
	}
}

// Close stops everything in order: nodes, their metadata, etcd.
func (c *Cluster) Close() error {
	var errs []error
	if c.stop != nil {
		c.stop()
		errs = append(errs, c.group.Wait())
	}
	for _, n := range c.nodes {
		errs = append(errs, n.Close())
	}
	for _, m := range c.metas {
		errs = append(errs, m.Close())
	}
	if c.etcd != nil {
		c.etcd.Close()
	}
	if c.shared != nil {
		c.shared.Close()
	}
	return errors.Join(errs...)
}

func (c *Cluster) openEngine(dir string) (engine.Engine, error) {
	e, err := rocks.Open(dir, c.shared, rocks.Options{})
	if err != nil {
		return nil, err
	}
	return e, nil
}
