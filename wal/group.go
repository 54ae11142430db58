package wal

import (
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// Group is one raft group's part of the log. Its methods may be called from any goroutine, while Append runs.
type Group struct {
	id  uint64
	log *Log

	mu struct {
		sync.RWMutex
		removed  bool
		hs       raftpb.HardState
		base     uint64 // entries up to here are forgotten
		baseTerm uint64
		last     uint64
		fresh    bool // the next entry begins a span
		spans    []span
		terms    []termStart // by index; what lies before the first has no entries
		cache    cache
		// What the group needs of the log to be recovered: the segments of its hard state, its base record, its entries.
		hsSeg, baseSeg, pin *segment
		// truncating says that base was moved and no record says so yet.
		truncating bool
	}

	// cuts counts how often entries were replaced: a scanner that began before that has to look where the next entry is now.
	cuts atomic.Uint64

	// Of the writer alone: where the group will be when the updates checked so far are written.
	nextBase, nextLast uint64
	// Of recovery alone: why the group can't be used yet.
	loose error
}

// termStart says that entries have term from index on.
type termStart struct{ index, term uint64 }

// ID is the number of the group.
func (g *Group) ID() uint64 { return g.id }

// HardState returns the last hard state appended, empty if there is none.
func (g *Group) HardState() raftpb.HardState {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.mu.hs
}

// FirstIndex is the index of the oldest entry left, or that of the next one when there is none.
func (g *Group) FirstIndex() uint64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.mu.base + 1
}

// LastIndex is the index of the last entry, or of the one before the next when there is none.
func (g *Group) LastIndex() uint64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.mu.last
}

// Term returns the term of entry i, which may be the one before FirstIndex. It never reads the disk. Errors are
// raft.ErrCompacted, raft.ErrUnavailable.
func (g *Group) Term(i uint64) (uint64, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.termLocked(i)
}

func (g *Group) termLocked(i uint64) (uint64, error) {
	switch {
	case i < g.mu.base:
		return 0, raft.ErrCompacted
	case i == g.mu.base:
		return g.mu.baseTerm, nil
	case i > g.mu.last:
		return 0, raft.ErrUnavailable
	}
	n := sort.Search(len(g.mu.terms), func(k int) bool { return g.mu.terms[k].index > i })
	return g.mu.terms[n-1].term, nil
}

// Truncate lets entries up to index go; the term of index is kept. They are gone for readers at once. The record that
// says so is written with the next Append of any group, and only then is disk space freed: after a crash before that
// they are there again. An index at or below the one before FirstIndex changes nothing; above LastIndex it is
// raft.ErrUnavailable.
func (g *Group) Truncate(index uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.removed {
		return fmt.Errorf("truncate group %d: %w", g.id, ErrRemoved)
	}
	if index <= g.mu.base {
		return nil
	}
	term, err := g.termLocked(index)
	if err != nil {
		return fmt.Errorf("truncate group %d to %d, last is %d: %w", g.id, index, g.mu.last, err)
	}
	g.forgetLocked(index, term)
	if !g.mu.truncating {
		g.mu.truncating = true
		g.log.queueTruncation(g)
	}
	return nil
}

// forgetLocked moves the base up to index.
func (g *Group) forgetLocked(index, term uint64) {
	b := &g.log.index
	n := 0
	for n < len(g.mu.spans) && g.mu.spans[n].last <= index {
		b.count.Add(int64(-len(g.mu.spans[n].marks)))
		n++
	}
	if n > 0 {
		g.mu.spans = append([]span(nil), g.mu.spans[n:]...)
	}
	if len(g.mu.spans) > 0 && g.mu.spans[0].first <= index {
		g.mu.spans[0].trim(index+1, b)
	}
	t := sort.Search(len(g.mu.terms), func(k int) bool { return g.mu.terms[k].index > index+1 })
	if t > 1 {
		g.mu.terms = append([]termStart(nil), g.mu.terms[t-1:]...)
	}
	g.mu.cache.dropThrough(index)
	g.mu.base, g.mu.baseTerm = index, term
	b.maybeRelax()
}

// cutLocked forgets the entries from index on, which others are about to replace.
func (g *Group) cutLocked(index uint64) {
	g.cuts.Add(1)
	b := &g.log.index
	for n := len(g.mu.spans); n > 0 && g.mu.spans[n-1].first >= index; n-- {
		b.count.Add(int64(-len(g.mu.spans[n-1].marks)))
		g.mu.spans = g.mu.spans[:n-1]
	}
	if n := len(g.mu.spans); n > 0 && g.mu.spans[n-1].last >= index {
		g.mu.spans[n-1].cut(index, b)
	}
	t := sort.Search(len(g.mu.terms), func(k int) bool { return g.mu.terms[k].index >= index })
	g.mu.terms = g.mu.terms[:t]
	g.mu.cache.cut(index)
	g.mu.last, g.mu.fresh = index-1, true
}

// addLocked puts one entry, of size bytes in the file, into the index. The index follows on last or overwrites.
func (g *Group) addLocked(p place, index, term uint64, size int) {
	if index <= g.mu.last {
		g.cutLocked(index)
	}
	n := len(g.mu.spans)
	if n == 0 || g.mu.fresh || g.mu.spans[n-1].seg != p.seg {
		g.mu.spans = append(g.mu.spans, span{seg: p.seg, origin: index, first: index, last: index - 1})
		g.mu.fresh = false
		n++
	}
	g.mu.spans[n-1].add(p, size, &g.log.index)
	if t := len(g.mu.terms); t == 0 || g.mu.terms[t-1].term != term {
		g.mu.terms = append(g.mu.terms, termStart{index, term})
	}
	g.mu.last = index
}

// resetLocked forgets all entries; the next one is index+1.
func (g *Group) resetLocked(index, term uint64, seg *segment) {
	g.cuts.Add(1)
	for i := range g.mu.spans {
		g.log.index.count.Add(int64(-len(g.mu.spans[i].marks)))
	}
	g.mu.spans, g.mu.terms, g.mu.truncating = nil, nil, false
	g.mu.cache.drop(len(g.mu.cache.entries) - g.mu.cache.head)
	g.mu.base, g.mu.baseTerm, g.mu.last = index, term, index
	g.mu.baseSeg = seg
}

// repinLocked moves the group's pin to the oldest segment that it needs. While a truncation has no record the old
// pin stays: without the record, what was truncated is needed to recover.
func (g *Group) repinLocked() {
	if g.mu.truncating {
		return
	}
	pin := older(g.mu.hsSeg, g.mu.baseSeg)
	if len(g.mu.spans) > 0 {
		pin = older(pin, g.mu.spans[0].seg)
	}
	if pin != g.mu.pin {
		g.log.segs.move(g.mu.pin, pin)
		g.mu.pin = pin
	}
}

func older(a, b *segment) *segment {
	if a == nil || b != nil && b.id < a.id {
		return b
	}
	return a
}

// GroupStats describes a group at one moment.
type GroupStats struct {
	Group       uint64
	First, Last uint64 // as FirstIndex and LastIndex
	Bytes       uint64 // of the entries left, on disk; exact to the distance of marks (64 KiB and up)
	// Oldest is when the oldest entry left was written (to the second, and to the distance of marks), zero if none.
	Oldest time.Time
	// CapIndex is the last index of this group in the segments that have to go for the log to be under its disk cap,
	// 0 when it is under, or the group isn't in the way.
	CapIndex uint64
}

// Stats describes the group.
func (g *Group) Stats() GroupStats {
	last := g.log.capSegment()
	g.mu.RLock()
	defer g.mu.RUnlock()
	s := GroupStats{Group: g.id, First: g.mu.base + 1, Last: g.mu.last, Bytes: g.bytesLocked()}
	for i := range g.mu.spans {
		if g.mu.spans[i].seg.id <= last {
			s.CapIndex = g.mu.spans[i].last
		}
	}
	if len(g.mu.spans) > 0 {
		s.Oldest = time.Unix(int64(g.mu.spans[0].best(g.mu.spans[0].first).at), 0)
	}
	return s
}

// Bytes is what the entries left take on disk.
func (g *Group) Bytes() uint64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.bytesLocked()
}

func (g *Group) bytesLocked() (n uint64) {
	for i := range g.mu.spans {
		n += g.mu.spans[i].retained()
	}
	return n
}

// Point is one known place of a group's log: the entry at Index was written at Time, and the entries before it that
// are left take Before bytes.
type Point struct {
	Index  uint64
	Before uint64
	Time   time.Time
}

// Outline samples the log of the group: about max points (one per span at least), oldest first, for RetainPolicy.
func (g *Group) Outline(max int) []Point {
	g.mu.RLock()
	defer g.mu.RUnlock()
	marks := 0
	for i := range g.mu.spans {
		marks += len(g.mu.spans[i].marks)
	}
	step := marks/max + 1
	var out []Point
	var before uint64
	for i := range g.mu.spans {
		s := &g.mu.spans[i]
		skip := s.bytesBefore(s.first)
		for k := 0; k < len(s.marks); k += step {
			m := s.marks[k]
			p := Point{Index: s.origin + uint64(m.index), Before: before, Time: time.Unix(int64(m.at), 0)}
			if p.Index < s.first {
				p.Index = s.first
			} else {
				p.Before += uint64(m.bytes) - skip
			}
			out = append(out, p)
		}
		before += s.retained()
	}
	return out
}
