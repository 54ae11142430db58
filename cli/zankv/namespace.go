package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/meta/admin"
	"github.com/zankv/zankv/cluster/meta/etcdmeta"
	"github.com/zankv/zankv/cluster/meta/etcdserver"
)

func namespaceCommand() *cli.Command {
	return &cli.Command{
		Name:  "namespace",
		Usage: "create namespaces, and change what of them can be changed",
		Subcommands: []*cli.Command{{
			Name:  "create",
			Usage: "write a namespace's metadata and its placement over the live data nodes",
			Description: `Waits for enough live nodes, places every partition's replicas, and returns when each partition has a leader.

Example:

   zankv namespace create --etcd 127.0.0.1:2379 --cluster-id dc-a --name orders --partitions 16 --replicas 3`,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "etcd", Required: true, Usage: "etcd's client `ADDRESSES`, separated by commas"},
				&cli.StringFlag{Name: "cluster-id", Required: true, Usage: "`ID` of the cluster"},
				&cli.StringFlag{Name: "name", Required: true, Usage: "`NAME` of letters, digits and underscores"},
				&cli.IntFlag{Name: "partitions", Value: 4, Usage: "partitions; they never change"},
				&cli.IntFlag{Name: "replicas", Value: 3, Usage: "replicas of each partition"},
				&cli.StringFlag{Name: "partition-hash", Value: meta.HashCRC16, Usage: "crc16 or murmur3"},
				&cli.StringFlag{Name: "read-mode", Usage: "quorum: every read asks a quorum; else leaders read under a lease"},
				&cli.StringFlag{Name: "conflict-policy", Value: meta.ConflictDefault, Usage: "what counts where two clusters wrote at once: default or element (members of sets and sorted sets by time, too)"},
				&cli.StringFlag{Name: "password", Usage: "what AUTH <namespace> <password> wants; none: nothing"},
				&cli.BoolFlag{Name: "optimizedfsync", Usage: "acknowledge writes before they are synced: a power loss of a quorum may lose some"},
				&cli.BoolFlag{Name: "no-forward", Usage: "answer ERR_CLUSTER_CHANGED instead of passing commands on to the leader"},
				&cli.IntFlag{Name: "min-nodes", Usage: "live nodes to wait for; at least as many as replicas"},
				&cli.DurationFlag{Name: "wait", Value: time.Minute, Usage: "how long to wait for nodes and leaders"},
			},
			Action: createNamespace,
		}, {
			Name:  "set",
			Usage: "change a namespace's settings; nodes take them over at once",
			Description: `Example:

   zankv namespace set --etcd 127.0.0.1:2379 --cluster-id dc-a --name orders --conflict-policy element`,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "etcd", Required: true, Usage: "etcd's client `ADDRESSES`, separated by commas"},
				&cli.StringFlag{Name: "cluster-id", Required: true, Usage: "`ID` of the cluster"},
				&cli.StringFlag{Name: "name", Required: true, Usage: "`NAME` of the namespace"},
				&cli.StringFlag{Name: "conflict-policy", Required: true, Usage: "default or element"},
			},
			Action: setNamespace,
		}},
	}
}

func createNamespace(c *cli.Context) (err error) {
	store, err := etcdmeta.Open(etcdmeta.Options{
		Endpoints: strings.Split(c.String("etcd"), ","), ClusterID: c.String("cluster-id"), Logger: logger(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	ns := meta.DefaultNamespace()
	ns.Name, ns.Partitions, ns.Replicas = c.String("name"), c.Int("partitions"), c.Int("replicas")
	ns.PartitionHash, ns.ReadMode, ns.Password = c.String("partition-hash"), c.String("read-mode"), c.String("password")
	ns.ConflictPolicy = c.String("conflict-policy")
	ns.OptimizedFsync, ns.Forward = c.Bool("optimizedfsync"), !c.Bool("no-forward")
	created, err := admin.CreateNamespace(c.Context, store, admin.CreateOptions{
		Namespace: ns, MinNodes: c.Int("min-nodes"), Wait: c.Duration("wait"),
	})
	if err != nil {
		return fmt.Errorf("create namespace %s: %w", ns.Name, err)
	}
	ctx, cancel := contextWithTimeout(c, "wait")
	defer cancel()
	if err := admin.WaitReady(ctx, store, ns.Name); err != nil {
		return fmt.Errorf("namespace %s is created, but not ready: %w", ns.Name, err)
	}
	_, err = fmt.Fprintf(c.App.Writer, "namespace %s: %d partitions × %d replicas, groups from %d, ready\n",
		created.Name, created.Partitions, created.Replicas, created.MinGID)
	return err
}

func setNamespace(c *cli.Context) (err error) {
	store, err := etcdmeta.Open(etcdmeta.Options{
		Endpoints: strings.Split(c.String("etcd"), ","), ClusterID: c.String("cluster-id"), Logger: logger(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	ns, err := store.SetConflictPolicy(c.Context, c.String("name"), c.String("conflict-policy"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "namespace %s: conflict policy %s\n", ns.Name, ns.ConflictPolicy)
	return err
}

func etcdCommand() *cli.Command {
	return &cli.Command{
		Name:  "etcd",
		Usage: "run a single etcd member, for machines without etcd; not for production",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "data-dir", Required: true, Usage: "`FOLDER` for its data"},
			&cli.StringFlag{Name: "host", Value: "127.0.0.1", Usage: "`ADDRESS` to listen on"},
			&cli.IntFlag{Name: "client-port", Value: 2379, Usage: "`PORT` for clients"},
		},
		Action: func(c *cli.Context) error {
			server, err := etcdserver.Start(c.Context, etcdserver.Options{
				DataDir: c.String("data-dir"), Host: c.String("host"), ClientPort: c.Int("client-port"),
			})
			if err != nil {
				return err
			}
			defer server.Close()
			fmt.Fprintf(c.App.Writer, "ready: etcd %s\n", server.Endpoint())
			select {
			case <-c.Done():
				return nil
			case <-server.Stopped():
				return errors.New("etcd stopped")
			}
		},
	}
}

// contextWithTimeout bounds a command by one of its flags.
func contextWithTimeout(c *cli.Context, flag string) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Context, c.Duration(flag))
}
