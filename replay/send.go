package replay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

const (
	// partBytes is how much goes into one message of a call.
	partBytes = 512 << 10
	// slowest is how many bytes a second a call's deadline allows for, maxTimeout what it has at most.
	slowest    = 256 << 10
	maxTimeout = 4 * time.Minute
	// compressFrom is the size from which on compression is tried.
	compressFrom = 256
)

// encoder compresses for all sinks of the process. Its memory is bounded by how many do so at once.
var encoder = func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options don't fit together
	}
	return e
}()

// run sends what a lane has, until it has nothing more, something has to be waited for, or others wait for the slot.
func (w *Writer) run(l *lane) {
	defer w.work.Done()
	defer w.sink.gates.leave(l.n)
	for {
		w.mu.Lock()
		p := l.takeLocked()
		if p == nil {
			l.busy = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		if !w.guarded(l, p) {
			return
		}
		if w.sink.gates.crowded(l.n) {
			w.work.Add(1)
			w.again(l)
			return
		}
	}
}

// guarded makes one try, and says whether the lane may go on at once. A panic is this writer's failure: nobody else would catch it, and it would take along all
// that the process does.
func (w *Writer) guarded(l *lane, p *parcel) (on bool) {
	defer func() {
		if r := recover(); r != nil {
			w.fail(&changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeInternal, Final: true,
				What:   fmt.Sprintf("sending to %s panicked: %v, at %.2000s", w.sink.where(), r, debug.Stack()),
				Action: "report it, with this text; resume to try again"})
			on = false
		}
	}()
	return w.try(l, p)
}

// try makes one try with a parcel.
func (w *Writer) try(l *lane, p *parcel) bool {
	begin := time.Now()
	err := w.resolve(l, p)
	var resp *replaypb.ApplyResponse
	if err == nil && !l.has(p) {
		resp, err = w.apply(l, p)
	}
	w.meter.SinkNanos.Add(int64(time.Since(begin)))
	w.meter.SinkCalls.Add(1)
	if err != nil {
		return w.stumbled(l, p, err)
	}
	return w.arrived(l, p, resp)
}

// has says whether the target has a range without its being sent.
func (l *lane) has(p *parcel) bool { return !p.chunk && l.place.Compare(p.to) >= 0 && l.time >= p.time }

// resolve asks for the place, if it isn't known what became of what was sent last.
func (w *Writer) resolve(l *lane, p *parcel) error {
	if !l.doubt {
		return nil
	}
	var r *replaypb.OpenResponse
	err := w.sink.client.once(w.ctx, w.sink.namespace, l.n, callTimeout, func(ctx context.Context, rc replaypb.ReplayClient) (err error) {
		r, err = rc.Open(ctx, &replaypb.OpenRequest{Namespace: w.sink.namespace, Partition: l.n, Sender: w.sender})
		return err
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l.doubt = false
	at := cursorOf(r.Reached)
	switch {
	case p.chunk:
		return nil // the same again: what is in is left out
	case r.NeedsSync:
		return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeNeedsSync,
			What: fmt.Sprintf("partition %d of %s has to get the state of %s anew: %s", l.n, w.sink.where(), w.id, r.Why)}
	case at.Compare(l.place) < 0:
		return l.gap(at, l.place)
	}
	l.place, l.time = at, r.Time
	return nil
}

// header is what goes before a parcel's bytes.
func (w *Writer) header(l *lane, p *parcel) *replaypb.Header {
	h := &replaypb.Header{Namespace: w.sink.namespace, Partition: l.n, Sender: w.sender, Names: p.names}
	if !p.chunk {
		h.Covers = &replaypb.Header_Range{Range: &replaypb.RangeHeader{From: pbCursor(p.from), To: pbCursor(p.to), Time: p.time}}
		return h
	}
	h.Covers = &replaypb.Header_Chunk{Chunk: &replaypb.ChunkHeader{Base: pbPosition(w.snap.base), After: l.state.through, Through: p.through, End: p.end, Part: l.state.part}}
	return h
}

// apply sends a parcel, and waits for what became of it.
func (w *Writer) apply(l *lane, p *parcel) (*replaypb.ApplyResponse, error) {
	h := w.header(l, p)
	body, free := w.compressed(h, p.buf)
	defer free()
	if err := w.throttle(w.ctx, len(body)); err != nil {
		return nil, err
	}
	timeout := min(w.sink.pace.apply+time.Duration(len(body))*time.Second/slowest, maxTimeout)
	var resp *replaypb.ApplyResponse
	err := w.sink.client.once(w.ctx, w.sink.namespace, l.n, timeout, func(ctx context.Context, rc replaypb.ReplayClient) (err error) {
		resp, err = send(ctx, rc, h, body)
		return err
	})
	if err == nil {
		w.sink.sent.Add(uint64(len(body)))
		w.sink.content.Add(uint64(len(p.buf)))
		w.meter.Bytes.Add(uint64(len(body)))
	}
	return resp, err
}

func send(ctx context.Context, rc replaypb.ReplayClient, h *replaypb.Header, body []byte) (*replaypb.ApplyResponse, error) {
	stream, err := rc.Apply(ctx)
	if err != nil {
		return nil, err
	}
	req := replaypb.ApplyRequest{Header: h}
	for !req.Last {
		n := min(len(body), partBytes)
		req.Data, body = body[:n], body[n:]
		req.Last = len(body) == 0
		if err := stream.Send(&req); err == io.EOF {
			break // the answer is there already
		} else if err != nil {
			return nil, err
		}
		req.Header = nil
	}
	return stream.CloseAndRecv()
}

// compressed is how a parcel's bytes are sent, and how the header says so. free gives back what that takes.
func (w *Writer) compressed(h *replaypb.Header, content []byte) (body []byte, free func()) {
	h.Size, h.PlainSize = uint64(len(content)), uint64(len(content))
	if !w.sink.config.Zstd || len(content) < compressFrom {
		return content, func() {}
	}
	buf := encoder.EncodeAll(content, newBuffer(len(content)/2))
	if len(buf) >= len(content)-len(content)/16 {
		freeBuffer(buf)
		return content, func() {}
	}
	h.Encoding, h.Size = replaypb.Header_ZSTD, uint64(len(buf))
	held := int64(cap(buf))
	w.take(held)
	return buf, func() {
		w.take(-held)
		freeBuffer(buf)
	}
}

// arrived takes note of a parcel that the target has, or has a part of. resp is nil if it had it already.
func (w *Writer) arrived(l *lane, p *parcel, resp *replaypb.ApplyResponse) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.easeLocked()
	if resp != nil {
		l.figures.applied += resp.Applied
		l.figures.skipped += resp.Skipped
		l.figures.conflicts += resp.Conflicts
	}
	if p.chunk {
		return w.chunkArrivedLocked(l, p, resp)
	}
	before := l.place
	if resp != nil {
		l.place = cursorOf(resp.Reached)
	}
	switch {
	case l.place.Compare(before) < 0:
		w.failLocked(l.gap(l.place, before))
		return true
	case l.place.Compare(p.to) < 0 && l.place == before:
		w.failLocked(&changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeTargetRefused,
			What: fmt.Sprintf("partition %d of %s took nothing of what %s has from %s to %s, and didn't say why", l.n, w.sink.where(), w.id, before, p.to)})
		return true
	case l.place.Compare(p.to) < 0:
		return true // it took a part: from there on
	}
	l.time = max(l.time, p.time)
	l.figures.ranges++
	w.meter.Messages.Add(uint64(p.mutations))
	l.doneLocked(p)
	return true
}

// chunkArrivedLocked takes note of a chunk.
func (w *Writer) chunkArrivedLocked(l *lane, p *parcel, resp *replaypb.ApplyResponse) bool {
	s := l.more()
	switch {
	case p.end:
		l.place, l.time = cursorOf(resp.Reached), 0
		if l.place.Position == w.snap.base { // of one that was gone on with the time isn't known
			l.time = w.snap.time
		}
		if l.place.Position.Compare(w.snap.next) < 0 {
			w.failLocked(l.gap(l.place, store.Cursor{Position: w.snap.next, Done: store.AllDone}))
			return true
		}
		l.to, l.syncing, l.needs = l.place, false, false
		s.through, s.covered, s.part = nil, nil, 0
	case !bytes.Equal(resp.Through, p.through):
		w.failLocked(l.overtaken(resp.Through, p.through))
		return true
	default:
		s.through, s.part = resp.Through, resp.Part
	}
	l.figures.chunks++
	w.meter.Messages.Add(uint64(p.mutations))
	l.doneLocked(p)
	return true
}

// stumbled decides after an error: the same again after a pause, or the writer's end. The lane doesn't go on at once.
func (w *Writer) stumbled(l *lane, p *parcel, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := judge(err)
	l.doubt = l.doubt || v.doubt
	if at, ok := problem.Of(err); ok && at.Kind == problem.Gap && p.chunk {
		err = l.overtaken(at.Place.GetThrough(), l.more().through)
	}
	e := failure(err, "partition %d of %s: sending what %s has up to %s", l.n, w.sink.where(), w.id, p.to)
	s := l.more()
	now := time.Now()
	s.problem, s.at = e.Error(), now
	wait, patient := s.tries.again(now)
	if w.mu.closed || w.mu.err != nil || w.ctx.Err() != nil || !v.again || !patient {
		if w.ctx.Err() == nil {
			w.failLocked(e)
		}
		l.busy = false
		return false
	}
	l.figures.retries++
	w.meter.Retries.Add(1)
	w.meter.Trying.Store(e)
	if !s.trying {
		s.trying = true
		w.mu.trying++
	}
	w.work.Add(1)
	s.timer = time.AfterFunc(wait, func() { w.again(l) })
	return false
}

// again has a lane wait for a slot, for as long as the writer isn't closed: Close looks at the gates once.
func (w *Writer) again(l *lane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.state != nil {
		l.state.timer = nil
	}
	if w.mu.closed {
		l.busy = false
		w.work.Done()
		return
	}
	w.sink.gates.enter(l)
}

// easeLocked notes that a call succeeded.
func (l *lane) easeLocked() {
	s := l.state
	if s == nil {
		return
	}
	s.tries = tries{}
	if !s.trying {
		return
	}
	s.trying = false
	l.w.easeLocked()
}
