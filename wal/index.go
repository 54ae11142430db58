package wal

import (
	"sort"
	"sync/atomic"
)

// The index of a group: where its entries are, sparsely. A span is a row of consecutive entries within one segment,
// appended without overwriting: in file order, from its first to its last, the group's entries are exactly these. An
// overwrite ends a span and begins another, so a scan within a span never meets a superseded entry.

// mark is the place of one entry. 20 bytes.
type mark struct {
	index uint32 // relative to the span's origin
	bytes uint32 // bytes of the span's entries before this one
	frame uint32 // offset of the frame
	off   uint32 // offset of the record
	at    uint32 // seconds since 1970 when its frame was written
}

type span struct {
	seg         *segment
	origin      uint64 // index of marks' zero
	first, last uint64 // retained entries
	bytes       uint32 // of entries from origin to last
	newest      uint32 // seconds since 1970 when the last entry was written
	marks       []mark // marks[0] is at or before first
}

// place says where a record lies and when it was written.
type place struct {
	seg        *segment
	frame, off uint32
	at         int64 // ns since 1970
}

// indexBudget bounds the marks of all groups. Over it, every second mark goes and new ones are set half as often;
// when truncation has freed most, they are set more often again.
type indexBudget struct {
	max   int64
	min   int64 // closest distance of marks, bytes
	count atomic.Int64
	dist  atomic.Int64
}

const (
	markBytes       = 20
	minMarkDistance = 64 << 10
)

func (b *indexBudget) over() bool { return b.count.Load()*markBytes > b.max }

// maybeRelax halves the distance when less than a quarter of the budget is in use.
func (b *indexBudget) maybeRelax() {
	if d := b.dist.Load(); d > b.min && b.count.Load()*markBytes < b.max/4 {
		b.dist.Store(d / 2)
	}
}

// add appends the next entry to the span.
func (s *span) add(p place, size int, b *indexBudget) {
	n := len(s.marks)
	if n == 0 || int64(p.off)-int64(s.marks[n-1].off) >= b.dist.Load() {
		s.marks = append(s.marks, mark{
			index: uint32(s.last + 1 - s.origin), bytes: s.bytes, frame: p.frame, off: p.off, at: uint32(p.at / 1e9),
		})
		b.count.Add(1)
	}
	s.last++
	s.bytes += uint32(size)
	s.newest = max(s.newest, uint32(p.at/1e9))
}

// best returns the last mark at or before index.
func (s *span) best(index uint64) mark {
	rel := uint32(index - s.origin)
	return s.marks[sort.Search(len(s.marks), func(i int) bool { return s.marks[i].index > rel })-1]
}

// bytesBefore estimates the bytes of the entries from origin to before index: exact at marks, even in between.
func (s *span) bytesBefore(index uint64) uint64 {
	if index > s.last {
		return uint64(s.bytes)
	}
	rel := uint32(index - s.origin)
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].index > rel })
	m, next := s.marks[i-1], mark{index: uint32(s.last + 1 - s.origin), bytes: s.bytes}
	if i < len(s.marks) {
		next = s.marks[i]
	}
	return uint64(m.bytes) + uint64(next.bytes-m.bytes)*uint64(rel-m.index)/uint64(next.index-m.index)
}

// retained estimates the bytes of the entries that the span still has.
func (s *span) retained() uint64 { return uint64(s.bytes) - s.bytesBefore(s.first) }

// cut forgets the entries from index on (first < index ≤ last). Readers may hold the old slice of marks, so its array
// is never written again.
func (s *span) cut(index uint64, b *indexBudget) {
	s.bytes = uint32(s.bytesBefore(index))
	s.last = index - 1
	rel := uint32(index - s.origin)
	n := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].index >= rel })
	b.count.Add(int64(n - len(s.marks)))
	s.marks = s.marks[:n:n]
}

// trim forgets the entries before index (first < index ≤ last), and marks that no lookup needs any more.
func (s *span) trim(index uint64, b *indexBudget) {
	s.first = index
	rel := uint32(index - s.origin)
	n := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].index > rel }) - 1
	if n == 0 {
		return
	}
	b.count.Add(int64(-n))
	s.marks = append([]mark(nil), s.marks[n:]...)
}

// thin keeps the first mark and others at least dist apart.
func (s *span) thin(dist int64, b *indexBudget) {
	kept := make([]mark, 1, len(s.marks)/2+2)
	kept[0] = s.marks[0]
	for _, m := range s.marks[1:] {
		if int64(m.off)-int64(kept[len(kept)-1].off) >= dist {
			kept = append(kept, m)
		}
	}
	b.count.Add(int64(len(kept) - len(s.marks)))
	s.marks = kept
}
