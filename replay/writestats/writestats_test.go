package writestats

import (
	"testing"
	"time"
)

// The buckets are those of ZanKV's write statistics.
func TestWriteStats(t *testing.T) {
	for us, want := range map[int64]int{-5: 0, 0: 0, 1023: 0, 1024: 1, 1999: 1, 2000: 2, 3999: 2, 4000: 3, 16_383_999: 14, 16_384_000: 15, 1 << 40: 15} {
		var l Latency
		l.Observe(time.Duration(us) * time.Microsecond)
		if l.Counts()[want] != 1 {
			t.Errorf("%d µs: %v, want in %d", us, l.Counts(), want)
		}
	}
	for n, want := range map[uint64]int{0: 0, 99: 0, 100: 1, 1023: 1, 1024: 2, 2047: 2, 2048: 3, 8<<20 - 1: 14, 8 << 20: 15, 1 << 40: 15} {
		var s Sizes
		s.Observe(n)
		if s.Counts()[want] != 1 {
			t.Errorf("%d bytes: %v, want in %d", n, s.Counts(), want)
		}
	}
}
