package replay

import (
	"context"
	"sync"
	"time"
)

// limiter is a bound of bytes a second that several share.
type limiter struct {
	rate int64 // 0: none

	mu   sync.Mutex
	free time.Time // when what was sent so far has had its time
}

// limiterAhead is how much may be sent ahead of that.
const limiterAhead = time.Second / 4

// delay takes n bytes, and says how long to wait before they are sent.
func (l *limiter) delay(n int, now time.Time) time.Duration {
	if l.rate <= 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free.Before(now) {
		l.free = now
	}
	ahead := l.free.Sub(now) - limiterAhead
	l.free = l.free.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	return max(ahead, 0)
}

// throttle waits until the definition's bound and the sink's let n bytes pass.
func (w *Writer) throttle(ctx context.Context, n int) error {
	now := time.Now()
	d := max(w.limit.delay(n, now), w.sink.limit.delay(n, now))
	if d == 0 {
		return nil
	}
	w.limited.Add(1)
	defer w.limited.Add(-1)
	if !pause(ctx, d) {
		return ctx.Err()
	}
	return nil
}
