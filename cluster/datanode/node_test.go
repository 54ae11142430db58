package datanode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// foldSnapshot reads a whole snapshot.
func foldSnapshot(ctx context.Context, cfg feed.SnapshotConfig) (base feed.SnapshotBase, fold *event.Fold, err error) {
	r, err := feed.OpenSnapshot(ctx, cfg)
	if err != nil {
		return base, nil, err
	}
	defer r.Close()
	fold = &event.Fold{}
	for {
		ev, _, err := r.Next()
		if errors.Is(err, io.EOF) {
			return *r.Base(), fold, fold.Err()
		}
		if err != nil {
			return base, nil, err
		}
		fold.Event(ev)
	}
}

// foldLog goes on with the log, to its end.
func foldLog(ctx context.Context, cfg feed.Config, fold *event.Fold) error {
	r, err := feed.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			return fold.Err()
		}
		if err != nil {
			return err
		}
		if item.Event != nil {
			fold.Event(item.Event)
		}
	}
}

// A feed that begins with a snapshot, taken of any replica under writes, has what one has that read the whole log.
func TestSnapshotAndLogOfARunningCluster(t *testing.T) {
	c := startCluster(t, 3, 1, 3, 0)
	client := c.client()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pipe := client.Pipeline()
	for i := range 300 {
		pipe.HSet(ctx, "big", fmt.Sprint(i), strings.Repeat("v", 4000))
		pipe.RPush(ctx, "list", strings.Repeat("i", 2000))
		pipe.ZAdd(ctx, "scores", redis.Z{Score: float64(i % 7), Member: i})
		pipe.SetBit(ctx, "bits", int64(i)*997, 1)
		pipe.SAdd(ctx, fmt.Sprint("set", i%9), i)
		pipe.Set(ctx, fmt.Sprint("key", i), i, 0)
	}
	_, err := pipe.Exec(ctx)
	must(t, err)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			p := client.Pipeline()
			p.HIncrBy(ctx, "big", "counter", 1)
			p.LPush(ctx, "list", i)
			p.RPop(ctx, "list")
			p.ZIncrBy(ctx, "scores", 1, "1")
			p.Del(ctx, fmt.Sprint("key", i%300))
			if _, err := p.Exec(ctx); err != nil {
				stopped <- err
				return
			}
		}
	}()
	cfg := feed.SnapshotConfig{Nodes: c.addresses(), Namespace: "default"}
	var folds []*event.Fold
	var bases []feed.SnapshotBase
	for range 6 {
		base, fold, err := foldSnapshot(ctx, cfg)
		must(t, err)
		cfg.AtLeast = base.Applied // the next isn't from before
		bases, folds = append(bases, base), append(folds, fold)
	}
	close(stop)
	must(t, <-stopped)
	var whole event.Fold
	must(t, foldLog(ctx, feed.Config{Nodes: c.addresses(), Namespace: "default", From: feed.Earliest()}, &whole))
	for i, fold := range folds {
		if i > 0 && bases[i].Applied.Index < bases[i-1].Applied.Index {
			t.Errorf("snapshot %d is of %s, the one before of %s", i, bases[i].Applied, bases[i-1].Applied)
		}
		must(t, foldLog(ctx, feed.Config{Nodes: c.addresses(), Namespace: "default", From: bases[i].After()}, fold))
		equalFolds(t, fmt.Sprintf("snapshot %d at %s", i, bases[i].Position), fold, &whole)
	}
}

// equalFolds compares content; a snapshot's elements don't have versions of their own.
func equalFolds(t *testing.T, what string, got, want *event.Fold) {
	t.Helper()
	if got.Len() != want.Len() {
		t.Fatalf("%s: %d keys, want %d", what, got.Len(), want.Len())
	}
	for _, key := range want.Keys() {
		g, _ := got.Get([]byte(key))
		w, _ := want.Get([]byte(key))
		if fmt.Sprint(g) != fmt.Sprint(w) {
			t.Fatalf("%s: %q is %+v, want %+v", what, key, g, w)
		}
		if g, w := elementsOf(got, key), elementsOf(want, key); g != w {
			t.Fatalf("%s: %q has\n%.2000s\nwant\n%.2000s", what, key, g, w)
		}
	}
}

func elementsOf(fold *event.Fold, key string) string {
	var b strings.Builder
	for e := range fold.Elements([]byte(key)) {
		fmt.Fprintf(&b, "%q %q %v\n", e.Sub, e.Value, e.Score)
	}
	return b.String()
}

// A consumer is moved at whichever node, and operators see it: in /stats, in /metrics, and by gRPC.
func TestConsumersOfARunningCluster(t *testing.T) {
	c := startCluster(t, 3, 1, 3, 0)
	client := c.client()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var at []event.Position
	consumers := feed.NewConsumers(c.addresses())
	defer consumers.Close()
	for i := range 5 {
		must(t, client.Set(ctx, "k", i, 0).Err())
		held, err := consumers.Retained(ctx, "default", 0)
		must(t, err)
		at = append(at, held.Last)
	}
	for _, node := range c.addresses() {
		moved, err := feed.SetConsumer(ctx, []string{node}, "default", 0, "kafka", at[2])
		must(t, err)
		if moved.Position != at[2] || moved.LagEntries != at[4].Index-at[2].Index || moved.LagBytes == 0 || moved.Lost || moved.Headroom <= 71*time.Hour || moved.HeadroomDisk <= 0 {
			t.Errorf("by %s: %+v", node, moved)
		}
	}
	if late, err := consumers.Set(ctx, "default", 0, "kafka", at[0]); err != nil || late.Position != at[2] {
		t.Errorf("late: %+v, %v", late, err)
	}
	var problem *feed.Error
	if _, err := consumers.Set(ctx, "default", 0, "kafka", event.Position{Term: 2, Index: 1 << 40}); !errors.As(err, &problem) || problem.Kind != feed.Ahead {
		t.Errorf("beyond the log: %v, want Ahead", err)
	}
	leaders := 0
	for _, n := range c.nodes {
		eventuallyHas(t, "/stats", func() string { return get(t, n, "/stats?leader_only=false") }, `"id": "kafka"`)
		leaders += checkConsumerStats(t, n, at[2])
	}
	if leaders != 1 {
		t.Errorf("%d nodes have the consumer's lag in /metrics, want the leader", leaders)
	}
	must(t, consumers.Remove(ctx, "default", 0, "kafka"))
	if list, err := consumers.List(ctx, "default", 0); err != nil || len(list) != 0 {
		t.Errorf("removed: %+v, %v", list, err)
	}
}

// checkConsumerStats says how many partitions' consumers are in the node's metrics.
func checkConsumerStats(t *testing.T, n *testNode, want event.Position) int {
	t.Helper()
	var reply struct {
		Stats struct {
			Partitions []partitionStats `json:"ns_stats"`
		}
	}
	must(t, json.Unmarshal([]byte(get(t, n, "/stats?leader_only=false")), &reply))
	p := reply.Stats.Partitions
	if len(p) != 1 || len(p[0].Consumers) != 1 || p[0].Consumers[0].Position != want.String() || p[0].Log.LimitBytes != 256<<20 || p[0].Log.LimitSeconds != 72*3600 {
		t.Errorf("node %d: /stats %+v", n.id, p)
	}
	metrics := get(t, n, "/metrics")
	for _, name := range []string{"zankv_partition_oldest_retained_index", "zankv_cdc_consumer_limit_bytes", "zankv_feed_snapshots"} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("node %d: /metrics has no %s", n.id, name)
		}
	}
	return strings.Count(metrics, `zankv_cdc_consumer_lag_entries{consumer="kafka",partition="default-0"} `)
}

// quietBytes are more than what makes a partition's log be looked at.
const quietBytes = pinBytes + 64<<20

// The log of a partition that is quiet is moved to the head, so that it holds no old segments, and a consumer that stands in it keeps its place,
// whether there is an entry behind it or not.
func TestQuietPartitionIsMoved(t *testing.T) {
	c := startCluster(t, 1, 1, 1, 0)
	client := c.client()
	n, ctx := c.nodes[0].Node, t.Context()
	for i := range 10 {
		must(t, client.Set(ctx, "k", i, 0).Err())
	}
	r := n.table.lookup("default").replicas[0].Load()
	state, _ := r.State()
	must(t, r.SetConsumer(ctx, "head", state.LastEvent))
	must(t, r.SetConsumer(ctx, "behind", event.Position{Term: state.LastEvent.Term, Index: state.LastEvent.Index - 4}))
	writeElsewhere(t, n, quietBytes)
	before := n.log.Stats().Segments
	if pins := n.log.Pinning(); len(pins) == 0 || pins[0].Behind < pinBytes {
		t.Fatalf("nothing is behind: %+v", pins)
	}
	must(t, n.unpin())
	writeElsewhere(t, n, 1<<20)
	if pins := n.log.Pinning(); len(pins) > 0 && pins[0].Behind >= pinBytes {
		t.Errorf("%+v: the partition still holds old segments, of %d", pins, before)
	}
	h, err := r.Holding()
	must(t, err)
	for _, one := range h.Consumers {
		if one.Lost || (one.ID == "head") != (one.LagEntries == 0) || one.Headroom < 71*time.Hour {
			t.Errorf("%+v", one)
		}
		var fold event.Fold
		must(t, foldLog(ctx, feed.Config{Nodes: c.addresses(), Namespace: "default", From: feed.AfterPosition(one.Position), GiveUp: time.Second}, &fold))
		if got, _ := fold.Get([]byte("k")); one.ID == "behind" && string(got.Value) != "9" {
			t.Errorf("%s reads %q", one.ID, got.Value)
		}
	}
}

// A quiet partition that has more left than can be moved doesn't hold the log until the cap takes it: what has the age goes, the rest is moved, and
// its consumer goes on where it was.
func TestLargeQuietPartitionIsMoved(t *testing.T) {
	c := startTuned(t, 1, 1, 1, 0, func(o *Options) {
		o.LogDiskBytes = farShare * pinBytes
		o.Retention.Age = time.Nanosecond
	})
	client := c.client()
	n, ctx := c.nodes[0].Node, t.Context()
	for range 40 {
		must(t, client.Set(ctx, "k", strings.Repeat("x", 100<<10), 0).Err())
	}
	r := n.table.lookup("default").replicas[0].Load()
	state, _ := r.State()
	must(t, r.SetConsumer(ctx, "head", state.LastEvent))
	writeElsewhere(t, n, quietBytes)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for timeout := time.After(15 * time.Second); ; {
		if pins := n.log.Pinning(); len(pins) == 0 || pins[0].Behind < pinBytes {
			break
		}
		must(t, n.unpin())
		writeElsewhere(t, n, 1) // truncations are written with what comes next
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("after 15 s it still holds old segments: %+v, %+v", n.log.Pinning(), r.LogStats())
		}
	}
	h, err := r.Holding()
	must(t, err)
	if one := h.Consumers[0]; one.Lost || one.LagEntries != 0 || one.Position != state.LastEvent {
		t.Errorf("%+v", one)
	}
	must(t, client.Set(ctx, "k", "after", 0).Err())
	var fold event.Fold
	must(t, foldLog(ctx, feed.Config{Nodes: c.addresses(), Namespace: "default", From: feed.After(state.LastEvent, state.Chain), GiveUp: time.Second}, &fold))
	if got, _ := fold.Get([]byte("k")); string(got.Value) != "after" {
		t.Errorf("it reads %q", got.Value)
	}
}
