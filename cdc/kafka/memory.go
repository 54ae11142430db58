package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

const (
	// reserveSlots bounds, for each sink, how many record batches are encoded beside the budget when the budget is used up. There must be such
	// ones: a writer whose batch fills the budget gets it free again by nothing but sending that batch.
	reserveSlots = 4
	// reserveLarge is what a batch takes at most that has such a slot. Of larger ones one at a time is encoded beside the budget.
	reserveLarge = 4 * batchTarget
	// reservePoll is how often it is seen whether the budget has room again.
	reservePoll = 5 * time.Millisecond
	// keptBuffer is the size up to which a buffer is kept for the next batch.
	keptBuffer = 2 * batchTarget
)

// memory gives out what record batches are encoded and compressed in. What is given out is part of the changefeeds' budget, or one of a
// few slots. Its methods may be called from any goroutine.
type memory struct {
	slots, large chan struct{}
	pool         sync.Pool // *buffers
}

// buffers are a batch's: its encoded and its compressed form, each behind room for the request's header.
type buffers struct {
	encoded, compressed []byte

	budget *changefeed.Budget // whose taken bytes are; nil: it has a slot
	taken  int64
	slot   chan struct{} // of which it has one
}

func newMemory() *memory {
	return &memory{slots: make(chan struct{}, reserveSlots), large: make(chan struct{}, 1)}
}

// acquire waits until there is room for a batch of so many bytes.
func (m *memory) acquire(ctx context.Context, budget *changefeed.Budget, bytes int64) (*buffers, error) {
	b, _ := m.pool.Get().(*buffers)
	if b == nil {
		b = &buffers{}
	}
	if b.slot = m.slots; bytes > reserveLarge {
		b.slot = m.large
	}
	for {
		if taken, ok := budget.TryAcquire(bytes); ok {
			b.budget, b.taken = budget, taken
			return b, nil
		}
		t := time.NewTimer(reservePoll)
		select {
		case b.slot <- struct{}{}:
			t.Stop()
			b.budget = nil
			return b, nil
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			m.pool.Put(b)
			return nil, ctx.Err()
		}
	}
}

func (m *memory) release(b *buffers) {
	if b.budget != nil {
		b.budget.Release(b.taken)
	} else {
		<-b.slot
	}
	if cap(b.encoded) <= keptBuffer && cap(b.compressed) <= keptBuffer {
		m.pool.Put(b)
	}
}
