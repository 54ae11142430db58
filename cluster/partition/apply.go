package partition

import (
	"fmt"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/multiraft"
)

// applyBytes cuts what one engine write takes.
const applyBytes = 4 << 20

// markBytes is how much of the log lies between two chain marks at most, or a round of committed entries if that is more: the
// log is truncated only at marks, and the store's own, one in so many events, may lie further apart than a limit allows.
const markBytes = 1 << 20

// applyCommitted folds committed entries into the store and answers who waited for them.
func (r *Replica) applyCommitted(c *multiraft.Committed) error {
	size := int64(0)
	for i := range c.Entries {
		e := &c.Entries[i]
		size += entrySize(e)
		if err := r.applyEntry(e, c.ConfStates[e.Index]); err != nil {
			return fmt.Errorf("partition %s: apply %d-%d: %w", r.name, e.Term, e.Index, err)
		}
		if r.apply.Len() >= applyBytes || r.watched(e.Index) {
			if err := r.commitApply(); err != nil {
				return err
			}
		}
	}
	if r.unmarked += size; r.unmarked >= markBytes && r.apply.Count() > 0 {
		r.unmarked = 0
		r.apply.Mark()
	}
	err := r.commitApply()
	r.backlog.Add(-size)
	r.unflushed += size
	return err
}

// applyEntry adds one entry to the batch of rows.
func (r *Replica) applyEntry(e *raftpb.Entry, confState []byte) error {
	pos := event.Position{Term: e.Term, Index: e.Index}
	own := r.ownBatch(e)
	if confState != nil {
		r.apply.SetConfState(confState)
	}
	if e.Type != raftpb.EntryNormal || len(e.Data) == 0 {
		r.apply.Skip(pos)
		return nil
	}
	ev := &r.decoded
	if own != nil {
		ev = &own.ev
	} else if err := event.Decode(e.Data, ev); err != nil {
		return err
	}
	if ev.Term != e.Term {
		r.apply.Skip(pos)
		return nil
	}
	return r.apply.Event(pos, ev)
}

// ownBatch finds the batch that this replica proposed as an entry, and settles those that never will be one: their index went
// to another entry, or an entry of a later term was committed before it. Terms never fall within a log, so that nothing of an
// earlier term comes after that entry. (And it must be settled then: when this replica leads again over a shorter log than it
// once had, its new batches get lower indexes than these.)
func (r *Replica) ownBatch(e *raftpb.Entry) *batch {
	for len(r.flight) > 0 {
		b := r.flight[0]
		if b.index > e.Index && b.proposal.Term >= e.Term {
			return nil
		}
		r.flight = r.flight[1:]
		happened := b.index == e.Index && b.proposal.Term == e.Term
		r.settled = append(r.settled, settlement{batch: b, happened: happened})
		if happened {
			return b
		}
	}
	return nil
}

// settlement says what became of a batch, to be told when the rows are written.
type settlement struct {
	batch    *batch
	happened bool
}

// commitApply writes the rows and then answers: nobody is told of what can't be read.
func (r *Replica) commitApply() error {
	if r.apply.Count() == 0 {
		return nil
	}
	if err := r.apply.Commit(); err != nil {
		return fmt.Errorf("partition %s: %w", r.name, err)
	}
	r.noteApplied()
	for i, s := range r.settled {
		outcome := command.Answered
		if !s.happened {
			outcome = command.Elsewhere
		}
		r.settle(s.batch, outcome)
		r.settled[i] = settlement{}
	}
	r.settled = r.settled[:0]
	return nil
}

// settle ends a batch: its keys are free, its requests have their outcome.
func (r *Replica) settle(b *batch, outcome command.Outcome) {
	for i := range b.ev.Mutations {
		key := asString(b.ev.Mutations[i].Key)
		if r.inflight[key].batch == b {
			delete(r.inflight, key)
		}
	}
	if b.barrier {
		r.barrier = false
	}
	r.forgetMoves(b)
	r.settleRole(b, outcome)
	r.settleMoves(b, outcome)
	r.settleRows(b, outcome)
	if outcome != command.Answered {
		r.view.ends.forget()
	}
	r.flights--
	r.flightBytes -= b.bytes
	r.retry = true
	if outcome == command.Elsewhere {
		r.offerAgain(b)
	}
	r.resolveAnswers(b, outcome)
	r.recycle(b)
}

// resolveAnswers gives a batch's requests their outcome.
func (r *Replica) resolveAnswers(b *batch, outcome command.Outcome) {
	if b.pageOf != nil && outcome == command.Elsewhere {
		b.pageOf.fail(r.leadership.Leader) // it can't go on after what didn't happen
		r.finishLane(b.pageOf)
	}
	for _, a := range b.answers {
		switch outcome {
		case command.Elsewhere:
			elsewhere(a.req, r.leadership.Leader)
			a.lane.failed = true
		case command.Unknown:
			a.req.Reply.Buf = a.req.Reply.Buf[:0]
			a.req.Reply.Error(unknownText)
		}
		r.resolve(a, outcome)
	}
	for _, a := range b.answers {
		if a.lane.failed && a.lane.next < len(a.lane.reqs) && a.lane.open == 0 {
			a.lane.fail(r.leadership.Leader)
		}
		r.finishLane(a.lane)
	}
	clear(b.answers)
	b.answers = b.answers[:0]
}

const unknownText = "UNKNOWN the write was proposed but not confirmed in time: it may or may not take effect; read before you repeat it"

// settleUnknown ends a batch of which nobody here can tell whether it took effect.
func (r *Replica) settleUnknown(b *batch) { r.settle(b, command.Unknown) }

// dropBatch ends a batch that will never take effect.
func (r *Replica) dropBatch(b *batch) {
	r.settle(b, command.Elsewhere)
}

// noteApplied tells everyone who waits for a position.
func (r *Replica) noteApplied() {
	applied := r.store.State().Applied.Index
	r.applied.Store(applied)
	r.appliedWaiters.wake(applied)
	r.fireWatches(applied)
}

// expireWaits tells the clients of batches that have been in flight for too long that their outcome isn't known. The batches stay
// in flight: their keys are free only when their index is settled.
func (r *Replica) expireWaits() {
	limit := r.opts.Clock().Add(-r.opts.ProposalTimeout)
	for _, b := range r.flight {
		if !b.unknown && b.opened.Before(limit) {
			b.unknown = true
			r.resolveAnswers(b, command.Unknown)
		}
	}
}

func entrySize(e *raftpb.Entry) int64 { return int64(len(e.Data)) + 32 }
