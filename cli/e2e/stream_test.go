package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cli/internal/processes"
)

// streamLines are the entries of a stream of events as zankv-cdc tail would print them. The ids of entries are looked at in passing.
func streamLines(t *testing.T, entries []redis.XMessage) (lines []string) {
	t.Helper()
	for _, e := range entries {
		for i := range len(e.Values) {
			line, ok := e.Values[fmt.Sprint(i)].(string)
			if !ok || !strings.Contains(line, fmt.Sprintf(`"position":"%s","seq":%d,"of":%d,`, e.ID, i, len(e.Values))) {
				t.Fatalf("entry %s, mutation %d of %d: %q", e.ID, i, len(e.Values), line)
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// consumer reads a stream of events as an application does: it remembers the last id, and asks any node that answers.
type consumer struct {
	clients []*redis.Client
	at      int
	key     string
	last    string
	entries []redis.XMessage
}

// until reads until an entry mentions a text.
func (r *consumer) until(ctx context.Context, text string) error {
	for ctx.Err() == nil {
		streams, err := r.clients[r.at%len(r.clients)].XRead(ctx, &redis.XReadArgs{Streams: []string{r.key, r.last}, Count: 7, Block: 300 * time.Millisecond}).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil { // its node is down: another one knows the same ids
			if strings.HasPrefix(err.Error(), "ERR") || strings.HasPrefix(err.Error(), "COMPACTED") {
				return err
			}
			r.at++
			continue
		}
		for _, e := range streams[0].Messages {
			r.entries, r.last = append(r.entries, e), e.ID
			if strings.Contains(fmt.Sprint(e.Values), text) {
				return nil
			}
		}
	}
	return fmt.Errorf("no entry mentions %s after %d, the last one %s: %w", text, len(r.entries), r.last, ctx.Err())
}

// The promise of the issue: XREAD with any Redis client is the feed. Nodes are killed under it, leaders change, transactions are whole entries, and
// what came is to the byte what zankv-cdc tail prints.
func TestXReadAcrossLeaderChanges(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, processes.Options{Nodes: 3, Partitions: 1, Replicas: 3})
	reading := &consumer{key: "__cdc__:default:0", last: "0"}
	for _, n := range c.Nodes {
		reading.clients = append(reading.clients, plain(t, n.Bound("default")))
	}
	for round := range 3 {
		leader, err := c.Leader(bounded(t), 0)
		must(t, "leader", err)
		down := c.Nodes[leader]
		down.Kill()
		client := plain(t, c.Nodes[(leader+1)%3].Bound("default"))
		for i := range 20 {
			await(t, "a write with node "+down.Name+" down", func() error {
				pipe := client.TxPipeline()
				pipe.Set(t.Context(), fmt.Sprintf("k:%d:%d", round, i), "v\xff\r\n", 0)
				pipe.HSet(t.Context(), "h", fmt.Sprint(i), round, "twice", i)
				_, err := pipe.Exec(t.Context())
				return err
			})
		}
		marker := fmt.Sprintf("marker:%d", round)
		await(t, "SET", func() error { return client.Set(t.Context(), marker, "v", 0).Err() })
		must(t, "XREAD", reading.until(bounded(t), marker))
		must(t, "start", down.Start())
		must(t, "ready", c.Ready(bounded(t), down))
	}
	tail := succeeds(t, built.CDC, tailArgs(c, "default", 0, "--from", "earliest")...)
	if got := strings.Join(streamLines(t, reading.entries), "\n") + "\n"; got != tail {
		t.Errorf("XREAD gave %d lines, zankv-cdc tail %d:\n%s\n%s", strings.Count(got, "\n"), strings.Count(tail, "\n"), got, tail)
	}
	for i, n := range c.Nodes {
		entries, err := plain(t, n.Bound("default")).XRange(bounded(t), reading.key, "-", "+").Result()
		must(t, "XRANGE", err)
		if got := strings.Join(streamLines(t, entries), "\n") + "\n"; got != tail {
			t.Errorf("XRANGE on node %d gave %d lines, zankv-cdc tail %d", i, strings.Count(got, "\n"), strings.Count(tail, "\n"))
		}
	}
}

// A node without a replica of the partition gives its events all the same, and is woken by what comes.
func TestStreamsOfOtherNodes(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	const ns = nsStream
	namespace(t, c, ns, "--partitions", "3", "--replicas", "1")
	writer := plain(t, c.Nodes[0].Bound(ns))
	for i := range 60 {
		must(t, "SET", writer.Set(t.Context(), fmt.Sprint("k", i), i, 0).Err())
	}
	ctx := bounded(t)
	for p := range 3 {
		key := fmt.Sprintf("__cdc__:%s:%d", ns, p)
		want := strings.Split(strings.TrimSpace(succeeds(t, built.CDC, tailArgs(c, ns, p, "--from", "earliest")...)), "\n")
		for i, n := range c.Nodes {
			client := plain(t, n.Bound(ns))
			all, err := client.XRange(ctx, key, "-", "+").Result()
			must(t, "XRANGE", err)
			if got := streamLines(t, all); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Fatalf("partition %d on node %d: %d lines, want %d", p, i, len(got), len(want))
			}
			middle := len(all) / 2
			for _, ask := range []struct{ from, to string }{{all[middle].ID, "+"}, {"(" + all[middle-1].ID, "+"}, {"-", all[middle].ID}, {"-", "(" + all[middle].ID}} {
				part, err := client.XRange(ctx, key, ask.from, ask.to).Result()
				must(t, "XRANGE", err)
				wanted := all[middle:]
				if ask.from == "-" {
					wanted = all[:middle+1]
					if ask.to[0] == '(' {
						wanted = all[:middle]
					}
				}
				if fmt.Sprint(part) != fmt.Sprint(wanted) {
					t.Errorf("partition %d on node %d, %v: %d entries, want %d", p, i, ask, len(part), len(wanted))
				}
			}
			after, err := client.XRead(ctx, &redis.XReadArgs{Streams: []string{key, all[middle].ID}, Count: 3, Block: -1}).Result()
			if err != nil || fmt.Sprint(after[0].Messages) != fmt.Sprint(all[middle+1:min(middle+4, len(all))]) {
				t.Errorf("partition %d on node %d: XREAD after %s: %v, %v", p, i, all[middle].ID, after, err)
			}
			last := all[len(all)-1].ID
			if r, err := client.XRead(ctx, &redis.XReadArgs{Streams: []string{key, last}, Block: 10 * time.Millisecond}).Result(); !errors.Is(err, redis.Nil) {
				t.Errorf("partition %d on node %d: at the end: %v, %v", p, i, r, err)
			}
		}
	}
	for i, n := range c.Nodes {
		client := plain(t, n.Bound(ns))
		woken := make(chan error, 1)
		go func() {
			// From ids, not from $: what is written before it waits counts too.
			var args []string
			for p := range 3 {
				args = append(args, fmt.Sprintf("__cdc__:%s:%d", ns, p))
			}
			for p := range 3 {
				tail, err := client.XRange(ctx, args[p], "-", "+").Result()
				if err != nil || len(tail) == 0 {
					woken <- fmt.Errorf("XRANGE: %d entries, %w", len(tail), err)
					return
				}
				args = append(args, tail[len(tail)-1].ID)
			}
			woken <- nil
			streams, err := client.XRead(ctx, &redis.XReadArgs{Streams: args, Block: 0}).Result()
			if err == nil && !strings.Contains(fmt.Sprint(streams), fmt.Sprintf("wake%d", i)) {
				err = fmt.Errorf("woken by %v", streams)
			}
			woken <- err
		}()
		must(t, "XRANGE", <-woken)
		must(t, "SET", writer.Set(t.Context(), fmt.Sprintf("wake%d", i), "v", 0).Err())
		must(t, fmt.Sprintf("XREAD BLOCK 0 on node %d", i), <-woken)
	}
}

// What was compacted away is an error that names the oldest position left, never a gap.
func TestXReadOfACompactedPosition(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, processes.Options{Nodes: 1, Partitions: 1, Replicas: 1, Configure: tinyLog})
	client := plain(t, c.Nodes[0].Bound("default"))
	must(t, "SET", client.Set(t.Context(), "first", "v", 0).Err())
	const key = "__cdc__:default:0"
	first, err := client.XRange(t.Context(), key, "-", "+").Result()
	must(t, "XRANGE", err)
	compact(t, c, client)
	oldest, err := client.XRangeN(bounded(t), key, "-", "+", 1).Result()
	must(t, "XRANGE", err)
	before := changes(t, fmt.Sprint(oldest[0].Values["0"]))[0].Previous
	for what, err := range map[string]error{
		"XREAD":  client.XRead(bounded(t), &redis.XReadArgs{Streams: []string{key, first[0].ID}, Block: -1}).Err(),
		"XRANGE": client.XRange(bounded(t), key, first[0].ID, "+").Err(),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "COMPACTED ") || !strings.Contains(err.Error(), first[0].ID) || !strings.Contains(err.Error(), before) {
			t.Errorf("%s from %s: %v; want an error that names %s", what, first[0].ID, err, before)
		}
	}
	if after, err := client.XReadStreams(bounded(t), key, before).Result(); err != nil || after[0].Messages[0].ID != oldest[0].ID {
		t.Errorf("XREAD after %s, which the error names: %v", before, err)
	}
}
