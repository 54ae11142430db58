package tail

import (
	"bufio"
	"context"
	"errors"
	"io"
)

// merger writes chunks out, event by event.
type merger struct {
	w     *bufio.Writer
	count uint64 // how many are shown in all; 0: no limit
	shown uint64
}

// head is a partition with what it prints next.
type head struct {
	order  int
	in     <-chan *chunk
	chunk  *chunk
	time   int64
	closed bool
}

// byTime writes the pieces of all channels by their times, and by the order of the channels where these are equal.
func (m *merger) byTime(ctx context.Context, channels []<-chan *chunk) error {
	heads := make([]*head, 0, len(channels))
	for i, in := range channels {
		h := &head{order: i, in: in}
		if err := m.advance(ctx, h); err != nil {
			return err
		}
		if !h.closed {
			heads = append(heads, h)
		}
	}
	for i := len(heads)/2 - 1; i >= 0; i-- {
		sink(heads, i)
	}
	for len(heads) > 0 {
		h := heads[0]
		if err := m.write(h.chunk); err != nil {
			return err
		}
		if err := m.advance(ctx, h); err != nil {
			return err
		}
		if h.closed {
			heads[0] = heads[len(heads)-1]
			heads = heads[:len(heads)-1]
		}
		sink(heads, 0)
	}
	return io.EOF
}

// advance has a head show its next piece, or that there is none.
func (m *merger) advance(ctx context.Context, h *head) error {
	for h.chunk == nil || h.chunk.empty() {
		if err := h.finish(); err != nil || h.closed {
			return err
		}
		c, err := m.receive(ctx, h.in)
		if err != nil {
			return err
		}
		h.chunk = c
	}
	h.time = h.chunk.time()
	return nil
}

// finish lets go of a chunk that was written, and says what came behind it.
func (h *head) finish() error {
	if h.chunk == nil {
		return nil
	}
	err := h.chunk.err
	h.chunk.release()
	h.chunk = nil
	if errors.Is(err, io.EOF) {
		h.closed = true
		return nil
	}
	return err
}

func before(a, b *head) bool { return a.time < b.time || a.time == b.time && a.order < b.order }

// sink moves the head at i down to its place in the heap: the least is at 0.
func sink(heads []*head, i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(heads); child++ {
			if before(heads[child], heads[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		heads[i], heads[least] = heads[least], heads[i]
		i = least
	}
}

// asTheyCome writes what n partitions send on one channel.
func (m *merger) asTheyCome(ctx context.Context, in <-chan *chunk, n int) error {
	for n > 0 {
		c, err := m.receive(ctx, in)
		if err != nil {
			return err
		}
		for !c.empty() {
			if err := m.write(c); err != nil {
				return err
			}
		}
		err = c.err
		c.release()
		switch {
		case errors.Is(err, io.EOF):
			n--
		case err != nil:
			return err
		}
	}
	return io.EOF
}

// receive waits for a chunk. What was written before is out when it has to wait.
func (m *merger) receive(ctx context.Context, in <-chan *chunk) (*chunk, error) {
	select {
	case c := <-in:
		return c, nil
	default:
	}
	if err := m.w.Flush(); err != nil {
		return nil, err
	}
	select {
	case c := <-in:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// write writes the next piece. It gives io.EOF after the last one to be shown.
func (m *merger) write(c *chunk) error {
	text, shown := c.take()
	if _, err := m.w.Write(text); err != nil {
		return err
	}
	if shown {
		m.shown++
	}
	if m.count != 0 && m.shown >= m.count {
		return io.EOF
	}
	return nil
}
