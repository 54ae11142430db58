package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cli/internal/processes"
)

// single is a client with one connection, so that what it is told about the connection stays true.
func single(t *testing.T, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, PoolSize: 1, ReadTimeout: patience, WriteTimeout: patience})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Any node takes any write and answers any read: what one acknowledged, all show at once.
func TestEveryNodeAnswers(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	for i, n := range c.Nodes {
		in := plain(t, n.Bound("default"))
		for j, key := range spread("routes:every", 16) {
			value := fmt.Sprint(i, " ", j)
			must(t, "SET", in.Set(t.Context(), key, value, 0).Err())
			for k, m := range c.Nodes {
				for _, out := range []struct{ addr, key string }{{m.Bound("default"), key}, {m.Redis(), "default:" + key}} {
					if got, err := plain(t, out.addr).Get(t.Context(), out.key).Result(); err != nil || got != value {
						t.Fatalf("written through node %d, read from node %d as %s: %q, %v; want %q", i, k, out.key, got, err, value)
					}
				}
			}
		}
	}
	shared := plain(t, c.Nodes[2].Redis())
	must(t, "SET", shared.Set(t.Context(), "default:routes:there", "v", 0).Err())
	if got, err := plain(t, c.Nodes[0].Bound("default")).Get(t.Context(), "routes:there").Result(); err != nil || got != "v" {
		t.Errorf("written on the shared port, read on the bound one: %q, %v", got, err)
	}
}

// A cluster port serves what its node leads, and sends on to the leader's cluster port what it doesn't.
func TestClusterPortMoves(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	ctx := bounded(t)
	for _, key := range spread("routes:moved", 12) {
		slot := int(plain(t, c.Nodes[0].Bound("default")).ClusterKeySlot(ctx, key).Val())
		leader := leaderOf(t, c, "default", slot)
		must(t, "SET on the leader", plain(t, leader.Cluster("default")).Set(ctx, key, "v", 0).Err())
		want := fmt.Sprintf("MOVED %d %s", slot, leader.Cluster("default"))
		for _, n := range c.Nodes {
			if n == leader {
				continue
			}
			conn := single(t, n.Cluster("default"))
			for _, args := range [][]any{{"SET", key, "w"}, {"GET", key}, {"DEL", key}} {
				if err := conn.Do(ctx, args...).Err(); err == nil || err.Error() != want {
					t.Errorf("%v on a follower's cluster port: %v, want %s", args, err, want)
				}
			}
			must(t, "READONLY", conn.Do(ctx, "READONLY").Err())
			await(t, "GET after READONLY", func() error { return conn.Get(ctx, key).Err() })
			if err := conn.Set(ctx, key, "w", 0).Err(); err == nil || err.Error() != want {
				t.Errorf("SET after READONLY: %v, want %s", err, want)
			}
			must(t, "READWRITE", conn.Do(ctx, "READWRITE").Err())
			if err := conn.Get(ctx, key).Err(); err == nil || err.Error() != want {
				t.Errorf("GET after READWRITE: %v, want %s", err, want)
			}
			stale := plain(t, n.Bound("default"))
			await(t, "stale.get", func() error { return stale.Do(ctx, "stale.get", key).Err() })
		}
	}
}

// A namespace that doesn't forward has the errors that ZanKV's SDKs retry on, and its cluster ports.
func TestNoForward(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	namespace2(t, c, nsNoForward, "--partitions", "1", "--replicas", "3", "--no-forward")
	ctx := bounded(t)
	leader := leaderOf(t, c, nsNoForward, 0)
	key := nsNoForward + ":t:k"
	must(t, "SET on the leader", plain(t, leader.Redis()).Set(ctx, key, "v", 0).Err())
	for _, n := range c.Nodes {
		if n == leader {
			continue
		}
		err := plain(t, n.Redis()).Get(ctx, key).Err()
		want := "ERR_CLUSTER_CHANGED: partition of the namespace is not leader on the node : Err handle command get : ERR handle command get, " + key
		if err == nil || err.Error() != want {
			t.Errorf("GET on a follower: %v, want %s", err, want)
		}
		if err := plain(t, n.Redis()).Set(ctx, key, "w", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "ERR_CLUSTER_CHANGED") {
			t.Errorf("SET on a follower: %v", err)
		}
	}
	if got, err := plain(t, leader.Redis()).Get(ctx, key).Result(); err != nil || got != "v" {
		t.Errorf("GET on the leader: %q, %v", got, err)
	}
}

// namespace2 makes a namespace whose nodes don't all answer DBSIZE, and waits until one leads its first partition.
func namespace2(t *testing.T, c *processes.Cluster, name string, flags ...string) {
	t.Helper()
	_, err := c.CreateNamespace(t.Context(), name, flags...)
	must(t, "namespace", err)
	await(t, "a leader of "+name+" on every node", func() error {
		for i, n := range c.Nodes {
			shards, err := plain(t, n.Bound(name)).ClusterShards(t.Context()).Result()
			if err != nil || len(shards) == 0 {
				return fmt.Errorf("node %s: %d shards, %w", strconv.Itoa(i), len(shards), err)
			}
		}
		return nil
	})
}
