package feed_test

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

// BenchmarkCatchUp reads a log of small events from its beginning, over a socket, checked: one operation is one event.
func BenchmarkCatchUp(b *testing.B) {
	const events = 300_000
	h := feedtest.NewHistory()
	for i := range events {
		h.Set(2, fmt.Sprintf("key:%012d", i), "a value of 32 bytes, more or less")
	}
	c := feedtest.NewCell(b, h, 1)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	left := b.N
	for left > 0 {
		r := open(b, c, feed.Earliest(), false)
		for left > 0 {
			if _, err := r.Next(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			left--
		}
		r.Close()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	// What server and reader together cost: on a machine that is busy otherwise this says more than the time that passed.
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/event")
}

func cpuTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
