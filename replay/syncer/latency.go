package syncer

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// latencyBuckets is how many counters a latency has.
const latencyBuckets = 16

// latency counts times in ZanKV's buckets: [0] is below 1024 µs, [n] from 2^(n-1) ms up to 2^n ms (the first from 1024 µs), the last from 2^14 ms on.
type latency [latencyBuckets]atomic.Uint64

func (l *latency) add(d time.Duration) {
	us := max(d.Microseconds(), 0)
	bucket := 0
	if us >= 1024 {
		bucket = min(bits.Len64(uint64(max(us/1000, 1))), latencyBuckets-1)
	}
	l[bucket].Add(1)
}

// writeStats is a latency as ZanKV shows it.
type writeStats struct {
	ValueSizes [latencyBuckets]uint64 `json:"value_size_stats"`
	Latencies  [latencyBuckets]uint64 `json:"write_latency_stats"`
}

func (l *latency) stats() (s writeStats) {
	for i := range l {
		s.Latencies[i] = l[i].Load()
	}
	return s
}
