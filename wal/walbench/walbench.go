// Package walbench measures what the shared log costs, against what the disk can do and against one etcd wal per
// raft group, with the same entries: the part of `make bench` that is about the log.
package walbench

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/zankv/zankv/wal"
	"go.etcd.io/etcd/raft/v3/raftpb"
	etcdwal "go.etcd.io/etcd/server/v3/wal"
	"go.etcd.io/etcd/server/v3/wal/walpb"
	"go.uber.org/zap"
)

// Options of a run.
type Options struct {
	Groups     []int         // numbers of groups to measure with; 1, 16 and 256 unless told
	EntryBytes int           // data of an entry, 128 unless told
	Duration   time.Duration // of each measurement, 2 s unless told
}

// Result is one line of the table.
type Result struct {
	Name    string
	Groups  int
	Entries float64 // per second
	Syncs   float64 // per second
	// Ratio is Entries of the shared log's first life over this line's, with as many groups; 1 for that line itself.
	Ratio float64
}

func (r Result) String() string {
	return fmt.Sprintf("%-28s %4d groups %10.0f entries/s %8.0f syncs/s   log/this %6.2f", r.Name, r.Groups, r.Entries, r.Syncs, r.Ratio)
}

// Run measures in directories under dir, which it removes again. Each append holds one entry and a hard state of each
// group, as a node under load has them.
func Run(dir string, o Options) ([]Result, error) {
	if o.Groups == nil {
		o.Groups = []int{1, 16, 256}
	}
	if o.EntryBytes == 0 {
		o.EntryBytes = 128
	}
	if o.Duration == 0 {
		o.Duration = 2 * time.Second
	}
	var out []Result
	for _, groups := range o.Groups {
		results, err := measure(dir, groups, o)
		if err != nil {
			return out, err
		}
		for i := range results {
			results[i].Ratio = results[0].Entries / results[i].Entries
		}
		out = append(out, results...)
	}
	return out, nil
}

func measure(parent string, groups int, o Options) ([]Result, error) {
	cases := []struct {
		name string
		run  func(dir string, groups int, o Options) (appends int, syncs int, took time.Duration, err error)
	}{
		{"log, first life", firstLife},
		{"log, recycled segments", recycled},
		{"bare append+fdatasync", bareAppend},
		{"bare overwrite+fdatasync", bareOverwrite},
		{"one etcd wal per group", etcdWALs},
	}
	var out []Result
	for _, c := range cases {
		dir, err := os.MkdirTemp(parent, "walbench-")
		if err != nil {
			return nil, err
		}
		appends, syncs, took, err := c.run(dir, groups, o)
		if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
			return nil, fmt.Errorf("%s with %d groups: %w", c.name, groups, err)
		}
		s := took.Seconds()
		out = append(out, Result{Name: c.name, Groups: groups, Entries: float64(appends*groups) / s, Syncs: float64(syncs) / s})
	}
	return out, nil
}

// load makes the updates of each append.
type load struct {
	updates []wal.Update
	index   uint64
}

func newLoad(groups, size int) *load {
	l := &load{updates: make([]wal.Update, groups)}
	for i := range l.updates {
		l.updates[i] = wal.Update{Group: uint64(i + 1), MustSync: true}
		l.updates[i].Entries = []raftpb.Entry{{Term: 1, Data: make([]byte, size)}}
	}
	return l
}

func (l *load) next() []wal.Update {
	l.index++
	for i := range l.updates {
		l.updates[i].Entries[0].Index = l.index
		l.updates[i].HardState = raftpb.HardState{Term: 1, Vote: 1, Commit: l.index - 1}
	}
	return l.updates
}

func openLog(dir string) (*wal.Log, error) {
	return wal.Open(wal.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
}

func firstLife(dir string, groups int, o Options) (int, int, time.Duration, error) {
	l, err := openLog(dir)
	if err != nil {
		return 0, 0, 0, err
	}
	n, took, err := appendFor(l, newLoad(groups, o.EntryBytes), o.Duration, 0)
	syncs := l.Stats().Syncs
	return n, int(syncs), took, errors.Join(err, l.Close())
}

// recycled first fills a log with large entries and truncates as it goes, so that what is measured goes to segments
// written before.
func recycled(dir string, groups int, o Options) (int, int, time.Duration, error) {
	l, err := openLog(dir)
	if err != nil {
		return 0, 0, 0, err
	}
	defer l.Close()
	fill := newLoad(groups, max(o.EntryBytes, (1<<20)/groups))
	for l.Stats().Bytes < 5*(64<<20) {
		if _, _, err := appendFor(l, fill, 0, 1); err != nil {
			return 0, 0, 0, err
		}
	}
	load := newLoad(groups, o.EntryBytes)
	load.index = fill.index
	before := l.Stats().Syncs
	n, took, err := appendFor(l, load, o.Duration, 1024)
	return n, int(l.Stats().Syncs - before), took, err
}

// appendFor appends for that long, at least once, and truncates every so many appends.
func appendFor(l *wal.Log, load *load, d time.Duration, truncateEvery int) (n int, took time.Duration, err error) {
	for start := time.Now(); ; {
		if err := l.Append(load.next()); err != nil {
			return n, 0, err
		}
		n++
		if truncateEvery > 0 && n%truncateEvery == 0 {
			for _, g := range l.Groups() {
				if err := g.Truncate(load.index); err != nil {
					return n, 0, err
				}
			}
		}
		if took = time.Since(start); took >= d {
			return n, took, nil
		}
	}
}

// bytesOf is what one append of the log writes, so that the bare loops write as much.
func bytesOf(dir string, groups int, o Options) ([]byte, error) {
	l, err := openLog(filepath.Join(dir, "size"))
	if err != nil {
		return nil, err
	}
	load := newLoad(groups, o.EntryBytes)
	err = errors.Join(l.Append(load.next()), l.Append(load.next()))
	n := l.Stats().Bytes / 2
	return make([]byte, n), errors.Join(err, l.Close())
}

func bareAppend(dir string, groups int, o Options) (int, int, time.Duration, error) {
	return bare(dir, groups, o, 0)
}

// bareOverwrite goes round in 64 MiB that were written before.
func bareOverwrite(dir string, groups int, o Options) (int, int, time.Duration, error) {
	return bare(dir, groups, o, 64<<20)
}

func bare(dir string, groups int, o Options, round int64) (n, syncs int, took time.Duration, err error) {
	b, err := bytesOf(dir, groups, o)
	if err != nil {
		return 0, 0, 0, err
	}
	f, err := os.Create(filepath.Join(dir, "bare"))
	if err != nil {
		return 0, 0, 0, err
	}
	defer f.Close()
	if round > 0 {
		if _, err := io.CopyN(f, zeros{}, round); err != nil {
			return 0, 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, 0, err
		}
	}
	off := int64(0)
	for start := time.Now(); took < o.Duration; n++ {
		if round > 0 && off+int64(len(b)) > round {
			off = 0
		}
		if _, err := f.WriteAt(b, off); err != nil {
			return n, n, 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return n, n, 0, err
		}
		off += int64(len(b))
		took = time.Since(start)
	}
	return n, n, took, nil
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// etcdWALs saves the same, group by group, to a log of its own each, as one raft group alone would.
func etcdWALs(dir string, groups int, o Options) (n, syncs int, took time.Duration, err error) {
	logs := make([]*etcdwal.WAL, groups)
	for i := range logs {
		w, err := etcdwal.Create(zap.NewNop(), filepath.Join(dir, fmt.Sprint(i)), nil)
		if err != nil {
			return 0, 0, 0, err
		}
		defer w.Close()
		if err := w.SaveSnapshot(walpb.Snapshot{ConfState: &raftpb.ConfState{}}); err != nil {
			return 0, 0, 0, err
		}
		logs[i] = w
	}
	load := newLoad(groups, o.EntryBytes)
	for start := time.Now(); took < o.Duration; n++ {
		for i, u := range load.next() {
			if err := logs[i].Save(u.HardState, u.Entries); err != nil {
				return n, syncs, 0, err
			}
			syncs++
		}
		took = time.Since(start)
	}
	return n, syncs, took, nil
}
