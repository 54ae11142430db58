package changefeed

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Budget is a bound of bytes that several writers share. One half is divided equally among those that joined (Share), so that none waits for another
// however much that one holds back. The other half is for what is larger than a share, first come first served; what is larger than that half waits
// until it is alone there. Its methods may be called from any goroutine.
type Budget struct {
	total  int64
	common int64
	used   atomic.Int64
	joined atomic.Int64
	sem    *semaphore.Weighted
}

// MinShare is what each Share has at least, however many there are: with more than total/2/MinShare of them the budget is exceeded by that.
const MinShare = 16 << 10

// NewBudget makes a budget of so many bytes.
func NewBudget(bytes int64) *Budget {
	common := max(bytes/2, 1)
	return &Budget{total: bytes, common: common, sem: semaphore.NewWeighted(common)}
}

// Acquire waits until n bytes of the common half are free, and takes them. It returns what was taken, which Release gives back: less than n if n is
// more than there is.
func (b *Budget) Acquire(ctx context.Context, n int64) (int64, error) {
	n = min(n, b.common)
	if err := b.sem.Acquire(ctx, n); err != nil {
		return 0, err
	}
	b.used.Add(n)
	return n, nil
}

// TryAcquire is Acquire that doesn't wait: false if n bytes aren't free.
func (b *Budget) TryAcquire(n int64) (int64, bool) {
	n = min(n, b.common)
	if !b.sem.TryAcquire(n) {
		return 0, false
	}
	b.used.Add(n)
	return n, true
}

// Release gives bytes back that Acquire took.
func (b *Budget) Release(n int64) {
	b.used.Add(-n)
	b.sem.Release(n)
}

// Used and Total are in bytes.
func (b *Budget) Used() int64  { return b.used.Load() }
func (b *Budget) Total() int64 { return b.total }

// Share is one writer's part of a Budget.
type Share struct {
	budget *Budget
	held   atomic.Int64
	leave  sync.Once
}

// Join takes part in the divided half.
func (b *Budget) Join() *Share {
	b.joined.Add(1)
	return &Share{budget: b}
}

// Limit is how much the share is now: it changes as others join and leave.
func (s *Share) Limit() int64 {
	return max((s.budget.total-s.budget.common)/max(s.budget.joined.Load(), 1), MinShare)
}

// Held is what was taken of it, in bytes.
func (s *Share) Held() int64 { return s.held.Load() }

// TryTake takes n bytes if that doesn't exceed the limit.
func (s *Share) TryTake(n int64) bool {
	if s.held.Load()+n > s.Limit() {
		return false
	}
	s.Take(n)
	return true
}

// Take takes n bytes, whatever the limit.
func (s *Share) Take(n int64) {
	s.held.Add(n)
	s.budget.used.Add(n)
}

// Give gives n bytes back.
func (s *Share) Give(n int64) { s.Take(-n) }

// Leave gives back what is held and ends the share. Further calls do nothing.
func (s *Share) Leave() {
	s.leave.Do(func() {
		s.Give(s.held.Load())
		s.budget.joined.Add(-1)
	})
}
