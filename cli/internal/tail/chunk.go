package tail

import "context"

const (
	// chunkBytes is when a chunk is handed on, though there is more.
	chunkBytes = 64 << 10
	// keptBytes bounds what a chunk holds on to after a large event.
	keptBytes = 1 << 20
)

// chunk is a run of one partition's events as they are printed. It has one owner: the partition that fills it, then the merger, which gives it
// back.
type chunk struct {
	text []byte
	// pieces end where events do, or heartbeats. The merger has written those before taken.
	pieces []piece
	taken  int
	// err is what ended the partition, behind the pieces; io.EOF when it is complete.
	err  error
	home chan<- *chunk
}

// piece is what must not be torn apart.
type piece struct {
	end  int
	time int64
	// shown says that it counts: it isn't only a heartbeat, or digests of what was filtered out.
	shown bool
}

// close ends a piece with what was appended to the text since the last one, if that is anything.
func (c *chunk) close(time int64, shown bool) {
	last := 0
	if n := len(c.pieces); n > 0 {
		last = c.pieces[n-1].end
	}
	if len(c.text) > last {
		c.pieces = append(c.pieces, piece{end: len(c.text), time: time, shown: shown})
	}
}

func (c *chunk) full() bool { return len(c.text) >= chunkBytes }

// empty says that every piece was taken.
func (c *chunk) empty() bool { return c.taken == len(c.pieces) }

// time is the next piece's.
func (c *chunk) time() int64 { return c.pieces[c.taken].time }

// take takes the next piece.
func (c *chunk) take() (text []byte, shown bool) {
	from := 0
	if c.taken > 0 {
		from = c.pieces[c.taken-1].end
	}
	p := c.pieces[c.taken]
	c.taken++
	return c.text[from:p.end], p.shown
}

// release gives an empty chunk back to its partition.
func (c *chunk) release() {
	if cap(c.text) > keptBytes {
		c.text = nil
	}
	c.text, c.pieces, c.taken, c.err = c.text[:0], c.pieces[:0], 0, nil
	c.home <- c // never waits: it has room for all of a partition's chunks
}

// newChunks are a partition's: one is filled while the other is written.
func newChunks() chan *chunk {
	home := make(chan *chunk, 2)
	for range cap(home) {
		home <- &chunk{home: home}
	}
	return home
}

// send hands a chunk to the merger, and gets an empty one.
func (c *chunk) send(ctx context.Context, out chan<- *chunk, home <-chan *chunk) (*chunk, error) {
	select {
	case out <- c:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case next := <-home:
		return next, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
