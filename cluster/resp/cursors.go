package resp

import (
	"container/list"
	"crypto/rand"
	"encoding/binary"
	"hash/maphash"
	"sync"

	"github.com/zankv/zankv/cluster/command"
)

const (
	// maxCursorBytes bounds the keys that all remembered cursors hold together.
	maxCursorBytes = 64 << 20
	// ownerShare is the part of the table, one in so many, that the cursors made on one connection may take; ownerLeast are always allowed.
	ownerShare, ownerLeast = 64, 16
)

// cursor is where a SCAN, or a scan of a key's elements, goes on.
type cursor struct {
	id        uint64
	owner     uint64 // the connection that it was made on; any may use it
	namespace string
	cluster   bool // made on a cluster port, and so for the partitions led here
	partition int
	of        uint64 // of elements: command and key (see cursors.of); 0 for SCAN
	from      []byte
}

// remembered is a cursor's two places.
type remembered struct {
	*cursor
	inAll, inOwner *list.Element
}

// cursors is the bounded table of a node's scans: the cursor that was not used for longest goes first, and first of all one of the same
// connection, if that has its share. A cursor may be used again and again while it is there.
type cursors struct {
	max  int
	seed maphash.Seed
	mu   struct {
		sync.Mutex
		byID    map[uint64]*remembered
		used    list.List             // of *remembered, most recently used first
		byOwner map[uint64]*list.List // the same, each connection's
		bytes   int
	}
}

func (t *cursors) init(max int) {
	t.max, t.seed = max, maphash.MakeSeed()
	t.mu.byID = make(map[uint64]*remembered)
	t.mu.byOwner = make(map[uint64]*list.List)
}

func (t *cursors) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.used.Len()
}

// of names a scan of elements by its command and its key. It isn't 0.
func (t *cursors) of(spec *command.Spec, key []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	h.WriteString(spec.Name)
	h.WriteByte(0)
	h.Write(key)
	return h.Sum64() | 1
}

// add gives a cursor an id. Ids are drawn at random, so that another node's, or an earlier life's, isn't taken for one of these; they
// stay below 2^53, which every client's numbers can hold.
func (t *cursors) add(c *cursor) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c.id == 0 || t.mu.byID[c.id] != nil {
		var b [8]byte
		rand.Read(b[:])
		c.id = binary.LittleEndian.Uint64(b[:]) >> 11
	}
	own := t.mu.byOwner[c.owner]
	if own == nil {
		own = list.New()
		t.mu.byOwner[c.owner] = own
	}
	r := &remembered{cursor: c}
	r.inAll, r.inOwner = t.mu.used.PushFront(r), own.PushFront(r)
	t.mu.byID[c.id] = r
	t.mu.bytes += len(c.from)
	if own.Len() > max(t.max/ownerShare, ownerLeast) {
		t.drop(own.Back().Value.(*remembered))
	}
	for t.mu.used.Len() > t.max || t.mu.bytes > maxCursorBytes {
		t.drop(t.mu.used.Back().Value.(*remembered))
	}
	return c.id
}

// drop forgets a cursor. The table is locked.
func (t *cursors) drop(r *remembered) {
	t.mu.used.Remove(r.inAll)
	own := t.mu.byOwner[r.owner]
	if own.Remove(r.inOwner); own.Len() == 0 {
		delete(t.mu.byOwner, r.owner)
	}
	delete(t.mu.byID, r.id)
	t.mu.bytes -= len(r.from)
}

func (t *cursors) get(id uint64) *cursor {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.mu.byID[id]
	if r == nil {
		return nil
	}
	t.mu.used.MoveToFront(r.inAll)
	t.mu.byOwner[r.owner].MoveToFront(r.inOwner)
	return r.cursor
}
