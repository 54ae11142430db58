package partition

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// fixedView is the state at one position. The store isn't replaced or closed before it is closed: it holds the state lock shared.
type fixedView struct {
	replica *Replica
	store   *store.Store
	snap    *store.Snapshot
}

// fixView is called by the replica's goroutine, which alone asks for the lock exclusively while it runs, so that it never waits here.
func (r *Replica) fixView() *fixedView {
	r.state.RLock()
	return &fixedView{replica: r, store: r.store, snap: r.store.Snapshot()}
}

func (v *fixedView) close() {
	v.snap.Close()
	v.replica.state.RUnlock()
}

// watch is one wait for a view. Whoever waits may go at any time, also when the replica's goroutine is about to show it one, or
// never will any more.
type watch struct {
	sync.Mutex
	gone  bool
	view  *fixedView
	past  event.Position // set if there can't be a view any more
	ready chan struct{}
}

// show gives the waiter what it waits for, if it still does: a view, or what is applied if that is past.
func (w *watch) show(r *Replica, at uint64) {
	w.Lock()
	defer w.Unlock()
	if w.gone {
		return
	}
	if applied := r.store.State().Applied; at != 0 && applied.Index > at {
		w.past = applied
	} else {
		w.view = r.fixView()
	}
	close(w.ready)
}

// leave gives up. What was shown is the waiter's no more.
func (w *watch) leave() {
	w.Lock()
	defer w.Unlock()
	w.gone = true
	if w.view != nil {
		w.view.close()
	}
}

// watches are those who want to see the state at an exact index. It belongs to the replica's goroutine.
type watches map[uint64][]*watch

func (w *watches) add(index uint64, one *watch) {
	if *w == nil {
		*w = make(watches)
	}
	(*w)[index] = append((*w)[index], one)
}

// remove takes one out that may be there no more, or never was.
func (w watches) remove(index uint64, one *watch) {
	if len(w[index]) == 0 {
		return // w may be nil
	}
	w[index] = slices.DeleteFunc(w[index], func(other *watch) bool { return other == one })
	if len(w[index]) == 0 {
		delete(w, index)
	}
}

// fireWatches shows the state to everyone who watches what is applied now, and tells those whose position a snapshot has passed.
func (r *Replica) fireWatches(applied uint64) {
	for index, waiting := range r.watches {
		if index > applied {
			continue
		}
		for _, one := range waiting {
			one.show(r, index)
		}
		delete(r.watches, index)
	}
}

// watched says whether somebody wants to see the state right after an index, so that rows must be written up to there.
func (r *Replica) watched(index uint64) bool { return len(r.watches) > 0 && len(r.watches[index]) > 0 }

// ChecksumOf says what a checksum is to be of.
type ChecksumOf struct {
	// At is the position: the zero position means now. One ahead is waited for, no longer than Wait (0: until ctx ends).
	At   event.Position
	Wait time.Duration
	// Watermark (ns) and Wall (ms) are as store.ChecksumAbove has them, 0 for the partition's own.
	Watermark, Wall int64
}

// Checksum computes the checksum of this replica's content at a position: the zero position means now; one ahead is waited for
// until ctx ends; ErrPast if more is applied already. A snapshot of another node isn't installed before it is done.
func (r *Replica) Checksum(ctx context.Context, at event.Position) (store.Checksum, error) {
	return r.ChecksumOf(ctx, ChecksumOf{At: at})
}

// ChecksumOf is Checksum with more to choose.
func (r *Replica) ChecksumOf(ctx context.Context, of ChecksumOf) (store.Checksum, error) {
	at := of.At
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // closing waits for nobody's checksum
		select {
		case <-r.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	waiting, stop := ctx, context.CancelFunc(func() {})
	if of.Wait > 0 {
		waiting, stop = context.WithTimeout(ctx, of.Wait)
	}
	defer stop()
	view, err := r.viewAt(waiting, at)
	if err != nil {
		return store.Checksum{}, fmt.Errorf("partition %s: checksum at %s: %w", r.name, at, err)
	}
	defer view.close()
	state, err := view.snap.State()
	if err != nil {
		return store.Checksum{}, err
	}
	if !at.IsZero() && state.Applied != at {
		return store.Checksum{}, fmt.Errorf("partition %s: index %d was committed as %s, not as %s", r.name, at.Index, state.Applied, at)
	}
	sum, err := view.store.ChecksumAbove(ctx, view.snap, of.Watermark, of.Wall)
	if err != nil && r.ended() {
		err = ErrClosed
	}
	return sum, err
}

func (r *Replica) viewAt(ctx context.Context, at event.Position) (*fixedView, error) {
	w := &watch{ready: make(chan struct{})}
	r.box.call(func() {
		if !at.IsZero() && r.store.State().Applied.Index < at.Index {
			r.watches.add(at.Index, w)
			return
		}
		w.show(r, at.Index)
	})
	select {
	case <-w.ready:
		if w.view == nil {
			return nil, fmt.Errorf("%w: %s is applied", ErrPast, w.past)
		}
		return w.view, nil
	case <-r.done:
		w.leave()
		return nil, ErrClosed
	case <-ctx.Done():
		w.leave()
		r.box.call(func() { r.watches.remove(at.Index, w) })
		if r.ended() {
			return nil, ErrClosed
		}
		return nil, fmt.Errorf("%w: %d is applied so far", ctx.Err(), r.Applied())
	}
}

// ended says whether the replica's goroutine has ended.
func (r *Replica) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}
