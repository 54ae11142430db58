package worker

import (
	"cmp"
	"context"
	"errors"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// settleBegin finds out where a partition begins of which the registry knows no position, and saves that, before the sink is asked for anything. What the definition says
// may mean another place later, "latest" always does: an owner that gave the sink something which never got there, or that waits for the sink, must
// not leave the next one, or its own next attempt, with a place further on. From then on the log is kept for it, too.
func (w *worker) settleBegin(ctx context.Context) error {
	p := w.checkpoint()
	if p.Began == "" && !p.Position.IsZero() {
		return nil
	}
	s, err := startFrom(w.spec, w.partition)
	if err != nil {
		return err
	}
	from := cmp.Or(s.at.From, "earliest")
	var place changefeed.Reached
	began := ""
	if _, err := event.ParsePosition(from); err != nil { // a position means the same for ever
		if began = from; p.Began != from {
			place, err = w.beginning(ctx, from)
			if errors.Is(err, errCompacted) {
				began, err = "", nil // a snapshot or an archive comes before anything else
			}
			if err != nil {
				return err
			}
		}
	}
	if began != p.Began {
		w.mu.Lock()
		p := &w.mu.progress
		p.Position, p.Chain, p.Time, p.Began = place.Position, place.Chain, place.Time, began
		w.mu.Unlock()
		w.wake()
	}
	return await(ctx, nil, func() bool { // the keeper saves it: for as long as the registry can't be reached nothing is written
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.mu.savedBegan == began
	})
}

// sameHistory sees that the source's log is the one that the checkpoint is of. A sink that decides has a place without a chain: in the log of a namespace that
// was made anew, once that is as long, it would be taken for one of that, and what comes before it for what the sink has.
func (w *worker) sameHistory(ctx context.Context, before *changefeed.Progress) error {
	if before.Forced || before.Position.IsZero() || before.Chain.IsZero() {
		return nil
	}
	at := changefeed.Place{After: before.Position, Chain: before.Chain, ChainKnown: true}
	stream, err := w.o.Source.Open(ctx, w.spec.Namespace, w.partition, at)
	if err == nil {
		defer stream.Close()
		_, err = stream.Next(ctx)
	}
	if err == nil {
		return nil
	}
	err = w.sourceError(err)
	if errors.Is(err, errCompacted) {
		return nil // whether the place is left reading finds out
	}
	if known, ok := errors.AsType[*changefeed.Error](err); ok && known.Code == changefeed.CodeHistory && known.Action == "" {
		known.Action = "the source was restored, or its namespace made anew: have the target forget the sender, all its partitions, so that a full sync follows, then resume"
	}
	return ended(ctx, err)
}

// beginning is what lies before the first thing that the source gives.
func (w *worker) beginning(ctx context.Context, from string) (changefeed.Reached, error) {
	fail := func(err error) (changefeed.Reached, error) {
		return changefeed.Reached{}, ended(ctx, w.sourceError(err))
	}
	stream, err := w.o.Source.Open(ctx, w.spec.Namespace, w.partition, changefeed.Place{From: from})
	if err != nil {
		return fail(err)
	}
	defer stream.Close()
	item, err := stream.Next(ctx)
	switch {
	case err != nil:
		return fail(err)
	case item.Event != nil:
		return changefeed.Reached{Position: item.Stamp.Prev, Chain: item.Stamp.PrevChain, Time: item.Event.Time}, nil
	}
	return changefeed.Reached{Position: item.Position, Chain: item.Stamp.Chain, Time: item.Time}, nil
}
