package partition

import (
	"math/rand/v2"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// Bounds of what is evaluated ahead of what is applied.
const (
	// batchBytes closes a batch to further commands: entries of this size share a sync without filling a pipe.
	batchBytes = 1 << 20
	// batchRequests bounds the requests that one event answers.
	batchRequests = 4096
	// flightBatches and flightBytes bound what is proposed and not applied.
	flightBatches = 64
	flightBytes   = 128 << 20
)

// evaluateLanes runs what can be run: first lanes that had to wait, in the order in which they came, then new ones.
func (r *Replica) evaluateLanes(fresh []*lane) {
	if !r.servingNow() {
		r.failLanes(fresh)
		return
	}
	r.takeBackOffer()
	waiting := r.waiting
	if r.retry {
		r.retry = false
		r.waiting, r.spareLanes = r.spareLanes[:0], nil
		clear(r.waitedFor)
		r.waitsForAll = false
		for _, l := range waiting {
			r.runLane(l)
		}
		clear(waiting)
		r.spareLanes = waiting[:0]
	}
	r.goOn()
	for _, l := range fresh {
		r.expect(l)
		r.runLane(l)
	}
	r.goOn()
	r.offerBatch()
	r.confirmReads()
}

// runLane evaluates a lane up to the first request that has to wait.
func (r *Replica) runLane(l *lane) {
	for !l.failed && !l.blocked && l.next < len(l.reqs) {
		req := l.reqs[l.next]
		if l.ends == nil || !r.endUnrun(l, req) {
			if !r.admits(l, req) {
				r.keepWaiting(l, req)
				return
			}
			l.next++
			r.runRequest(l, req)
		}
		r.noteRun(l)
	}
	r.finishLane(l)
}

// admits says whether a request may be evaluated now.
func (r *Replica) admits(l *lane, req *command.Request) bool {
	if r.waitsForAll || l.waiting {
		return false
	}
	flags := demands(req)
	write := flags&command.Write != 0
	if write && (r.roleless || r.flights >= flightBatches || r.flightBytes >= flightBytes) {
		return false
	}
	if r.barrier { // one is in flight
		return false
	}
	if flags&command.Barrier != 0 {
		return r.flights == 0 && (r.open == nil || r.open.empty())
	}
	if l.errand != nil {
		return r.admitsErrand(l.errand)
	}
	if req.Spec.Scope == command.ScopeNamespace {
		return l.open == 0
	}
	inOpen := l.last == nil || l.last == r.open || l.open == 0
	if !write {
		// It sees applied state and the open batch: its own connection's earlier writes must be in one of them.
		return inOpen && !r.mixes(l, req)
	}
	return !(l.alone && l.open > 0) && r.keysFree(req)
}

// mixes says whether a read would see the open batch without what is in flight before it: the lane has seen the open batch, or one
// of the keys is in it, while another key is in flight in an earlier one. When that is applied others may read it without
// the open batch, and no order would explain both.
func (r *Replica) mixes(l *lane, req *command.Request) bool {
	if r.flights == 0 {
		return false
	}
	opened, earlier := l.open > 0, false
	eachKey(req, func(key []byte) bool {
		if at, flying := r.inflight[string(key)]; flying {
			opened, earlier = opened || at.batch == r.open, earlier || at.batch != r.open
		}
		return true
	})
	return opened && earlier
}

// keysFree says whether no key of a write is in flight in another batch or waited for by an earlier lane.
func (r *Replica) keysFree(req *command.Request) bool {
	free := true
	eachKey(req, func(key []byte) bool {
		free = r.keyFree(key)
		return free
	})
	return free
}

func (r *Replica) keyFree(key []byte) bool {
	at, flying := r.inflight[string(key)]
	return !(flying && at.batch != r.open) && (len(r.waitedFor) == 0 || !r.waitedFor[string(key)])
}

// keepWaiting puts a lane behind those that wait already; what it wants to write nobody passes it for.
func (r *Replica) keepWaiting(l *lane, req *command.Request) {
	r.waiting = append(r.waiting, l)
	flags := demands(req)
	if flags&command.Barrier != 0 {
		r.waitsForAll = true
	}
	if flags&command.Write == 0 {
		return
	}
	hold := func(key []byte) bool {
		r.waitedFor[string(key)] = true
		return true
	}
	switch {
	case l.errand == nil:
		eachKey(req, hold)
	case l.errand.keys != nil:
		l.errand.keys(hold)
	}
}

// runRequest evaluates one request and decides what its answer waits for.
func (r *Replica) runRequest(l *lane, req *command.Request) {
	l.open++
	l.alone = false
	flags := demands(req)
	switch {
	case l.role != nil:
		r.runRole(l, req)
		return
	case l.errand != nil:
		r.runErrandNow(l, req)
		return
	case r.role.SyncerOnly && flags&command.Write != 0:
		r.refuseClient(l, req)
		return
	}
	if size(req) > r.opts.MaxEventBytes {
		r.refuse(l, req, tooLargeText)
		return
	}
	b := r.openBatch()
	before := len(b.ev.Mutations)
	ctx, err := r.evaluate(l, req, b)
	emitted, dirty := len(b.ev.Mutations)-before, r.view.dirty
	if emitted == 0 {
		b.whole, b.flushed = false, false
	}
	switch {
	case err != nil:
		r.unreadable(l, req, b, before, err)
		return
	case emitted > 0 && req.Reply.IsError():
		panic("partition: " + req.Spec.Name + " changed something and failed")
	case emitted > 0 && b.bytes > r.opts.MaxEventBytes:
		r.tooLarge(l, req, b, before)
		return
	case ctx.Block.Wanted && !r.overdue(l, req):
		r.block(l, req, ctx.Block.Milliseconds)
		return
	case emitted == 0 && !dirty && l.open > 1 && l.last != b && flags&command.Write != 0:
		r.postpone(l, req) // it would be answered before the lane's earlier writes
		l.alone = true
		return
	}
	if emitted > 0 {
		r.nextGroup++
	}
	if ctx.More != nil {
		r.runAgain(l, req, ctx.More)
		return
	}
	if emitted > 0 || dirty || l.last == b && l.open > 1 {
		b.answers = append(b.answers, answer{lane: l, req: req})
		l.last = b
	} else {
		r.answerRead(l, req)
	}
	r.noteChanges(b, before)
	if flags&command.Barrier != 0 && emitted > 0 {
		b.barrier, r.barrier = true, true
	}
	r.closeFull(b)
}

// evaluate runs a request's command or commands.
func (r *Replica) evaluate(l *lane, req *command.Request, b *batch) (*command.Context, error) {
	r.view.dirty = false
	r.tx.command, r.tx.group = req.Spec.Name, r.nextGroup
	if isTransaction(req) {
		return &r.ctx, r.runQueue(req, b)
	}
	c := r.prepare(req.Spec, req.Args, &req.Reply, b)
	c.Resume, c.MayBlock = l.resume, req.Spec.Flags&command.Blocking != 0
	l.resume = nil
	err := req.Spec.Run(c)
	r.finishOverdue(l, req)
	return c, err
}

// prepare fills the context of an evaluation. It is used again and again, for the memory that commands keep in it.
func (r *Replica) prepare(spec *command.Spec, args [][]byte, reply *command.Reply, b *batch) *command.Context {
	c := &r.ctx
	c.Spec, c.Args, c.Reply = spec, args, reply
	c.Now, c.Random = b.ev.Wall, rand.Uint64()
	r.replication(c)
	c.View, c.Tx = &r.view, nil
	if b.whole {
		c.View = &r.whole
	}
	if spec.Flags&command.Write != 0 {
		c.Tx = &r.tx
		if b.whole {
			c.Tx = &r.wholeTx
		}
	}
	c.Resume, c.More = nil, nil
	c.MayBlock, c.Block = false, command.Block{}
	return c
}

// unreadable answers a request that the engine failed under, and ends the replica: nothing of it stays.
func (r *Replica) unreadable(l *lane, req *command.Request, b *batch, before int, err error) {
	r.rollback(b, before)
	req.Reply.Buf = req.Reply.Buf[:0]
	r.refuse(l, req, "ERR the state can't be read: "+err.Error())
	r.opts.Fatal(err)
}

// closeFull closes the open batch if nothing more is to come into it.
func (r *Replica) closeFull(b *batch) {
	if b.bytes >= batchBytes || len(b.answers) >= batchRequests || b.barrier {
		r.closeBatch()
	}
}

const tooLargeText = "ERR the command needs an event larger than max_event_bytes; nothing was changed"

// tooLarge takes back what doesn't fit into an event: it goes into the next one, or is refused if it had this one for itself.
func (r *Replica) tooLarge(l *lane, req *command.Request, b *batch, before int) {
	r.rollback(b, before)
	b.whole, b.flushed = false, false
	if before == 0 {
		req.Reply.Buf = req.Reply.Buf[:0]
		r.refuse(l, req, tooLargeText)
		return
	}
	r.postpone(l, req)
	r.closeBatch()
}

// postpone makes a request that was evaluated the next of its lane again.
func (r *Replica) postpone(l *lane, req *command.Request) {
	req.Reply.Buf = req.Reply.Buf[:0]
	l.next--
	l.open--
}

// runAgain has a command that works in pages go on when its page is applied. It is a barrier until it is done.
func (r *Replica) runAgain(l *lane, req *command.Request, more []byte) {
	l.resume = append([]byte(nil), more...)
	req.Reply.Buf = req.Reply.Buf[:0]
	l.next--
	l.open--
	r.open.barrier, r.barrier = true, true
	r.open.pageOf = l
	r.closeBatch()
}

// answerRead answers what changed nothing: at once under a lease, else when a quorum has confirmed that this replica leads.
func (r *Replica) answerRead(l *lane, req *command.Request) {
	if !r.opts.ReadQuorum && r.group.LeaseValid(r.term) {
		r.resolve(answer{lane: l, req: req}, command.Answered)
		return
	}
	l.waiting = true
	r.unconfirmed = append(r.unconfirmed, answer{lane: l, req: req})
}

// refuse answers a request with an error of its own.
func (r *Replica) refuse(l *lane, req *command.Request, text string) {
	req.Reply.Error(text)
	r.resolve(answer{lane: l, req: req}, command.Answered)
}

// resolve gives a request its outcome, and its lane back if it was the last.
func (r *Replica) resolve(a answer, outcome command.Outcome) {
	a.req.Outcome = outcome
	a.lane.open--
}

// finishLane hands an answered lane back to its connection.
func (r *Replica) finishLane(l *lane) {
	if l.finished() && l.done != nil {
		done := l.done
		l.done = nil
		r.forgetBlockers(l)
		if !l.uncounted {
			r.box.answered(len(l.reqs))
		}
		done()
	}
}

// openBatch is the batch that commands are evaluated into.
func (r *Replica) openBatch() *batch {
	if r.open != nil {
		return r.open
	}
	b := r.newBatch()
	now := r.opts.Clock()
	b.opened = now
	b.ev.Time = r.clock.Next(now.UnixNano(), 1)
	b.ev.Wall = r.clock.Wall(now.UnixMilli())
	b.ev.Term = r.term
	r.assignClusters(b)
	b.proposal = batchProposal(b, r.term, r.generation)
	r.nextGroup = 0
	r.open = b
	return b
}

// closeBatch queues the open batch for the raft loop; nothing is added to it any more.
func (r *Replica) closeBatch() {
	b := r.open
	if b == nil || b.empty() {
		return
	}
	r.open = nil
	r.finishRows(b)
	r.clock.Observe(b.ev.Time + int64(len(b.ev.Mutations)) - 1)
	r.flights++
	r.flightBytes += b.bytes
	r.offer.Lock()
	r.offer.closed = append(r.offer.closed, b)
	r.offer.Unlock()
	r.group.Wake()
}

// offerBatch lets the raft loop take the open batch when it is ready for one. Until then more may be added to it
// (takeBackOffer): one entry a round of the log, however the commands came in.
func (r *Replica) offerBatch() {
	if r.open == nil {
		return
	}
	if r.open.empty() {
		r.recycle(r.open)
		r.open = nil
		return
	}
	r.finishRows(r.open)
	r.offer.Lock()
	r.offer.open = r.open
	r.offer.Unlock()
	r.offered = true
	r.group.Wake()
}

// takeBackOffer reclaims the offered batch, or notes that the loop has taken it.
func (r *Replica) takeBackOffer() {
	if !r.offered {
		return
	}
	r.offered = false
	r.offer.Lock()
	taken := r.offer.open == nil
	r.offer.open = nil
	r.offer.Unlock()
	if taken {
		b := r.open
		r.open = nil
		r.clock.Observe(b.ev.Time + int64(len(b.ev.Mutations)) - 1)
		r.flights++
		r.flightBytes += b.bytes
	}
}

// failLanes tells lanes that this replica doesn't lead.
func (r *Replica) failLanes(lanes []*lane) {
	for _, l := range lanes {
		l.fail(r.leadership.Leader)
		r.finishLane(l)
	}
}

// expireBatch proposes the removal of keys whose expiry has passed.
func (r *Replica) expireBatch(now time.Time) error {
	if !r.servingNow() || r.barrier || r.flights >= flightBatches || r.waitsForAll {
		return nil
	}
	r.takeBackOffer()
	defer r.offerBatch()
	r.expired = r.expired[:0]
	err := r.store.Expired(r.over(now.UnixMilli()), expireLimit, func(key []byte, _ int64) bool {
		r.expired = append(r.expired, append([]byte(nil), key...))
		return true
	})
	if err != nil {
		return err
	}
	for _, key := range r.expired {
		if err := r.expireKey(key); err != nil {
			return err
		}
	}
	return nil
}

// expireLimit is how many keys one round of removal takes.
const expireLimit = 1000

func (r *Replica) expireKey(key []byte) error {
	if _, flying := r.inflight[string(key)]; flying {
		return nil // the next round finds it, if it is still there
	}
	b := r.openBatch()
	r.tx.command, r.tx.group = "", r.nextGroup
	c := &r.ctx
	c.Now, c.View, c.Tx = r.over(b.ev.Wall), &r.view, &r.tx
	r.replication(c)
	emitted, err := c.Expire(key)
	if emitted {
		r.nextGroup++
	}
	return err
}
