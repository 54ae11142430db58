package resp

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// maxCalls ends a round that scattered its commands over so many requests.
const maxCalls = 8192

// call is a command that couldn't be answered at once, or one partition's share of it.
type call struct {
	command.Request
	ns        *Namespace
	partition int
	prefixed  bool     // the key came with its namespace in front
	needed    bool     // the reply is looked at here, so it has to be whole
	begun     int64    // see trace; 0: not yet said, negative: noted
	isLarge   bool     // a read whose reply is passed on in parts when its turn comes
	skip      bool     // CLIENT REPLY: the client wants no reply
	args      [][]byte // memory for a part's own arguments
	rest      []byte   // elements of a part's array that aren't gathered yet
	parts     []*call
	order     []int32 // of a gathered array: order[i] is the part that has the i-th element
}

// lane is what one round has for one partition, in the order in which it was sent.
type lane struct {
	ns        *Namespace
	partition int
	calls     []*call            // without a final outcome
	reqs      []*command.Request // the same, for the executor
	local     bool               // the last attempt went to this node's replica
	exec      Executor           // that one
	flight    *flight            // or the last attempt on its way
	settled   bool
}

type laneKey struct {
	ns        *Namespace
	partition int
}

// round is the part of a connection that is begun anew after each write of replies.
type round struct {
	queue     []*call // in the order of the replies
	calls     []*call // all that there are; the first used are in work
	used      int
	lanes     []*lane // all that there are; the first open are in work
	open      int
	laneIndex map[laneKey]*lane // only when there are many
	deferred  int               // reads that wait behind writes
	held      int               // bytes of replies that wait behind earlier ones
	index     []int32           // see partIndex
	borrowed  int64             // of the node's budget, to be given back at the end
	writes    bool              // a lane has a write
	large     bool              // a lane has a read whose reply may be large
	full      bool              // no further command may join this round
	more      bool              // the buffer may hold more commands
	calm      int               // rounds since the query buffer was last half full

	pending   atomic.Int32
	wake      chan struct{}
	lane1done func()
}

func (c *conn) newCall() *call {
	if c.used == len(c.calls) {
		c.calls = append(c.calls, new(call))
	}
	k := c.calls[c.used]
	c.used++
	c.full = c.full || c.used >= maxCalls
	buf := k.Reply.Buf[:0]
	*k = call{parts: k.parts[:0], order: k.order[:0], args: k.args[:0]}
	k.Reply.Buf, k.Reply.RESP3 = buf, c.resp3
	return k
}

// isWrite says whether a call may change something. A transaction counts as a write, whatever is in it: it is never run twice.
func (k *call) isWrite() bool { return k.Spec.Flags&command.Write != 0 || k.Spec == command.Exec }

// apart ends the round before a write that would come behind a read in it whose reply may be large, or before such a read that would
// come behind a write: a large reply is passed on in parts, and so its command must be free to run again.
func (c *conn) apart(write bool) {
	if write && c.large || !write && c.writes {
		c.finish()
	}
}

// enqueue gives a call its place among the replies.
func (c *conn) enqueue(k *call) {
	k.skip = !c.wanted()
	c.queue = append(c.queue, k)
}

// findLane returns the lane of a partition in this round, or nil.
func (c *conn) findLane(ns *Namespace, partition int) *lane {
	if c.open > 8 {
		return c.laneIndex[laneKey{ns, partition}]
	}
	for _, l := range c.lanes[:c.open] {
		if l.partition == partition && l.ns == ns {
			return l
		}
	}
	return nil
}

// send appends a call to its partition's lane.
func (c *conn) send(k *call) {
	l := c.findLane(k.ns, k.partition)
	if l == nil {
		l = c.newLane(k.ns, k.partition)
	}
	l.calls = append(l.calls, k)
	if k.isWrite() {
		c.writes, c.wrote = true, k.ns
	} else {
		c.large = c.large || k.mayBeLarge()
		// What a waiting read will answer isn't known, and stays in memory until the writes before it are done.
		c.deferred++
		c.full = c.full || c.deferred >= c.deferredReads
	}
}

func (c *conn) newLane(ns *Namespace, partition int) *lane {
	if c.open == len(c.lanes) {
		c.lanes = append(c.lanes, new(lane))
	}
	l := c.lanes[c.open]
	c.open++
	*l = lane{ns: ns, partition: partition, calls: l.calls[:0], reqs: l.reqs[:0]}
	if c.open > 8 {
		if c.laneIndex == nil {
			c.laneIndex = make(map[laneKey]*lane)
		}
		for _, l := range c.lanes[:c.open] {
			c.laneIndex[laneKey{l.ns, l.partition}] = l
		}
	}
	return l
}

// finish runs what waits, and puts all replies into out.
func (c *conn) finish() {
	if c.open > 0 {
		c.runLanes()
	}
	end := c.mark
	if len(c.queue) > 0 {
		end = c.srv.sinceStart()
	}
	if c.open > 0 { // a command that had to wait for this begins now
		c.mark = end
	}
	biggest, held := 0, int64(0)
	for _, k := range c.calls[:c.used] {
		held += int64(len(k.Reply.Buf))
	}
	if held > writeChunk {
		if !c.srv.budget.take(held) {
			c.drop(errBuffersAreFull)
		} else {
			defer c.srv.budget.take(-held)
		}
	}
	for _, k := range c.queue {
		c.emit(k)
		c.noteCall(k, end)
		biggest = max(biggest, len(k.Reply.Buf))
	}
	c.endRound(biggest)
}

// emit appends the reply of a call to out.
func (c *conn) emit(k *call) {
	if k.skip {
		return
	}
	if k.isLarge {
		c.stream(k)
		return
	}
	if len(k.parts) > 0 {
		gather(k)
	}
	if k.prefixed && repliesKey[k.Spec.Name] {
		k.Reply.Buf = withNamespace(nil, k.Reply.Buf, k.ns.Name)
	}
	if len(k.parts) > 0 && k.Spec.Gather == command.GatherConcat {
		c.emitConcat(k)
		return
	}
	c.outLarge(k.Reply.Buf)
}

func (c *conn) endRound(biggest int) {
	c.limitDeferred(biggest)
	for _, k := range c.calls[:c.used] {
		if cap(k.Reply.Buf) > keepArgs {
			k.Reply.Buf = nil
		}
		if cap(k.args) > keepArgs {
			k.args = nil
		}
		k.Args, k.ns, k.rest = nil, nil, nil
		k.Queue, k.Watched = nil, nil
	}
	if len(c.calls) > roundLimit {
		c.calls = c.calls[:roundLimit:roundLimit]
	}
	if c.open > 8 {
		clear(c.laneIndex)
	}
	if c.borrowed != 0 {
		c.srv.budget.take(-c.borrowed)
	}
	c.queue, c.used, c.open, c.deferred, c.held, c.full = c.queue[:0], 0, 0, 0, 0, false
	c.borrowed, c.writes, c.large = 0, false, false
}

// Reads of a round that may wait behind writes: what they answer isn't known, and must be kept. A connection begins with few, a round
// without a big reply doubles them.
const (
	firstDeferred = 16
	mostDeferred  = 128
)

// limitDeferred bounds what reads that wait behind writes may keep in memory.
func (c *conn) limitDeferred(biggest int) {
	switch {
	case biggest > bigReply:
		c.deferredReads = max(1, (16<<20)/biggest/4)
	case c.srv.pressed():
		c.deferredReads = firstDeferred
	case c.deferred > 0:
		c.deferredReads = min(2*c.deferredReads, mostDeferred)
	}
}

const firstBackoff = 2 * time.Millisecond

// runLanes runs all lanes until each call has its final reply. Lanes go on side by side; what one lane still lacks after
// an attempt is sent again together and in order.
func (c *conn) runLanes() {
	backoff := firstBackoff
	var deadline time.Time
	for {
		if c.wait != nil {
			c.wait.again()
		}
		started := c.attempt()
		left := 0
		for _, l := range c.lanes[:c.open] {
			if !l.settled && !c.settle(l) {
				left++
			}
		}
		if left == 0 {
			return
		}
		now := c.srv.now()
		if c.wait != nil {
			if c.wait.gone() {
				c.giveUp()
				return
			}
			if c.wait.lasted(now) {
				deadline, backoff = time.Time{}, firstBackoff
			}
		}
		if deadline.IsZero() {
			deadline = now.Add(c.srv.opt.RetryFor)
			if started { // whoever was asked may have known better who leads
				continue
			}
		}
		if !now.Before(deadline) || !c.srv.pause(backoff) {
			c.giveUp()
			return
		}
		backoff = min(2*backoff, 250*time.Millisecond)
	}
}

// attempt starts each unsettled lane where it can run and waits for all of them.
func (c *conn) attempt() (started bool) {
	c.pending.Store(1)
	for _, l := range c.lanes[:c.open] {
		if !l.settled && c.start(l) {
			started = true
		}
	}
	c.laneDone()
	if c.wait != nil && started {
		c.wait.await(c.lanes[0])
		return started
	}
	<-c.wake
	return started
}

func (c *conn) laneDone() {
	if c.pending.Add(-1) == 0 {
		c.wake <- struct{}{}
	}
}

// start sends a lane to this node's replica or to the leader; false when there is nobody to send it to, or nothing left to send.
func (c *conn) start(l *lane) bool {
	exec := c.srv.backend.Executor(l.ns, l.partition)
	leader, known := c.srv.backend.Leader(l.ns, l.partition)
	away := known && leader.ID != c.srv.opt.NodeID
	l.reqs = l.reqs[:0]
	for _, k := range l.calls {
		k.Outcome = command.Pending
		l.reqs = append(l.reqs, &k.Request)
	}
	switch {
	case exec != nil && (exec.Leading() || !away || stale(l)):
		l.local, l.exec = true, exec
		c.pending.Add(1)
		exec.Submit(l.reqs, c.lane1done)
		return true
	case c.kind == ClusterPort && away && leader.ClusterPort != 0:
		c.refuse(l, func(k *call) string { return moved(k, leader) })
	case c.kind != ClusterPort && !l.ns.Forward:
		c.refuse(l, func(k *call) string { return notHere(k, exec != nil) })
	case c.kind != ClusterPort && away:
		l.local = false
		c.pending.Add(1)
		c.srv.forwarder.send(leader, l, c.lane1done)
		return true
	default:
		for _, k := range l.calls {
			k.Outcome = command.Elsewhere
		}
	}
	return false
}

func stale(l *lane) bool {
	return !slices.ContainsFunc(l.calls, func(k *call) bool { return !k.ReadStale })
}

// refuse answers a whole lane with errors.
func (c *conn) refuse(l *lane, text func(*call) string) {
	for _, k := range l.calls {
		k.Reply.Buf = k.Reply.Buf[:0]
		k.Reply.Error(text(k))
		k.Outcome = command.Answered
	}
}

// settle keeps what has to be sent again, and says whether that is nothing.
func (c *conn) settle(l *lane) bool {
	left := l.calls[:0]
	for _, k := range l.calls {
		switch k.Outcome {
		case command.Answered, command.Unknown:
			switch {
			case len(k.Reply.Buf) == 0 && !k.isLarge:
				k.Reply.Error(unknownOutcome)
			case string(k.Reply.Buf) == syncerOnly:
				k.Reply.Buf = k.Reply.Buf[:0]
				k.Reply.Error(handling(command.ErrSyncerOnly, k.Args[0], firstKey(k)))
			}
		case command.Elsewhere:
			k.Reply.Buf = k.Reply.Buf[:0]
			left = append(left, k)
		default:
			k.Reply.Buf = k.Reply.Buf[:0]
			k.Reply.Error(unknownOutcome)
		}
	}
	l.calls = left
	if len(left) > 0 && l.local && c.kind != ClusterPort && !l.ns.Forward {
		c.refuse(l, func(k *call) string { return notHere(k, true) })
		l.calls = l.calls[:0]
	}
	l.settled = len(l.calls) == 0
	return l.settled
}

// giveUp answers everything that found no leader.
func (c *conn) giveUp() {
	for _, l := range c.lanes[:c.open] {
		if !l.settled {
			c.refuse(l, func(*call) string {
				if c.kind == ClusterPort {
					return clusterDown
				}
				return noLeader
			})
			l.settled = true
		}
	}
}
