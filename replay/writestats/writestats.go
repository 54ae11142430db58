// Package writestats counts times and sizes in the buckets of ZanKV's write statistics.
package writestats

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// counters are 16 of them, as ZanKV's write statistics have them.
type counters [16]atomic.Uint64

func (c *counters) load() (all [16]uint64) {
	for i := range c {
		all[i] = c[i].Load()
	}
	return all
}

// Latency counts durations: [0] under 1024 µs; [n], up to 14, from 2^(n-1) ms to under 2^n ms; [15] from 16384 ms. As the original has it, bucket 1
// begins at 1024 µs.
type Latency struct {
	counters
	total atomic.Int64
}

// Observe counts one. What lies in the future, by another cluster's clock, took no time.
func (l *Latency) Observe(d time.Duration) {
	us := max(d.Microseconds(), 0)
	bucket := 0
	if us >= 1024 {
		bucket = min(max(bits.Len64(uint64(us/1000)), 1), 15)
	}
	l.counters[bucket].Add(1)
	l.total.Add(max(int64(d), 0))
}

// Counts are the counters.
func (l *Latency) Counts() [16]uint64 { return l.load() }

// Total is the sum of what was observed.
func (l *Latency) Total() time.Duration { return time.Duration(l.total.Load()) }

// Sizes counts bytes: [0] under 100; [1] under 1 KiB; [n], up to 14, from 2^(n-2) KiB to under 2^(n-1) KiB; [15] from 8 MiB.
type Sizes struct{ counters }

// Observe counts one.
func (s *Sizes) Observe(n uint64) {
	bucket := 0
	switch {
	case n >= 1024:
		bucket = min(bits.Len64(n/1024)+1, 15)
	case n >= 100:
		bucket = 1
	}
	s.counters[bucket].Add(1)
}

// Counts are the counters.
func (s *Sizes) Counts() [16]uint64 { return s.load() }

// Stats is ZanKV's form of the two.
type Stats struct {
	Sizes     [16]uint64 `json:"value_size_stats"`
	Latencies [16]uint64 `json:"write_latency_stats"`
}
