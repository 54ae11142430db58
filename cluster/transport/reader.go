package transport

import (
	"bufio"
	"io"
	"net"
)

const (
	readBuffer = 64 << 10
	// keptBuffer is how large a buffer for frames beyond readBuffer may stay with its connection.
	keptBuffer = 1 << 20
	// batchMessages and batchBytes end a batch for Deliver though more has arrived already.
	batchMessages = 1024
	batchBytes    = 1 << 20
)

// reader turns one connection's frames into batches for the handler.
type reader struct {
	t    *Transport
	from NodeID
	buf  *bufio.Reader
	big  []byte // for frames that don't fit in buf

	msgs  []Message
	bytes int
}

func newReader(t *Transport, from NodeID, conn net.Conn) *reader {
	return &reader{t: t, from: from, buf: bufio.NewReaderSize(conn, readBuffer)}
}

// run reads and delivers until the connection ends. The error is never nil.
func (r *reader) run() error {
	for {
		if err := r.frame(); err != nil {
			return err
		}
		if len(r.msgs) >= batchMessages || r.bytes >= batchBytes || !r.frameBuffered() {
			r.deliver()
		}
	}
}

// frame reads one frame and adds its messages to the batch. A frame that isn't whole and right adds nothing, but what was
// read before it is delivered: it is whole and right.
func (r *reader) frame() error {
	msgs, err := r.decode()
	if err != nil {
		r.deliver()
		return err
	}
	r.msgs = msgs
	return nil
}

func (r *reader) decode() ([]Message, error) {
	b, err := r.buf.Peek(headerSize)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(b, r.t.limits)
	if err != nil {
		return nil, err
	}
	payload, err := r.payload(int(h.size))
	if err != nil {
		return nil, err
	}
	if err := h.check(payload); err != nil {
		return nil, err
	}
	msgs, err := decodeMessages(r.msgs, payload, h.count)
	if err != nil {
		return nil, err
	}
	r.bytes += headerSize + len(payload)
	if cap(r.big) > keptBuffer {
		r.big = nil
	}
	if headerSize+len(payload) <= r.buf.Size() {
		_, _ = r.buf.Discard(headerSize + len(payload)) // was peeked
	}
	return msgs, nil
}

// payload returns the payload behind the header that was peeked: in buf, undiscarded, if the frame fits there, else read
// into big.
func (r *reader) payload(n int) ([]byte, error) {
	if headerSize+n <= r.buf.Size() {
		b, err := r.buf.Peek(headerSize + n)
		if err != nil {
			return nil, err
		}
		return b[headerSize:], nil
	}
	_, _ = r.buf.Discard(headerSize)
	if cap(r.big) < n {
		r.big = make([]byte, n)
	}
	b := r.big[:n]
	_, err := io.ReadFull(r.buf, b)
	return b, err
}

// frameBuffered says whether the next frame has arrived in whole, so that reading it won't wait.
func (r *reader) frameBuffered() bool {
	if r.buf.Buffered() < headerSize {
		return false
	}
	b, err := r.buf.Peek(headerSize)
	if err != nil {
		return false
	}
	return r.buf.Buffered() >= headerSize+int(le.Uint32(b[4:]))
}

func (r *reader) deliver() {
	if len(r.msgs) == 0 {
		return
	}
	r.t.metrics.received.Add(uint64(len(r.msgs)))
	r.t.metrics.receivedBytes.Add(uint64(r.bytes))
	r.t.handler.Deliver(r.from, r.msgs)
	clear(r.msgs) // they would pin entries
	r.msgs, r.bytes = r.msgs[:0], 0
}
