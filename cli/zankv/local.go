package main

import (
	"bytes"
	"fmt"
	"io"
	"net"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cluster/local"
	"github.com/zankv/zankv/cluster/partition"
)

func localCommand() *cli.Command {
	return &cli.Command{
		Name:  "local",
		Usage: "run a whole cluster (etcd, data nodes, namespace default) in this process",
		Description: `Prints "ready" with the addresses when it serves. Ctrl-C or SIGTERM stops it; what was acknowledged is there again
after a restart on the same folder. Node i, from 0, adds 10·i to each port.

Examples:

   zankv local
   zankv local --nodes 1 --replicas 1 --data-dir /tmp/zankv
   zankv local --cluster-id dc-b --data-dir data/dc-b --etcd-port 3379 --redis-port 13381 --http-port 13380 --grpc-port 13382 \
     --raft-port 13379 --namespace-port 26379 --cluster-port 27379     (a second cluster, beside the first)
   redis-cli -p 16379 set greeting hello`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "cluster-id", Value: "local", Usage: "`ID` of this cluster in versions and events"},
			&cli.StringFlag{Name: "data-dir", Value: "data/local", Usage: "`FOLDER` for everything the cluster keeps"},
			&cli.IntFlag{Name: "nodes", Value: 3, Usage: "data nodes"},
			&cli.IntFlag{Name: "partitions", Value: 4, Usage: "partitions of the namespace (fixed when it is created)"},
			&cli.IntFlag{Name: "replicas", Value: 3, Usage: "replicas of each partition (fixed when it is created)"},
			&cli.StringFlag{Name: "partition-hash", Usage: "crc16 or murmur3 (fixed when the namespace is created; default crc16)"},
			&cli.StringFlag{Name: "conflict-policy", Usage: "`POLICY` for what two clusters wrote at once: default or element; none: as it is"},
			&cli.DurationFlag{Name: "max-clock-offset", Usage: "how far ahead of the clock a change from another cluster may be (default 1m)"},
			&cli.DurationFlag{Name: "tombstone-ttl", Usage: "how long what was deleted is remembered for other clusters (default 240h)"},
			&cli.BoolFlag{Name: "syncer-write-only", Usage: "only syncers may write, until POST /synceronly?enable=false"},
			&cli.IntFlag{Name: "etcd-port", Value: 2379, Usage: "etcd's client `PORT`"},
			&cli.IntFlag{Name: "redis-port", Value: 12381, Usage: "shared Redis `PORT`: keys are namespace:table:key"},
			&cli.IntFlag{Name: "http-port", Value: 12380, Usage: "HTTP `PORT`"},
			&cli.IntFlag{Name: "grpc-port", Value: 12382, Usage: "gRPC `PORT`: the feed"},
			&cli.IntFlag{Name: "raft-port", Value: 12379, Usage: "`PORT` between nodes"},
			&cli.IntFlag{Name: "namespace-port", Value: 16379, Usage: "Redis `PORT` bound to namespace default; 0: none"},
			&cli.IntFlag{Name: "cluster-port", Value: 17379, Usage: "Redis Cluster `PORT` of namespace default; 0: none"},
			&cli.StringFlag{Name: "pprof", Usage: "serve Go's profiles on this `ADDRESS`"},
		},
		Action: runLocal,
	}
}

func runLocal(c *cli.Context) error {
	if c.Args().Present() {
		return fmt.Errorf("local takes no arguments; got %q", c.Args().Slice())
	}
	if err := servePprof(c.String("pprof")); err != nil {
		return err
	}
	offset, err := clockOffset()
	if err != nil {
		return err
	}
	cluster, err := local.Start(c.Context, local.Options{
		ClusterID: c.String("cluster-id"), DataDir: c.String("data-dir"),
		Nodes: c.Int("nodes"), Partitions: c.Int("partitions"), Replicas: c.Int("replicas"),
		EtcdPort: c.Int("etcd-port"), RedisPort: c.Int("redis-port"), HTTPPort: c.Int("http-port"), GRPCPort: c.Int("grpc-port"),
		RaftPort: c.Int("raft-port"), NamespacePort: c.Int("namespace-port"), ClusterPort: c.Int("cluster-port"),
		PartitionHash: c.String("partition-hash"), ConflictPolicy: c.String("conflict-policy"), SyncerOnly: c.Bool("syncer-write-only"),
		Replication: partition.Replication{MaxClockOffset: c.Duration("max-clock-offset"), TombstoneTTL: c.Duration("tombstone-ttl")},
		ClockOffset: offset, Version: version, Logger: logger(),
	})
	if err != nil {
		return err
	}
	printReady(c.App.Writer, cluster)
	err = cluster.Wait(c.Context)
	if cerr := cluster.Close(); err == nil {
		err = cerr
	}
	return err
}

// printReady tells where everything is and what to try, in one write: who waits for the first line finds the rest there.
func printReady(out io.Writer, c *local.Cluster) {
	w := new(bytes.Buffer)
	fmt.Fprintf(w, "ready: etcd %s\n", c.EtcdEndpoint())
	for i, a := range c.Addresses() {
		fmt.Fprintf(w, "  node %d: redis %s  http %s  grpc %s", i, a.Redis, a.HTTP, a.GRPC)
		if a.Namespace != "" {
			fmt.Fprintf(w, "  namespace %s on %s", local.Namespace, a.Namespace)
		}
		if a.Cluster != "" {
			fmt.Fprintf(w, "  cluster port %s", a.Cluster)
		}
		fmt.Fprintln(w)
	}
	first := c.Addresses()[0]
	fmt.Fprintln(w, "try:")
	if _, port, err := net.SplitHostPort(first.Namespace); err == nil {
		fmt.Fprintf(w, "  redis-cli -p %s set greeting hello\n", port)
	} else if _, port, err := net.SplitHostPort(first.Redis); err == nil {
		fmt.Fprintf(w, "  redis-cli -p %s set %s:demo:greeting hello\n", port, local.Namespace)
	}
	fmt.Fprintf(w, "  bin/zankv-cdc tail --nodes %s --namespace %s --partition 0 --from earliest\n", first.GRPC, local.Namespace)
	_, _ = out.Write(w.Bytes())
}
