package resp

import (
	"math/bits"
	"sync/atomic"
)

// A histogram counts times in buckets: four to each doubling, from 1024 ns on. The first has all that is below, the last all that is above
// half an hour. A percentile read from it is at most a quarter too high.
const (
	histogramBase    = 1024 // ns
	histogramOctaves = 31
	histogramBuckets = 1 + 4*histogramOctaves
)

type histogram [histogramBuckets]atomic.Uint64

// timeBucket is the bucket of a time in ns.
func timeBucket(ns int64) int {
	n := uint64(max(ns, 0))
	octave := bits.Len64(n/histogramBase) - 1
	switch {
	case octave < 0:
		return 0
	case octave >= histogramOctaves:
		return histogramBuckets - 1
	}
	return 1 + 4*octave + int(n*4/histogramBase>>octave)&3
}

// bucketEnd is the time in ns at which a bucket ends.
func bucketEnd(i int) int64 {
	if i == 0 {
		return histogramBase
	}
	return int64(histogramBase) << ((i - 1) / 4) / 4 * int64(5+(i-1)%4)
}

// counts reads the buckets, and their sum.
func (h *histogram) counts() (counts [histogramBuckets]uint64, total uint64) {
	for i := range h {
		counts[i] = h[i].Load()
		total += counts[i]
	}
	return counts, total
}

// percentile is a time in ns that so many percent of the counts are below. There must be some.
func percentile(counts *[histogramBuckets]uint64, total uint64, percent float64) int64 {
	sum := uint64(0)
	for i, n := range counts {
		if sum += n; n > 0 && float64(sum) >= float64(total)*percent/100 {
			return bucketEnd(i)
		}
	}
	return bucketEnd(histogramBuckets - 1)
}

// step is a point of a distribution: so many counts are below a time.
type step struct {
	micros int64
	below  uint64
}

// steps are those at each doubling of the time at which the count has grown.
func steps(counts *[histogramBuckets]uint64) (list []step) {
	sum := uint64(0)
	for i, n := range counts {
		sum += n
		if i%4 == 0 && sum > 0 && (len(list) == 0 || sum > list[len(list)-1].below) {
			list = append(list, step{bucketEnd(i) / 1000, sum})
		}
	}
	return list
}
