package wal

import (
	"sort"
	"time"
)

// RetainPolicy says what of a group's log is kept although its store needs it no more. Each reason keeps on its own:
// an entry stays as long as any of them wants it. The limits then win over the reasons.
type RetainPolicy struct {
	// Consumers keeps what a registered consumer hasn't read.
	Consumers bool
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
	if p.Consumers {
		for _, position := range s.Positions {
			index = min(index, position)
		}
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
