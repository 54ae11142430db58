package feed_test

import (
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

// A bookmark names the last entry passed, an event or not, with the last event's stamp; going on after it gives what follows. What is buffered is what was
// applied when reading began, or when waiting ended.
func TestLocalBookmark(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 10)
	h.Append(2, nil)
	n := feedtest.NewCell(t, h, 1).Nodes[0]
	l := local(t, n, feed.Earliest())
	if l.Bookmark() != nil || l.Buffered() {
		t.Fatal("a bookmark before reading has begun")
	}
	if item, err := l.Next(t.Context()); err != nil || item == nil || !l.Buffered() {
		t.Fatalf("got %+v, %v, buffered %v", item, err, l.Buffered())
	}
	present(t, l)
	stamps := h.Stamps()
	last := stamps[len(stamps)-1]
	b := l.Bookmark()
	if l.Buffered() || b == nil || b.Event != nil || b.Bookmark != (event.Position{Term: 2, Index: 11}) || b.Stamp.Position != last.Position || b.Stamp.Chain != last.Chain {
		t.Fatalf("got %+v, buffered %v", b, l.Buffered())
	}
	resumed := local(t, n, feed.After(b.Bookmark, b.Stamp.Chain))
	next := h.Set(2, "k", "v")
	if item, err := resumed.Next(t.Context()); err != nil || item == nil || item.Stamp.Position != next || item.Stamp.Prev != last.Position {
		t.Fatalf("got %+v, %v, want %s after %s", item, err, next, last.Position)
	}
	if ahead := local(t, n, feed.AfterPosition(event.Position{Term: 2, Index: 99})); ahead.Bookmark() != nil {
		t.Fatal("a bookmark of a place that isn't applied")
	}
}

// A bookmark's time is when there was nothing behind it: not later than what was written since, however long reading takes.
func TestLocalBookmarkIsNotLate(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 10)
	h.Append(2, nil)
	n := feedtest.NewCell(t, h, 1).Nodes[0]
	l := local(t, n, feed.Earliest())
	if item, err := l.Next(t.Context()); err != nil || item == nil {
		t.Fatal(item, err)
	}
	written := time.Now()
	h.Set(2, "k", "v")
	present(t, l)
	if b := l.Bookmark(); b.Bookmark.Index != 11 || b.ServerTime.After(written) {
		t.Fatalf("at %s as of %s; what follows was written at %s", b.Bookmark, b.ServerTime, written)
	}
	if err := l.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	present(t, l)
	if b := l.Bookmark(); b.Bookmark.Index != 12 || b.ServerTime.Before(written) {
		t.Fatalf("at %s as of %s; it was written at %s", b.Bookmark, b.ServerTime, written)
	}
}

// What a replica without a leader has isn't all there is.
func TestLocalBookmarkWithoutALeader(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 11)
	n := feedtest.NewCell(t, h, 1).Nodes[0]
	n.Replica.Lone(true)
	l := local(t, n, feed.Earliest())
	present(t, l)
	if b := l.Bookmark(); b != nil {
		t.Fatalf("%+v of a replica that has known no leader", b)
	}
	wait := func() {
		t.Helper()
		h.Append(2, nil)
		if err := l.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		present(t, l)
	}
	n.Replica.Lone(false)
	wait()
	lone := time.Now()
	n.Replica.Lone(true)
	wait()
	if b := l.Bookmark(); b == nil || b.Bookmark.Index != 13 || b.ServerTime.After(lone) {
		t.Fatalf("%+v, the leader was lost at %s", b, lone)
	}
}

// A replica without a leader says nothing new of the time, and its reader goes on at another one.
func TestStreamWithoutALeader(t *testing.T) {
	for what, before := range map[string]bool{"from the beginning": true, "later": false} {
		t.Run(what, func(t *testing.T) {
			h := feedtest.NewHistory()
			h.Fill(2, 10)
			c := feedtest.NewCell(t, h, 2) // of which a reader that follows asks the second one first
			follower := c.Nodes[1]
			follower.Stop()
			follower.Options.Leaderless = 50 * time.Millisecond
			follower.Start(follower.Address)
			follower.Replica.Lone(before)
			r := open(t, c, feed.Latest(), true)
			if !before {
				if item, err := r.Next(); err != nil || item.Event != nil || c.Nodes[0].Streams() > 0 {
					t.Fatal(item, err, c.Nodes[0].Streams())
				}
				follower.Replica.Lone(true)
			}
			for lone := time.Now(); ; {
				item, err := r.Next()
				if err != nil || item.Event != nil {
					t.Fatal(item, err)
				}
				if item.ServerTime.After(lone) {
					break
				}
			}
			if c.Nodes[0].Streams() == 0 {
				t.Error("a replica without a leader says that there is nothing more")
			}
		})
	}
}
