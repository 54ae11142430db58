package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// plainTarget is one server that is sent all keys.
func plainTarget(port func() int) func(context.Context) ([]target, error) {
	return func(context.Context) ([]target, error) {
		return []target{{port: port(), key: "key:__rand_int__"}}, nil
	}
}

// leaderTargets are, for each partition of a namespace whose partition is slot·partitions/16384, the cluster port of its
// leader and keys of that partition. redis-benchmark's own cluster mode isn't used: it sends all that goes to a node to a
// single slot, hence to one partition.
func leaderTargets(port func() int, partitions int) func(context.Context) ([]target, error) {
	return func(ctx context.Context) ([]target, error) {
		c := redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port()))})
		defer func() { _ = c.Close() }()
		ctx, cancel := context.WithTimeout(ctx, electionWait)
		defer cancel()
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			targets, err := askLeaders(ctx, c, partitions)
			if err == nil {
				return targets, nil
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return nil, fmt.Errorf("leaders, from port %d: %w", port(), errors.Join(err, ctx.Err()))
			}
		}
	}
}

// electionWait is how long a partition may be without a leader.
const electionWait = 15 * time.Second

func askLeaders(ctx context.Context, c *redis.Client, partitions int) ([]target, error) {
	shards, err := c.ClusterShards(ctx).Result()
	if err != nil {
		return nil, err
	}
	targets := make([]target, partitions)
	for p := range targets {
		tag, slot := tagOf(p, partitions)
		leader, err := leaderOf(shards, slot)
		if err != nil {
			return nil, err
		}
		targets[p] = target{port: leader, key: "key:{" + tag + "}:__rand_int__"}
	}
	return targets, nil
}

func leaderOf(shards []redis.ClusterShard, slot int) (port int, err error) {
	for _, shard := range shards {
		if !slices.ContainsFunc(shard.Slots, func(r redis.SlotRange) bool {
			return r.Start <= int64(slot) && int64(slot) <= r.End
		}) {
			continue
		}
		for _, n := range shard.Nodes {
			if n.Role == "master" {
				return int(n.Port), nil
			}
		}
	}
	return 0, fmt.Errorf("CLUSTER SHARDS: nobody leads slot %d", slot)
}

// clusterSlots is Redis Cluster's number of slots.
const clusterSlots = 16384

// tagOf finds a hash tag that lies in a partition, and its slot.
func tagOf(partition, partitions int) (tag string, slot int) {
	for i := 0; ; i++ {
		tag = strconv.Itoa(i)
		slot = int(crc16(tag)) % clusterSlots
		if slot*partitions/clusterSlots == partition {
			return tag, slot
		}
	}
}

// crc16 is the CRC-16/XMODEM of Redis Cluster's specification: polynomial 0x1021, from 0.
func crc16(s string) (sum uint16) {
	for i := range len(s) {
		sum ^= uint16(s[i]) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
				continue
			}
			sum <<= 1
		}
	}
	return sum
}
