package transport

import (
	"sync"
)

// Frames gather in buffers of two sizes: small ones while little waits, large ones behind that. A frame larger than those
// gets a buffer of its own, so a frame never spans two and no byte is copied a second time when the queue grows.
const (
	chunkSize      = 64 << 10
	largeChunkSize = 1<<20 + 16<<10 // a message at raft's usual limit of 1 MiB, and its framing
)

var (
	chunkPool      = sync.Pool{New: func() any { return &chunk{buf: make([]byte, 0, chunkSize)} }}
	largeChunkPool = sync.Pool{New: func() any { return &chunk{buf: make([]byte, 0, largeChunkSize)} }}
)

type chunk struct{ buf []byte }

func newChunk(size int) *chunk {
	switch {
	case size > largeChunkSize:
		return &chunk{buf: make([]byte, 0, size)}
	case size > chunkSize:
		return largeChunkPool.Get().(*chunk)
	}
	return chunkPool.Get().(*chunk)
}

func freeChunks(chunks []*chunk) {
	for i, c := range chunks {
		chunks[i] = nil
		full := cap(c.buf)
		c.buf = c.buf[:0]
		switch full {
		case chunkSize:
			chunkPool.Put(c)
		case largeChunkSize:
			largeChunkPool.Put(c)
		}
	}
}

// queue holds the encoded frames that wait for one peer.
type queue struct {
	budget     int64
	maxMessage int

	// wake has a token when there may be something to take.
	wake chan struct{}

	mu struct {
		sync.Mutex
		chunks []*chunk
		spare  []*chunk // emptied list, for reuse
		held   int64    // bytes in chunks and in what was taken and not yet released
		count  int      // messages in chunks
		sizes  []int    // scratch: protobuf sizes of the frame in the making
		closed bool
	}
}

func newQueue(budget int64, maxMessage int) *queue {
	return &queue{budget: budget, maxMessage: maxMessage, wake: make(chan struct{}, 1)}
}

// put encodes msgs behind what is there. It returns how many were dropped: over budget, or tooLarge, which never fit.
func (q *queue) put(msgs []Message) (dropped, tooLarge int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed {
		return len(msgs), 0
	}
	for len(msgs) > 0 {
		n, size := q.frameLocked(msgs)
		switch {
		case n == 0:
			tooLarge++
			n = 1
		case q.mu.held > 0 && q.mu.held+int64(headerSize+size) > q.budget:
			dropped += n
		default:
			if !q.encodeLocked(msgs[:n], size) {
				tooLarge += n
			}
		}
		msgs = msgs[n:]
	}
	if q.mu.count > 0 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return dropped, tooLarge
}

// frameLocked chooses how many of msgs make the next frame and notes their sizes. 0: the first one is over the limit.
func (q *queue) frameLocked(msgs []Message) (n, size int) {
	q.mu.sizes = q.mu.sizes[:0]
	for i := range msgs {
		body := msgs[i].Message.Size()
		full := encodedSize(msgs[i].Group, body)
		if body > q.maxMessage || n == maxFrameMessages || (n > 0 && size+full > frameTarget) {
			break
		}
		q.mu.sizes = append(q.mu.sizes, body)
		n, size = n+1, size+full
	}
	return n, size
}

// encodeLocked appends one frame. It reports false, and appends nothing, if a message can't be encoded.
func (q *queue) encodeLocked(msgs []Message, size int) bool {
	c := q.roomLocked(headerSize + size)
	start := len(c.buf)
	frame := c.buf[start : start+headerSize+size]
	at := headerSize
	for i := range msgs {
		n, err := putMessage(frame[at:], &msgs[i], q.mu.sizes[i])
		if err != nil {
			return false
		}
		at += n
	}
	putHeader(frame, frameMessages, uint16(len(msgs)), frame[headerSize:])
	c.buf = c.buf[:start+len(frame)]
	q.mu.held += int64(len(frame))
	q.mu.count += len(msgs)
	return true
}

// roomLocked returns the last chunk if size bytes fit behind its content, else a new one.
func (q *queue) roomLocked(size int) *chunk {
	if n := len(q.mu.chunks); n > 0 {
		if c := q.mu.chunks[n-1]; cap(c.buf)-len(c.buf) >= size {
			return c
		}
	}
	if len(q.mu.chunks) > 0 {
		size = max(size, chunkSize+1)
	}
	c := newChunk(size)
	q.mu.chunks = append(q.mu.chunks, c)
	return c
}

// batch is what was taken from a queue. Its bytes count against the budget until it is released.
type batch struct {
	chunks []*chunk
	count  int
	bytes  int64
}

// take returns all that waits; a batch without messages if nothing does.
func (q *queue) take() batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := batch{chunks: q.mu.chunks, count: q.mu.count}
	for _, c := range b.chunks {
		b.bytes += int64(len(c.buf))
	}
	q.mu.chunks, q.mu.count = q.mu.spare, 0
	q.mu.spare = nil
	return b
}

// release gives a batch's memory back, be it written or dropped.
func (q *queue) release(b batch) {
	freeChunks(b.chunks)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.held -= b.bytes
	q.mu.spare = b.chunks[:0]
}

// empty says whether nothing waits.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.count == 0
}

// close makes put drop everything.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.closed = true
}

// heldBytes is what counts against the budget now.
func (q *queue) heldBytes() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.held
}
