package partition

import (
	"errors"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/multiraft"
)

// The methods of this file are multiraft's: the raft loop calls them and must not wait.

func batchProposal(b *batch, term, generation uint64) multiraft.Proposal {
	return multiraft.Proposal{Term: term, Generation: generation, Owner: b}
}

// TakeProposal implements multiraft.StateMachine.
func (r *Replica) TakeProposal() *multiraft.Proposal {
	r.offer.Lock()
	var b *batch
	switch {
	case len(r.offer.closed) > 0:
		b = r.offer.closed[0]
		r.offer.closed = r.offer.closed[1:]
	case r.offer.open != nil:
		b = r.offer.open
		r.offer.open = nil
	}
	r.offer.Unlock()
	if b == nil {
		return nil
	}
	b.proposal.Data = event.Append(make([]byte, 0, b.bytes+mutationOverhead), &b.ev)
	return &b.proposal
}

// Assigned implements multiraft.StateMachine.
func (r *Replica) Assigned(p *multiraft.Proposal, index uint64) {
	r.box.Lock()
	r.box.assigned = append(r.box.assigned, assignment{batch: p.Owner.(*batch), index: index})
	r.box.Unlock()
}

// Dropped implements multiraft.StateMachine.
func (r *Replica) Dropped(p *multiraft.Proposal) {
	r.box.Lock()
	r.box.dropped = append(r.box.dropped, p)
	r.box.Unlock()
	r.box.poke()
}

// Committed implements multiraft.StateMachine.
func (r *Replica) Committed(c multiraft.Committed) {
	size := int64(0)
	for i := range c.Entries {
		size += entrySize(&c.Entries[i])
	}
	r.backlog.Add(size)
	r.box.Lock()
	r.box.committed = append(r.box.committed, c)
	r.box.Unlock()
	r.box.poke()
}

// Backlog implements multiraft.StateMachine.
func (r *Replica) Backlog() int64 { return r.backlog.Load() }

// LeadershipChanged implements multiraft.StateMachine.
func (r *Replica) LeadershipChanged(l multiraft.Leadership) {
	r.box.Lock()
	r.box.leadership = append(r.box.leadership, l)
	r.box.Unlock()
	r.box.poke()
}

// noteLeadership takes a notice of the loop.
func (r *Replica) noteLeadership(l multiraft.Leadership) {
	was := r.leadership
	r.leadership = l
	if was.Leading && (!l.Leading || l.Term != was.Term) {
		r.stopServing()
	}
	r.published.Store(&l)
	if r.opts.OnLeadership != nil && (was.Leader != l.Leader || was.Term != l.Term) {
		r.opts.OnLeadership(l)
	}
}

// stopServing ends everything that hangs on having led.
func (r *Replica) stopServing() {
	r.serving.Store(0)
	r.store.SetCaching(false)
	r.dropOpen()
	waiting := r.waiting
	r.waiting, r.waitsForAll = nil, false
	clear(r.waitedFor)
	r.failLanes(waiting)
	r.failBlocked()
	r.absent.forget()
}

// dropOpen drops the open batch unless the raft loop has taken it.
func (r *Replica) dropOpen() {
	r.takeBackOffer()
	if b := r.open; b != nil {
		r.open = nil
		r.flights++ // as if it had been proposed: settle takes it off again
		r.flightBytes += b.bytes
		r.dropBatch(b)
	}
}

// startServing begins to evaluate and to read once an entry of the own term is applied: then everything that earlier
// leaders have committed is applied too.
func (r *Replica) startServing() {
	l := r.leadership
	if !l.Leading || r.serving.Load() == l.Term {
		return
	}
	state := r.store.State()
	if state.Applied.Term != l.Term {
		return
	}
	r.term = l.Term
	r.clock.Observe(state.Clock)
	r.clock.Wall(state.Wall)
	r.numberClusters(state.Clusters)
	if err := r.readSettings(); err != nil {
		r.opts.Fatal(err)
		return
	}
	r.store.SetCaching(true)
	r.serving.Store(l.Term)
}

// readSettings reads what the partition's own rows say about how commands are evaluated.
func (r *Replica) readSettings() error {
	since, err := r.store.Replicates()
	if err != nil {
		return err
	}
	r.replicates = !since.IsZero()
	if err := errors.Join(r.readPlaces(), r.readConflictLog()); err != nil {
		return err
	}
	r.initial = nil
	return r.readRole()
}

func (r *Replica) servingNow() bool { return r.serving.Load() != 0 }

// handleDropped takes a batch that the loop refused, and the open one with it: nothing may overtake it.
func (r *Replica) handleDropped(p *multiraft.Proposal) {
	r.dropOpen()
	r.generation = max(r.generation, p.Generation+1)
	r.dropBatch(p.Owner.(*batch))
}

// confirmReads asks a quorum whether this replica still leads, for all answers that wait for it.
func (r *Replica) confirmReads() {
	if len(r.unconfirmed) == 0 {
		return
	}
	r.confirms++
	number := r.confirms
	r.confirming[number] = r.unconfirmed
	r.unconfirmed = nil
	r.group.ReadIndex(r.term, func(ok bool) {
		r.box.call(func() { r.confirmed(number, ok) })
	})
}

// confirmed: the state that was read held everything acknowledged at that time, if this replica leads still in the same term.
func (r *Replica) confirmed(number uint64, ok bool) {
	answers := r.confirming[number]
	delete(r.confirming, number)
	r.retry = true
	for _, a := range answers {
		a.lane.waiting = false
		outcome := command.Answered
		if !ok {
			a.lane.failed = true
			if a.lane.hasBlocked(a.req) {
				unblockedByForce(a.req)
			} else {
				elsewhere(a.req, r.leadership.Leader)
				outcome = command.Elsewhere
			}
		}
		r.resolve(a, outcome)
		if a.lane.failed {
			a.lane.fail(r.leadership.Leader)
		}
		r.finishLane(a.lane)
	}
}
