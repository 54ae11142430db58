package partition

import (
	"context"
	"fmt"
	"slices"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// fixedView is the state at one position. The engine under it isn't closed before it is.
type fixedView struct {
	store *store.Store
	snap  *store.Snapshot
}

// watches are those who want to see the state at an exact index. It belongs to the replica's goroutine.
type watches map[uint64][]chan *fixedView

func (w *watches) add(index uint64, ch chan *fixedView) {
	if *w == nil {
		*w = make(watches)
	}
	(*w)[index] = append((*w)[index], ch)
}

func (w watches) remove(index uint64, ch chan *fixedView) {
	w[index] = slices.DeleteFunc(w[index], func(other chan *fixedView) bool { return other == ch })
	if len(w[index]) == 0 {
		delete(w, index)
	}
}

// fireWatches shows the state to everyone who watches what is applied now.
func (r *Replica) fireWatches(applied uint64) {
	for _, ch := range r.watches[applied] {
		ch <- r.fixView()
	}
	delete(r.watches, applied)
}

// watched says whether somebody wants to see the state right after an index, so that rows must be written up to there.
func (r *Replica) watched(index uint64) bool { return len(r.watches) > 0 && len(r.watches[index]) > 0 }

// Checksum computes the checksum of this replica's content at a position: the zero position means now; one ahead is waited for
// until ctx ends; ErrPast if more is applied already. A snapshot of another node isn't installed before it is done.
func (r *Replica) Checksum(ctx context.Context, at event.Position) (store.Checksum, error) {
	view, err := r.viewAt(ctx, at)
	if err != nil {
		return store.Checksum{}, fmt.Errorf("partition %s: checksum at %s: %w", r.name, at, err)
	}
	defer view.snap.Close()
	state, err := view.snap.State()
	if err != nil {
		return store.Checksum{}, err
	}
	if !at.IsZero() && state.Applied != at {
		return store.Checksum{}, fmt.Errorf("partition %s: index %d was committed as %s, not as %s", r.name, at.Index, state.Applied, at)
	}
	return view.store.Checksum(ctx, view.snap)
}

func (r *Replica) viewAt(ctx context.Context, at event.Position) (*fixedView, error) {
	now := make(chan *fixedView, 1)
	watch := make(chan *fixedView, 1)
	past := make(chan event.Position, 1)
	r.box.call(func() {
		switch applied := r.store.State().Applied; {
		case ctx.Err() != nil:
		case at.IsZero() || applied.Index == at.Index:
			now <- r.fixView()
		case applied.Index < at.Index:
			r.watches.add(at.Index, watch)
		default:
			past <- applied
		}
	})
	select {
	case view := <-now:
		return view, nil
	case view := <-watch:
		return view, nil
	case applied := <-past:
		return nil, fmt.Errorf("%w: %s is applied", ErrPast, applied)
	case <-r.done:
		return nil, ErrClosed
	case <-ctx.Done():
		// What the call left behind, or still leaves, is taken back after it.
		r.box.call(func() {
			r.watches.remove(at.Index, watch)
			for _, ch := range []chan *fixedView{now, watch} {
				select {
				case view := <-ch:
					view.snap.Close()
				default:
				}
			}
		})
		return nil, fmt.Errorf("%w: %d is applied so far", ctx.Err(), r.Applied())
	}
}

func (r *Replica) fixView() *fixedView { return &fixedView{store: r.store, snap: r.store.Snapshot()} }
