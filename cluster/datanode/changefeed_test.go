package datanode

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/archive"
	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cluster/meta/metatest"
)

func caughtUp(at event.Position) func(*recorded) bool {
	return func(s *recorded) bool { return s.reached.Position.Compare(at) >= 0 }
}

// A changefeed that is defined at one node runs on the nodes; when one of them stops, the others go on where it was. Paused, it has no owners; removed, it
// holds no log.
func TestChangefeedRuns(t *testing.T) {
	const partitions = 3
	c := startCluster(t, 3, partitions, 3, 0)
	client := c.admin(c.nodes[1])
	c.fill(c.nodes[0], 0, 60)
	if _, err := client.Create(t.Context(), spec("f")); err != nil {
		t.Fatal(err)
	}
	for n := range uint32(partitions) {
		gapless(t, c.sink.until(t, "at the end", n, caughtUp(c.applied(n))))
	}
	registry := c.store.Changefeeds()
	v := metatest.UntilFeeds(t, registry, "all owned", func(v *changefeed.View) bool { return len(v.Feeds["f"].Owners) == partitions })
	owner := v.Feeds["f"].Owners[0].Process
	for i, n := range c.nodes {
		if n.grpc == owner {
			n.end(t)
			for p, o := range registry.View().Feeds["f"].Owners {
				if o.Process == owner {
					t.Fatalf("node %d ended, and still owns partition %d", i, p)
				}
			}
			c.nodes = append(c.nodes[:i:i], c.nodes[i+1:]...)
			break
		}
	}
	client = c.admin(c.nodes[0])
	c.fill(c.nodes[0], 60, 120)
	for n := range uint32(partitions) {
		gapless(t, c.sink.until(t, "at the end again", n, caughtUp(c.applied(n))))
	}
	s, err := client.Pause(t.Context(), "f")
	if err != nil || len(s.Owners) != 0 || s.State != changefeed.Paused {
		t.Fatalf("paused: %+v, %v", s, err)
	}
	for n := range uint32(partitions) {
		if got, want := s.Progress[n].Position, c.applied(n); got.Compare(want) < 0 {
			t.Errorf("partition %d was saved at %s, before %s", n, got, want)
		}
	}
	if err := client.Remove(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	for n := range uint32(partitions) {
		leader, _ := c.leads(n)
		if h, err := leader.replica("default", n).Holding(); err != nil || len(h.Consumers) != 0 {
			t.Errorf("the log of partition %d is still held: %+v, %v", n, h.Consumers, err)
		}
	}
}

// archived are the events of a partition that an archive has.
func archived(t *testing.T, uri string, partition uint32) recorded {
	t.Helper()
	r, err := archive.Open(uri, "default", partition, archive.ReadOptions{Cluster: "dc-a"})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := r.Events(t.Context(), changefeed.Place{From: "earliest"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var all recorded
	for {
		item, err := stream.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if item.Event != nil {
			all.events = append(all.events, *item.Stamp)
		}
	}
}

// An archive in files is whole when its owners change.
func TestChangefeedArchives(t *testing.T) {
	const partitions = 2
	c := startCluster(t, 3, partitions, 3, 0)
	uri := "file://" + t.TempDir()
	client := c.admin(c.nodes[0])
	s := spec("archive")
	s.SinkURI = uri
	if _, err := client.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		c.fill(c.nodes[0], 40*round, 40*round+40)
		status, err := client.Pause(t.Context(), "archive")
		if err != nil {
			t.Fatal(err)
		}
		if round == 2 { // the rest is flushed when it goes on, and before it rests again
			break
		}
		for n := range uint32(partitions) {
			if p := status.Progress[n]; p.State == changefeed.Failed {
				t.Fatalf("partition %d: %+v", n, p.Trouble)
			}
		}
		if round == 1 {
			c.nodes[2].end(t)
			c.nodes = c.nodes[:2]
		}
		if _, err := client.Resume(t.Context(), "archive"); err != nil {
			t.Fatal(err)
		}
		metatest.UntilFeeds(t, c.store.Changefeeds(), "all owned again", func(v *changefeed.View) bool { return len(v.Feeds["archive"].Owners) == partitions })
	}
	if _, err := client.Resume(t.Context(), "archive"); err != nil {
		t.Fatal(err)
	}
	for n := range uint32(partitions) {
		last := c.applied(n)
		metatest.UntilFeeds(t, c.store.Changefeeds(), "at the end", func(v *changefeed.View) bool {
			return v.Feeds["archive"].Progress[n].Position.Compare(last) >= 0
		})
		all := archived(t, uri, n)
		gapless(t, all)
		if end := all.events[len(all.events)-1].Position; end != last {
			t.Errorf("partition %d ends at %s in the archive, at %s in the store", n, end, last)
		}
	}
}

// A node that is told not to runs none, and serves the definitions.
func TestChangefeedsOff(t *testing.T) {
	c := startCluster(t, 1, 1, 1, 1)
	client := c.admin(c.nodes[0])
	s, err := client.Create(t.Context(), spec("f"))
	if err != nil || s.Partitions != 1 {
		t.Fatalf("got %+v, %v", s, err)
	}
	if c.nodes[0].cdc.manager != nil {
		t.Fatal("it has a manager")
	}
	_, err = client.Create(t.Context(), changefeed.Spec{ID: "g", Namespace: "default", SinkURI: "ftp://h"})
	var e *admin.Error
	if !errors.As(err, &e) || e.Code != admin.Invalid || !strings.Contains(e.What, "there are file, kafka, record") {
		t.Fatalf("a sink that isn't there: %v", err)
	}
	if text := get(t, c.nodes[0], "/metrics"); !strings.Contains(text, `zankv_changefeed_partitions{changefeed="f",state="normal"} 1`) {
		t.Fatalf("metrics say\n%s", lines(text, "changefeed"))
	}
}

func lines(text, with string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, with) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// next takes items until an event comes.
func next(t *testing.T, s changefeed.Stream) event.Stamp {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		item, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if item.Event != nil {
			if item.Stamp.Position != item.Position {
				t.Fatalf("event %s says that everything up to %s came", item.Stamp.Position, item.Position)
			}
			return *item.Stamp
		}
	}
}

// A stream that begins at this node's replica goes on elsewhere when that is gone, with the next event.
func TestNearStreamFallsBack(t *testing.T) {
	c := startCluster(t, 3, 1, 3, 0)
	c.fill(c.nodes[0], 0, 20)
	leader, follower := c.leads(0)
	last := c.applied(0)
	if err := follower.replica("default", 0).WaitApplied(t.Context(), last.Index-1); err != nil {
		t.Fatal(err)
	}
	s, err := follower.cdc.source.Open(t.Context(), "default", 0, changefeed.Place{From: "earliest"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	near, ok := s.(*nearStream)
	if !ok || near.local == nil {
		t.Fatalf("the stream is a %T: want one of this node's replica", s)
	}
	var got []event.Stamp
	for range 10 {
		got = append(got, next(t, s))
	}
	if err := follower.replica("default", 0).Close(); err != nil {
		t.Fatal(err)
	}
	follower.table.lookup("default").replicas[0].Store(nil)
	c.fill(leader, 20, 30)
	for last = c.applied(0); got[len(got)-1].Position != last; {
		got = append(got, next(t, s))
	}
	gapless(t, recorded{events: got})
	if near.local != nil || near.far == nil {
		t.Fatal("it still reads the replica that is closed")
	}
}

// A place that this node's replica doesn't reach is looked for elsewhere, and not waited for without a word.
func TestNearStreamAhead(t *testing.T) {
	c := startCluster(t, 1, 1, 1, 1)
	n := c.nodes[0]
	c.fill(n, 0, 3)
	n.cdc.source.patience = 10 * time.Millisecond
	s, err := n.cdc.source.Open(t.Context(), "default", 0, changefeed.Place{After: event.Position{Term: 2, Index: 999}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, err = s.Next(ctx)
	var problem *feed.Error
	if !errors.As(err, &problem) || problem.Kind != feed.Ahead {
		t.Fatalf("got %v", err)
	}
}

// A replica that has lost its leader says nothing of how far it is, and is left.
func TestNearStreamLeaderless(t *testing.T) {
	c := startCluster(t, 3, 1, 3, 3)
	c.fill(c.nodes[0], 0, 3)
	_, follower := c.leads(0)
	follower.cdc.source.patience = 100 * time.Millisecond
	if err := follower.replica("default", 0).WaitApplied(t.Context(), c.applied(0).Index-1); err != nil {
		t.Fatal(err)
	}
	s, err := follower.cdc.source.Open(t.Context(), "default", 0, changefeed.Place{From: "latest"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if item, err := s.Next(t.Context()); err != nil || item.Event != nil {
		t.Fatalf("got %+v, %v", item, err)
	}
	for _, n := range c.nodes {
		if n != follower {
			n.end(t)
		}
	}
	near := s.(*nearStream)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for near.local != nil {
		if item, err := s.Next(ctx); err != nil {
			break // nobody else is there
		} else if item.Event != nil {
			t.Fatalf("got %+v", item)
		}
	}
	if near.local != nil {
		t.Fatal("a replica without a leader is still read")
	}
}

// An idle partition says about every second how far it is, and what isn't an event at once; a place in the middle goes on after it.
func TestNearStreamBookmarks(t *testing.T) {
	c := startCluster(t, 1, 1, 1, 1)
	n := c.nodes[0]
	c.fill(n, 0, 5)
	last := c.applied(0)
	open := func(at changefeed.Place) changefeed.Stream {
		t.Helper()
		s, err := n.cdc.source.Open(t.Context(), "default", 0, at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := open(changefeed.Place{From: "latest"})
	item, err := s.Next(t.Context())
	if err != nil || item.Event != nil || item.Position.Compare(last) < 0 || item.Stamp.Position != last || time.Since(time.Unix(0, item.Time)) > time.Minute {
		t.Fatalf("at the end: %+v, %v", item, err)
	}
	at, chain := item.Position, item.Stamp.Chain
	if item, err = s.Next(t.Context()); err != nil || item.Event != nil || item.Position != at {
		t.Fatalf("still at the end: %+v, %v", item, err)
	}
	if err := n.cdc.source.Hold(t.Context(), "default", 0, "somebody", last); err != nil {
		t.Fatal(err)
	}
	if item, err = s.Next(t.Context()); err != nil || item.Event != nil || item.Position.Compare(at) <= 0 || item.Position.Term == 0 {
		t.Fatalf("after an entry that is no event: %+v, %v", item, err)
	}
	c.fill(n, 5, 7)
	if st := next(t, s); st.Prev != last {
		t.Fatalf("%s follows %s, not %s", st.Position, st.Prev, last)
	}
	if st := next(t, open(changefeed.Place{After: at, Chain: chain, ChainKnown: true})); st.Prev != last {
		t.Fatalf("after a bookmark comes %s, after %s, not %s", st.Position, st.Prev, last)
	}
	_, err = open(changefeed.Place{After: last, Chain: event.Chain{1}, ChainKnown: true}).Next(t.Context())
	var problem *feed.Error
	if !errors.As(err, &problem) || problem.Kind != feed.Mismatch {
		t.Fatalf("another history: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s = open(changefeed.Place{From: "latest"})
	if _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("a stream that is to end: %v", err)
	}
}

// The log is held from any node, and every node with a replica knows how far it reaches.
func TestHeadAndHold(t *testing.T) {
	c := startCluster(t, 3, 1, 2, 0)
	c.fill(c.nodes[0], 0, 20)
	last := c.applied(0)
	leader, follower := c.leads(0)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for _, n := range c.nodes {
		if err := n.cdc.source.Hold(ctx, "default", 0, "f/"+n.grpc, event.Position{Term: last.Term, Index: last.Index - 3}); err != nil {
			t.Fatal(err)
		}
	}
	at := leader.replica("default", 0).Applied()
	if err := follower.replica("default", 0).WaitApplied(ctx, at-1); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		h, err := n.cdc.source.Head(ctx, "default", 0)
		if err != nil || h.Applied.Index < last.Index || h.BytesPerEntry <= 0 || len(h.Headroom) != 3 {
			t.Fatalf("got %+v, %v", h, err)
		}
		for id, left := range h.Headroom {
			if left <= 0 {
				t.Errorf("%s has %d bytes left", id, left)
			}
		}
	}
	for _, n := range c.nodes {
		if err := n.cdc.source.Hold(ctx, "default", 0, "f/"+n.grpc, event.Position{}); err != nil {
			t.Fatal(err)
		}
	}
	if h, err := leader.cdc.source.Head(ctx, "default", 0); err != nil || len(h.Headroom) != 0 {
		t.Fatalf("still held: %+v, %v", h, err)
	}
	delays := map[*testNode]time.Duration{}
	for _, n := range c.nodes {
		delays[n] = n.cdc.source.Preference("default", 0)
	}
	if delays[follower] != 0 || delays[leader] != leaderDelay {
		t.Fatalf("delays %v", delays)
	}
	for n, d := range delays {
		if n != leader && n != follower && d != strangeDelay {
			t.Fatalf("a node without a replica waits %s", d)
		}
	}
	if n, err := leader.cdc.source.Partitions(ctx, "default"); n != 1 || err != nil {
		t.Fatalf("%d partitions, %v", n, err)
	}
	if _, err := leader.cdc.source.Partitions(ctx, "none"); !errors.Is(err, feed.ErrUnknown) {
		t.Fatalf("got %v, want %v", err, feed.ErrUnknown)
	}
}

// What a node runs is in its metrics, in INFO and in /stats.
func TestChangefeedShown(t *testing.T) {
	c := startCluster(t, 1, 2, 1, 0)
	n := c.nodes[0]
	if _, err := c.admin(n).Create(t.Context(), spec("f")); err != nil {
		t.Fatal(err)
	}
	c.fill(n, 0, 20)
	for p := range uint32(2) {
		c.sink.until(t, "at the end", p, caughtUp(c.applied(p)))
	}
	metrics := get(t, n, "/metrics")
	for _, want := range []string{
		`zankv_changefeed_checkpoint_index{changefeed="f",partition="default-1"}`, `zankv_changefeed_state{changefeed="f",partition="default-0",state="normal"} 1`,
		`zankv_changefeed_events_total{changefeed="f",partition="default-0"}`, `zankv_changefeed_time_seconds_total{changefeed="f",in="sink",partition="default-0"}`,
		`zankv_changefeed_sink_seconds_count{changefeed="f",partition="default-0"}`, `zankv_changefeed_memory_bytes 8.388608e+06`,
		`zankv_changefeed_partitions{changefeed="f",state="normal"} 2`, `zankv_changefeed_partitions_unowned{changefeed="f"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s:\n%s", want, lines(metrics, "zankv_changefeed_"))
		}
	}
	info := ask(t, n, "INFO", "cdc")
	if !strings.HasPrefix(info, "# CDC\r\n") || !strings.Contains(info, "changefeed_f_default-1:state=normal,position=") || !strings.Contains(info, "changefeed_partitions_run:2") {
		t.Errorf("INFO says\n%s", info)
	}
	if stats := get(t, n, "/stats"); !strings.Contains(stats, `"changefeed": "f"`) || !strings.Contains(stats, `"time_shares"`) {
		t.Errorf("stats say\n%s", stats)
	}
}
