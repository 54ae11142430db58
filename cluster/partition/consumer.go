package partition

import (
	"context"
	"errors"
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// ErrNotLeader: only the leader changes the partition's own rows; nothing was changed. Stale: ask who leads.
var ErrNotLeader = errors.New("partition: this replica doesn't lead")

// ErrUnknownOutcome: the change may or may not take effect. It can be repeated.
var ErrUnknownOutcome = errors.New("partition: the outcome isn't known")

// SetConsumer registers a consumer of the feed, or moves it: the log keeps what comes after its position, on every replica, as far
// as the limits allow (Retention.MaxBytes, the disk cap). The zero position removes it.
func (r *Replica) SetConsumer(ctx context.Context, id string, position event.Position) error {
	change := event.OwnChange{Kind: event.OwnConsumer, ID: []byte(id)}
	if !position.IsZero() {
		change.Value = []byte(position.String())
	}
	done := make(chan struct{})
	req := &command.Request{}
	l := &lane{reqs: []*command.Request{req}, next: 1, open: 1, uncounted: true, done: func() { close(done) }}
	r.box.call(func() { r.changeOwn(answer{lane: l, req: req}, change) })
	select {
	case <-done:
	case <-r.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("partition %s: consumer %s: %w: %w", r.name, id, ErrUnknownOutcome, ctx.Err())
	}
	switch req.Outcome {
	case command.Elsewhere:
		return fmt.Errorf("partition %s: consumer %s: %w; replica %d does", r.name, id, ErrNotLeader, req.Leader)
	case command.Unknown:
		return fmt.Errorf("partition %s: consumer %s: %w", r.name, id, ErrUnknownOutcome)
	}
	return nil
}

// changeOwn puts a change of an own row into the open batch.
func (r *Replica) changeOwn(a answer, change event.OwnChange) {
	if !r.servingNow() {
		elsewhere(a.req, r.leadership.Leader)
		r.resolve(a, command.Elsewhere)
		r.finishLane(a.lane)
		return
	}
	r.takeBackOffer()
	b := r.openBatch()
	b.ev.Own = append(b.ev.Own, change)
	b.answers = append(b.answers, a)
	a.lane.last = b
	r.offerBatch()
}
