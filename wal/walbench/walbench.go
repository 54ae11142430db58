// Package walbench measures what the shared log costs, against what the disk can do and against one etcd wal per
// raft group, with the same entries: the part of `make bench` that is about the log.
package walbench

import (
	"context"
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

// Names of the results.
const (
	FirstLife = "log, first life"
	Recycled  = "log, recycled segments"
	Append    = "bare append+fdatasync"
	Overwrite = "bare overwrite+fdatasync"
	EtcdWALs  = "one etcd wal per group"
)

// Result is one line of the table.
type Result struct {
	Name    string // one of the above
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
// group, as a node under load has them. ctx ends it between two slices.
func Run(ctx context.Context, dir string, o Options) ([]Result, error) {
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
		results, err := measure(ctx, dir, groups, o)
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

// subject is one thing that is measured.
type subject struct {
	name  string
	syncs float64 // per append
	// append makes one append durable: an entry and a hard state of every group.
	append func() error
	close  func() error

	n    int
	took time.Duration
}

// rounds is into how many slices a measurement is divided. Subjects take turns, so that a disk that is slow for a while is slow
// for all.
const rounds = 20

func measure(ctx context.Context, parent string, groups int, o Options) (out []Result, err error) {
	dir, err := os.MkdirTemp(parent, "walbench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	makers := []func(dir string, groups int, o Options) (*subject, error){firstLife, recycled, bareAppend, bareOverwrite, etcdWALs}
	var subjects []*subject
	for i, newSubject := range makers {
		s, err := newSubject(filepath.Join(dir, fmt.Sprint(i)), groups, o)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		subjects = append(subjects, s)
	}
	for range rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, s := range subjects {
			if err := s.run(o.Duration / rounds); err != nil {
				return nil, fmt.Errorf("%s with %d groups: %w", s.name, groups, err)
			}
		}
	}
	for _, s := range subjects {
		appends := float64(s.n) / s.took.Seconds()
		out = append(out, Result{Name: s.name, Groups: groups, Entries: appends * float64(groups), Syncs: appends * s.syncs})
	}
	return out, nil
}

func (s *subject) run(d time.Duration) error {
	for start := time.Now(); ; {
		if err := s.append(); err != nil {
			return err
		}
		s.n++
		if took := time.Since(start); took >= d {
			s.took += took
			return nil
		}
	}
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

func firstLife(dir string, groups int, o Options) (*subject, error) {
	l, err := openLog(dir)
	if err != nil {
		return nil, err
	}
	load := newLoad(groups, o.EntryBytes)
	return &subject{name: FirstLife, syncs: 1, close: l.Close, append: func() error { return l.Append(load.next()) }}, nil
}

// recycled first fills a log with large entries and truncates as it goes, so that what is measured goes to segments
// written before.
func recycled(dir string, groups int, o Options) (*subject, error) {
	l, err := openLog(dir)
	if err != nil {
		return nil, err
	}
	fill, load := newLoad(groups, max(o.EntryBytes, (1<<20)/groups)), newLoad(groups, o.EntryBytes)
	s := &subject{name: Recycled, syncs: 1, close: l.Close}
	for l.Stats().Bytes < 5*(64<<20) {
		if err := errors.Join(l.Append(fill.next()), truncateAll(l, fill.index)); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	load.index = fill.index
	s.append = func() error {
		err := l.Append(load.next())
		if load.index%1024 == 0 {
			err = errors.Join(err, truncateAll(l, load.index))
		}
		return err
	}
	return s, nil
}

func truncateAll(l *wal.Log, index uint64) error {
	for _, g := range l.Groups() {
		if err := g.Truncate(index); err != nil {
			return err
		}
	}
	return nil
}

func bareAppend(dir string, groups int, o Options) (*subject, error) {
	return bare(Append, dir, groups, o, 0)
}

func bareOverwrite(dir string, groups int, o Options) (*subject, error) {
	return bare(Overwrite, dir, groups, o, 64<<20)
}

// bare writes and syncs as many bytes as an append of the log has; with written > 0 round and round in a file with that
// many bytes.
func bare(name, dir string, groups int, o Options, written int64) (*subject, error) {
	b, err := bytesOf(dir, groups, o)
	if err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(dir, "bare"))
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(f, zeros{}, written); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	off := int64(0)
	s := &subject{name: name, syncs: 1, close: f.Close}
	s.append = func() error {
		if written > 0 && off+int64(len(b)) > written {
			off = 0
		}
		if _, err := f.WriteAt(b, off); err != nil {
			return err
		}
		off += int64(len(b))
		return syscall.Fdatasync(int(f.Fd()))
	}
	return s, f.Sync()
}

// bytesOf is what one append of the log writes.
func bytesOf(dir string, groups int, o Options) ([]byte, error) {
	l, err := openLog(filepath.Join(dir, "size"))
	if err != nil {
		return nil, err
	}
	load := newLoad(groups, o.EntryBytes)
	err = errors.Join(l.Append(load.next()), l.Append(load.next()))
	n := l.Stats().Bytes / 2
	return make([]byte, n), errors.Join(err, l.Close(), os.RemoveAll(filepath.Join(dir, "size")))
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// etcdBytes is what all etcd wals together may allocate. Each allocates its segment and the next one when it is made, 64 MB each by
// default, which are 33 GB for 256 groups.
const etcdBytes = 1 << 30

// etcdWALs saves the same, group by group, to a log of its own each, as each raft group alone would.
func etcdWALs(dir string, groups int, o Options) (*subject, error) {
	etcdwal.SegmentSizeBytes = min(64*1000*1000, int64(etcdBytes/(2*groups)))
	logs := make([]*etcdwal.WAL, groups)
	for i := range logs {
		w, err := etcdwal.Create(zap.NewNop(), filepath.Join(dir, fmt.Sprint(i)), nil)
		if err != nil {
			return nil, err
		}
		logs[i] = w
		if err := w.SaveSnapshot(walpb.Snapshot{ConfState: &raftpb.ConfState{}}); err != nil {
			return nil, err
		}
	}
	load := newLoad(groups, o.EntryBytes)
	s := &subject{name: EtcdWALs, syncs: float64(groups)}
	s.append = func() error {
		for i, u := range load.next() {
			if err := logs[i].Save(u.HardState, u.Entries); err != nil {
				return err
			}
		}
		return nil
	}
	s.close = func() (err error) {
		for _, w := range logs {
			err = errors.Join(err, w.Close())
		}
		return err
	}
	return s, nil
}
