package message

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"unsafe"
)

// batch is a Batch that is being filled. Keys and values of ordinary size lie in its arena one after the other; as that grows, and so moves, they are
// known by where they lie until the batch is sent. Larger values lie in memory of their own, which several batches may share.
type batch struct {
	Batch
	arena  []byte
	spans  []span
	larges []*large
	// paid is what was taken of the share for it.
	paid int64
	// flushed says that it is to go as soon as it can.
	flushed bool
}

// span is where a message's key and value lie in the arena.
type span struct {
	key, value, end int
	outside         bool // they don't: the message has them
	keyless         bool
}

// large is memory of a value that is larger than a batch, or goes over several messages.
type large struct {
	key, value []byte
	refs       atomic.Int32
	// shared and common are what was taken for it of the share and of the budget's common half.
	shared, common int64
}

// messageBytes is what a message takes beside its key and value.
const messageBytes = int64(unsafe.Sizeof(Message{}) + unsafe.Sizeof(span{}))

// held is how much memory the batch is, apart from larges.
func (b *batch) held() int64 { return int64(len(b.arena)) + int64(len(b.Messages))*messageBytes }

var batches = sync.Pool{New: func() any { return new(batch) }}

// batchKept bounds the memory of a batch that is kept for the next one.
const batchKept = 2 << 20

func newBatch() *batch { return batches.Get().(*batch) }

func (b *batch) free() {
	if cap(b.arena) > batchKept || int64(cap(b.Messages))*messageBytes > batchKept {
		return
	}
	clear(b.larges)
	clear(b.Messages) // or they would keep large values alive
	*b = batch{Batch: Batch{Messages: b.Messages[:0]}, arena: b.arena[:0], spans: b.spans[:0], larges: b.larges[:0]}
	batches.Put(b)
}

// add appends a message whose key and value are the arena from start on, the value from value on.
func (b *batch) add(m *Message, start, value int, keyless bool) {
	b.Messages = append(b.Messages, *m)
	b.spans = append(b.spans, span{start, value, len(b.arena), false, keyless})
	b.Bytes += len(b.arena) - start
}

// addOutside appends a message that has its slices itself, in l.
func (b *batch) addOutside(m *Message, l *large) {
	b.Messages = append(b.Messages, *m)
	b.spans = append(b.spans, span{outside: true})
	b.Bytes += len(m.Key) + len(m.Value)
	if n := len(b.larges); n == 0 || b.larges[n-1] != l {
		b.larges = append(b.larges, l)
		l.refs.Add(1)
	}
}

// finish gives the messages their slices.
func (b *batch) finish() *Batch {
	for i := range b.spans {
		s, m := &b.spans[i], &b.Messages[i]
		if s.outside {
			continue
		}
		m.Key, m.Value = nil, nil
		if !s.keyless {
			m.Key = b.arena[s.key:s.value:s.value]
		}
		if m.Kind != Tombstone {
			m.Value = b.arena[s.value:s.end:s.end]
		}
	}
	return &b.Batch
}

// ShortKey is the key that a message of at most maxBytes has: the Redis key itself, or, of one longer than a quarter of that, "sha256:" and its SHA-256 in
// hexadecimal digits. The line has the key in any case.
func ShortKey(key []byte, maxBytes int) []byte {
	if len(key) <= maxBytes/4 {
		return key
	}
	sum := sha256.Sum256(key)
	return hex.AppendEncode([]byte("sha256:"), sum[:])
}
