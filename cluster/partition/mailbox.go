package partition

import (
	"sync"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/multiraft"
)

// assignment tells the index of a batch's entry.
type assignment struct {
	batch *batch
	index uint64
}

// arrivals are what came in for a replica's goroutine since it last looked.
type arrivals struct {
	lanes      []*lane
	assigned   []assignment
	dropped    []*multiraft.Proposal
	committed  []multiraft.Committed
	leadership []multiraft.Leadership
	calls      []func()
	unblocks   []unblock
}

func (a *arrivals) reset() {
	clear(a.lanes)
	clear(a.assigned)
	clear(a.dropped)
	clear(a.committed)
	clear(a.calls)
	clear(a.unblocks)
	a.unblocks = a.unblocks[:0]
	a.lanes, a.assigned, a.dropped = a.lanes[:0], a.assigned[:0], a.dropped[:0]
	a.committed, a.leadership, a.calls = a.committed[:0], a.leadership[:0], a.calls[:0]
}

// mailbox is where clients and the raft loop leave work for a replica's goroutine. What waits in it is bounded: requests
// by limit, entries by multiraft's backlog rule, the rest by the number of batches in flight.
type mailbox struct {
	sync.Mutex
	arrivals
	requests int // waiting in lanes
	limit    int
	closed   bool // nothing is taken from it any more
	wake     chan struct{}
}

func newMailbox(limit int) *mailbox {
	return &mailbox{limit: limit, wake: make(chan struct{}, 1)}
}

func (m *mailbox) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// addLane queues a lane unless too much is waiting already, or nobody is there any more to take it.
func (m *mailbox) addLane(l *lane) (added, closed bool) {
	m.Lock()
	added = !m.closed && m.requests+len(l.reqs) <= m.limit
	closed = m.closed
	if added {
		m.lanes = append(m.lanes, l)
		m.requests += len(l.reqs)
	}
	m.Unlock()
	if added {
		m.poke()
	}
	return added, closed
}

// close takes the lanes that are left. None is added after them.
func (m *mailbox) close() []*lane {
	m.Lock()
	defer m.Unlock()
	m.closed = true
	lanes := m.lanes
	m.lanes = nil
	return lanes
}

func (m *mailbox) call(f func()) {
	m.Lock()
	m.calls = append(m.calls, f)
	m.Unlock()
	m.poke()
}

// swap takes everything and leaves spare's memory for what comes next.
func (m *mailbox) swap(spare arrivals) arrivals {
	m.Lock()
	defer m.Unlock()
	work := m.arrivals
	m.arrivals = spare
	return work
}

// answered gives room back to addLane.
func (m *mailbox) answered(requests int) {
	m.Lock()
	m.requests -= requests
	m.Unlock()
}

// lane is what one connection sent to this partition in one go: evaluated in order, answered as a whole.
type lane struct {
	reqs []*command.Request
	done func()
	next int    // the first request that isn't evaluated
	open int    // evaluated, not answered
	last *batch // that the newest of those hangs on
	// resume is where the next request goes on, if it is one that works in pages.
	resume []byte
	// waiting: the answer of an evaluated request depends on a confirmation that this replica still leads.
	waiting bool
	failed  bool // one ended Elsewhere: so does the rest
	alone   bool // the next request changes nothing: it goes on when all before it are answered
	// uncounted: the mailbox's count of requests doesn't have it, or has it no more.
	uncounted bool
	blocked   bool // the newest evaluated request waits for its keys: see wait
	// wait is that of the request that blocked last.
	wait *wait
	// blockers: it has requests that may block. ends says how some of them are to end that haven't blocked yet.
	blockers bool
	ends     map[*command.Request]command.UnblockHow
	// role, errand: its one request isn't a client's, but this.
	role   *roleCall
	errand *errand
}

// finished says whether every request has its outcome.
func (l *lane) finished() bool { return l.open == 0 && l.next == len(l.reqs) }

// fail gives every request that wasn't evaluated the outcome Elsewhere.
func (l *lane) fail(leader uint64) {
	l.failed = true
	for ; l.next < len(l.reqs); l.next++ {
		if req := l.reqs[l.next]; l.hasBlocked(req) {
			unblockedByForce(req)
		} else {
			elsewhere(req, leader)
		}
	}
}

// hasBlocked says whether a request was kept waiting for its keys. It isn't sent elsewhere then: its time is running.
func (l *lane) hasBlocked(req *command.Request) bool { return l.wait != nil && l.wait.req == req }

func elsewhere(req *command.Request, leader uint64) {
	req.Reply.Buf = req.Reply.Buf[:0]
	req.Outcome, req.Leader = command.Elsewhere, leader
}
