package partition

import (
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

const blockedText = "BUSY too many commands wait for keys of this partition; nothing was changed, try again later"

// block has a request that found nothing wait for its keys. It isn't counted among those that wait to be evaluated, and holds
// no batch: a lane with something in flight comes here when that is settled.
func (r *Replica) block(l *lane, req *command.Request, milliseconds int64) {
	if l.open > 1 {
		r.postpone(l, req)
		l.alone = true
		return
	}
	if !l.hasBlocked(req) {
		if r.blocked.requests+len(l.reqs) > r.opts.BlockedRequests {
			req.Reply.Buf = req.Reply.Buf[:0]
			r.refuse(l, req, blockedText)
			return
		}
		l.wait = &wait{lane: l, req: req, kind: kindOf(req.Spec), keys: waitedKeys(req), at: -1, reply: append([]byte(nil), req.Reply.Buf...)}
		if milliseconds > 0 {
			l.wait.deadline = time.Now().Add(time.Duration(milliseconds) * time.Millisecond)
		}
	}
	if !l.uncounted {
		l.uncounted = true
		r.box.answered(len(l.reqs))
	}
	req.Reply.Buf = req.Reply.Buf[:0]
	l.blocked = true
	r.blocked.enter(l.wait)
}

// fills says whether a mutation may have given a waiter what it waits for.
func fills(m *event.Mutation) bool {
	return m.Op.OnElements() && !m.Op.Removes() && m.Count > 0 && (m.Type == event.TypeList || m.Type == event.TypeZSet)
}

// wake serves those who wait for what the open batch got from its n-th mutation on, what they themselves add included.
func (r *Replica) wake(b *batch, n int) {
	for i := n; i < len(b.ev.Mutations) && r.blocked.any(); i++ {
		if m := &b.ev.Mutations[i]; fills(m) {
			r.serve(offer{m.Type, asString(m.Key)})
		}
	}
}

// offer is a key in which something may be for those who wait for it.
type offer struct {
	kind event.Type
	key  string
}

// serve runs the waiters of a key, first come first served, as long as something is there.
func (r *Replica) serve(o offer) {
	q := r.blocked.queues(o.kind)[o.key]
	if q == nil {
		return
	}
	for e := q.Front(); e != nil; {
		w, next := e.Value.(*wait), e.Next()
		if !r.landed(w.req) {
			r.deferWait(w)
		} else if r.holds(o) {
			r.runWaiter(w)
		} else {
			return
		}
		if w.deferred { // nobody passes it
			return
		}
		e = next
	}
}

// landed says whether no key of a request is in flight in another batch than the open one.
func (r *Replica) landed(req *command.Request) bool {
	landed := true
	eachKey(req, func(key []byte) bool {
		at, flying := r.inflight[string(key)]
		landed = !flying || at.batch == r.open
		return landed
	})
	return landed
}

// holds says whether something is in a key.
func (r *Replica) holds(o offer) bool {
	m, ok, err := r.view.Meta([]byte(o.key))
	if err != nil {
		r.opts.Fatal(err)
		return false
	}
	return ok && m.Type == o.kind && m.Count > 0
}

// runWaiter evaluates a waiting command into the open batch, with a mutation group of its own. If it finds nothing, it still waits.
func (r *Replica) runWaiter(w *wait) {
	b := r.openBatch()
	before := len(b.ev.Mutations)
	w.req.Reply.Buf = w.req.Reply.Buf[:0]
	ctx, err := r.evaluate(w.lane, w.req, b)
	emitted := len(b.ev.Mutations) - before
	switch {
	case err != nil:
		r.leaveWait(w)
		r.unreadable(w.lane, w.req, b, before, err)
		return
	case ctx.Block.Wanted:
		w.req.Reply.Buf = w.req.Reply.Buf[:0]
		return
	case b.bytes > r.opts.MaxEventBytes:
		r.rollback(b, before)
		w.req.Reply.Buf = w.req.Reply.Buf[:0]
		r.deferWait(w)
		return
	}
	r.leaveWait(w)
	r.resumed = append(r.resumed, w.lane)
	if emitted == 0 && !r.view.dirty {
		r.answerRead(w.lane, w.req)
		return
	}
	if emitted > 0 {
		r.nextGroup++
	}
	b.answers = append(b.answers, answer{lane: w.lane, req: w.req})
	w.lane.last = b
}

// leaveWait ends a wait: its lane can go on.
func (r *Replica) leaveWait(w *wait) {
	r.blocked.leave(w)
	w.lane.blocked = false
}

// again makes a waiting request the next of its lane again, to be run as any other.
func (r *Replica) again(w *wait) {
	r.leaveWait(w)
	w.lane.next--
	w.lane.open--
}

// deferWait has a waiter that was woken, and can't be run before other batches are settled, wait for that as other writers do. Nobody
// passes it: those behind it are served when it has been run.
func (r *Replica) deferWait(w *wait) {
	r.again(w)
	w.deferred = true
	r.retry = true
	r.keepWaiting(w.lane, w.req)
}

// noteRun offers what a deferred waiter waited for to those behind it, when it has been run.
func (r *Replica) noteRun(l *lane) {
	w := l.wait
	if w == nil || !w.deferred || l.next < len(l.reqs) && l.reqs[l.next] == w.req {
		return
	}
	w.deferred = false
	for _, key := range w.keys {
		r.offers = append(r.offers, offer{w.kind, key})
	}
}

// offerAgain offers the keys of a batch that will never take effect: who waits for them may have waited for nothing.
func (r *Replica) offerAgain(b *batch) {
	for i := range b.ev.Mutations {
		for _, kind := range []event.Type{event.TypeList, event.TypeZSet} {
			if key := asString(b.ev.Mutations[i].Key); r.blocked.queues(kind)[key] != nil {
				r.offers = append(r.offers, offer{kind, key})
			}
		}
	}
}

// goOn serves what was offered, and goes on with lanes that don't wait any more.
func (r *Replica) goOn() {
	for len(r.resumed) > 0 || len(r.offers) > 0 && r.admitsWaiters() {
		offers, resumed := r.offers, r.resumed
		r.resumed = nil
		if r.admitsWaiters() {
			r.offers = nil
		} else {
			offers = nil
		}
		for _, o := range offers {
			b := r.openBatch()
			before := len(b.ev.Mutations)
			r.serve(o)
			r.noteChanges(b, before)
			r.closeFull(b)
		}
		for _, l := range resumed {
			r.runLane(l)
		}
	}
}

// admitsWaiters says whether something may be evaluated for those who wait.
func (r *Replica) admitsWaiters() bool {
	return !r.barrier && !r.waitsForAll && r.flights < flightBatches && r.flightBytes < flightBytes
}

// endOverdue ends the waits whose time has passed.
func (r *Replica) endOverdue() {
	if len(r.blocked.timed) == 0 {
		return
	}
	now := time.Now()
	for w := r.blocked.overdue(now); w != nil; w = r.blocked.overdue(now) {
		r.endWait(w)
	}
}

// endWait has a wait's command run for the last time.
func (r *Replica) endWait(w *wait) {
	r.again(w)
	w.final = true
	r.resumed = append(r.resumed, w.lane)
}

// armTimer sets the timer to the wait that ends first.
func (r *Replica) armTimer(t *time.Timer) {
	if len(r.blocked.timed) == 0 {
		t.Stop()
		r.armed = time.Time{}
		return
	}
	if next := r.blocked.timed[0].deadline; !next.Equal(r.armed) {
		r.armed = next
		t.Reset(time.Until(next))
	}
}

// overdue says whether a request that finds nothing isn't to wait any more.
func (r *Replica) overdue(l *lane, req *command.Request) bool {
	return l.hasBlocked(req) && l.wait.final || l.ends[req] == command.UnblockTimeout
}

// finishOverdue gives a request whose time has passed its reply if it failed: only the first time does the type of its keys matter.
func (r *Replica) finishOverdue(l *lane, req *command.Request) {
	if l.hasBlocked(req) && l.wait.final && req.Reply.IsError() {
		req.Reply.Buf = append(req.Reply.Buf[:0], l.wait.reply...)
	}
}

// failBlocked ends all waits: this replica leads no more. They took no effect, and say so.
func (r *Replica) failBlocked() {
	for _, w := range r.blocked.waits {
		r.again(w)
		r.failLanes([]*lane{w.lane})
	}
	resumed := r.resumed
	r.resumed, r.offers = nil, nil
	r.failLanes(resumed)
}

func unblockedByForce(req *command.Request) {
	req.Reply.Buf = req.Reply.Buf[:0]
	req.Reply.Error(command.ErrUnblockedByForce)
	req.Outcome = command.Answered
}
