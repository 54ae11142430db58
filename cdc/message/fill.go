package message

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// payStep is how much is taken of the share at a time, so that not every message has to.
const payStep = 64 << 10

// room sees to a batch that takes one more message, of need bytes in its arena and size bytes in all, within what is paid for. While the share has no
// room it waits, with what there is handed over.
func (w *Writer) room(ctx context.Context, need, size int64) error {
	need += messageBytes
	for {
		if w.cur == nil {
			w.begin()
		}
		b := w.cur
		held := b.held()
		full := held+need > w.batchTarget() || int64(b.Bytes)+size > int64(w.batchBytes)
		missing := held + need - b.paid
		switch {
		case full && len(b.Messages) > 0:
		case missing <= 0:
			return nil
		case w.pay(b, max(missing, payStep)) || w.pay(b, missing):
			return nil
		case len(b.Messages) == 0 && w.idle():
			w.overpay(b, missing) // nothing will be given back: a line takes all of the share, or that became smaller
			return nil
		}
		if err := w.makeRoom(ctx); err != nil {
			return err
		}
	}
}

// makeRoom hands over what there is, or waits for the sender if that is nothing.
func (w *Writer) makeRoom(ctx context.Context) error {
	if w.cur != nil && len(w.cur.Messages) > 0 {
		return w.put(ctx)
	}
	return w.wait(ctx)
}

func (w *Writer) begin() {
	if w.cur = w.takeBack(); w.cur == nil {
		w.cur = newBatch()
	}
}

// pay takes bytes of the share for a batch, if it has them.
func (w *Writer) pay(b *batch, n int64) bool {
	if !w.share.TryTake(n) {
		return false
	}
	w.meter.Buffered.Add(n)
	b.paid += n
	return true
}

func (w *Writer) overpay(b *batch, n int64) {
	w.share.Take(n)
	w.meter.Buffered.Add(n)
	b.paid += n
}

// value appends the message, or messages, of a line. estimate bounds the line's length, if only just. Of what p says that is there it leaves out, and takes note
// of what it appended.
func (w *Writer) value(ctx context.Context, m *Message, key []byte, keyless bool, estimate int64, p *point, encode func(dst []byte) []byte) error {
	size := estimate + int64(len(key))
	if p.offset > 0 || size+messageBytes > w.batchTarget() {
		l, err := w.takeLarge(ctx, size)
		if err != nil {
			return err
		}
		l.value = encode(make([]byte, 0, estimate))
		return w.split(ctx, m, l, key, keyless, p)
	}
	if err := w.room(ctx, size, size); err != nil {
		return err
	}
	b := w.cur
	start := len(b.arena)
	b.arena = append(b.arena, key...)
	line := len(b.arena)
	b.arena = encode(b.arena)
	b.arena = b.arena[:len(b.arena)-1]
	if len(b.arena)-start > w.maxBytes {
		return w.split(ctx, m, w.moveOut(b, start, line), key, keyless, p)
	}
	b.add(m, start, line, keyless)
	if over := b.held() - b.paid; over > 0 {
		w.overpay(b, over)
	}
	return nil
}

// moveOut takes the last line, and what was paid for it, out of a batch's arena.
func (w *Writer) moveOut(b *batch, start, line int) *large {
	if over := b.held() - b.paid; over > 0 {
		w.overpay(b, over)
	}
	l := &large{value: append(bytes.Clone(b.arena[line:]), '\n'), shared: int64(len(b.arena) - start)}
	l.refs.Store(1)
	b.arena = b.arena[:start]
	b.paid -= l.shared
	return l
}

// takeLarge takes n bytes for a line that isn't encoded in a batch's arena: of the share if it is that large, else of the budget's common half.
func (w *Writer) takeLarge(ctx context.Context, n int64) (*large, error) {
	l := new(large)
	l.refs.Store(1)
	for n <= w.share.Limit() {
		if b := w.cur; b != nil && len(b.Messages) == 0 {
			w.give(b.paid)
			b.paid = 0
		}
		if w.share.TryTake(n) {
			w.meter.Buffered.Add(n)
			l.shared = n
			return l, nil
		}
		if err := w.makeRoom(ctx); err != nil {
			return nil, err
		}
	}
	if w.cur != nil && len(w.cur.Messages) > 0 {
		if err := w.put(ctx); err != nil {
			return nil, err
		}
	}
	taken, err := w.acquire(ctx, n)
	l.common = taken
	w.meter.Buffered.Add(taken)
	return l, err
}

// acquire takes bytes of the budget's common half. It counts the time while it waits, and ends when the writer fails.
func (w *Writer) acquire(ctx context.Context, n int64) (int64, error) {
	if taken, ok := w.target.Budget.TryAcquire(n); ok {
		return taken, nil
	}
	waiting, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(waitStep)
		defer ticker.Stop()
		for last := time.Now(); ; {
			var ended bool
			select {
			case <-ticker.C:
			case <-w.failed:
				stop()
				ended = true
			case <-waiting.Done():
				ended = true
			}
			now := time.Now()
			w.counts.waited += int64(now.Sub(last))
			w.meter.WaitQuota.Add(int64(now.Sub(last)))
			if last = now; ended {
				return
			}
		}
	}()
	taken, err := w.target.Budget.Acquire(waiting, n)
	stop()
	<-done
	if failure := w.Err(); err != nil && failure != nil {
		err = failure
	}
	return taken, err
}

// split appends the messages of a line that lies in l, from where p says on: one if it fits, else parts of equal size.
func (w *Writer) split(ctx context.Context, m *Message, l *large, key []byte, keyless bool, p *point) error {
	defer w.unref(l)
	l.value = l.value[:len(l.value)-1]
	if !keyless {
		l.key = append(make([]byte, 0, len(key)), key...)
	}
	total, most := uint64(len(l.value)), uint64(w.maxBytes-len(key))
	if p.offset > 0 && (p.total != total || p.offset >= total) {
		return diverged(fmt.Sprintf("the line of %s.%d has %d bytes, but the parts of it that the sink has are of %d", m.Position, m.Seq, total, p.total), nil)
	}
	if m.Total = total; p.offset == 0 && total <= most {
		m.Total = 0
	}
	for p.total = total; p.offset < total; {
		m.Key, m.Offset, m.Value = l.key, p.offset, l.value[p.offset:min(p.offset+most, total)]
		if err := w.room(ctx, 0, int64(len(m.Key)+len(m.Value))); err != nil {
			return err
		}
		w.cur.addOutside(m, l)
		p.offset += uint64(len(m.Value))
	}
	return nil
}
