package changefeed

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Budget is a bound of bytes that several writers share, first come first served. What is larger than the whole waits until it is alone.
// Its methods may be called from any goroutine.
type Budget struct {
	total int64
	used  atomic.Int64
	sem   *semaphore.Weighted
}

// NewBudget makes a budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	return &Budget{total: bytes, sem: semaphore.NewWeighted(bytes)}
}

// Acquire waits until n bytes are free, and takes them. It returns what was taken, which Release gives back: less than n if n is
// more than there is.
func (b *Budget) Acquire(ctx context.Context, n int64) (int64, error) {
	n = min(n, b.total)
	if err := b.sem.Acquire(ctx, n); err != nil {
		return 0, err
	}
	b.used.Add(n)
	return n, nil
}

// TryAcquire is Acquire that doesn't wait: false if n bytes aren't free.
func (b *Budget) TryAcquire(n int64) (int64, bool) {
	n = min(n, b.total)
	if !b.sem.TryAcquire(n) {
		return 0, false
	}
	b.used.Add(n)
	return n, true
}

// Release gives bytes back.
func (b *Budget) Release(n int64) {
	b.used.Add(-n)
	b.sem.Release(n)
}

// Used and Total are in bytes.
func (b *Budget) Used() int64  { return b.used.Load() }
func (b *Budget) Total() int64 { return b.total }
