package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// writeStep is what is handed to the kernel at once, and what WriteTimeout is counted for.
const writeStep = 1 << 20

// peer is the way to one node: its queue, and the goroutine that dials and writes. A connection is opened when something
// waits to be sent, and kept.
type peer struct {
	t     *Transport
	to    NodeID
	queue *queue

	// Of the goroutine only.
	backoff   time.Duration
	lastError string
	buffers   net.Buffers
}

func newPeer(t *Transport, to NodeID) *peer {
	return &peer{t: t, to: to, queue: newQueue(t.opts.QueueBytes, t.opts.MaxMessageBytes)}
}

func (p *peer) run() {
	ctx := p.t.ctx
	for p.waitForWork(ctx) {
		conn, err := p.t.connect(ctx, p.to, kindMessages)
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil {
			p.failed(ctx, err)
			continue
		}
		p.connected(conn)
		start := time.Now()
		err = p.serve(ctx, conn)
		if ctx.Err() != nil {
			return
		}
		p.lost(ctx, err, time.Since(start))
	}
}

// waitForWork returns true when something is queued, false when the transport closes.
func (p *peer) waitForWork(ctx context.Context) bool {
	for p.queue.empty() {
		select {
		case <-p.queue.wake:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

func (p *peer) connected(conn net.Conn) {
	p.t.log.Info("connected to peer", "peer", uint64(p.to), "addr", conn.RemoteAddr().String())
	p.lastError = ""
}

// failed drops what has gathered, as it would be stale by the time of the next attempt, and waits before that.
func (p *peer) failed(ctx context.Context, err error) {
	p.dropQueued()
	if text := err.Error(); text != p.lastError { // once per reason, not once per attempt
		p.t.log.Warn("peer can't be reached", "peer", uint64(p.to), "err", err)
		p.lastError = text
	}
	p.t.reports.add(p.to)
	var remote *RemoteError
	if errors.As(err, &remote) && remote.Status.mismatch() {
		p.sleep(ctx, jitter(10*p.t.opts.MaxBackoff))
		return
	}
	p.waitLonger(ctx)
}

// lost reports a broken connection. What is queued stays for the next one. The first attempt comes at once if this
// connection had lasted; a peer that accepts and hangs up again and again is treated like one that refuses.
func (p *peer) lost(ctx context.Context, err error, lasted time.Duration) {
	p.t.log.Warn("connection to peer lost", "peer", uint64(p.to), "err", err)
	p.t.reports.add(p.to)
	if lasted >= p.t.opts.MaxBackoff {
		p.backoff = 0
		return
	}
	p.waitLonger(ctx)
}

func (p *peer) waitLonger(ctx context.Context) {
	p.backoff = min(max(2*p.backoff, p.t.opts.MinBackoff), p.t.opts.MaxBackoff)
	p.sleep(ctx, jitter(p.backoff))
}

// jitter is between a half and the whole of d, so that nodes that lost each other together don't come back together.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}

func (p *peer) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (p *peer) dropQueued() {
	b := p.queue.take()
	p.t.metrics.dropped.Add(uint64(b.count))
	p.queue.release(b)
}

// serve writes what is queued until the connection breaks or ctx ends. It closes the connection.
func (p *peer) serve(ctx context.Context, conn net.Conn) error {
	var hangup error
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		hangup = awaitHangup(conn)
	}()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err := p.pump(ctx, conn, gone)
	stop()
	_ = conn.Close()
	<-gone
	if err == nil {
		err = fmt.Errorf("closed by the peer: %w", hangup)
	}
	return err
}

// awaitHangup returns when the connection breaks. The receiver of messages sends nothing behind its welcome, so that
// whatever is read is an end; without this a peer that went away would be noticed at the second write only.
func awaitHangup(conn net.Conn) error {
	var b [1]byte
	n, err := conn.Read(b[:])
	if n > 0 {
		return corruptf("the receiver of messages has sent a byte")
	}
	return err
}

// pump writes until writing fails, which is the error, gone is closed (nil) or ctx ends.
func (p *peer) pump(ctx context.Context, conn net.Conn, gone <-chan struct{}) error {
	for {
		b := p.queue.take()
		if b.count == 0 {
			p.queue.release(b)
			select {
			case <-p.queue.wake:
				continue
			case <-gone:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := p.write(conn, b)
		p.account(b, err)
		p.queue.release(b)
		if err != nil {
			return err
		}
	}
}

func (p *peer) account(b batch, err error) {
	m := &p.t.metrics
	if err != nil {
		m.dropped.Add(uint64(b.count))
		return
	}
	m.writes.Add(1)
	m.sent.Add(uint64(b.count))
	m.sentBytes.Add(uint64(b.bytes))
}

// write hands a batch to the kernel, about writeStep bytes at a time, so that the timeout means the same for all sizes.
func (p *peer) write(conn net.Conn, b batch) error {
	for at := 0; at < len(b.chunks); {
		if large := b.chunks[at].buf; len(large) > largeChunkSize {
			if err := p.writeSteps(conn, large); err != nil {
				return err
			}
			at++
			continue
		}
		p.buffers = p.buffers[:0]
		for size := 0; at < len(b.chunks) && size < writeStep && len(b.chunks[at].buf) <= largeChunkSize; at++ {
			p.buffers = append(p.buffers, b.chunks[at].buf)
			size += len(b.chunks[at].buf)
		}
		_ = conn.SetWriteDeadline(time.Now().Add(p.t.opts.WriteTimeout))
		buffers := p.buffers // WriteTo consumes it
		if _, err := buffers.WriteTo(conn); err != nil {
			return err
		}
	}
	return nil
}

// writeSteps writes a frame larger than any chunk.
func (p *peer) writeSteps(conn net.Conn, b []byte) error {
	for len(b) > 0 {
		step := b[:min(len(b), writeStep)]
		_ = conn.SetWriteDeadline(time.Now().Add(p.t.opts.WriteTimeout))
		if _, err := conn.Write(step); err != nil {
			return err
		}
		b = b[len(step):]
	}
	return nil
}
