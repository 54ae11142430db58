package partition

import (
	"context"
	"fmt"

	"github.com/zankv/zankv/cluster/command"
)

// errand is a request that isn't a client's command. It waits for its turn in a lane of its own, as commands do.
type errand struct {
	// spec has the flags by which it is admitted: one that writes may be a barrier.
	spec *command.Spec
	// place is what it reads and moves (batch.moves): it waits as long as another's move of that isn't settled. Empty: nothing.
	place string
	// keys visits those that it writes, until visit returns false; nil: none.
	keys func(visit func(key []byte) bool)
	// run evaluates it, and leaves its answer to the open batch or to a read's confirmation.
	run func(l *lane, req *command.Request)
	// refused is why it wasn't carried out; answered as a read is, so that no deposed leader refuses.
	refused error
	// gone: whoever it is for has left, and nothing that it borrowed may be looked at. Of the replica's goroutine.
	gone bool
}

var (
	readErrand    = &command.Spec{Name: "place", Flags: command.ReadOnly}
	writeErrand   = &command.Spec{Name: "replay", Flags: command.Write}
	barrierErrand = &command.Spec{Name: "replay", Flags: command.Write | command.Barrier}
)

// runErrand has an errand evaluated in its turn, and waits for what comes of it. After it returned nothing of the errand is looked at any more. Errors
// are ErrNotLeader, ErrUnknownOutcome, ErrClosed, and the errand's own.
func (r *Replica) runErrand(ctx context.Context, e *errand) error {
	done := make(chan struct{})
	req := &command.Request{Spec: e.spec}
	l := &lane{reqs: []*command.Request{req}, errand: e, uncounted: true, done: func() { close(done) }}
	r.box.call(func() { r.evaluateLanes([]*lane{l}) })
	select {
	case <-done:
	case <-r.done:
		return ErrClosed
	case <-ctx.Done():
		if !r.leaveErrand(e, done) {
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
		}
	}
	switch {
	case req.Outcome == command.Elsewhere:
		return fmt.Errorf("%w; replica %d does", ErrNotLeader, req.Leader)
	case req.Outcome == command.Unknown:
		return ErrUnknownOutcome
	}
	return e.refused
}

// leaveErrand returns when the replica's goroutine won't look at the errand any more, and says whether it was answered by then.
func (r *Replica) leaveErrand(e *errand, done chan struct{}) (answered bool) {
	left := make(chan struct{})
	r.box.call(func() {
		e.gone, r.retry = true, true
		close(left)
	})
	select {
	case <-done:
		return true
	case <-r.done:
	case <-left:
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// admitsErrand says whether an errand may be evaluated now, as far as its place and its keys are concerned.
func (r *Replica) admitsErrand(e *errand) bool {
	if e.gone {
		return true
	}
	if r.moving[e.place] != nil {
		return false
	}
	free := true
	if e.keys != nil && len(r.inflight)+len(r.waitedFor) > 0 {
		e.keys(func(key []byte) bool {
			free = r.keyFree(key)
			return free
		})
	}
	return free
}

// runErrandNow evaluates an admitted errand.
func (r *Replica) runErrandNow(l *lane, req *command.Request) {
	if l.errand.gone {
		elsewhere(req, r.leadership.Leader)
		r.resolve(answer{lane: l, req: req}, command.Elsewhere)
		return
	}
	l.errand.run(l, req)
}

// refuseErrand ends an errand that changes nothing.
func (r *Replica) refuseErrand(l *lane, req *command.Request, why error) {
	l.errand.refused = why
	r.answerRead(l, req)
}

// hangOn has an errand answered with the open batch, into which it was evaluated, and closes that if nothing more is to come into it.
func (r *Replica) hangOn(l *lane, req *command.Request, b *batch) {
	b.answers = append(b.answers, answer{lane: l, req: req})
	l.last = b
	if req.Spec.Flags&command.Barrier != 0 {
		b.barrier, r.barrier = true, true
	}
	r.closeFull(b)
}
