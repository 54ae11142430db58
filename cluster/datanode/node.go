package datanode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/multiraft"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/resp"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/cluster/transport"
	"github.com/zankv/zankv/replay/serve"
	"github.com/zankv/zankv/wal"
)

// Listeners are the node's open ports. The node closes them.
type Listeners struct {
	Redis, HTTP, GRPC, Raft net.Listener
	// Namespace and Cluster ports, by namespace.
	Namespace, Cluster map[string]net.Listener
}

// Options of a Node. ClusterID, DataDir, Advertise, Listeners, Meta, OpenEngine and Logger are required.
type Options struct {
	ClusterID string
	DataDir   string
	// Advertise is the host under which clients and other nodes reach this one.
	Advertise string
	Tags      map[string]string
	Version   string
	Listeners Listeners
	Meta      meta.Store
	// OpenEngine opens, or makes, the database in a folder. EngineName says which one it is, for INFO.
	OpenEngine func(dir string) (engine.Engine, error)
	EngineName string
	Logger     *slog.Logger

	Tick          time.Duration
	ElectionTicks int
	// RowCacheBytes is for recently used rows of the partitions that the node leads (default 256 MiB), LogCacheBytes for
	// recent log entries (default 64 MiB).
	RowCacheBytes int
	LogCacheBytes int64
	// LogDiskBytes caps the log's disk space (default 16 GiB). It wins over everything that wants to keep entries.
	LogDiskBytes int64
	Retention    partition.Retention
	// Limits bound what commands may bring (command.DefaultLimits for those that are 0).
	Limits command.Limits
	// Changefeeds says what this node does for changefeeds.
	Changefeeds Changefeeds
	// SyncerOnly is the role of partitions that never had a switch: see partition.Options.
	SyncerOnly bool
	// Replication says how what other clusters made is taken. Its Policy is each namespace's own.
	Replication partition.Replication
	// ReplayMemoryBytes is what ranges and chunks of other clusters may take here at once (256 MiB; at least three events of the largest size).
	ReplayMemoryBytes int64
	// ClockOffset is added to the wall clock wherever it goes into versions and expiries: for tests of clusters whose clocks disagree.
	ClockOffset time.Duration
	// MaxScanJobs is how many scans of tables are in work at once (10).
	MaxScanJobs int
}

func (o *Options) setDefaults() {
	o.Limits.SetDefaults()
	if o.RowCacheBytes == 0 {
		o.RowCacheBytes = 256 << 20
	}
	if o.LogCacheBytes == 0 {
		o.LogCacheBytes = 64 << 20
	}
	if o.Replication.ConflictBytes == 0 {
		o.Replication.ConflictBytes = 256 << 20
	}
	if o.LogDiskBytes == 0 {
		o.LogDiskBytes = 16 << 30
	}
}

// Node is one data node.
type Node struct {
	opts       Options
	id         meta.NodeID
	started    time.Time
	lock       *os.File
	log        *wal.Log
	cache      *store.Cache
	transport  *transport.Transport
	raft       *multiraft.Node
	front      *resp.Server
	http       *http.Server
	grpc       *grpc.Server
	feed       *feed.Server
	cdc        changefeeds
	replay     *serve.Server
	normalInit initState
	table      table
	announcer  announcer
	peers      *http.Client // the other nodes' HTTP APIs
	// placed is closed when what was placed here at the start is open.
	placed chan struct{}
	fatal  chan error
}

// Open takes the data folder, recovers the log and prepares everything that Run starts.
func Open(ctx context.Context, opts Options) (_ *Node, err error) {
	opts.setDefaults()
	n := &Node{opts: opts, started: time.Now(), fatal: make(chan error, 1), placed: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := os.MkdirAll(opts.DataDir, 0o755); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if n.lock, err = lockDir(opts.DataDir); err != nil {
		return nil, err
	}
	if n.id, err = identify(ctx, opts.DataDir, opts.ClusterID, opts.Meta); err != nil {
		return nil, err
	}
	n.log, err = wal.Open(wal.Options{
		Dir: filepath.Join(opts.DataDir, "wal"), CacheBytes: opts.LogCacheBytes, MaxDiskBytes: opts.LogDiskBytes, Logger: opts.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	n.cache = store.NewCache(opts.RowCacheBytes)
	n.transport = transport.New(transport.Options{
		Self: transport.NodeID(n.id), Cluster: opts.ClusterID, Listener: opts.Listeners.Raft,
		Resolve: n.raftAddress, Logger: opts.Logger,
	}, handler{n})
	n.raft = multiraft.New(multiraft.Options{
		Log: n.log, Transport: n.transport, Logger: opts.Logger, Tick: opts.Tick, ElectionTicks: opts.ElectionTicks,
	})
	n.table.init()
	n.announcer.init()
	n.feed = feed.NewServer(directory{n}, feed.Options{})
	if err := n.openChangefeeds(); err != nil {
		return nil, fmt.Errorf("changefeeds: %w", err)
	}
	n.replay = serve.NewServer(replayDirectory{n}, serve.Options{
		MemoryBytes: opts.replayMemory(), MaxEventBytes: opts.Limits.Event, Clock: opts.clock(), Logger: opts.Logger,
	})
	if opts.ClockOffset != 0 {
		opts.Logger.Error("THE CLOCK IS OFF ON PURPOSE: that is for tests; versions and expiries are wrong by this", "offset", opts.ClockOffset)
	}
	n.front, err = resp.New(resp.Options{
		Backend: backend{n}, Feed: streams{n}, NodeID: uint64(n.id), Version: opts.Version, Logger: opts.Logger, Limits: opts.Limits, MaxScanJobs: opts.MaxScanJobs,
	})
	if err != nil {
		return nil, fmt.Errorf("redis front end: %w", err)
	}
	n.peers = newPeers()
	n.http = &http.Server{Handler: n.routes(), ReadHeaderTimeout: 10 * time.Second}
	n.grpc = n.services()
	return n, nil
}

// ID is the node's registration number.
func (n *Node) ID() meta.NodeID { return n.id }

// Run serves until ctx ends (then it returns nil) or the node can't go on. It stops from the outside in: first the ports,
// so that whoever got no answer knows it, then the raft loop, then the stores.
func (n *Node) Run(ctx context.Context) error {
	inner, stopInner := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInner()
	core, inner := errgroup.WithContext(inner)
	core.Go(func() error { return n.raft.Run(inner) })
	core.Go(func() error { return n.transport.Run(inner) })

	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(inner, func() { n.fail(context.Cause(inner)) })()
	group.Go(func() error {
		select {
		case err := <-n.fatal:
			return err
		case <-ctx.Done():
			return nil
		}
	})
	group.Go(func() error { return n.register(ctx) })
	group.Go(func() error { return n.keepLog(ctx) })
	group.Go(func() error { return n.followPlacement(ctx) })
	group.Go(func() error { return n.announcer.run(ctx, n.opts.Meta, n.opts.Logger) })
	group.Go(func() error { return n.runChangefeeds(ctx) })
	n.serve(ctx, group)
	err := group.Wait()
	stopInner()
	if cerr := core.Wait(); cerr != nil {
		err = cerr // the cause, where the ports stopped because of it
	}
	n.closePartitions()
	return err
}

// serve runs the ports until ctx ends.
func (n *Node) serve(ctx context.Context, group *errgroup.Group) {
	l := n.opts.Listeners
	group.Go(func() error { return n.front.Run(ctx) })
	redis := func(ln net.Listener, kind resp.PortKind, namespace string) {
		group.Go(func() error { return n.front.Serve(ln, kind, namespace) })
	}
	redis(l.Redis, resp.SharedPort, "")
	for ns, ln := range l.Namespace {
		redis(ln, resp.NamespacePort, ns)
	}
	for ns, ln := range l.Cluster {
		redis(ln, resp.ClusterPort, ns)
	}
	group.Go(func() error { return ignoreClosed(n.http.Serve(l.HTTP)) })
	group.Go(func() error { return ignoreClosed(n.grpc.Serve(l.GRPC)) })
	group.Go(func() error {
		<-ctx.Done()
		if n.cdc.remote != nil {
			n.cdc.remote.Close() // while what it has to say can be heard
		}
		n.grpc.Stop()
		n.replay.Wait()
		return n.http.Close()
	})
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// fail ends Run with an error.
func (n *Node) fail(err error) {
	select {
	case n.fatal <- err:
	default: // an earlier one is on its way
	}
}

// Close releases what Open took. Run must have returned.
func (n *Node) Close() error {
	var errs []error
	if n.cdc.remote != nil {
		n.cdc.remote.Close()
	}
	if n.cdc.source != nil {
		errs = append(errs, n.cdc.source.far.Close())
	}
	if n.opts.Changefeeds.CloseSinks != nil {
		errs = append(errs, n.opts.Changefeeds.CloseSinks())
	}
	if n.peers != nil {
		n.peers.CloseIdleConnections()
	}
	if n.transport != nil {
		n.transport.Close()
	}
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}

// register keeps the node known, and present, in metadata.
func (n *Node) register(ctx context.Context) error {
	l := n.opts.Listeners
	node := meta.Node{
		ID: n.id, BroadcastAddr: n.opts.Advertise, RedisPort: port(l.Redis), HTTPPort: port(l.HTTP), GRPCPort: port(l.GRPC),
		RaftAddr: net.JoinHostPort(n.opts.Advertise, fmt.Sprint(port(l.Raft))), Version: n.opts.Version, Tags: n.opts.Tags,
		NamespacePorts: ports(l.Namespace), ClusterPorts: ports(l.Cluster),
	}
	node.Hostname, _ = os.Hostname() // for people only
	session, err := n.opts.Meta.RegisterNode(ctx, node)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("register node %d: %w", n.id, err)
	}
	select {
	case <-ctx.Done():
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		return ignoreTimeout(session.Close(closing))
	case <-session.Lost():
		return fmt.Errorf("node %d was registered by another process: two nodes share the id in %s", n.id, n.opts.DataDir)
	}
}

// ignoreTimeout: a presence that can't be taken back ends by itself.
func ignoreTimeout(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, meta.ErrUnavailable) {
		return nil
	}
	return err
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func ports(ls map[string]net.Listener) map[string]int {
	m := make(map[string]int, len(ls))
	for ns, l := range ls {
		m[ns] = port(l)
	}
	return m
}

// raftAddress finds where a node's transport listens.
func (n *Node) raftAddress(id transport.NodeID) (string, bool) {
	addr := n.opts.Meta.View().RaftAddr(meta.NodeID(id))
	return addr, addr != ""
}

// handler is what the transport delivers to.
type handler struct{ n *Node }

func (h handler) Deliver(from transport.NodeID, msgs []transport.Message) {
	h.n.raft.Deliver(from, msgs)
}
func (h handler) Unreachable(to transport.NodeID) { h.n.raft.Unreachable(to) }

func (h handler) BeginSnapshot(_ transport.NodeID, s transport.SnapshotHeader) (string, bool, error) {
	dir, err := h.n.raft.IncomingDir(s.Group)
	return dir, err == nil, err
}

func (h handler) FinishSnapshot(_ transport.NodeID, s transport.SnapshotHeader, dir string) error {
	return h.n.raft.DeliverSnapshot(s.Group, s.Message, dir)
}

func (h handler) AbortSnapshot(from transport.NodeID, s transport.SnapshotHeader, _ string, err error) {
	h.n.opts.Logger.Warn("a snapshot broke off", "from", uint64(from), "group", s.Group, "error", err)
}
