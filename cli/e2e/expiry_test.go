package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cli/internal/processes"
)

// gone wants a key to be invisible to everything that could show it.
func gone(t *testing.T, c *redis.Client, key string) {
	t.Helper()
	ctx := bounded(t)
	if err := c.Get(ctx, key).Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET %s: %v", key, err)
	}
	if n, err := c.Exists(ctx, key).Result(); err != nil || n != 0 {
		t.Errorf("EXISTS %s: %d, %v", key, n, err)
	}
	if d, err := c.PTTL(ctx, key).Result(); err != nil || d != -2 {
		t.Errorf("PTTL %s: %v, %v", key, d, err)
	}
	if kind, err := c.Type(ctx, key).Result(); err != nil || kind != "none" {
		t.Errorf("TYPE %s: %s, %v", key, kind, err)
	}
	keys, _, err := c.Scan(ctx, 0, key, 5000).Result()
	if err != nil || len(keys) > 0 {
		t.Errorf("SCAN MATCH %s: %v, %v", key, keys, err)
	}
}

// removed finds the removal of an expired key in the feed.
func removed(t *testing.T, c *processes.Cluster, key string) change {
	t.Helper()
	f := following(t, tailArgs(c, "default", partitionOf(t, c, key, c.Partitions), "--from", "earliest")...)
	defer func() {
		_ = f.cmd.Process.Kill()
		_ = f.cmd.Wait() // killed
	}()
	for f.lines.Scan() {
		if list := changes(t, f.lines.Text()); list[0].Key == key && list[0].Op == "expire" {
			return list[0]
		}
	}
	t.Fatalf("the feed ended before the removal of %s: %v", key, f.lines.Err())
	return change{}
}

// An expired key is gone for everybody at once, and soon after its removal is an event.
func TestExpiry(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	for i, n := range c.Nodes {
		key := fmt.Sprintf("expiry:%d", i)
		at := time.Now().Add(700 * time.Millisecond)
		must(t, "SET", plain(t, n.Bound("default")).Do(t.Context(), "SET", key, "v", "PXAT", at.UnixMilli()).Err())
		await(t, key+" expires", func() error {
			if err := plain(t, n.Bound("default")).Get(t.Context(), key).Err(); !errors.Is(err, redis.Nil) {
				return fmt.Errorf("GET: %v", err)
			}
			return nil
		})
		if time.Now().Before(at.Truncate(time.Millisecond)) {
			t.Errorf("%s expired before its time", key)
		}
		for _, m := range c.Nodes {
			gone(t, plain(t, m.Bound("default")), key)
		}
		// Once a second, and a busy machine's slack.
		if e := removed(t, c, key); e.Time.Before(at.Truncate(time.Millisecond)) || e.Time.After(at.Add(5*time.Second)) {
			t.Errorf("%s, due at %v, was removed at %v", key, at, e.Time)
		}
	}
}

// Times to live don't start anew with the process, and what expired while it was down is gone.
func TestExpirySurvivesRestarts(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, processes.Options{Nodes: 1, Partitions: 1, Replicas: 1})
	n := c.Nodes[0]
	client := plain(t, n.Bound("default"))
	ctx := t.Context()
	must(t, "SET", client.Set(ctx, "stays", "v", time.Hour).Err())
	must(t, "SET", client.Set(ctx, "for ever", "v", 0).Err())
	at := time.Now().Add(time.Second)
	must(t, "SET", client.Do(ctx, "SET", "goes", "v", "PXAT", at.UnixMilli()).Err())
	want, err := client.PExpireTime(ctx, "stays").Result()
	must(t, "PEXPIRETIME", err)
	n.Kill()
	await(t, "its time comes", func() error {
		if time.Now().After(at) {
			return nil
		}
		return errors.New("not yet")
	})
	must(t, "start", n.Start())
	must(t, "ready", c.Ready(bounded(t), n))
	if got, err := client.PExpireTime(ctx, "stays").Result(); err != nil || got != want || want <= 0 {
		t.Errorf("PEXPIRETIME after a restart: %v, %v; want %v", got, err, want)
	}
	if got, err := client.PTTL(ctx, "for ever").Result(); err != nil || got != -1 {
		t.Errorf("PTTL of a key without: %v, %v", got, err)
	}
	gone(t, client, "goes")
	removed(t, c, "goes")
}
