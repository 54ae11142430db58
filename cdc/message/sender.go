package message

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// send appends batches, one at a time, until ctx ends or one fails.
func (w *Writer) send(ctx context.Context) {
	defer close(w.done)
	for {
		b := w.take(ctx)
		if b == nil {
			return
		}
		err := w.append(ctx, b)
		if err != nil && ctx.Err() == nil {
			w.fail(err)
		}
		if err != nil {
			w.release(b)
			return
		}
		w.written(b)
	}
}

// take waits for the next batch; nil when ctx ends. One that isn't full waits for Options.Linger since the last one began: it may be filled up
// meanwhile.
func (w *Writer) take(ctx context.Context) *batch {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if ctx.Err() != nil {
			return nil // what is queued is Close's to drop
		}
		b, early := w.ready(time.Now())
		if b != nil {
			signal(w.progress)
			return b
		}
		var due <-chan time.Time
		if early > 0 {
			timer.Reset(early)
			due = timer.C
		}
		select {
		case <-w.wake:
		case <-due:
		case <-ctx.Done():
			return nil
		}
	}
}

// ready takes the oldest batch off the queue; nil if there is none, or if it is too early for it by so much.
func (w *Writer) ready(now time.Time) (b *batch, early time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.mu.queue) == 0 {
		return nil, 0
	}
	b = w.mu.queue[0]
	if early = w.began.Add(w.lingers).Sub(now); b.flushed && len(w.mu.queue) == 1 && early > 0 {
		return nil, early
	}
	w.began = now
	w.mu.queue = append(w.mu.queue[:0], w.mu.queue[1:]...)
	w.mu.busy = true
	return b, 0
}

func (w *Writer) append(ctx context.Context, b *batch) error {
	if err := w.limit.wait(ctx, b.Bytes); err != nil {
		return err
	}
	batch := b.finish()
	begin := time.Now()
	err := w.guarded(ctx, batch)
	w.meter.SinkNanos.Add(int64(time.Since(begin)))
	w.meter.SinkCalls.Add(1)
	return err
}

// guarded is the appender's Append, with a panic as this writer's failure: nobody else's goroutine would catch it, and it would take along all that the process
// does.
func (w *Writer) guarded(ctx context.Context, b *Batch) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeInternal, Final: true,
				What:   fmt.Sprintf("writing to the sink panicked: %v, at %.2000s", p, debug.Stack()),
				Action: "report it, with this text; resume to try again"}
		}
	}()
	return w.appender.Append(ctx, b)
}

// written takes note of a batch that is durable.
func (w *Writer) written(b *batch) {
	w.meter.Messages.Add(uint64(len(b.Messages)))
	w.meter.Bytes.Add(uint64(b.Bytes))
	w.mu.Lock()
	w.mu.busy = false
	w.mu.durable = b.Last
	if w.mu.trailing != nil {
		w.mu.durable, w.mu.trailing = *w.mu.trailing, nil
	}
	w.mu.Unlock()
	w.release(b)
	signal(w.progress)
}

// release gives back what a batch holds.
func (w *Writer) release(b *batch) {
	for _, l := range b.larges {
		w.unref(l)
	}
	w.give(b.paid)
	b.free()
}

// unref drops a reference to a large value.
func (w *Writer) unref(l *large) {
	if l.refs.Add(-1) > 0 {
		return
	}
	w.give(l.shared)
	if l.common > 0 {
		w.target.Budget.Release(l.common)
		w.meter.Buffered.Add(-l.common)
	}
}

// give gives bytes of the share back.
func (w *Writer) give(n int64) {
	w.share.Give(n)
	w.meter.Buffered.Add(-n)
}

// handOver queues the batch that is being filled. One that isn't full may come back: see current.
func (w *Writer) handOver() {
	b := w.cur
	w.cur = nil
	w.give(b.paid - min(b.held(), b.paid))
	b.paid = min(b.held(), b.paid)
	b.Last = w.reached
	w.mu.Lock()
	w.mu.queue = append(w.mu.queue, b)
	w.mu.Unlock()
	signal(w.wake)
}

// put hands the batch over that is full, when no other one is ready before it.
func (w *Writer) put(ctx context.Context) error {
	w.counts.publish(w.meter)
	for {
		w.mu.Lock()
		ready := len(w.mu.queue)
		w.mu.Unlock()
		if ready == 0 {
			w.cur.flushed = false
			w.handOver()
			return nil
		}
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
}

// takeBack is a batch that was handed over to linger no longer and that the sender has no time for yet; nil if there is none.
func (w *Writer) takeBack() *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.mu.queue)
	if n == 0 || !w.mu.queue[n-1].flushed {
		return nil
	}
	b := w.mu.queue[n-1]
	w.mu.queue = w.mu.queue[:n-1]
	return b
}

// idle says whether the sender has nothing to do.
func (w *Writer) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.mu.queue) == 0 && !w.mu.busy
}

// waitStep is how often a wait under way is added to the meter.
const waitStep = 100 * time.Millisecond

// wait waits until the sender got on. It counts as waiting for the sink, or for the quota: as far as the bandwidth limit holds the sender back, and all of it where
// the share leaves less than a quarter of a batch.
func (w *Writer) wait(ctx context.Context) error {
	timer := time.NewTimer(waitStep)
	defer timer.Stop()
	for {
		begin, limited := time.Now(), w.limit.waited.Load()
		var over bool
		var err error
		select {
		case <-w.progress:
			over = true
		case <-w.failed:
			err = w.Err()
		case <-ctx.Done():
			err = ctx.Err()
		case <-timer.C:
			timer.Reset(waitStep)
		}
		w.countWait(int64(time.Since(begin)), w.limit.since(begin, limited))
		if over || err != nil {
			return err
		}
	}
}

func (w *Writer) countWait(all, limited int64) {
	w.counts.waited += all
	if w.target.Budget.Total() > 0 && w.batchTarget() < int64(w.batchBytes)/4 {
		limited = all
	}
	limited = min(limited, all)
	w.meter.WaitQuota.Add(limited)
	w.meter.WaitSink.Add(all - limited)
}

// batchTarget is when a batch is full: two of them are to fit into the share.
func (w *Writer) batchTarget() int64 { return min(int64(w.batchBytes), w.share.Limit()/2) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// limiter is a bound of bytes a second.
type limiter struct {
	rate int64 // 0: none
	// free is when what was sent so far has had its time. A quarter of a second may be sent ahead of that.
	free time.Time
	// waited is how long waits took that are over, in ns; since is when the one under way began, ns since 1970, or 0.
	waited atomic.Int64
	begun  atomic.Int64
}

const limiterAhead = time.Second / 4

// wait waits until n bytes more may be sent.
func (l *limiter) wait(ctx context.Context, n int) error {
	if l.rate <= 0 {
		return nil
	}
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	ahead := l.free.Sub(now) - limiterAhead
	l.free = l.free.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	if ahead <= 0 {
		return nil
	}
	l.begun.Store(now.UnixNano())
	defer func() {
		l.begun.Store(0)
		l.waited.Add(int64(time.Since(now)))
	}()
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// since is how much of the time since begin was such a wait; waited was the sum of them then.
func (l *limiter) since(begin time.Time, waited int64) int64 {
	d := l.waited.Load() - waited
	if at := l.begun.Load(); at != 0 {
		d += time.Now().UnixNano() - max(at, begin.UnixNano())
	}
	return max(d, 0)
}

// counts are the filler's, published now and then.
type counts struct {
	events, mutations, filtered uint64
	encoding                    int64
	waited                      int64 // ns in waits, to be left out of encoding
	calls                       uint64
}

// publishEvery is how many calls may go by without it.
const publishEvery = 1024

func (c *counts) publish(m *changefeed.Meter) {
	m.Events.Add(c.events)
	m.Mutations.Add(c.mutations)
	m.Filtered.Add(c.filtered)
	m.Encoding.Add(c.encoding)
	*c = counts{waited: c.waited, calls: c.calls}
}
