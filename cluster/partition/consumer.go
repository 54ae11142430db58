package partition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

var (
	// ErrNotLeader: only the leader changes the partition's own rows; nothing was changed. Stale: ask who leads.
	ErrNotLeader = errors.New("partition: this replica doesn't lead")
	// ErrUnknownOutcome: the change may or may not take effect. It can be repeated.
	ErrUnknownOutcome = errors.New("partition: the outcome isn't known")
	// ErrAhead: the position is beyond the end of the log; nothing was changed.
	ErrAhead = errors.New("partition: the log doesn't reach the position")
	// ErrConsumers: as many consumers are registered as a partition takes; nothing was changed.
	ErrConsumers = errors.New("partition: too many consumers are registered: remove those that are gone")
)

// maxConsumers bounds the consumers of a partition.
const maxConsumers = 256

// SetConsumer registers a consumer of the feed, or moves it, whatever was there before: the log keeps what comes after its position, on every
// replica, as far as the limits allow (Retention). The zero position removes it; one beyond the log is refused with ErrAhead: whoever has read so
// far read something else.
func (r *Replica) SetConsumer(ctx context.Context, id string, position event.Position) error {
	return r.changeConsumer(ctx, id, func(a answer) error { return r.proposeConsumer(a, id, position) })
}

// MoveConsumer is SetConsumer for a position that may come late or say nothing new: it leaves a consumer that stands at or above the position, and one
// that would pass no event.
func (r *Replica) MoveConsumer(ctx context.Context, id string, position event.Position) error {
	return r.changeConsumer(ctx, id, func(a answer) error { return r.moveConsumer(a, id, position) })
}

// changeConsumer has change run by the replica's goroutine, and waits for what comes of it.
func (r *Replica) changeConsumer(ctx context.Context, id string, change func(answer) error) error {
	done := make(chan struct{})
	req := &command.Request{}
	l := &lane{reqs: []*command.Request{req}, next: 1, open: 1, uncounted: true, done: func() { close(done) }}
	var refused error
	r.box.call(func() {
		a := answer{lane: l, req: req}
		if !r.servingNow() {
			r.notServing(a)
		} else if err := change(a); err != nil { // nothing may be written when it went well: the caller may be gone on
			refused = err
			r.resolve(a, command.Answered)
			r.finishLane(l)
		}
	})
	select {
	case <-done:
	case <-r.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("partition %s: consumer %s: %w: %w", r.name, id, ErrUnknownOutcome, ctx.Err())
	}
	switch {
	case refused != nil:
		return fmt.Errorf("partition %s: consumer %s: %w", r.name, id, refused)
	case req.Outcome == command.Elsewhere:
		return fmt.Errorf("partition %s: consumer %s: %w; replica %d does", r.name, id, ErrNotLeader, req.Leader)
	case req.Outcome == command.Unknown:
		return fmt.Errorf("partition %s: consumer %s: %w", r.name, id, ErrUnknownOutcome)
	}
	return nil
}

// consumerMove is a consumer's position in a batch that isn't settled.
type consumerMove struct {
	position event.Position
	batch    *batch
}

// moveConsumer proposes a move that gains something. One that doesn't hangs on the move before it, if that is still under way: its sender may rely
// on where the consumer is said to stand.
func (r *Replica) moveConsumer(a answer, id string, position event.Position) error {
	at, moving := r.moves[id]
	if !moving {
		stands, err := r.consumerAt(id)
		if err != nil {
			return err
		}
		at.position = stands
	}
	switch {
	case position.IsZero() != at.position.IsZero(), r.gains(at.position, position):
		return r.proposeConsumer(a, id, position)
	case moving:
		at.batch.answers = append(at.batch.answers, a)
		a.lane.last = at.batch
		return nil
	}
	r.resolve(a, command.Answered)
	r.finishLane(a.lane)
	return nil
}

// gains says whether moving a consumer passes an event, as far as is applied; else the log that it holds back costs nobody anything.
func (r *Replica) gains(from, to event.Position) bool {
	if to.Compare(from) <= 0 {
		return false
	}
	state := r.store.State()
	return to.Index > state.Applied.Index || state.LastEvent.Index > from.Index
}

// consumerAt is where a consumer stands in the store; zero if it isn't registered.
func (r *Replica) consumerAt(id string) (event.Position, error) {
	value, ok, err := r.store.OwnValue(nil, event.OwnConsumer, []byte(id))
	if err != nil || !ok {
		return event.Position{}, err
	}
	position, err := event.ParsePosition(string(value))
	if err != nil {
		return event.Position{}, nil // it keeps nothing, and is written anew
	}
	return position, nil
}

// proposeConsumer puts the change of a consumer's row into the open batch.
func (r *Replica) proposeConsumer(a answer, id string, position event.Position) error {
	change := event.OwnChange{Kind: event.OwnConsumer, ID: []byte(id)}
	if !position.IsZero() {
		if last := r.log.LastIndex(); position.Index > last {
			return fmt.Errorf("%w %s: it ends with index %d", ErrAhead, position, last)
		}
		if err := r.admitConsumer(id); err != nil {
			return err
		}
		change.Value = []byte(position.String())
	}
	r.moves[id] = consumerMove{position: position, batch: r.changeOwn(a, change)}
	return nil
}

// changeOwn puts a change of an own row into the open batch, and returns that; nil, if this replica doesn't serve.
func (r *Replica) changeOwn(a answer, change event.OwnChange) *batch {
	if !r.servingNow() {
		r.notServing(a)
		return nil
	}
	r.takeBackOffer()
	b := r.openBatch()
	b.ev.Own = append(b.ev.Own, change)
	b.answers = append(b.answers, a)
	a.lane.last = b
	r.offerBatch()
	return b
}

// notServing answers that another replica leads.
func (r *Replica) notServing(a answer) {
	elsewhere(a.req, r.leadership.Leader)
	r.resolve(a, command.Elsewhere)
	r.finishLane(a.lane)
}

// admitConsumer says whether there is room for one more, unless it is there.
func (r *Replica) admitConsumer(id string) error {
	ids := map[string]bool{id: true}
	for moving := range r.moves {
		ids[moving] = true
	}
	err := r.store.Own(event.OwnConsumer, func(there, _ []byte) bool {
		ids[string(there)] = true
		return true
	})
	if err == nil && len(ids) > maxConsumers {
		err = ErrConsumers
	}
	return err
}

// forgetMoves takes a settled batch's moves off those that are under way.
func (r *Replica) forgetMoves(b *batch) {
	for i := range b.ev.Own {
		if own := &b.ev.Own[i]; own.Kind == event.OwnConsumer && r.moves[string(own.ID)].batch == b {
			delete(r.moves, string(own.ID))
		}
	}
}

// Consumer is one that is registered, and how far it is from losing its place in this replica's log.
type Consumer struct {
	ID       string
	Position event.Position
	// LagEntries are those after the position up to the last event, LagBytes what all after it take, Lag is the age of the oldest of them: all 0
	// when no event follows.
	LagEntries uint64
	LagBytes   uint64
	Lag        time.Duration
	// HeadroomBytes may be written to the partition, Headroom may pass, HeadroomDisk bytes may be written to the node's log (-1: it has no
	// cap) before the place is taken.
	HeadroomBytes int64
	Headroom      time.Duration
	HeadroomDisk  int64
	// Lost: events after the position are gone from this log. It holds nothing back any more.
	Lost bool
}

// Holding is what a replica's log holds, and for whom.
type Holding struct {
	First      uint64         // index of the oldest entry left
	Oldest     event.Position // the event before the oldest one left
	OldestTime time.Time      // about when the oldest entry left was written; zero if none is
	Bytes      uint64
	LimitBytes uint64
	LimitAge   time.Duration
	Consumers  []Consumer // in the order of their ids
}

// Holding says what this replica's log holds. Any goroutine.
func (r *Replica) Holding() (Holding, error) {
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return Holding{}, ErrClosed
	}
	all, err := r.consumers()
	if err != nil {
		return Holding{}, err
	}
	base, err := r.logBase()
	if err != nil {
		return Holding{}, err
	}
	now, last, stats := r.opts.Clock(), r.store.State().LastEvent, r.log.Stats()
	t := r.opts.Retention
	h := Holding{
		First: stats.First, Oldest: base, OldestTime: stats.Oldest, Bytes: stats.Bytes, LimitBytes: uint64(t.MaxBytes), LimitAge: t.ConsumerAge,
	}
	for _, c := range all {
		c.Lost = c.Position.Index < base.Index
		c.HeadroomBytes, c.Headroom = t.MaxBytes, t.ConsumerAge
		follows := c.Position
		if last.Index <= c.Position.Index { // what follows are no events
			follows.Index = stats.Last
		} else {
			c.LagEntries = last.Index - c.Position.Index
		}
		tail := r.log.Tail(follows.Index)
		c.LagBytes, c.HeadroomDisk = tail.Bytes, tail.DiskLeft
		c.HeadroomBytes -= int64(tail.Bytes)
		if !tail.Oldest.IsZero() {
			c.Lag = max(now.Sub(tail.Oldest), 0)
			c.Headroom -= c.Lag
		}
		if c.Lost {
			c.HeadroomBytes, c.Headroom, c.HeadroomDisk = 0, 0, min(c.HeadroomDisk, 0)
		}
		h.Consumers = append(h.Consumers, c)
	}
	return h, nil
}

// consumers are those that are registered and can be read. The state lock is held, or this is the replica's goroutine.
func (r *Replica) consumers() (all []Consumer, err error) {
	err = r.store.Own(event.OwnConsumer, func(id, value []byte) bool {
		position, perr := event.ParsePosition(string(value))
		if perr != nil {
			r.opts.Logger.Error("a consumer's position can't be read; it keeps nothing", "partition", r.name, "consumer", string(id), "error", perr)
			return true
		}
		all = append(all, Consumer{ID: string(id), Position: position})
		return true
	})
	if err != nil {
		err = fmt.Errorf("partition %s: consumers: %w", r.name, err)
	}
	return all, err
}

// logBase is the event before the oldest one left in the log. A consumer that has read up to it, or further, misses nothing. A truncation between
// its two questions makes the first answer outdated: it asks again.
func (r *Replica) logBase() (event.Position, error) {
	for range 3 {
		base := r.log.FirstIndex() - 1
		mark, ok, err := r.store.MarkAtOrBefore(base)
		if err != nil {
			return event.Position{}, fmt.Errorf("partition %s: chain mark at or before %d: %w", r.name, base, err)
		}
		if ok {
			return mark.LastEvent, nil
		}
	}
	return event.Position{}, nil
}
