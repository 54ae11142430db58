package wal

import (
	"slices"
	"sort"
	"time"
)

// RetainPolicy says what of a group's log is kept although its store needs it no more. Each reason keeps on its own:
// an entry stays as long as any of them wants it. The limits then win over the reasons.
type RetainPolicy struct {
	// Consumers keeps what a registered consumer hasn't read, but nothing that is older than ConsumerAge; 0 is no limit.
	Consumers   bool
	ConsumerAge time.Duration
	// Age keeps what is younger. 0 keeps nothing for age.
	Age time.Duration
	// Bytes keeps the latest entries, as many as fit. 0 keeps nothing for size.
	Bytes uint64
	// MaxBytes is a limit of the group: older entries go even if a consumer waits for them. 0 is none.
	MaxBytes uint64
}

// RetainState is what a truncation is decided by.
type RetainState struct {
	Now time.Time
	// Applied and Flushed: what is above either is needed to recover the group's store.
	Applied, Flushed uint64
	// Positions are what registered consumers have read, by index.
	Positions []uint64
	// Stats, with CapIndex for the disk cap, and Outline are the group's.
	Stats   GroupStats
	Outline []Point
}

// Index returns up to where the group's log can be truncated. It is never above Applied and Flushed, and may be below
// Stats.First: then there is nothing to do. Age and size are exact to the points of the outline, and err on the side of keeping.
//
// The disk cap wins over every reason to keep, but nothing wins over Applied and Flushed: if CapIndex is above them,
// the store has to be flushed first.
func (p RetainPolicy) Index(s RetainState) uint64 {
	most := min(s.Applied, s.Flushed)
	index := most
	if p.Consumers && len(s.Positions) > 0 {
		held := slices.Min(s.Positions)
		if p.ConsumerAge > 0 {
			held = max(held, olderThan(s, s.Now.Add(-p.ConsumerAge)))
		}
		index = min(index, held)
	}
	if p.Age > 0 {
		index = min(index, olderThan(s, s.Now.Add(-p.Age)))
	}
	if p.Bytes > 0 {
		index = min(index, sizeIndex(s, p.Bytes, false))
	}
	limit := s.Stats.CapIndex
	if p.MaxBytes > 0 {
		limit = max(limit, sizeIndex(s, p.MaxBytes, true))
	}
	return min(max(index, limit), most)
}

// olderThan returns the last index that is known to be written before t. A point's time is that of its entry; the
// entries after it, up to the next point, may be as young as that one.
func olderThan(s RetainState, t time.Time) uint64 {
	n := sort.Search(len(s.Outline), func(i int) bool { return !s.Outline[i].Time.Before(t.Truncate(time.Second)) })
	if n == 0 {
		return s.Stats.First - 1
	}
	return s.Outline[n-1].Index
}

// sizeIndex returns where to truncate so that about bytes are left: at least that much, or with atMost at most.
func sizeIndex(s RetainState, bytes uint64, atMost bool) uint64 {
	if s.Stats.Bytes <= bytes {
		return s.Stats.First - 1
	}
	excess := s.Stats.Bytes - bytes
	// The first point with at least excess bytes before it leaves at most bytes.
	n := sort.Search(len(s.Outline), func(i int) bool { return s.Outline[i].Before >= excess })
	if !atMost && (n == len(s.Outline) || s.Outline[n].Before > excess) {
		n--
	}
	switch {
	case n < 0:
		return s.Stats.First - 1
	case n == len(s.Outline):
		return s.Stats.Last
	}
	return s.Outline[n].Index - 1
}

// Tail is what follows an index in a group's log, for who has read up to it.
type Tail struct {
	// Bytes is what the entries after the index take that are left. Oldest is when the first of them was written, or one a little before it; zero
	// if there is none. Both are exact to the distance of marks.
	Bytes  uint64
	Oldest time.Time
	// DiskLeft is how many bytes may be written to the log, by all groups, before the disk cap takes the first of them. -1: there
	// is no cap.
	DiskLeft int64
}

// Tail describes what follows index.
func (g *Group) Tail(index uint64) Tail {
	t := Tail{DiskLeft: -1}
	var from *segment
	g.mu.RLock()
	for i := range g.mu.spans {
		s := &g.mu.spans[i]
		switch {
		case s.last <= index:
			continue
		case s.first > index:
			t.Bytes += s.retained()
		default:
			t.Bytes += uint64(s.bytes) - s.bytesBefore(index+1)
		}
		if from == nil {
			from = s.seg
			t.Oldest = time.Unix(int64(s.best(max(index+1, s.first)).at), 0)
		}
	}
	g.mu.RUnlock()
	if g.log.opts.MaxDiskBytes > 0 {
		t.DiskLeft = max(g.log.diskLeft(from), 0)
	}
	return t
}

// diskLeft is how much the log may grow before the disk cap takes a segment; nil is the one to be written next.
func (l *Log) diskLeft(from *segment) int64 {
	left := l.opts.MaxDiskBytes
	for _, s := range l.segs.snapshot() {
		if from != nil && s.id >= from.id {
			left -= max(l.opts.SegmentBytes, s.written.Load())
		}
	}
	return left
}
