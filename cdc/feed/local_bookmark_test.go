package feed_test

import (
	"testing"

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
