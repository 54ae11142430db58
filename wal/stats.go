package wal

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// SyncBounds are the upper bounds of the buckets of Stats.SyncBuckets; a last bucket has no bound.
var SyncBounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 200 * time.Microsecond, 400 * time.Microsecond, 800 * time.Microsecond,
	1600 * time.Microsecond, 3200 * time.Microsecond, 6400 * time.Microsecond, 12800 * time.Microsecond,
	25600 * time.Microsecond, 51200 * time.Microsecond, 102400 * time.Microsecond, 409600 * time.Microsecond,
}

// counters only grow.
type counters struct {
	frames, entries, bytes, syncs atomic.Uint64
	syncNanos                     atomic.Int64
	buckets                       [len(SyncBounds) + 1]atomic.Uint64
}

func (c *counters) frame(size int64) {
	c.frames.Add(1)
	c.bytes.Add(uint64(size))
}

func (c *counters) sync(took time.Duration) {
	c.syncs.Add(1)
	c.syncNanos.Add(int64(took))
	i := 0
	for i < len(SyncBounds) && took > SyncBounds[i] {
		i++
	}
	c.buckets[i].Add(1)
}

// Stats describe the log. Frames to SyncBuckets count since Open.
type Stats struct {
	Segments  int
	DiskBytes int64 // of the segments in the log; spares are SpareBytes
	// SpareBytes are of files kept to be written again, the next segment, and retired ones that are still read.
	SpareBytes  int64
	OverCap     int64 // how far DiskBytes is over Options.MaxDiskBytes
	Groups      int
	CacheBytes  int64
	IndexBytes  int64
	Frames      uint64 // written
	Entries     uint64 // written
	Bytes       uint64 // written, padding included
	Syncs       uint64
	SyncTime    time.Duration // all syncs together
	SyncBuckets [len(SyncBounds) + 1]uint64
}

// Stats describes the log at about one moment.
func (l *Log) Stats() Stats {
	live := l.segs.snapshot()
	c := &l.stats
	s := Stats{
		Segments: len(live), DiskBytes: l.diskBytes(live), SpareBytes: l.keeper.bytes(), CacheBytes: l.cached.Load(),
		IndexBytes: l.index.count.Load() * markBytes, Frames: c.frames.Load(), Entries: c.entries.Load(), Bytes: c.bytes.Load(),
		Syncs: c.syncs.Load(), SyncTime: time.Duration(c.syncNanos.Load()),
	}
	if l.opts.MaxDiskBytes > 0 {
		s.OverCap = max(0, s.DiskBytes-l.opts.MaxDiskBytes)
	}
	for i := range c.buckets {
		s.SyncBuckets[i] = c.buckets[i].Load()
	}
	l.groups.RLock()
	s.Groups = len(l.groups.m)
	l.groups.RUnlock()
	return s
}

// diskBytes counts a segment by its nominal size; the file may be larger for a large entry.
func (l *Log) diskBytes(live []*segment) (n int64) {
	for _, s := range live {
		n += max(l.opts.SegmentBytes, s.written.Load())
	}
	return n
}

func (k *keeper) bytes() (n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range slices.Concat(k.mu.ready, k.mu.waiting) {
		n += s.size
	}
	for range k.mu.retired {
		n += k.size
	}
	if k.mu.next != nil {
		n += k.size
	}
	return n
}

// capSegment is the newest segment that has to go for the log to be under its disk cap, 0 when it is. The one being
// written never has to.
func (l *Log) capSegment() (id uint64) {
	if l.opts.MaxDiskBytes <= 0 {
		return 0
	}
	live := l.segs.snapshot()
	over := l.diskBytes(live) - l.opts.MaxDiskBytes
	for i := 0; i < len(live)-1 && over > 0; i++ {
		id = live[i].id
		over -= max(l.opts.SegmentBytes, live[i].written.Load())
	}
	return id
}

// GroupPin says what a group keeps from being freed.
type GroupPin struct {
	Group   uint64
	Segment uint64 // the oldest segment that the group needs
	Behind  int64  // bytes of the log from that segment to the one being written
	Entries uint64 // bytes of entries that the group has left, wherever
	// Rewritable says that Rewrite would free the group's pin without truncating first.
	Rewritable bool
}

// Pinning returns the groups that need a segment other than the one being written, the furthest behind first.
func (l *Log) Pinning() []GroupPin {
	live := l.segs.snapshot()
	behind := make(map[uint64]int64, len(live))
	sum := int64(0)
	for _, s := range slices.Backward(live[:len(live)-1]) {
		sum += max(l.opts.SegmentBytes, s.written.Load())
		behind[s.id] = sum
	}
	var out []GroupPin
	for _, g := range l.Groups() {
		g.mu.RLock()
		pin, bytes := g.mu.pin, g.bytesLocked()
		g.mu.RUnlock()
		if pin == nil || behind[pin.id] == 0 {
			continue
		}
		out = append(out, GroupPin{Group: g.id, Segment: pin.id, Behind: behind[pin.id], Entries: bytes, Rewritable: bytes <= MaxRewriteBytes})
	}
	slices.SortStableFunc(out, func(a, b GroupPin) int { return cmp.Compare(a.Segment, b.Segment) })
	return out
}
