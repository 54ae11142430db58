package wal

import (
	"cmp"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure a log. Only Dir is needed.
type Options struct {
	// Dir holds the log's files and nothing else. It is made if it isn't there.
	Dir string
	// SegmentBytes is the size of a segment file, 64 MiB unless told, at most 1 GiB. An entry too large for it gets a larger one.
	SegmentBytes int64
	// CacheBytes bounds the recent entries kept in memory, for all groups together; 64 MiB unless told.
	CacheBytes int64
	// IndexBytes bounds the index of places, for all groups together; 32 MiB unless told.
	IndexBytes int64
	// MaxDiskBytes is the disk cap that GroupStats.CapIndex and Stats.OverCap are about; 0 is none. The log itself
	// drops nothing: who decides on retention truncates.
	MaxDiskBytes int64
	// RecycleSegments is how many retired segment files are kept to be written again, 2 unless told, none when negative.
	RecycleSegments int
	// NoPrezero leaves new segments allocated but unwritten: the first life of a file then costs half the disk
	// writes, and up to twice the time per sync.
	NoPrezero bool
	Logger    *slog.Logger
	FS        FS
	// Now is the wall clock, time.Now unless told.
	Now func() time.Time
}

func (o *Options) setDefaults() error {
	o.SegmentBytes = cmp.Or(o.SegmentBytes, 64<<20)
	o.CacheBytes = cmp.Or(o.CacheBytes, 64<<20)
	o.IndexBytes = cmp.Or(o.IndexBytes, 32<<20)
	o.RecycleSegments = cmp.Or(o.RecycleSegments, 2)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.FS == nil {
		o.FS = OS
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SegmentBytes < 2*segmentHeaderSize || o.SegmentBytes > 1<<30 {
		return fmt.Errorf("wal: open %s: SegmentBytes is %d, want %d to %d", o.Dir, o.SegmentBytes, 2*segmentHeaderSize, 1<<30)
	}
	return nil
}

// Log is the log of a node.
//
// Locks, in the order in which they may nest: writer.mu, groups.mu, Group.mu, segs.mu; pending.mu and keeper.mu nest in any and
// hold none. Files are read and written under writer.mu only, if under any.
type Log struct {
	opts    Options
	lock    io.Closer
	segs    segments
	keeper  keeper
	index   indexBudget
	cached  atomic.Int64
	synced  atomic.Uint64 // last frame known durable
	started bool
	failure atomic.Pointer[error]
	stats   counters

	groups struct {
		sync.RWMutex
		m map[uint64]*Group
	}
	// pending are the groups whose truncation has no record yet.
	pending struct {
		sync.Mutex
		groups []*Group
	}
	writer writer
}

// Open opens the log in Options.Dir, or makes one. It reads the whole log once. A tail that was being written when the
// process died is cut off; damage before it is a *CorruptError, and nothing was changed on disk then. nil promises that
// everything that the log now holds is durable.
func Open(o Options) (*Log, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	l := &Log{opts: o}
	l.groups.m = make(map[uint64]*Group)
	l.index.max, l.index.min = o.IndexBytes, minMarkDistance
	l.index.dist.Store(minMarkDistance)
	l.keeper = keeper{
		fs: o.FS, dir: o.Dir, size: o.SegmentBytes, spares: max(o.RecycleSegments, 0), prezero: !o.NoPrezero, log: o.Logger,
		poison: func(err error) { l.poison(err) }, synced: l.synced.Load,
	}
	if err := l.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("wal: open %s: %w", o.Dir, err), l.closeFiles())
	}
	return l, nil
}

func (l *Log) open() (err error) {
	fs, dir := l.opts.FS, l.opts.Dir
	if err = fs.MkdirAll(dir); err != nil {
		return err
	}
	if err = fs.SyncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return err
	}
	if l.lock, err = fs.Lock(filepath.Join(dir, lockName)); err != nil {
		return err
	}
	var life [8]byte
	if _, err = crand.Read(life[:]); err != nil {
		return err
	}
	if err = l.recover(); err != nil {
		return err
	}
	l.writer.start(l, binary.LittleEndian.Uint64(life[:]))
	l.keeper.start()
	l.started = true
	return nil
}

// Close makes what was written durable and closes the log; nil promises that. No other call may run, and none succeeds
// after.
func (l *Log) Close() error {
	l.writer.mu.Lock()
	defer l.writer.mu.Unlock()
	if l.writer.closed {
		return nil
	}
	err := l.Err()
	if err == nil {
		err = l.writer.sync()
	}
	l.writer.closed = true
	return errors.Join(err, l.closeFiles())
}

func (l *Log) closeFiles() error {
	var errs []error
	if l.started {
		errs = append(errs, l.keeper.close())
	} else {
		for _, s := range l.keeper.mu.ready {
			errs = append(errs, s.f.Close())
		}
	}
	for _, s := range l.segs.snapshot() {
		errs = append(errs, s.f.Close())
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}

// poison makes every later write fail. The first cause stays.
func (l *Log) poison(cause error) error {
	err := fmt.Errorf("%w: %w", ErrPoisoned, cause)
	if l.failure.CompareAndSwap(nil, &err) {
		l.opts.Logger.Error("wal: a write failed; nothing more is written, the process has to exit", "err", cause)
	}
	return *l.failure.Load()
}

// Err is nil while the log can be written. Once it isn't, it wraps ErrPoisoned and names file and cause.
func (l *Log) Err() error {
	if p := l.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// Group returns the group with this id; one that the log doesn't know yet is empty, and takes no disk space until
// something is appended.
func (l *Log) Group(id uint64) *Group {
	l.groups.RLock()
	g := l.groups.m[id]
	l.groups.RUnlock()
	if g != nil {
		return g
	}
	l.groups.Lock()
	defer l.groups.Unlock()
	if g = l.groups.m[id]; g == nil {
		g = &Group{id: id, log: l}
		g.mu.cache.total = &l.cached
		l.groups.m[id] = g
	}
	return g
}

// Groups returns the groups that the log knows, by id.
func (l *Log) Groups() []*Group {
	l.groups.RLock()
	out := make([]*Group, 0, len(l.groups.m))
	for _, g := range l.groups.m {
		out = append(out, g)
	}
	l.groups.RUnlock()
	slices.SortFunc(out, func(a, b *Group) int { return cmp.Compare(a.id, b.id) })
	return out
}

func (l *Log) queueTruncation(g *Group) {
	l.pending.Lock()
	l.pending.groups = append(l.pending.groups, g)
	l.pending.Unlock()
}

func (l *Log) takePending() []*Group {
	l.pending.Lock()
	defer l.pending.Unlock()
	out := l.pending.groups
	l.pending.groups = nil
	return out
}

// releaseSegment ends a reader's use of a segment.
func (l *Log) releaseSegment(s *segment) {
	if s.refs.Add(-1) == 0 {
		l.keeper.kick()
	}
}
