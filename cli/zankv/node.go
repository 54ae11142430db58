package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof" // registers on the default mux, which only servePprof serves
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cdc/changefeed/sinks"
	"github.com/zankv/zankv/cluster/datanode"
	"github.com/zankv/zankv/cluster/datanode/config"
	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/engine/rocks"
	"github.com/zankv/zankv/cluster/meta/etcdmeta"
	"github.com/zankv/zankv/cluster/partition"
)

func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// servePprof serves Go's profiles on an address of its own, if there is one.
func servePprof(addr string) error {
	if addr == "" {
		return nil
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("profiles: %w", err)
	}
	go func() { _ = http.Serve(ln, http.DefaultServeMux) }() // ends with the process
	return nil
}

// clockEnv is for tests alone: a duration that the node's clock is off by. The node says so in its log.
const clockEnv = "ZANKV_CLOCK_OFFSET"

func clockOffset() (time.Duration, error) {
	text := os.Getenv(clockEnv)
	if text == "" {
		return 0, nil
	}
	offset, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s (for tests only): %w", clockEnv, err)
	}
	return offset, nil
}

// runNode runs one data node until it is told to stop.
func runNode(c *cli.Context) (err error) {
	if c.Args().Present() {
		return fmt.Errorf("no such command: %q; see zankv --help", c.Args().First())
	}
	if !c.IsSet("config") {
		return cli.ShowAppHelp(c)
	}
	conf, err := config.Load(c.String("config"))
	if err != nil {
		return err
	}
	log := logger()
	store, err := etcdmeta.Open(etcdmeta.Options{Endpoints: conf.EtcdAddresses, ClusterID: conf.ClusterID, Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	shared := rocks.NewShared(rocks.SharedOptions{
		BlockCacheBytes: uint64(conf.RocksDB.BlockCache), WriteBytesPerSecond: uint64(conf.RocksDB.RateBytesPerSec),
	})
	defer shared.Close()
	listeners, err := listen(conf)
	if err != nil {
		return err
	}
	advertise, err := conf.Broadcast()
	if err != nil {
		return err
	}
	offset, err := clockOffset()
	if err != nil {
		return err
	}
	known := sinks.All(sinks.Options{Cluster: conf.ClusterID, Nodes: []string{net.JoinHostPort(advertise, strconv.Itoa(conf.GRPCPort))}, Logger: log})
	node, err := datanode.Open(c.Context, datanode.Options{
		ClusterID: conf.ClusterID, DataDir: conf.DataDir, Advertise: advertise, Tags: conf.Tags, Version: version,
		Listeners: listeners, Meta: store, Logger: log, EngineName: rocks.Library(), OpenEngine: opener(shared, conf),
		Tick: time.Duration(conf.TickMS) * time.Millisecond, ElectionTicks: conf.ElectionTick, LogDiskBytes: conf.WALMaxDiskBytes,
		Retention: partition.Retention{
			Age: time.Duration(conf.WALRetainSeconds) * time.Second, Bytes: conf.WALRetainBytes,
			ConsumerAge: time.Duration(conf.WALConsumerSeconds) * time.Second, MaxBytes: conf.WALConsumerBytes,
		},
		Limits: conf.Limits(), MaxScanJobs: conf.MaxScanJob, SyncerOnly: conf.SyncerWriteOnly,
		Replication: conf.Replication(), ReplayMemoryBytes: conf.ReplayMemoryBytes, ClockOffset: offset,
		Changefeeds: datanode.Changefeeds{
			Registry: store.Changefeeds(), Sinks: known.Open, Checks: known.Check, OpenArchive: known.OpenArchive, CloseSinks: known.Close,
			MemoryBytes: conf.ChangefeedMemoryBytes, Off: !conf.RunChangefeeds,
		},
	})
	if err != nil {
		return err
	}
	log.Info("node started", "id", node.ID(), "cluster", conf.ClusterID, "version", version)
	err = node.Run(c.Context)
	return errors.Join(err, node.Close())
}

func opener(shared *rocks.Shared, conf *config.Config) func(string) (engine.Engine, error) {
	return func(dir string) (engine.Engine, error) {
		e, err := rocks.Open(dir, shared, rocks.Options{MemtableBytes: uint64(conf.RocksDB.WriteBufferSize)})
		if err != nil {
			return nil, err
		}
		return e, nil
	}
}

// listen opens the node's ports, all or none.
func listen(conf *config.Config) (l datanode.Listeners, err error) {
	var open []net.Listener
	on := func(addr string) net.Listener {
		if err != nil {
			return nil
		}
		var ln net.Listener
		if ln, err = net.Listen("tcp", addr); err == nil {
			open = append(open, ln)
		}
		return ln
	}
	everywhere := func(port int) net.Listener { return on(net.JoinHostPort("", strconv.Itoa(port))) }
	byNamespace := func(ports map[string]int) map[string]net.Listener {
		m := make(map[string]net.Listener)
		for ns, port := range ports {
			if port != 0 {
				m[ns] = everywhere(port)
			}
		}
		return m
	}
	l.Redis, l.HTTP, l.GRPC = everywhere(conf.RedisPort), everywhere(conf.HTTPPort), everywhere(conf.GRPCPort)
	l.Raft = on(conf.RaftListen())
	l.Namespace, l.Cluster = byNamespace(conf.NamespacePorts), byNamespace(conf.ClusterPorts)
	if err != nil {
		for _, ln := range open {
			err = errors.Join(err, ln.Close())
		}
	}
	return l, err
}
