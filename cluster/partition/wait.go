package partition

import (
	"context"
	"sync"
)

// waiters are those who wait for the applied index to pass one.
type waiters struct {
	sync.Mutex
	waiting map[chan struct{}]uint64
}

// wake tells all whose index is below applied.
func (w *waiters) wake(applied uint64) {
	w.Lock()
	defer w.Unlock()
	for ch, above := range w.waiting {
		if applied > above {
			delete(w.waiting, ch)
			close(ch)
		}
	}
}

func (w *waiters) add(above uint64) chan struct{} {
	w.Lock()
	defer w.Unlock()
	if w.waiting == nil {
		w.waiting = make(map[chan struct{}]uint64)
	}
	ch := make(chan struct{})
	w.waiting[ch] = above
	return ch
}

func (w *waiters) remove(ch chan struct{}) {
	w.Lock()
	defer w.Unlock()
	delete(w.waiting, ch)
}

// Applied is the index of the last applied entry.
func (r *Replica) Applied() uint64 { return r.applied.Load() }

// WaitApplied returns when an entry above index is applied, or with an error when ctx or the replica ends.
func (r *Replica) WaitApplied(ctx context.Context, above uint64) error {
	if r.Applied() > above {
		return nil
	}
	ch := r.appliedWaiters.add(above)
	// An entry may have been applied before the waiter was added: then nobody wakes it.
	if r.Applied() > above {
		r.appliedWaiters.remove(ch)
		return nil
	}
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		r.appliedWaiters.remove(ch)
		return ctx.Err()
	case <-r.done:
		r.appliedWaiters.remove(ch)
		return ErrClosed
	}
}
