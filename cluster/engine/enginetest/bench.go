package enginetest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"

	"github.com/zankv/zankv/cluster/engine"
)

// The benchmarks run on a number of keys of 16 bytes, written in random order, with values of 150 bytes that compress to
// about a half.
const valueLength = 150

// Key is the n-th key of a load. Keys spread over the key space as hashes do.
func Key(n uint64) []byte {
	key := make([]byte, 16)
	binary.BigEndian.PutUint64(key, n*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(key[8:], n)
	return key
}

// Value fills dst with a value.
func Value(dst []byte, r *rand.Rand) []byte {
	dst = dst[:0]
	for len(dst) < valueLength {
		dst = binary.LittleEndian.AppendUint64(dst, r.Uint64()&0x0000FFFF0000FFFF)
	}
	return dst[:valueLength]
}

// Load writes keys 0 to n-1 in batches and flushes.
func Load(tb testing.TB, e engine.Engine, n int) {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 0))
	var b engine.Batch
	var value []byte
	for i := range n {
		value = Value(value, r)
		b.Put(Key(uint64(i)), value)
		if b.Count() == 64 || i == n-1 {
			must(tb, e.Write(&b))
			b.Reset()
		}
	}
	must(tb, e.Flush())
}

// Benchmark measures e, which holds Load's n keys, after a walk over them that warms its caches.
func Benchmark(b *testing.B, e engine.Engine, n int) {
	warm(b, e)
	b.Run("get/hit", func(b *testing.B) { benchmarkGet(b, e, 0, n) })
	b.Run("get/miss", func(b *testing.B) { benchmarkGet(b, e, n, 2*n) })
	b.Run("iterator/open+10", func(b *testing.B) { benchmarkIterator(b, e, n, 10) })
	b.Run("iterator/next", func(b *testing.B) { benchmarkScan(b, e) })
	for _, size := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("put/batch=%d", size), func(b *testing.B) { benchmarkPut(b, e, n, size) })
	}
	b.Run("get/hit-after-puts", func(b *testing.B) { benchmarkGet(b, e, 0, n) })
	b.Run("get/miss-after-puts", func(b *testing.B) { benchmarkGet(b, e, n, 2*n) })
}

func warm(b *testing.B, e engine.Engine) {
	it, err := e.NewIterator(nil, nil)
	must(b, err)
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
	}
	must(b, it.Err())
}

// cpuTime adds the thread's own processor time per operation to b's results: on a machine with other work it is what can be
// compared. The returned function ends the measurement.
func cpuTime(b *testing.B) func() {
	runtime.LockOSThread()
	start := threadTime(b)
	return func() {
		b.ReportMetric(float64(threadTime(b)-start)/float64(b.N), "cpu-ns/op")
		runtime.UnlockOSThread()
	}
}

func threadTime(b *testing.B) int64 {
	const thread = 1 // RUSAGE_THREAD
	var usage syscall.Rusage
	must(b, syscall.Getrusage(thread, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func benchmarkGet(b *testing.B, e engine.Engine, from, to int) {
	r := rand.New(rand.NewPCG(2, 0))
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	defer cpuTime(b)()
	for b.Loop() {
		if _, _, err := e.Get(dst, Key(uint64(from+r.IntN(to-from)))); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkIterator(b *testing.B, e engine.Engine, n, steps int) {
	r := rand.New(rand.NewPCG(3, 0))
	b.ReportAllocs()
	defer cpuTime(b)()
	for b.Loop() {
		it, err := e.NewIterator(Key(uint64(r.IntN(n))), nil)
		if err != nil {
			b.Fatal(err)
		}
		it.First()
		for range steps {
			it.Next()
		}
		it.Close()
	}
}

func benchmarkScan(b *testing.B, e engine.Engine) {
	it, err := e.NewIterator(nil, nil)
	must(b, err)
	defer it.Close()
	total := 0
	defer cpuTime(b)()
	for b.Loop() {
		if !it.Next() {
			it.First()
		}
		total += len(it.Key()) + len(it.Value())
	}
	if it.Err() != nil || total == 0 {
		b.Fatal(it.Err())
	}
}

// benchmarkPut reports the cost of one put, not of a batch.
func benchmarkPut(b *testing.B, e engine.Engine, n, size int) {
	r := rand.New(rand.NewPCG(4, uint64(size)))
	var batch engine.Batch
	var value []byte
	b.ReportAllocs()
	puts := 0
	defer cpuTime(b)()
	for b.Loop() {
		value = Value(value, r)
		batch.Put(Key(uint64(r.IntN(n))), value)
		if puts++; puts%size == 0 {
			must(b, e.Write(&batch))
			batch.Reset()
		}
	}
	must(b, e.Write(&batch))
}
