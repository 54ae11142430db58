package worker

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

func newFeedSource(t *testing.T, nodes []string) *FeedSource {
	t.Helper()
	s, err := NewFeedSource(FeedSourceOptions{Cluster: "dc-a", Nodes: nodes, GiveUp: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// take reads n events, and the bookmark after them.
func take(t *testing.T, s changefeed.Stream, n int) (got []event.Stamp, mark changefeed.Item) {
	t.Helper()
	ctx := limited(t)
	for {
		item, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if item.Event != nil {
			got = append(got, *item.Stamp)
		} else if len(got) >= n {
			return got, *item
		}
	}
}

func TestFeedSourceStreams(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(1, 30)
	cell := feedtest.NewCell(t, h, 2)
	s := newFeedSource(t, cell.Addresses())
	if n, err := s.Partitions(limited(t), "default"); n != 1 || err != nil {
		t.Fatalf("%d partitions, %v", n, err)
	}
	if _, err := s.Partitions(limited(t), "nowhere"); !errors.Is(err, feed.ErrUnknown) {
		t.Fatalf("a namespace that isn't there: %v", err)
	}
	stamps := h.Stamps()
	for _, c := range []struct {
		at   changefeed.Place
		from int
	}{
		{changefeed.Place{}, 0}, {changefeed.Place{From: "earliest"}, 0}, {changefeed.Place{From: stamps[7].Position.String()}, 7},
		{changefeed.Place{After: stamps[4].Position}, 5}, {changefeed.Place{After: stamps[4].Position, Chain: stamps[4].Chain, ChainKnown: true}, 5},
	} {
		stream, err := s.Open(limited(t), "default", 3, c.at)
		if err != nil {
			t.Fatal(err)
		}
		got, mark := take(t, stream, len(stamps)-c.from)
		same(t, got, stamps[c.from:])
		if mark.Position.Index != 30 || mark.Stamp.Position != stamps[len(stamps)-1].Position || mark.Time == 0 {
			t.Fatalf("bookmark: %+v", mark)
		}
		stream.Close()
	}
}

// A wait for the next item ends with the context that it was called with, not with that of opening.
func TestFeedSourceContexts(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(1, 6)
	cell := feedtest.NewCell(t, h, 1)
	cell.Nodes[0].Stop()
	cell.Nodes[0].Options.Bookmark = time.Hour
	cell.Nodes[0].Start(cell.Nodes[0].Address)
	s := newFeedSource(t, cell.Addresses())
	opening, cancel := context.WithCancel(limited(t))
	stream, err := s.Open(opening, "default", 3, changefeed.Place{})
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for range h.Stamps() {
		if _, err := stream.Next(limited(t)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := stream.Next(ctx); err == nil || ctx.Err() == nil {
		t.Fatalf("there is no more, but: %v", err)
	}
}

func TestFeedSourceGivesUp(t *testing.T) {
	h := feedtest.NewHistory()
	cell := feedtest.NewCell(t, h, 1)
	s := newFeedSource(t, cell.Addresses())
	cell.Nodes[0].Stop()
	stream, err := s.Open(limited(t), "default", 3, changefeed.Place{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Next(limited(t)); err == nil || isUnknown(err) {
		t.Fatalf("no replica serves: %v", err)
	}
	if _, err := s.Partitions(limited(t), "default"); err == nil || isUnknown(err) {
		t.Fatalf("no node answers: %v", err)
	}
}

func TestFeedSourceSnapshotHeadHold(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(1, 30)
	cell := feedtest.NewCell(t, h, 1)
	s := newFeedSource(t, cell.Addresses())
	stamps := h.Stamps()
	last := stamps[len(stamps)-1]
	rows, err := s.Snapshot(limited(t), "default", 3, changefeed.Want{AtLeast: stamps[3].Position, AfterKey: []byte("k"), Tombstones: true})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if base := rows.Base().Stamp; base.Position != last.Position || base.Chain != last.Chain || base.Namespace != "default" || base.Partition != 3 || base.Cluster != "dc-a" {
		t.Fatalf("base: %+v", base)
	}
	if base := rows.Base(); base.Horizons["dc-a"] != base.Time || base.Time == 0 {
		t.Fatalf("horizons: %v at %d", base.Horizons, base.Time)
	}
	n := 0
	for {
		ev, _, err := rows.Next(limited(t))
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n += len(ev.Mutations)
	}
	if n == 0 {
		t.Fatal("no rows")
	}
	consumer := changefeed.ConsumerID("f")
	if err := s.Hold(limited(t), "default", 3, consumer, stamps[3].Position); err != nil {
		t.Fatal(err)
	}
	head, err := s.Head(limited(t), "default", 3)
	if _, known := head.Headroom[consumer]; err != nil || head.Applied.Index < 30 || !known || head.HeadroomBytes != -1 {
		t.Fatalf("head: %+v, %v", head, err)
	}
	if err := s.Hold(limited(t), "default", 3, consumer, event.Position{}); err != nil {
		t.Fatal(err)
	}
	if head, err = s.Head(limited(t), "default", 3); err != nil || len(head.Headroom) != 0 {
		t.Fatalf("head after letting go: %+v, %v", head, err)
	}
}

// Over real sockets: a partition is carried across the loss of a replica, and of the log.
func TestManagerOverTheFeed(t *testing.T) {
	histories := []*feedtest.History{feedtest.NewHistoryOf(0), feedtest.NewHistoryOf(1)}
	for _, h := range histories {
		h.Fill(1, 60)
	}
	node := feedtest.NewNamespace(t, histories...)
	s := newFeedSource(t, []string{node.Address})
	w := newWorld(t, 1)
	w.create()
	p := w.start("a", func(o *Options) { o.Source = s })
	defer p.stop()
	for n := range histories {
		w.waitFor(func() bool { return w.sink.count(uint32(n), "event") >= len(histories[n].Stamps()) })
		same(t, w.sink.stamps(uint32(n)), histories[n].Stamps())
	}
	w.update(func(s *changefeed.Spec) { s.Paused = true })
	w.waitFor(func() bool { return w.progress(1).State == changefeed.Paused })
	histories[1].Fill(1, 30)
	node.Replicas[1].Truncate(80)
	w.update(func(s *changefeed.Spec) { s.Paused = false })
	w.waitFor(func() bool { return w.sink.count(1, "end") == 1 })
	before := len(w.sink.stamps(1))
	histories[1].Set(1, "k", "v")
	w.waitFor(func() bool { return len(w.sink.stamps(1)) == before+1 })
	if w.sink.count(0, "begin") != 0 {
		t.Fatal("a snapshot of a partition whose log is whole")
	}
}

// waitFor waits for something that happens in real time.
func (w *world) waitFor(cond func() bool) {
	w.t.Helper()
	ctx := limited(w.t)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !cond() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			w.t.Fatalf("it didn't happen; progress %+v", w.reg.View().Feeds["f"].Progress)
		}
	}
}

// TestFeedSourceStateWithoutEvents: a state that is taken over has a place in the log that can be gone on from, also where no event was written yet.
func TestFeedSourceStateWithoutEvents(t *testing.T) {
	h := feedtest.NewHistory()
	h.Append(1, nil)
	last := h.Append(1, nil)
	cell := feedtest.NewCell(t, h, 1)
	s := newFeedSource(t, cell.Addresses())
	rows, err := s.Snapshot(limited(t), "default", 3, changefeed.Want{Tombstones: true})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	base := rows.Base().Stamp
	if base.Position != last {
		t.Fatalf("base %s, want %s", base.Position, last)
	}
	stream, err := s.Open(limited(t), "default", 3, changefeed.Place{After: base.Position, Chain: base.Chain, ChainKnown: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	at := h.Set(1, "k", "v")
	for {
		item, err := stream.Next(limited(t))
		if err != nil {
			t.Fatal(err)
		}
		if item.Event != nil {
			if item.Stamp.Position != at {
				t.Fatalf("the first event is at %s, want %s", item.Stamp.Position, at)
			}
			return
		}
	}
}
