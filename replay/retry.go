package replay

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// patience is how long a call is repeated before its error is handed up.
	patience   = 60 * time.Second
	firstPause = 20 * time.Millisecond
	maxPause   = 2 * time.Second
)

// tries counts those in a row that failed.
type tries struct {
	n     int
	since time.Time
}

// again notes a failure, and says how long to pause before the next try; false if patience is at an end.
func (t *tries) again(now time.Time) (time.Duration, bool) {
	if t.n == 0 {
		t.since = now
	}
	t.n++
	pause := min(firstPause<<min(t.n-1, 10), maxPause)
	return pause/2 + rand.N(pause/2), now.Sub(t.since) < patience
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// persist repeats do while its errors are such that repeating helps. told, if not nil, gets each error that do is repeated after.
func persist(ctx context.Context, told func(error), do func(context.Context) error) error {
	var t tries
	for {
		err := do(ctx)
		if err == nil || ctx.Err() != nil || !judge(err).again {
			return err
		}
		wait, ok := t.again(time.Now())
		if !ok {
			return err
		}
		if told != nil {
			told(err)
		}
		if !pause(ctx, wait) {
			return err
		}
	}
}
