package wal

import (
	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// A batch of Reader.Next holds at most so many entries and bytes.
const (
	batchEntries = 4096
	batchBytes   = 1 << 20
)

// Reader reads a group's entries in order. It keeps its place in the file, so reading on is cheap, and the segment that
// it reads isn't used again under it. Truncation goes on meanwhile. For one goroutine; Close gives the segment back.
type Reader struct {
	s       scanner
	entries []raftpb.Entry
}

// NewReader returns a reader whose first entry is from. It fails at nothing: Next says when from is compacted.
func (g *Group) NewReader(from uint64) *Reader {
	return &Reader{s: scanner{g: g, next: from}}
}

// Index is the index of the next entry to be read.
func (r *Reader) Index() uint64 { return r.s.next }

// Next returns the next entries up to index max, inclusive: a batch as it comes cheaply, at least one entry, none when
// all up to max were read. The entries and their data are valid until the next call. max must not be above what is
// committed: what isn't may be replaced after it was read.
//
// Errors: raft.ErrCompacted when the next entry was truncated, raft.ErrUnavailable when max is above LastIndex,
// ErrRemoved, ErrCorrupt, and of reading. After an error the reader still stands before the entry that failed.
func (r *Reader) Next(max uint64) ([]raftpb.Entry, error) {
	if r.s.next > max {
		return nil, nil
	}
	clear(r.entries)
	r.entries = r.entries[:0]
	done, err := r.fromCache(max)
	if done || err != nil {
		return r.entries, err
	}
	r.entries, err = r.s.fill(r.entries, min(max, r.s.next+batchEntries-1), batchBytes, false)
	if len(r.entries) > 0 {
		return r.entries, nil // an error comes again
	}
	return nil, err
}

// fromCache serves the batch if the cache has its first entry.
func (r *Reader) fromCache(max uint64) (done bool, err error) {
	g := r.s.g
	g.mu.RLock()
	defer g.mu.RUnlock()
	switch {
	case g.mu.removed:
		return false, ErrRemoved
	case r.s.next <= g.mu.base:
		return false, raft.ErrCompacted
	case max > g.mu.last:
		return false, raft.ErrUnavailable
	}
	if first := g.mu.cache.first(); first == 0 || first > r.s.next {
		return false, nil
	}
	hi := min(max+1, r.s.next+batchEntries)
	r.entries = g.mu.cache.appendTo(r.entries, r.s.next, hi, batchBytes, 0)
	r.s.next += uint64(len(r.entries))
	return true, nil
}

// Close gives back what the reader holds.
func (r *Reader) Close() {
	r.s.release()
	r.entries = nil
}
