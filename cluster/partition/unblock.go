package partition

import "github.com/zankv/zankv/cluster/command"

// unblock is a call of Unblock.
type unblock struct {
	req *command.Request
	how command.UnblockHow
}

// Unblock ends a request that waits for its keys, or makes sure that it won't: it may not have been evaluated yet. One that was
// served already stays served. It may be called from any goroutine, also when the request is answered; the answer comes as always.
//
// UnblockGone answers the request with an error and ends Elsewhere what was submitted with it and comes after it: nobody should send that
// anywhere.
func (r *Replica) Unblock(req *command.Request, how command.UnblockHow) {
	r.box.Lock()
	if !r.box.closed {
		r.box.unblocks = append(r.box.unblocks, unblock{req, how})
	}
	r.box.Unlock()
	r.box.poke()
}

// expect remembers where the requests of a new lane are that may block.
func (r *Replica) expect(l *lane) {
	for _, req := range l.reqs {
		if req.Spec.Flags&command.Blocking != 0 {
			l.blockers = true
			r.blockers[req] = l
		}
	}
}

func (r *Replica) forgetBlockers(l *lane) {
	if l.blockers {
		for _, req := range l.reqs {
			delete(r.blockers, req)
		}
	}
}

// unblockAll does what Unblock was called for. What was submitted before is known by now.
func (r *Replica) unblockAll(calls []unblock) {
	for _, u := range calls {
		l := r.blockers[u.req]
		switch {
		case l == nil: // it is answered
		case l.blocked && l.wait.req == u.req:
			r.unblockNow(l.wait, u.how)
		case l.blocked && u.how == command.UnblockGone: // it waits with what comes before
			r.unblockNow(l.wait, u.how)
		default:
			r.unblockLater(l, u)
		}
	}
	if len(calls) > 0 {
		r.evaluateLanes(nil)
	}
}

func (r *Replica) unblockNow(w *wait, how command.UnblockHow) {
	if how == command.UnblockTimeout {
		r.endWait(w)
		return
	}
	r.again(w)
	w.lane.end(w.req, how)
	r.resumed = append(r.resumed, w.lane)
}

// unblockLater notes it for when the request's turn comes.
func (r *Replica) unblockLater(l *lane, u unblock) {
	l.end(u.req, u.how)
	r.retry = true
}

func (l *lane) end(req *command.Request, how command.UnblockHow) {
	if l.ends == nil {
		l.ends = map[*command.Request]command.UnblockHow{}
	}
	l.ends[req] = how
}

// endUnrun ends the next request of a lane, which was unblocked, without running it. It returns false if it is to be run.
func (r *Replica) endUnrun(l *lane, req *command.Request) bool {
	how := l.ends[req]
	if how != command.UnblockError && how != command.UnblockGone {
		return false
	}
	l.next++
	l.open++
	r.refuse(l, req, command.ErrUnblocked)
	if how == command.UnblockGone {
		l.fail(0)
	}
	return true
}
