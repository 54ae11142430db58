package feed_test

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
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

// endless gives the same rows again and again, as often as it is told.
type endless struct {
	rows  []event.Mutation
	times int
}

func (e *endless) Cut() feed.Cut {
	return feed.Cut{Applied: event.Position{Term: 1, Index: 1}, Names: event.Names{"", "dc-a"}}
}
func (e *endless) Close() {}
func (e *endless) Next() ([]event.Mutation, error) {
	if e.times--; e.times < 0 {
		return nil, io.EOF
	}
	return e.rows, nil
}

// BenchmarkSnapshot reads rows of strings of 128 bytes over a socket, checked: one operation is one row.
func BenchmarkSnapshot(b *testing.B) {
	const per = 1000 // about 256 KiB, as memory counts them
	e := &endless{times: (b.N + per - 1) / per}
	for i := range per {
		v := event.Version{Time: int64(i + 1), Cluster: 1}
		e.rows = append(e.rows, event.Mutation{
			Op: event.OpSet, Type: event.TypeString, Key: fmt.Appendf(nil, "key:%012d", i), Value: make([]byte, 128), Version: v, Floor: v, ExpiryVersion: v,
		})
	}
	c := feedtest.NewCell(b, feedtest.NewHistory(), 1)
	serveState(b, c, feed.Options{}, func(feed.StateReader) feed.StateReader { return e })
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	r, err := feed.OpenSnapshot(b.Context(), feed.SnapshotConfig{Nodes: c.Addresses(), Namespace: "default", Partition: 3})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for {
		if _, _, err := r.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/row")
}
