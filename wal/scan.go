package wal

import (
	"fmt"
	"sort"
	"sync"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

const (
	minChunk = 4 << 10
	maxChunk = 256 << 10
)

// scanner reads a group's entries from disk, in order. It holds a place in a file, so going on is cheap; it looks the
// index up again whenever its buffer is used up, and jumps when the next entry is known to be further on. For one
// goroutine. It holds a reference to the segment it is in, which is thus not used again under it.
type scanner struct {
	g    *Group
	next uint64
	sp   span   // copy; sp.seg is referenced
	cuts uint64 // the group's, when sp was copied
	// The next record is at off, in a frame whose records end at end. end 0: nothing is located.
	off, end int64
	frame    int64
	win      window
	header   [frameHeaderSize]byte
}

var scanners = sync.Pool{New: func() any { return new(scanner) }}

// release gives the segment back. The scanner can be used again, from its next index.
func (s *scanner) release() {
	if s.sp.seg != nil {
		s.g.log.releaseSegment(s.sp.seg)
	}
	s.sp, s.end, s.win.buf = span{}, 0, s.win.buf[:0]
}

// locate finds the span of the next entry and the best place in it to start from, unless the scanner is further
// already.
func (s *scanner) locate() error {
	s.g.mu.RLock()
	defer s.g.mu.RUnlock()
	if s.g.mu.removed {
		return ErrRemoved
	}
	if s.next <= s.g.mu.base {
		return raft.ErrCompacted
	}
	spans := s.g.mu.spans
	n := sort.Search(len(spans), func(i int) bool { return spans[i].last >= s.next })
	if n == len(spans) {
		return raft.ErrUnavailable
	}
	sp := spans[n]
	m := sp.best(s.next)
	if old := s.sp.seg; old != sp.seg {
		// Under the group's lock the segment is pinned, so it is in the log and can't be recycled yet.
		sp.seg.refs.Add(1)
		if old != nil {
			s.g.log.releaseSegment(old)
		}
		s.end, s.win.buf, s.win.chunk = 0, s.win.buf[:0], minChunk
	}
	s.sp, s.cuts = sp, s.g.cuts.Load()
	if s.end == 0 || int64(m.off) > s.off {
		if !s.win.has(int64(m.off), recordHeaderSize) {
			s.win.chunk = minChunk
		}
		s.frame, s.off, s.end = int64(m.frame), int64(m.off), -1
	}
	return nil
}

// fill appends entries to dst, up to index max and until limit bytes of entries are taken (the first always is). With
// own set, data is copied; without, it lies in the scanner's buffer, and fill returns what it has rather than read on.
func (s *scanner) fill(dst []raftpb.Entry, max, limit uint64, own bool) ([]raftpb.Entry, error) {
	taken := uint64(0)
	// The span at hand may end earlier by now. What is asked for is committed, so no cut from here on concerns it.
	if s.cuts != s.g.cuts.Load() {
		s.end = 0
	}
	for n := len(dst); s.next <= max; {
		hold := !own && len(dst) > n // what was taken lies in the buffer, so it must not move
		if s.end == 0 || s.next < s.sp.first || s.next > s.sp.last || s.end > 0 && !s.win.has(s.off, recordHeaderSize) {
			if hold {
				return dst, nil
			}
			if err := s.locate(); err != nil {
				return dst, err
			}
		}
		e, full, err := s.step(hold)
		if err != nil {
			return dst, err
		}
		if full {
			return dst, nil
		}
		if e.Index == 0 {
			continue
		}
		taken += uint64(e.Size())
		if len(dst) > n && taken > limit {
			return dst, nil // the record is still next
		}
		if own && e.Data != nil {
			e.Data = append(make([]byte, 0, len(e.Data)), e.Data...)
		}
		dst = append(dst, e)
		s.off += int64(entrySize(&e))
		s.next++
	}
	return dst, nil
}

// step looks at the record at off. It returns the entry if it is the next one, without going past it; otherwise it
// moves on. full means that the buffer would have to move although hold forbids it.
func (s *scanner) step(hold bool) (e raftpb.Entry, full bool, err error) {
	if s.off == s.end || s.end < 0 {
		full, err = s.enterFrame(hold)
		return e, full, err
	}
	b, ok, err := s.peek(recordHeaderSize, hold)
	if !ok || err != nil {
		return e, !ok && err == nil, err
	}
	size := int64(le.Uint32(b[4:]))
	if size < recordHeaderSize || s.off+size > s.end {
		return e, false, corrupt(s.sp.seg.name, s.off, "record of %d bytes, its frame has %d left", size, s.end-s.off)
	}
	if b[32] != kindEntry || le.Uint64(b[8:]) != s.g.id || le.Uint64(b[16:]) < s.next {
		s.off += size
		return e, false, nil
	}
	b, ok, err = s.peek(int(size), hold)
	if !ok || err != nil {
		return e, !ok && err == nil, err
	}
	if !recordValid(b, s.sp.seg.seed) {
		return e, false, corrupt(s.sp.seg.name, s.off, "checksum of entry %d of group %d doesn't match", s.next, s.g.id)
	}
	r, err := decodeRecord(b)
	if err != nil {
		return e, false, corrupt(s.sp.seg.name, s.off, "%v", err)
	}
	if r.index != s.next {
		return e, false, corrupt(s.sp.seg.name, s.off, "entry %d of group %d, want %d", r.index, s.g.id, s.next)
	}
	return r.entry(), false, nil
}

// enterFrame reads the header of the frame that a mark names, or of the one after the frame that is done. full is as
// in step.
func (s *scanner) enterFrame(hold bool) (full bool, err error) {
	jumped := s.end < 0
	frame := s.frame
	if !jumped {
		frame = align(s.off)
	}
	if hold && !s.win.has(frame, frameHeaderSize) {
		return true, nil
	}
	seg := s.sp.seg
	end := seg.written.Load()
	b, err := s.frameHeader(frame, end, jumped && s.off-frame > minChunk)
	if err != nil {
		return false, err
	}
	h, ok := decodeFrameHeader(b, frame)
	if !ok || frame+frameSize(int(h.length)) > end {
		return false, corrupt(seg.name, frame, "no frame here, entry %d of group %d was expected in it or after", s.next, s.g.id)
	}
	s.frame, s.end = frame, frame+frameHeaderSize+int64(h.length)
	if !jumped {
		s.off = frame + frameHeaderSize
	}
	return false, nil
}

// frameHeader reads a frame's header; apart from the buffer when the record that is wanted is far inside the frame.
func (s *scanner) frameHeader(frame, end int64, apart bool) ([]byte, error) {
	seg := s.sp.seg
	if !apart || s.win.has(frame, frameHeaderSize) {
		return s.win.at(seg.f, seg.name, frame, frameHeaderSize, end)
	}
	if _, err := seg.f.ReadAt(s.header[:], frame); err != nil {
		return nil, fmt.Errorf("wal: read frame header at %d of %s: %w", frame, seg.name, err)
	}
	return s.header[:], nil
}

// peek returns n bytes at off; ok is false when the buffer would have to move for them and hold forbids it.
func (s *scanner) peek(n int, hold bool) (b []byte, ok bool, err error) {
	seg := s.sp.seg
	if s.win.has(s.off, n) {
		b, err = s.win.at(seg.f, seg.name, s.off, n, 0)
		return b, true, err
	}
	if hold {
		return nil, false, nil
	}
	s.win.chunk = min(2*s.win.chunk, maxChunk)
	b, err = s.win.at(seg.f, seg.name, s.off, n, seg.written.Load())
	return b, true, err
}

// Entries returns the entries in [lo, hi), as many as fit in maxBytes and at least one, as raft's Storage. Data is
// shared and must not be changed. Errors are raft.ErrCompacted (lo is before FirstIndex), raft.ErrUnavailable (hi is past
// LastIndex+1), ErrCorrupt, and of reading.
func (g *Group) Entries(lo, hi, maxBytes uint64) ([]raftpb.Entry, error) {
	cached, out, err := g.fromCache(lo, hi, maxBytes)
	if err != nil || cached == lo || lo >= hi {
		return out, err
	}
	upTo := hi - 1
	if cached != 0 {
		upTo = min(upTo, cached-1)
	}
	s := scanners.Get().(*scanner)
	s.g, s.next = g, lo
	out, err = s.fill(nil, upTo, maxBytes, true)
	s.release()
	s.g = nil
	scanners.Put(s)
	if err != nil {
		return nil, err
	}
	if n := lo + uint64(len(out)); n == upTo+1 && n < hi {
		return g.tailFromCache(out, n, hi, maxBytes)
	}
	return out, nil
}

// fromCache checks the range, and serves it if lo is cached. cached is where the cache begins, lo if out is the answer.
func (g *Group) fromCache(lo, hi, maxBytes uint64) (cached uint64, out []raftpb.Entry, err error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	switch {
	case g.mu.removed:
		return 0, nil, ErrRemoved
	case lo <= g.mu.base:
		return 0, nil, raft.ErrCompacted
	case hi > g.mu.last+1:
		return 0, nil, raft.ErrUnavailable
	}
	cached = g.mu.cache.first()
	if cached == 0 || cached > lo || lo >= hi {
		return cached, nil, nil
	}
	n := min(hi-lo, 1+maxBytes/entryOverhead)
	return lo, g.mu.cache.appendTo(make([]raftpb.Entry, 0, n), lo, hi, maxBytes, 0), nil
}

// tailFromCache goes on with what the cache has, if it still does.
func (g *Group) tailFromCache(out []raftpb.Entry, lo, hi, maxBytes uint64) ([]raftpb.Entry, error) {
	size := uint64(0)
	for i := range out {
		size += uint64(out[i].Size())
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	if first := g.mu.cache.first(); first == 0 || first > lo || hi > g.mu.last+1 {
		return out, nil
	}
	return g.mu.cache.appendTo(out, lo, hi, maxBytes, size), nil
}
