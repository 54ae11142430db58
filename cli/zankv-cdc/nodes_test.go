package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/sinks"
	"github.com/zankv/zankv/cluster/datanode"
	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/engine/mem"
	"github.com/zankv/zankv/cluster/meta"
	metaadmin "github.com/zankv/zankv/cluster/meta/admin"
	"github.com/zankv/zankv/cluster/meta/memmeta"
	"github.com/zankv/zankv/replay/equal"
)

// limit is how long anything may take that happens by itself.
const limit = 60 * time.Second

// nodeCluster is a cluster of one real data node, over memory. Its default port is bound to the namespace default.
type nodeCluster struct {
	t     *testing.T
	id    string
	store *memmeta.Store
	grpc  string
	end   func() // ends the node, once
	*redis.Client
}

func newNodeCluster(t *testing.T, id string, partitions int) *nodeCluster {
	t.Helper()
	c := &nodeCluster{t: t, id: id, store: memmeta.New()}
	t.Cleanup(func() { _ = c.store.Close() })
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := datanode.Listeners{Redis: listen(), HTTP: listen(), GRPC: listen(), Raft: listen(), Namespace: map[string]net.Listener{"default": listen()}}
	c.grpc = l.GRPC.Addr().String()
	known := sinks.All(sinks.Options{Cluster: id, Nodes: []string{c.grpc}})
	node, err := datanode.Open(t.Context(), datanode.Options{
		ClusterID: id, DataDir: t.TempDir(), Advertise: "127.0.0.1", Version: "test", Listeners: l, Meta: c.store,
		OpenEngine: func(dir string) (engine.Engine, error) { return mem.Open(dir, mem.Options{}) }, EngineName: "mem",
		Logger: slog.New(slog.DiscardHandler), Tick: 20 * time.Millisecond, ElectionTicks: 10, RowCacheBytes: 1 << 20, LogDiskBytes: 1 << 30,
		Changefeeds: datanode.Changefeeds{
			Registry: c.store.Changefeeds(), MemoryBytes: 16 << 20, Sinks: known.Open, Checks: known.Check, OpenArchive: known.OpenArchive, CloseSinks: known.Close,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- node.Run(ctx) }()
	c.end = sync.OnceFunc(func() {
		stop()
		if err := <-over; err != nil {
			t.Errorf("node of %s: %v", id, err)
		}
		if err := node.Close(); err != nil {
			t.Errorf("node of %s: close: %v", id, err)
		}
	})
	t.Cleanup(c.end)
	c.namespace("default", partitions)
	c.Client = redis.NewClient(&redis.Options{Addr: l.Namespace["default"].Addr().String(), PoolSize: 4})
	t.Cleanup(func() { _ = c.Client.Close() })
	return c
}

// namespace makes one, and waits until its partitions are led.
func (c *nodeCluster) namespace(name string, partitions int) {
	c.t.Helper()
	ns := meta.DefaultNamespace()
	ns.Name, ns.Partitions, ns.Replicas = name, partitions, 1
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	if _, err := metaadmin.CreateNamespace(ctx, c.store, metaadmin.CreateOptions{Namespace: ns, MinNodes: 1}); err != nil {
		c.t.Fatal(err)
	}
	if err := metaadmin.WaitReady(ctx, c.store, name); err != nil {
		c.t.Fatal(err)
	}
}

// write sets and counts, over all partitions.
func (c *nodeCluster) write(from, to int) {
	c.t.Helper()
	for i := from; i < to; i++ {
		if err := c.Set(c.t.Context(), fmt.Sprintf("t:%d", i), i, 0).Err(); err != nil {
			c.t.Fatal(err)
		}
		if err := c.Incr(c.t.Context(), fmt.Sprintf("count:%d", i%7)).Err(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// until asks again and again until ok.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.After(limit)
	for tick := time.NewTicker(20 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never %s", what)
		}
	}
}

// same waits until this cluster has what write made up to a number, counted once each.
func (c *nodeCluster) same(to int) {
	c.t.Helper()
	until(c.t, fmt.Sprintf("the same as %d writes", to), func() bool {
		for i := range 7 {
			n, err := c.Get(c.t.Context(), fmt.Sprintf("count:%d", i)).Int()
			if want := (to + 6 - i) / 7; err != nil && err != redis.Nil || n != want {
				if n > want {
					c.t.Fatalf("count:%d is %d, want %d: something was carried twice", i, n, want)
				}
				return false
			}
		}
		return c.Exists(c.t.Context(), fmt.Sprintf("t:%d", to-1)).Val() == 1
	})
}

// owners waits for those of a changefeed.
func (c *nodeCluster) owners(id, what string, ok func(map[uint32]changefeed.Owner) bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	for v := range c.store.Changefeeds().Watch(ctx) {
		if f := v.Feeds[id]; f != nil && ok(f.Owners) {
			return
		}
	}
	c.t.Fatalf("changefeed %s: never %s", id, what)
}

// adopt has b take a's positions for its own, where nothing was written yet: it needs no full sync.
func adopt(t *testing.T, a, b *nodeCluster) {
	t.Helper()
	var clusters []*equal.Cluster
	for _, c := range []*nodeCluster{a, b} {
		one, err := equal.Dial([]string{c.grpc})
		if err != nil {
			t.Fatal(err)
		}
		defer one.Close()
		clusters = append(clusters, one)
	}
	if _, err := equal.Adopt(t.Context(), clusters[0], clusters[1], "default", equal.AdoptOptions{}); err != nil {
		t.Fatal(err)
	}
}
