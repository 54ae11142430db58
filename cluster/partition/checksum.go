package partition

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// watches are those who want to see the state at an exact index.
type watches struct {
	sync.Mutex
	count atomic.Int64
	at    map[uint64][]chan *store.Snapshot
}

func (w *watches) add(index uint64) chan *store.Snapshot {
	w.Lock()
	defer w.Unlock()
	if w.at == nil {
		w.at = make(map[uint64][]chan *store.Snapshot)
	}
	ch := make(chan *store.Snapshot, 1)
	w.at[index] = append(w.at[index], ch)
	w.count.Add(1)
	return ch
}

// remove takes a watch back; a snapshot that was left in it is closed.
func (w *watches) remove(index uint64, ch chan *store.Snapshot) {
	w.Lock()
	defer w.Unlock()
	rest := w.at[index][:0]
	for _, other := range w.at[index] {
		if other != ch {
			rest = append(rest, other)
			continue
		}
		w.count.Add(-1)
	}
	if w.at[index] = rest; len(rest) == 0 {
		delete(w.at, index)
	}
	select {
	case snap := <-ch:
		snap.Close()
	default:
	}
}

// fire hands a snapshot to everyone who watches index.
func (w *watches) fire(index uint64, s *store.Store) {
	if w.count.Load() == 0 {
		return
	}
	w.Lock()
	defer w.Unlock()
	for _, ch := range w.at[index] {
		ch <- s.Snapshot()
		w.count.Add(-1)
	}
	delete(w.at, index)
}

// watched says whether somebody wants to see the state right after an index, so that rows must be written up to there.
func (r *Replica) watched(index uint64) bool {
	if r.watches.count.Load() == 0 {
		return false
	}
	r.watches.Lock()
	defer r.watches.Unlock()
	return len(r.watches.at[index]) > 0
}

// Checksum computes the checksum of this replica's content at a position: the zero position means now; one ahead is waited for
// until ctx ends; ErrPast if more is applied already. While it runs, a snapshot of another node can't be installed.
func (r *Replica) Checksum(ctx context.Context, at event.Position) (store.Checksum, error) {
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return store.Checksum{}, ErrClosed
	}
	snap, err := r.snapshotAt(ctx, at)
	if err != nil {
		return store.Checksum{}, fmt.Errorf("partition %s: checksum at %s: %w", r.name, at, err)
	}
	defer snap.Close()
	state, err := snap.State()
	if err != nil {
		return store.Checksum{}, err
	}
	if !at.IsZero() && state.Applied != at {
		return store.Checksum{}, fmt.Errorf("partition %s: index %d was committed as %s, not as %s", r.name, at.Index, state.Applied, at)
	}
	return r.store.Checksum(ctx, snap)
}

func (r *Replica) snapshotAt(ctx context.Context, at event.Position) (*store.Snapshot, error) {
	if at.IsZero() {
		return r.store.Snapshot(), nil
	}
	var now *store.Snapshot
	var watch chan *store.Snapshot
	applied := event.Position{}
	err := r.do(ctx, func() {
		switch applied = r.store.State().Applied; {
		case applied.Index == at.Index:
			now = r.store.Snapshot()
		case applied.Index < at.Index:
			watch = r.watches.add(at.Index)
		}
	})
	switch {
	case err != nil:
		// The call may still run: what it leaves is taken back behind it.
		r.box.call(func() {
			if watch != nil {
				r.watches.remove(at.Index, watch)
			}
			if now != nil {
				now.Close()
			}
		})
		return nil, err
	case now != nil:
		return now, nil
	case watch == nil:
		return nil, fmt.Errorf("%w: %s is applied", ErrPast, applied)
	}
	select {
	case snap := <-watch:
		return snap, nil
	case <-ctx.Done():
		r.watches.remove(at.Index, watch)
		return nil, fmt.Errorf("%w: %d is applied so far", ctx.Err(), r.Applied())
	case <-r.done:
		return nil, ErrClosed
	}
}
