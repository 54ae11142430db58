package serve

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/zankv/zankv/replay/problem"
)

// budget is how many bytes of ranges and chunks may be here at once, from when they come in until the replica has answered.
type budget struct {
	total    int64
	patience time.Duration // how long a call waits for room
	used     atomic.Int64
	sem      *semaphore.Weighted
}

func newBudget(total int64, patience time.Duration) *budget {
	return &budget{total: total, patience: patience, sem: semaphore.NewWeighted(total)}
}

// lease is what one call has of it.
type lease struct {
	budget *budget
	held   int64
}

// take waits for room for n more bytes: first come, first served. More than there is at all is refused for ever.
func (l *lease) take(ctx context.Context, n int64) error {
	b := l.budget
	if l.held+n > b.total {
		return problem.New(problem.Invalid, "replay: it takes %d bytes of memory here, of which there are %d (replay_memory_bytes): send less at once",
			l.held+n, b.total)
	}
	waiting, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	if err := b.sem.Acquire(waiting, n); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return problem.New(problem.Overload, "replay: %d of %d bytes for what other clusters send are taken, and %d more weren't free within %s: send it again later",
			b.used.Load(), b.total, n, b.patience)
	}
	l.held += n
	b.used.Add(n)
	return nil
}

// give gives some of it back.
func (l *lease) give(n int64) {
	l.held -= n
	l.budget.used.Add(-n)
	l.budget.sem.Release(n)
}

// end gives back what is left.
func (l *lease) end() { l.give(l.held) }
