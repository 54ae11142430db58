package resp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestHistogramBuckets: a time lies in its bucket, and a bucket's end is less than a quarter above its beginning.
func TestHistogramBuckets(t *testing.T) {
	check := func(ns int64) {
		b := timeBucket(ns)
		if b < 0 || b >= histogramBuckets {
			t.Fatalf("%d ns: bucket %d", ns, b)
		}
		if b < histogramBuckets-1 && bucketEnd(b) <= ns || b > 0 && bucketEnd(b-1) > ns {
			t.Errorf("%d ns: bucket %d, from %d to %d", ns, b, bucketEnd(b-1), bucketEnd(b))
		}
	}
	for _, ns := range []int64{-1, 0, 1, 1023, 1024, 1279, 1280, 2047, 2048, int64(time.Second), int64(time.Hour), math.MaxInt64} {
		check(ns)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for draw := rand.New(rand.NewPCG(seed, 1)); !t.Failed() && draw.IntN(10000) > 0; {
		check(draw.Int64N(1 << draw.IntN(62)))
	}
	for b := 1; b < histogramBuckets; b++ {
		if from, to := bucketEnd(b-1), bucketEnd(b); to <= from || 4*(to-from) > from {
			t.Errorf("bucket %d is from %d to %d", b, from, to)
		}
	}
}

func TestPercentilesAndSteps(t *testing.T) {
	var h histogram
	for range 98 {
		h[timeBucket(3000)].Add(1)
	}
	h[timeBucket(100_000)].Add(1)
	h[timeBucket(5_000_000)].Add(1)
	counts, total := h.counts()
	for percent, ns := range map[float64]int64{50: 3000, 98: 3000, 99: 100_000, 99.9: 5_000_000} {
		if got := percentile(&counts, total, percent); got < ns || got > ns*5/4 {
			t.Errorf("p%v is %d, want about %d", percent, got, ns)
		}
	}
	if got, want := fmt.Sprint(steps(&counts)), "[{4 98} {131 99} {8388 100}]"; got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
}

// TestErrorKindsAreBounded: a client that has many kinds of errors come about doesn't fill the memory with their names.
func TestErrorKindsAreBounded(t *testing.T) {
	var e errorStats
	for i := range 300 {
		e.add(fmt.Appendf(nil, "-KIND%d and more\r\n", i))
	}
	e.add([]byte("-KIND0\r\n"))
	total, kinds := e.counts()
	if total != 301 || kinds["KIND0"] != 2 || len(kinds) != maxErrorKinds+1 || kinds[errorsElse] != 300-maxErrorKinds {
		t.Errorf("total %d, %d kinds, %v", total, len(kinds), kinds)
	}
}

// TestLatencySamples: one a second, the longest, and no more than so many.
func TestLatencySamples(t *testing.T) {
	var l latency
	l.add("command", 1, 5)
	l.add("command", 1, 9)
	l.add("command", 1, 7)
	l.add("command", 2, 6)
	if got := fmt.Sprint(l.read()); got != "map[command:{[{1 9} {2 6}] 9}]" {
		t.Errorf("got %s", got)
	}
	for i := range int64(1000) {
		l.add("fast-command", i, i)
	}
	if e := l.read()["fast-command"]; len(e.samples) != latencySamples || e.samples[0].at != 1000-latencySamples || e.longest != 999 {
		t.Errorf("%d samples from %v", len(e.samples), e.samples[0])
	}
	if n := l.reset([][]byte{[]byte("command"), []byte("nosuch")}); n != 1 || len(l.read()) != 1 || l.reset(nil) != 1 || len(l.read()) != 0 {
		t.Errorf("reset %d", n)
	}
}
