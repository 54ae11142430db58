package rocks_test

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/zankv/zankv/cluster/engine/enginetest"
	"github.com/zankv/zankv/cluster/engine/rocks"
)

// BenchmarkEngine runs on ZANKV_BENCH_KEYS keys, 1,000,000 unless told.
func BenchmarkEngine(b *testing.B) {
	b.Logf("RocksDB %s", rocks.Library())
	n := 1_000_000
	if text := os.Getenv("ZANKV_BENCH_KEYS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	s := rocks.NewShared(rocks.SharedOptions{})
	defer func() { _ = s.Close() }()
	e, err := rocks.Open(b.TempDir()+"/db", s, rocks.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	enginetest.Load(b, e, n)
	settle(e)
	enginetest.Benchmark(b, e, n)
	b.Logf("%+v", e.Metrics())
}

// settle waits until compaction has nothing to do.
func settle(e *rocks.Engine) {
	for quiet := 0; quiet < 100; quiet++ {
		if m := e.Metrics(); m.RunningCompact+m.RunningFlushes+m.PendingCompact > 0 {
			quiet = 0
		}
		runtime.Gosched()
	}
}
