package wal

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

func benchLog(b *testing.B, cache int64) *Log {
	return mustOpen(b, Options{Dir: b.TempDir(), CacheBytes: cache, Logger: slog.New(slog.DiscardHandler)})
}

// BenchmarkAppend is an append of one 128-byte entry and a hard state for each group, one sync for all. walbench compares it
// with bare loops and with etcd's wal.
func BenchmarkAppend(b *testing.B) {
	for _, groups := range []int{1, 16, 256} {
		for _, sync := range []bool{true, false} {
			b.Run(fmt.Sprintf("groups=%d/sync=%v", groups, sync), func(b *testing.B) { benchAppend(b, groups, sync) })
		}
	}
}

func benchAppend(b *testing.B, groups int, sync bool) {
	l := benchLog(b, 0)
	defer mustClose(b, l)
	us := make([]Update, groups)
	for i := range us {
		us[i] = Update{Group: uint64(i + 1), MustSync: sync, Entries: []raftpb.Entry{{Term: 1, Data: make([]byte, 128)}}}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		for i := range us {
			us[i].Entries[0].Index = uint64(n + 1)
			us[i].HardState = raftpb.HardState{Term: 1, Commit: uint64(n)}
		}
		mustAppend(b, l, us...)
	}
	b.ReportMetric(float64(b.N*groups)/b.Elapsed().Seconds(), "entries/s")
}

// fillLog appends per entries of size bytes to each of groups, batch at a time.
func fillLog(b *testing.B, l *Log, groups, per, batch, size int) {
	data := make([]byte, size)
	us := make([]Update, groups)
	for lo := 1; lo <= per; lo += batch {
		for g := range us {
			es := make([]raftpb.Entry, batch)
			for i := range es {
				es[i] = raftpb.Entry{Term: 1, Index: uint64(lo + i), Data: data}
			}
			us[g] = Update{Group: uint64(g + 1), Entries: es, HardState: hard(1, 1, uint64(lo))}
		}
		mustAppend(b, l, us...)
	}
}

// BenchmarkCatchUp reads a group's log from disk from its beginning on.
func BenchmarkCatchUp(b *testing.B) {
	for _, groups := range []int{1, 4, 256} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			l := benchLog(b, 1)
			defer mustClose(b, l)
			per := 400000 / groups
			fillLog(b, l, groups, per/8*8, 8, 128)
			b.ResetTimer()
			n := 0
			for n < b.N {
				r := l.Group(1).NewReader(1)
				for last := l.Group(1).LastIndex(); n < b.N; {
					batch, err := r.Next(last)
					if err != nil {
						b.Fatal(err)
					}
					if len(batch) == 0 {
						break
					}
					n += len(batch)
				}
				r.Close()
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkRecover opens a log of 128-byte entries, and says what its index takes.
func BenchmarkRecover(b *testing.B) {
	for _, groups := range []int{4, 1000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			o := Options{Dir: b.TempDir(), CacheBytes: 1, Logger: slog.New(slog.DiscardHandler), NoPrezero: true}
			l := mustOpen(b, o)
			fillLog(b, l, groups, 1200000/groups/4*4, 4, 128)
			size := l.Stats().Bytes
			mustClose(b, l)
			l = nil
			before := heap()
			b.SetBytes(int64(size))
			b.ResetTimer()
			for range b.N {
				l = mustOpen(b, o)
				b.StopTimer()
				after := heap()
				b.ReportMetric(float64(after-before)/float64(groups), "heap-bytes/group")
				b.ReportMetric(float64(after-before)/1.2e6, "heap-bytes/entry")
				mustClose(b, l)
				l = nil
				b.StartTimer()
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
