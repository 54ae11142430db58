package partition

import (
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/zankv/zankv/cluster/command"
)

// reader is what one evaluation of a read needs, kept for the next.
type reader struct {
	view stateView
	ctx  command.Context
}

// run evaluates the command, on one state if it needs it.
func (rd *reader) run(snapshot bool) error {
	if snapshot {
		rd.view.snap = rd.view.store.Snapshot()
		defer func() {
			rd.view.snap.Close()
			rd.view.snap = nil
		}()
	}
	return rd.ctx.Spec.Run(&rd.ctx)
}

var readers = sync.Pool{New: func() any { return new(reader) }}

// Read answers a read at once, on the caller's goroutine, from applied state: if this replica leads with a valid lease, or
// the request takes what any replica has. False: nothing was done, use Submit.
//
// The lease is looked at before the state is read. Whatever was acknowledged before the call is in that state: it
// was acknowledged by this leader after it was applied here, or by an earlier one and applied before this one began to serve.
func (r *Replica) Read(req *command.Request) bool {
	if isTransaction(req) || req.Spec == command.WatchRead {
		return false // the goroutine's
	}
	if !req.ReadStale {
		term := r.serving.Load()
		if term == 0 || r.opts.ReadQuorum || !r.group.LeaseValid(term) {
			return false
		}
	}
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return false
	}
	rd := readers.Get().(*reader)
	defer readers.Put(rd)
	rd.view.store = r.store
	c := &rd.ctx
	c.Spec, c.Args, c.Reply, c.View, c.Tx = req.Spec, req.Args, &req.Reply, &rd.view, nil
	c.Now = max(r.opts.Clock().UnixMilli(), r.store.State().Wall)
	c.Random = rand.Uint64()
	r.configure(c)
	n := len(req.Reply.Buf)
	if req.Reply.Spill != nil {
		req.Reply.Spill = r.untilReplaced(req.Reply.Spill)
	}
	err := errTorn
	if needsSnapshot(req.Spec) {
		err = rd.run(true)
	} else if moment, ok := r.store.Moment(); ok || !severalKeys(req.Spec, len(req.Args)) {
		err = rd.run(false)
		if err == nil && severalKeys(req.Spec, len(req.Args)) && !r.store.Unchanged(moment) {
			err = errTorn
		}
	}
	if errors.Is(err, errTorn) {
		req.Reply.Buf = req.Reply.Buf[:n]
		err = rd.run(true)
	}
	if err != nil && req.Reply.Spilled() { // what it began can't be ended, nor taken back
		req.Reply.Buf = req.Reply.Buf[:0]
		req.Outcome = command.Unknown
		return true
	}
	if err != nil {
		req.Reply.Buf = req.Reply.Buf[:n]
		req.Reply.Error("ERR the state can't be read: " + err.Error())
	}
	req.Outcome = command.Answered
	return true
}

// errReplaced ends a read whose client takes its time while the store is to be replaced or closed.
var errReplaced = errors.New("partition: the state that was read from is being replaced")

// untilReplaced hands parts over until somebody waits for the store: a slow client mustn't hold up a replica.
func (r *Replica) untilReplaced(spill func([]byte) error) func([]byte) error {
	return func(part []byte) error {
		if r.replacing.Load() {
			return errReplaced
		}
		return spill(part)
	}
}

// Submit evaluates requests in their order, and calls done when all have an outcome: from another goroutine, or, if the replica
// can't take them, before it returns.
func (r *Replica) Submit(reqs []*command.Request, done func()) {
	l := &lane{reqs: reqs, done: done}
	added, closed := r.box.addLane(l)
	if added {
		return
	}
	if closed {
		l.fail(0)
		done()
		return
	}
	for _, req := range reqs {
		req.Reply.Error(busyText)
		req.Outcome = command.Answered
	}
	done()
}

const busyText = "BUSY too many commands are waiting for this partition; nothing was changed, try again later"
