package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cli/conformance"
	"github.com/zankv/zankv/cli/internal/processes"
)

// spread are keys of which every partition has some.
func spread(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s:%d", prefix, i)
	}
	return keys
}

// exercise is what applications do most, through whichever client.
func exercise(t *testing.T, c redis.Cmdable, prefix string) {
	t.Helper()
	ctx := bounded(t)
	keys := spread(prefix, 40)
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			p.Set(ctx, key, i, 0)
			p.IncrBy(ctx, key, 100)
			p.Append(ctx, key, "x")
		}
		return nil
	})
	must(t, "pipeline", err)
	for i, key := range keys {
		if got, err := c.Get(ctx, key).Result(); err != nil || got != fmt.Sprintf("%dx", 100+i) {
			t.Fatalf("GET %s: %q, %v; want %dx", key, got, err, 100+i)
		}
	}
	if err := c.Incr(ctx, keys[0]).Err(); err == nil || err.Error() != "ERR value is not an integer or out of range" {
		t.Errorf("INCR of a text: %v", err)
	}
	if err := c.Get(ctx, prefix+":nothing").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET of a key that isn't there: %v", err)
	}
	if n, err := c.Del(ctx, keys[0]).Result(); err != nil || n != 1 {
		t.Errorf("DEL: %d, %v", n, err)
	}
}

// scatter uses commands whose keys lie in several partitions.
func scatter(t *testing.T, c *redis.Client, prefix string) {
	t.Helper()
	ctx := bounded(t)
	keys := spread(prefix, 100)
	var pairs []any
	for i, key := range keys {
		pairs = append(pairs, key, strconv.Itoa(i))
	}
	must(t, "MSET", c.MSet(ctx, pairs...).Err())
	values, err := c.MGet(ctx, append([]string{prefix + ":nothing"}, keys...)...).Result()
	if err != nil || len(values) != 101 || values[0] != nil {
		t.Fatalf("MGET: %v, %v", values, err)
	}
	for i, v := range values[1:] {
		if v != strconv.Itoa(i) {
			t.Fatalf("MGET's value %d is %v", i, v)
		}
	}
	if n, err := c.Exists(ctx, append(keys, keys[0], prefix+":nothing")...).Result(); err != nil || n != 101 {
		t.Errorf("EXISTS: %d, %v; want 101: a key counts as often as it is named", n, err)
	}
	if n, err := c.Del(ctx, append(keys[:60:60], keys[0])...).Result(); err != nil || n != 60 {
		t.Errorf("DEL: %d, %v; want 60", n, err)
	}
	if n, err := c.Unlink(ctx, keys...).Result(); err != nil || n != 40 {
		t.Errorf("UNLINK: %d, %v; want 40", n, err)
	}
}

func TestGoRedis(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	for i, n := range c.Nodes {
		for _, protocol := range []int{2, 3} {
			client := redis.NewClient(&redis.Options{Addr: n.Bound("default"), Protocol: protocol})
			prefix := fmt.Sprintf("goredis%d:%d", i, protocol)
			exercise(t, client, prefix)
			scatter(t, client, prefix+":many")
			must(t, "close", client.Close())
		}
	}
}

// The cluster client finds the nodes by itself and is sent to leaders; from one address alone.
func TestGoRedisCluster(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	for i, n := range c.Nodes {
		client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{n.Cluster("default")}, Protocol: 2 + i%2})
		exercise(t, client, "gocluster"+strconv.Itoa(i))
		shards, err := client.ClusterShards(bounded(t)).Result()
		must(t, "CLUSTER SHARDS", err)
		nodes := 0
		for _, shard := range shards {
			for _, node := range shard.Nodes {
				nodes++
				addr := fmt.Sprintf("%s:%d", node.IP, node.Port)
				if !slices.ContainsFunc(c.Nodes, func(n *processes.Node) bool { return n.Cluster("default") == addr }) {
					t.Errorf("CLUSTER SHARDS names %s, which is nobody's cluster port", addr)
				}
			}
		}
		if nodes != 3 {
			t.Errorf("CLUSTER SHARDS names %d nodes, want 3: %+v", nodes, shards)
		}
		readers := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{n.Cluster("default")}, ReadOnly: true, RouteRandomly: true})
		key := "goreplica" + strconv.Itoa(i)
		must(t, "SET", readers.Set(bounded(t), key, "v", 0).Err())
		await(t, "a replica has "+key, func() error { return readers.Get(t.Context(), key).Err() })
		must(t, "close", errors.Join(client.Close(), readers.Close()))
	}
}

// redis-cli -c follows MOVED from any node.
func TestRedisCLICluster(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	for i, n := range c.Nodes {
		for _, key := range spread("cli"+strconv.Itoa(i), 8) {
			if out := succeeds(t, "redis-cli", "-c", "-p", port(n.Cluster("default")), "set", key, "v"); out != "OK\n" {
				t.Errorf("set %s by node %d: %q", key, i, out)
			}
			if out := succeeds(t, "redis-cli", "-c", "-p", port(c.Nodes[(i+1)%3].Cluster("default")), "get", key); out != "v\n" {
				t.Errorf("get %s: %q", key, out)
			}
		}
	}
}

// While nothing changes, SCAN gives every key exactly once, whoever asks, in whatever steps.
func TestScanFindsAllOnce(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	namespace(t, c, nsScan, "--partitions", "4", "--replicas", "3")
	const keys = 20_000
	client := plain(t, c.Nodes[0].Bound(nsScan))
	ctx := bounded(t)
	for from := 0; from < keys; from += 1000 {
		var pairs []any
		for i := from; i < from+1000; i++ {
			pairs = append(pairs, fmt.Sprintf("scan:%d", i), "v")
		}
		must(t, "MSET", client.MSet(ctx, pairs...).Err())
	}
	for i, count := range []int64{10, 777, 5000} {
		if i == 0 && testing.Short() {
			continue
		}
		client := plain(t, c.Nodes[i].Bound(nsScan))
		checkOnce(t, fmt.Sprintf("SCAN COUNT %d on node %d", count, i), keys, func(found func(string)) {
			it := client.Scan(ctx, 0, "", count).Iterator()
			for it.Next(ctx) {
				found(it.Val())
			}
			must(t, "SCAN", it.Err())
		})
	}
	out := succeeds(t, "redis-cli", "-p", port(c.Nodes[1].Bound(nsScan)), "--scan", "--pattern", "*")
	checkOnce(t, "redis-cli --scan", keys, func(found func(string)) {
		for key := range strings.Lines(out) {
			found(strings.TrimSuffix(key, "\n"))
		}
	})
	checkOnce(t, "SCAN of the cluster ports together", keys, func(found func(string)) {
		for _, n := range c.Nodes {
			it := plain(t, n.Cluster(nsScan)).Scan(ctx, 0, "", 1000).Iterator()
			for it.Next(ctx) {
				found(it.Val())
			}
			must(t, "SCAN", it.Err())
		}
	})
	matched := plain(t, c.Nodes[2].Bound(nsScan)).Scan(ctx, 0, "scan:1234?", 1000).Iterator()
	n := 0
	for matched.Next(ctx) {
		n++
	}
	if n != 10 {
		t.Errorf("SCAN MATCH scan:1234?: %d keys, want 10", n)
	}
}

func checkOnce(t *testing.T, what string, want int, scan func(found func(string))) {
	t.Helper()
	seen := map[string]int{}
	scan(func(key string) { seen[key]++ })
	for key, n := range seen {
		if n != 1 {
			t.Fatalf("%s: key %s came %d times", what, key, n)
		}
	}
	if len(seen) != want {
		t.Errorf("%s: %d keys, want %d", what, len(seen), want)
	}
}

// The command suite, on a cluster: what clients of a node see is what clients of Redis see.
func TestConformance(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	for _, side := range []struct {
		namespace string
		hello     []string
	}{{nsConformance2, nil}, {nsConformance3, []string{"hello 3"}}} {
		t.Run(side.namespace, func(t *testing.T) {
			namespace(t, c, side.namespace, "--partitions", "1", "--replicas", "3")
			// The leader, as a follower's stale.get needn't see what was written just before.
			ours := conformance.Dial(t, leaderOf(t, c, side.namespace, 0).Bound(side.namespace), side.hello...)
			oracle := conformance.Dial(t, conformance.StartRedis(t), side.hello...)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			conformance.RunBrief(t, ours, oracle, seed)
			t.Run("in transactions", func(t *testing.T) { conformance.RunTransactions(t, ours, oracle, seed) })
		})
	}
}

// leaderOf is the node that leads a slot's partition.
func leaderOf(t *testing.T, c *processes.Cluster, ns string, slot int) *processes.Node {
	t.Helper()
	shards, err := plain(t, c.Nodes[0].Bound(ns)).ClusterShards(bounded(t)).Result()
	must(t, "CLUSTER SHARDS", err)
	holds := func(r redis.SlotRange) bool { return r.Start <= int64(slot) && int64(slot) <= r.End }
	for _, shard := range shards {
		for _, node := range shard.Nodes {
			for _, n := range c.Nodes {
				if node.Role == "master" && slices.ContainsFunc(shard.Slots, holds) && n.Config.ClusterPorts[ns] == int(node.Port) {
					return n
				}
			}
		}
	}
	t.Fatalf("slot %d of %s has no leader: %+v", slot, ns, shards)
	return nil
}
