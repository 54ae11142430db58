package feed_test

import (
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

// A reader that would rather have small batches soon doesn't wait for as long as the server would gather.
func TestLinger(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(1, 1)
	c := feedtest.NewCell(t, h, 1)
	n := c.Nodes[0]
	n.Stop()
	n.Options.Linger, n.Options.Bookmark = time.Hour, time.Hour
	n.Start(n.Address)
	r := openConfig(t, c, feed.Config{From: feed.Earliest(), Follow: true, Linger: time.Millisecond})
	for i := range 5 {
		item, err := r.Next()
		if err != nil || item.Event == nil {
			t.Fatalf("event %d: %+v, %v", i, item, err)
		}
		h.Fill(1, 1)
	}
}
