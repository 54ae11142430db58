package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// patience is how long a request is repeated before its error is handed up.
	patience   = 30 * time.Second
	firstPause = 30 * time.Millisecond
	maxPause   = 2 * time.Second
)

// persist repeats do while its errors are such that repeating helps, with pauses that grow, for as long as patience; onRetry (it may be nil) is
// told of each error that do is repeated after.
func persist(ctx context.Context, onRetry func(error), do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := firstPause
	var last error
	for {
		err := do(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil && last != nil {
			return errors.Join(last, err) // what it waited for, rather than that it gave up
		}
		if ctx.Err() != nil || !judge(err).retry {
			return err
		}
		last = err
		if onRetry != nil {
			onRetry(err)
		}
		if !sleep(ctx, pause/2+rand.N(pause/2+1)) {
			return err
		}
		pause = min(2*pause, maxPause)
	}
}

// sleep waits; false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
