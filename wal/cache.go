package wal

import (
	"sort"
	"sync/atomic"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// entryOverhead is what a cached entry costs beside its data: the raftpb.Entry and the allocator's rounding.
const entryOverhead = 64

// cache holds a group's most recent entries, without holes. Guarded by the group's lock.
type cache struct {
	entries []raftpb.Entry // entries[head:] are in use
	head    int
	bytes   int64
	total   *atomic.Int64 // of the node
}

func cost(e *raftpb.Entry) int64 { return entryOverhead + int64(len(e.Data)) }

// first is the index of the oldest entry held, or 0.
func (c *cache) first() uint64 {
	if c.head == len(c.entries) {
		return 0
	}
	return c.entries[c.head].Index
}

// add appends an entry. It may replace entries from its index on; if it doesn't follow on, the cache starts anew.
func (c *cache) add(e raftpb.Entry) {
	if first := c.first(); first != 0 {
		if e.Index < first || e.Index > first+uint64(len(c.entries)-c.head) {
			c.drop(len(c.entries) - c.head)
		} else {
			c.cut(e.Index)
		}
	}
	c.entries = append(c.entries, e)
	c.account(cost(&e))
}

func (c *cache) account(n int64) {
	c.bytes += n
	c.total.Add(n)
}

// cut forgets the entries from index on.
func (c *cache) cut(index uint64) {
	first := c.first()
	if first == 0 {
		return
	}
	n := c.head
	if index > first {
		n += int(index - first)
	}
	for i := n; i < len(c.entries); i++ {
		c.account(-cost(&c.entries[i]))
		c.entries[i] = raftpb.Entry{}
	}
	if n < len(c.entries) {
		c.entries = c.entries[:n]
	}
}

// drop forgets the n oldest entries.
func (c *cache) drop(n int) {
	for i := c.head; i < c.head+n; i++ {
		c.account(-cost(&c.entries[i]))
		c.entries[i] = raftpb.Entry{}
	}
	c.head += n
	c.compact()
}

// compact moves what is left to the front once more than half is free, and gives a much too large array back.
func (c *cache) compact() {
	left := len(c.entries) - c.head
	if c.head <= left {
		return
	}
	if left == 0 && cap(c.entries) > 1024 {
		c.entries, c.head = nil, 0
		return
	}
	copy(c.entries, c.entries[c.head:])
	clear(c.entries[left:])
	c.entries, c.head = c.entries[:left], 0
	if cap(c.entries) > 1024 && left < cap(c.entries)/8 {
		c.entries = append(make([]raftpb.Entry, 0, 2*left), c.entries...)
	}
}

// dropThrough forgets the entries up to index.
func (c *cache) dropThrough(index uint64) {
	if first := c.first(); first != 0 && index >= first {
		c.drop(min(int(index-first)+1, len(c.entries)-c.head))
	}
}

// shrink forgets oldest entries until at most max bytes are left.
func (c *cache) shrink(max int64) {
	n, bytes := 0, c.bytes
	for ; bytes > max && c.head+n < len(c.entries); n++ {
		bytes -= cost(&c.entries[c.head+n])
	}
	c.drop(n)
}

// appendTo appends the entries in [lo, hi) to dst, as long as they stay under max bytes; the first is always taken.
// lo must be held. size is what dst takes of max already.
func (c *cache) appendTo(dst []raftpb.Entry, lo, hi, max, size uint64) []raftpb.Entry {
	first := c.first()
	for i := lo; i < hi; i++ {
		e := c.entries[c.head+int(i-first)]
		size += uint64(e.Size())
		if len(dst) > 0 && size > max {
			break
		}
		dst = append(dst, e)
	}
	return dst
}

// waterLevel returns the greatest level with Σ min(size, level) ≤ budget: what each may have at most so that who needs
// little isn't robbed for who needs much. It sorts sizes.
func waterLevel(sizes []int64, budget int64) int64 {
	sort.Slice(sizes, func(i, j int) bool { return sizes[i] < sizes[j] })
	for i, s := range sizes {
		if share := budget / int64(len(sizes)-i); s > share {
			return share
		}
		budget -= s
	}
	return 1 << 62
}
