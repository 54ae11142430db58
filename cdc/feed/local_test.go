package feed_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

func local(t *testing.T, n *feedtest.Node, from feed.From) *feed.Local {
	t.Helper()
	l, err := n.Feed.Local("default", 3, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// present reads what there is, and holds it against the feed's promises.
func present(t *testing.T, l *feed.Local) (got []event.Stamp) {
	t.Helper()
	var v event.Validator
	for {
		item, err := l.Next(t.Context())
		if err != nil {
			t.Fatalf("after %d events: %v", len(got), err)
		}
		if item == nil {
			return got
		}
		if _, err := v.Event(item.Stamp, item.Event, item.Names); err != nil {
			t.Fatal(err)
		}
		got = append(got, *item.Stamp)
	}
}

// A local reader gives what a stream gives, from every place, and goes on after each wait.
func TestLocalFromEveryPosition(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 40)
	h.Fill(3, 20)
	c := feedtest.NewCell(t, h, 1)
	n, all := c.Nodes[0], h.Stamps()
	same(t, present(t, local(t, n, feed.Earliest())), all)
	for i := uint64(1); i <= 60; i++ {
		term := uint64(2)
		if i > 40 {
			term = 3
		}
		p := event.Position{Term: term, Index: i}
		same(t, present(t, local(t, n, feed.AfterPosition(p))), after(all, i))
		same(t, present(t, local(t, n, feed.At(p))), after(all, i-1))
	}
	latest, oldest := local(t, n, feed.Latest()), local(t, n, feed.Earliest())
	if got := present(t, latest); len(got) > 0 {
		t.Fatalf("latest gives %d events of before", len(got))
	}
	present(t, oldest)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := latest.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Fatalf("a wait that is ended: %v", err)
	}
	for range 3 {
		before := h.Stamps()
		last := before[len(before)-1].Position.Index
		h.Fill(4, 7)
		for _, l := range []*feed.Local{latest, oldest} {
			if err := l.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			same(t, present(t, l), after(h.Stamps(), last))
		}
	}
}

// A place that this replica hasn't applied is waited for; only then can it turn out to be of another history.
func TestLocalAhead(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 20)
	c := feedtest.NewCell(t, h, 1)
	c.Nodes[0].Replica.Hold(10)
	good, bad := local(t, c.Nodes[0], feed.AfterPosition(event.Position{Term: 2, Index: 15})), local(t, c.Nodes[0], feed.AfterPosition(event.Position{Term: 1, Index: 15}))
	for _, l := range []*feed.Local{good, bad} {
		if got := present(t, l); len(got) > 0 {
			t.Fatalf("%d events of what isn't applied", len(got))
		}
		soon, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := l.Wait(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the wait for it ended: %v", err)
		}
		cancel()
	}
	c.Nodes[0].Replica.Hold(0)
	if err := errors.Join(good.Wait(t.Context()), bad.Wait(t.Context())); err != nil {
		t.Fatal(err)
	}
	same(t, present(t, good), after(h.Stamps(), 15))
	if problem, ok := errors.AsType[*feed.Error](last(bad.Next(t.Context()))); !ok || problem.Kind != feed.Mismatch {
		t.Fatalf("a position of another history: %v", problem)
	}
}

func last(_ *feed.Item, err error) error { return err }

// What this replica's log lacks is elsewhere, or compacted: also when it is truncated under the reader.
func TestLocalTruncated(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 60)
	c := feedtest.NewCell(t, h, 2)
	n := c.Nodes[0]
	reading := local(t, n, feed.Earliest())
	if _, err := reading.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.Replica.TruncateBare(30)
	var err error
	for err == nil {
		var item *feed.Item
		if item, err = reading.Next(t.Context()); item == nil && err == nil {
			t.Fatal("the end, over a gap")
		}
	}
	for what, err := range map[string]error{"truncated meanwhile": err, "truncated before": last(local(t, n, feed.AfterPosition(event.Position{Term: 2, Index: 5})).Next(t.Context()))} {
		if problem, ok := errors.AsType[*feed.Error](err); !ok || problem.Kind != feed.Elsewhere || len(problem.Addresses) != 1 || problem.Addresses[0] != c.Nodes[1].Address {
			t.Fatalf("%s: %v, want the other replica's address", what, err)
		}
	}
	c.Nodes[1].Replica.TruncateBare(50)
	if problem, ok := errors.AsType[*feed.Error](last(local(t, n, feed.AfterPosition(event.Position{Term: 2, Index: 5})).Next(t.Context()))); !ok || problem.Kind != feed.Compacted {
		t.Fatalf("%v, want compacted", problem)
	}
	c.Nodes[1].Replica = nil
	if _, err := c.Nodes[1].Feed.Local("default", 3, feed.Earliest()); !errors.Is(err, feed.ErrNotHere) {
		t.Fatalf("without a replica: %v", err)
	}
	if _, err := n.Feed.Local("default", 4, feed.Earliest()); !errors.Is(err, feed.ErrUnknown) {
		t.Fatalf("no such partition: %v", err)
	}
}
