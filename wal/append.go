package wal

import (
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// Base is where a group's log begins: the entry before the first, which a snapshot stands for.
type Base struct{ Index, Term uint64 }

// Update is what one raft group wants to have written. The parts take effect in the order snapshot, entries, hard state.
type Update struct {
	Group uint64
	// HardState is written unless it is empty.
	HardState raftpb.HardState
	// Entries are consecutive. The first follows LastIndex, or overwrites: then it and what comes after are replaced.
	// The log keeps them and their data in its cache: nobody may change them any more.
	Entries []raftpb.Entry
	// Snapshot forgets all entries; the next one is Snapshot.Index+1. It is synced whatever MustSync says.
	Snapshot *Base
	// MustSync wants the update durable before Append returns. Updates without it are written, and durable with the
	// next one that has it.
	MustSync bool
}

// writer writes frames. What it holds is guarded by mu.
type writer struct {
	mu     sync.Mutex
	l      *Log
	life   uint64
	first  bool   // the next frame is the first of this life
	seq    uint64 // of the last frame
	active *segment
	off    int64
	dirty  bool // frames were written since the last sync
	closed bool
	limit  int // bytes of records in a frame before another is begun

	at     int64
	buf    []byte
	ops    []op
	placed int // ops[:placed] are written
}

// op is what one record, or one row of entries in a frame, does to a group once it is durable.
type op struct {
	g       *Group
	kind    uint8
	entries []raftpb.Entry
	hs      raftpb.HardState
	base    Base
	off     int // of the first record, in the frame
	place   place
}

const (
	softFrame = 4 << 20 // a frame's records, unless one is larger
	keepBuf   = 8 << 20 // a larger buffer is given back
)

func (w *writer) start(l *Log, life uint64) {
	w.l, w.life, w.first = l, life, true
	w.limit = int(min(softFrame, l.opts.SegmentBytes/4))
	w.buf = make([]byte, frameHeaderSize, 256<<10)
}

// Append writes the updates: one write and at most one sync for all of them (several writes when they are over 4 MiB or
// a segment is full). nil promises that they, and everything appended before, are durable if any of them has MustSync,
// and that they are visible to readers. Each group's update is as a whole visible or not, but after a crash a prefix of what
// wasn't synced may be there.
//
// ErrGap and ErrTooLarge mean that nothing was written. ErrPoisoned names file and cause: what is durable is unknown,
// and the process has to exit. Calls exclude each other; updates of one group are taken in order.
func (l *Log) Append(updates []Update) error {
	w := &l.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		return err
	}
	if err := w.check(updates); err != nil {
		return err
	}
	sync := false
	if err := w.truncations(); err != nil {
		return err
	}
	for i := range updates {
		sync = sync || updates[i].MustSync || updates[i].Snapshot != nil
		if err := w.update(&updates[i]); err != nil {
			return err
		}
	}
	return w.finish(sync)
}

// begin readies the buffers for one append.
func (w *writer) begin() error {
	if w.closed {
		return ErrClosed
	}
	if err := w.l.Err(); err != nil {
		return err
	}
	w.at = w.l.opts.Now().UnixNano()
	w.buf, w.placed = w.buf[:frameHeaderSize], 0
	clear(w.ops)
	w.ops = w.ops[:0]
	return nil
}

// check refuses entries that don't follow, before anything is written.
func (w *writer) check(updates []Update) error {
	for i := range updates {
		g := w.l.Group(updates[i].Group)
		g.mu.RLock()
		g.nextBase, g.nextLast = g.mu.base, g.mu.last
		removed := g.mu.removed
		g.mu.RUnlock()
		if removed {
			return fmt.Errorf("append to group %d: %w", g.id, ErrRemoved)
		}
	}
	for i := range updates {
		if err := updates[i].check(w.l.Group(updates[i].Group)); err != nil {
			return fmt.Errorf("append to group %d: %w", updates[i].Group, err)
		}
	}
	return nil
}

func (u *Update) check(g *Group) error {
	if u.Snapshot != nil {
		g.nextBase, g.nextLast = u.Snapshot.Index, u.Snapshot.Index
	}
	if g.nextLast > maxIndex || u.HardState.Commit > maxIndex {
		return fmt.Errorf("%w: base %d, commit %d, at most %d is possible", ErrTooLarge, g.nextLast, u.HardState.Commit, uint64(maxIndex))
	}
	if len(u.Entries) == 0 {
		return nil
	}
	first := u.Entries[0].Index
	if first <= g.nextBase || first > g.nextLast+1 {
		return fmt.Errorf("%w: first entry is %d, want %d to %d", ErrGap, first, g.nextBase+1, g.nextLast+1)
	}
	for i := range u.Entries {
		if u.Entries[i].Index != first+uint64(i) {
			return fmt.Errorf("%w: entry %d is followed by %d", ErrGap, first+uint64(i)-1, u.Entries[i].Index)
		}
		if len(u.Entries[i].Data) > MaxEntryBytes {
			return fmt.Errorf("%w: entry %d has %d bytes, at most %d are possible", ErrTooLarge, u.Entries[i].Index, len(u.Entries[i].Data), MaxEntryBytes)
		}
	}
	g.nextLast = first + uint64(len(u.Entries)) - 1
	return nil
}

// truncations writes the records of truncations since the last append.
func (w *writer) truncations() error {
	for _, g := range w.l.takePending() {
		g.mu.Lock()
		base, due := Base{g.mu.base, g.mu.baseTerm}, g.mu.truncating && !g.mu.removed
		g.mu.truncating = false
		g.mu.Unlock()
		if !due {
			continue
		}
		if err := w.add(op{g: g, kind: kindTruncate, base: base}); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) update(u *Update) error {
	g := w.l.Group(u.Group)
	if u.Snapshot != nil {
		if err := w.add(op{g: g, kind: kindReset, base: *u.Snapshot}); err != nil {
			return err
		}
	}
	for rest := u.Entries; len(rest) > 0; {
		if err := w.room(entrySize(&rest[0])); err != nil {
			return err
		}
		n, off := 0, len(w.buf)
		for n < len(rest) && (n == 0 || len(w.buf)+entrySize(&rest[n]) <= frameHeaderSize+w.limit) {
			w.buf = appendEntry(w.buf, g.id, &rest[n])
			n++
		}
		w.ops = append(w.ops, op{g: g, kind: kindEntry, entries: rest[:n:n], off: off})
		rest = rest[n:]
	}
	if raft.IsEmptyHardState(u.HardState) {
		return nil
	}
	return w.add(op{g: g, kind: kindHardState, hs: u.HardState})
}

// add lays out the one record of an op that isn't entries.
func (w *writer) add(o op) error {
	if err := w.room(recordHeaderSize + 8); err != nil {
		return err
	}
	o.off = len(w.buf)
	if o.kind == kindHardState {
		w.buf = appendHardState(w.buf, o.g.id, o.hs)
	} else {
		w.buf = appendRecord(w.buf, o.kind, 0, o.g.id, o.base.Index, o.base.Term, nil)
	}
	w.ops = append(w.ops, o)
	return nil
}

// room writes the frame out if n more bytes would make it too large.
func (w *writer) room(n int) error {
	if len(w.buf) > frameHeaderSize && len(w.buf)+n > frameHeaderSize+w.limit {
		return w.write()
	}
	return nil
}

// finish writes the last frame, syncs if wanted, and makes visible what was written.
func (w *writer) finish(sync bool) error {
	if len(w.buf) > frameHeaderSize {
		if err := w.write(); err != nil {
			return err
		}
	}
	if sync {
		if err := w.sync(); err != nil {
			return err
		}
	}
	w.publish()
	w.l.maybeShrink()
	if sync {
		// Only now: a segment may go when what made it superfluous is durable.
		if old := w.l.segs.shed(); old != nil {
			w.l.keeper.retire(old)
		}
	}
	if cap(w.buf) > keepBuf {
		w.buf = make([]byte, frameHeaderSize, 256<<10)
	}
	return nil
}

// write writes the frame in buf.
func (w *writer) write() error {
	n := len(w.buf) - frameHeaderSize
	size := frameSize(n)
	for int64(len(w.buf)) < size {
		w.buf = append(w.buf, 0)
	}
	if w.off+size > w.active.size {
		if err := w.rotate(size); err != nil {
			return err
		}
	}
	h := frameHeader{length: uint32(n), seq: w.seq + 1, synced: w.l.synced.Load(), life: w.life, at: w.at}
	if w.first {
		h.flags = flagFirst
	}
	sealFrame(w.buf, h, w.active.id, w.off)
	if _, err := w.active.f.WriteAt(w.buf, w.off); err != nil {
		return w.l.poison(fmt.Errorf("write %d bytes at %d of %s: %w", size, w.off, w.active.name, err))
	}
	for i := w.placed; i < len(w.ops); i++ {
		o := &w.ops[i]
		o.place = place{seg: w.active, frame: uint32(w.off), off: uint32(w.off + int64(o.off)), at: w.at}
	}
	w.placed = len(w.ops)
	w.seq++
	w.off += size
	w.active.written.Store(w.off)
	w.first, w.dirty = false, true
	w.l.stats.frame(size)
	w.buf = w.buf[:frameHeaderSize]
	return nil
}

// rotate goes on to the next segment. The old one is synced first: recovery takes it for granted that everything
// before a segment's first frame was durable when that was written.
func (w *writer) rotate(need int64) error {
	if err := w.sync(); err != nil {
		return err
	}
	next, err := w.l.keeper.take()
	if err != nil {
		return w.l.poison(fmt.Errorf("begin a new segment after %s: %w", w.active.name, err))
	}
	w.l.segs.push(next)
	w.active, w.off = next, segmentHeaderSize
	if w.off+need > next.size {
		if err := next.f.Allocate(w.off + need); err != nil {
			return w.l.poison(fmt.Errorf("allocate %d bytes for %s: %w", w.off+need, next.name, err))
		}
		next.size = w.off + need
	}
	return nil
}

// sync makes everything written durable.
func (w *writer) sync() error {
	if !w.dirty {
		return nil
	}
	start := time.Now()
	if err := w.active.f.Sync(); err != nil {
		return w.l.poison(fmt.Errorf("sync %s: %w", w.active.name, err))
	}
	w.l.stats.sync(time.Since(start))
	w.l.synced.Store(w.seq)
	w.dirty = false
	return nil
}

// publish makes the ops visible, each group's at once.
func (w *writer) publish() {
	entries := 0
	for i := 0; i < len(w.ops); {
		g := w.ops[i].g
		g.mu.Lock()
		for ; i < len(w.ops) && w.ops[i].g == g; i++ {
			w.ops[i].applyLocked()
			entries += len(w.ops[i].entries)
		}
		g.repinLocked()
		g.mu.Unlock()
	}
	w.l.stats.entries.Add(uint64(entries))
}

func (o *op) applyLocked() {
	g := o.g
	switch o.kind {
	case kindReset:
		g.resetLocked(o.base.Index, o.base.Term, o.place.seg)
	case kindTruncate:
		g.mu.baseSeg = o.place.seg
	case kindHardState:
		g.mu.hs, g.mu.hsSeg = o.hs, o.place.seg
	case kindRemove:
		g.removeLocked()
	case kindEntry:
		g.addAllLocked(o.place, o.entries)
	case opMove:
		g.moveLocked(o)
	}
}

// addAllLocked puts entries that lie one after the other into index and cache.
func (g *Group) addAllLocked(p place, entries []raftpb.Entry) {
	for i := range entries {
		e := &entries[i]
		size := entrySize(e)
		g.addLocked(p, e.Index, e.Term, size)
		g.mu.cache.add(*e)
		p.off += uint32(size)
	}
}

// maybeShrink brings cache and index back under their budgets.
func (l *Log) maybeShrink() {
	if l.cached.Load() > l.opts.CacheBytes {
		l.shrinkCache()
	}
	for l.index.over() && l.index.dist.Load() < l.opts.SegmentBytes {
		l.thinIndex()
	}
}

func (l *Log) shrinkCache() {
	groups := l.Groups()
	sizes := make([]int64, len(groups))
	for i, g := range groups {
		g.mu.RLock()
		sizes[i] = g.mu.cache.bytes
		g.mu.RUnlock()
	}
	// To a little under the budget, so that this isn't done with every append.
	level := waterLevel(sizes, l.opts.CacheBytes-l.opts.CacheBytes/16)
	for _, g := range groups {
		g.mu.Lock()
		g.mu.cache.shrink(level)
		g.mu.Unlock()
	}
}

func (l *Log) thinIndex() {
	dist := 2 * l.index.dist.Load()
	l.index.dist.Store(dist)
	for _, g := range l.Groups() {
		g.mu.Lock()
		for i := range g.mu.spans {
			g.mu.spans[i].thin(dist, &l.index)
		}
		g.mu.Unlock()
	}
}
