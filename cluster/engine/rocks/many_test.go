package rocks_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/engine/enginetest"
	"github.com/zankv/zankv/cluster/engine/rocks"
)

// BenchmarkMany opens many databases in one process: what a replica costs by itself. ZANKV_BENCH_DATABASES says how many,
// 200 unless told; DESIGN.md has the figures for 1000.
func BenchmarkMany(b *testing.B) {
	n := 200
	if text := os.Getenv("ZANKV_BENCH_DATABASES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	plain := rocks.Options{MemtableBytes: 64 << 20}
	for _, c := range []struct {
		name    string
		keys    int
		flush   bool
		options rocks.Options
	}{
		{"empty", 0, true, rocks.Options{}},
		{"empty/memtable=64MiB", 0, true, plain},
		{"flushed=2MB", 13_000, true, rocks.Options{}},
		{"unflushed=16kB", 100, false, rocks.Options{}},
		{"unflushed=16kB/memtable=64MiB", 100, false, plain},
	} {
		b.Run(fmt.Sprintf("%s/n=%d", c.name, n), func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				fill(b, dir, n, c.keys, c.flush, c.options)
				measure(b, dir, n, c.keys, c.flush, c.options)
			}
		})
	}
}

// fill makes the databases, and leaves them closed.
func fill(b *testing.B, dir string, n, keys int, flush bool, options rocks.Options) {
	b.Helper()
	s := rocks.NewShared(rocks.SharedOptions{})
	start := time.Now()
	atOnce(b, n, func(i int) error {
		e, err := rocks.Open(filepath.Join(dir, strconv.Itoa(i)), s, options)
		if err != nil {
			return err
		}
		if flush {
			err = errors.Join(put(e, keys), e.Flush())
		}
		return errors.Join(err, e.Close())
	})
	b.ReportMetric(per(time.Since(start), n), "create-ms/db")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// atOnce calls f for 0 to n-1, sixteen at a time: what opening waits for is the disk.
func atOnce(b *testing.B, n int, f func(i int) error) {
	b.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error { return f(i) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

func put(e engine.Engine, keys int) error {
	r := rand.New(rand.NewPCG(1, 0))
	var batch engine.Batch
	for i := range keys {
		batch.Put(enginetest.Key(uint64(i)), enginetest.Value(nil, r))
	}
	return e.Write(&batch)
}

// measure opens them all, a quarter one by one and the others sixteen at once, reads each, and closes them.
func measure(b *testing.B, dir string, n, keys int, flush bool, options rocks.Options) {
	b.Helper()
	before := usage(b)
	s := rocks.NewShared(rocks.SharedOptions{})
	engines := make([]*rocks.Engine, n)
	open := func(i int) (err error) {
		engines[i], err = rocks.Open(filepath.Join(dir, strconv.Itoa(i)), s, options)
		return err
	}
	start := time.Now()
	for i := range n / 4 {
		if err := open(i); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(per(time.Since(start), n/4), "open-ms/db")
	start = time.Now()
	atOnce(b, n-n/4, func(i int) error { return open(n/4 + i) })
	b.ReportMetric(per(time.Since(start), n-n/4), "open16-ms/db")
	for _, e := range engines {
		if !flush {
			if err := put(e, keys); err != nil {
				b.Fatal(err)
			}
		}
		if _, _, err := e.Get(nil, enginetest.Key(7)); err != nil {
			b.Fatal(err)
		}
	}
	after := usage(b)
	for _, figure := range []string{"rss-KiB", "fds"} {
		b.ReportMetric(float64(after[figure]-before[figure])/float64(n), figure+"/db")
	}
	b.ReportMetric(float64(after["threads"]), "threads")
	b.ReportMetric(float64(s.MemtableBytes())/float64(n)/1024, "budget-KiB/db")
	b.ReportMetric(0, "ns/op")
	start = time.Now()
	for _, e := range engines {
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(per(time.Since(start), n), "close-ms/db")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func per(d time.Duration, n int) float64 { return float64(d.Microseconds()) / 1000 / float64(n) }

// usage is what the process holds now.
func usage(b *testing.B) map[string]int {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.Fatal(err)
	}
	figures := map[string]int{"fds": len(fds)}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		switch fields[0] {
		case "VmRSS:":
			figures["rss-KiB"], _ = strconv.Atoi(fields[1])
		case "Threads:":
			figures["threads"], _ = strconv.Atoi(fields[1])
		}
	}
	return figures
}
