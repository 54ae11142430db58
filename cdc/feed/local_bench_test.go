package feed_test

import (
	"fmt"
	"testing"

	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

// BenchmarkLocal is BenchmarkCatchUp without a stream: what a changefeed on a node that has a replica pays.
func BenchmarkLocal(b *testing.B) {
	const events = 300_000
	h := feedtest.NewHistory()
	for i := range events {
		h.Set(2, fmt.Sprintf("key:%012d", i), "a value of 32 bytes, more or less")
	}
	n := feedtest.NewCell(b, h, 1).Nodes[0]
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	for left := b.N; left > 0; {
		l, err := n.Feed.Local("default", 3, feed.Earliest())
		if err != nil {
			b.Fatal(err)
		}
		for ; left > 0; left-- {
			if item, err := l.Next(b.Context()); err != nil {
				b.Fatal(err)
			} else if item == nil {
				break
			}
		}
		l.Close()
	}
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/event")
}
