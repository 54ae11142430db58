package multiraft

import (
	"encoding/binary"
	"math/rand/v2"
	"sort"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/raft/v3/quorum"
)

// A lease lets a leader answer reads from its own state without asking anyone.
//
// The promise behind it is the followers': whoever hears a leader's heartbeat grants no vote to another for an election
// timeout (raft's CheckQuorum), and campaigns itself no earlier. So from the moment at which a heartbeat was *sent*
// that a quorum answered, no other leader can be elected for an election timeout: every quorum of votes has a member in that
// quorum of answers. What raft alone leaves open, and what closes it here:
//
//   - Followers count ticks, and the first tick may fall right after the heartbeat, and one that was due before it may be counted
//     after it: the lease is two ticks shorter. Clocks may run at different rates: it is shorter by a tenth more. Ticks that were missed are not made up for, so that a
//     follower's election timeout is never shorter than its ticks.
//   - A follower that restarts has forgotten its promise: it grants no vote for an election timeout (Group.voteGrace).
//   - A leadership transfer makes the transferee campaign at once, and others grant it. The leader drops its lease before it asks,
//     and takes none while the transfer is under way. A transfer that raft gave up may still be on its way to the
//     transferee; so no lease is taken again in that term until the transferee itself has answered a heartbeat that was sent
//     after the transfer ended: messages between two nodes keep their order, so by then it has campaigned (and its answer's term
//     tells) or never will.
//
// Times are monotonic nanoseconds since the process started. The send time travels in the heartbeat's context, which
// followers echo; it carries a number drawn at the start, so that an answer to an earlier life of this process counts for nothing.
type lease struct {
	current  atomic.Pointer[leaseTime]
	duration int64

	// The rest belongs to the loop.
	acks      map[uint64]int64 // replica → send time of the newest heartbeat that it answered in this term
	blocked   bool             // a transfer is under way
	pending   map[uint64]bool  // who was asked to take over in this term, and hasn't answered since
	notBefore int64            // heartbeats sent before this don't count
}

// leaseTime is one lease: the term that it belongs to and its end. They are read together, so that nobody takes the lease of
// a later term of this replica for one of the term whose state it has seen.
type leaseTime struct {
	term  uint64
	until int64
}

var (
	processStart = time.Now()
	incarnation  = rand.Uint64()
)

// monotonic is the time since the process started, in nanoseconds, plus one, so that it is never 0.
func monotonic() int64 { return int64(time.Since(processStart)) + 1 }

const contextLen = 24

// heartbeatContext is what a heartbeat carries: incarnation, send time and a number that makes it unique.
func heartbeatContext(sent int64, number uint64) []byte {
	c := make([]byte, contextLen)
	binary.LittleEndian.PutUint64(c, incarnation)
	binary.LittleEndian.PutUint64(c[8:], uint64(sent))
	binary.LittleEndian.PutUint64(c[16:], number)
	return c
}

// sentAt reads the send time of a context of this process.
func sentAt(context []byte) (int64, bool) {
	if len(context) != contextLen || binary.LittleEndian.Uint64(context) != incarnation {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint64(context[8:])), true
}

// valid says whether a lease of the term holds now. It may be called from any goroutine.
func (l *lease) valid(term uint64) bool {
	t := l.current.Load()
	return t != nil && t.term == term && monotonic() < t.until
}

// drop ends the lease and forgets all answers: leadership was lost or won anew.
func (l *lease) drop() {
	l.current.Store(nil)
	clear(l.acks)
	clear(l.pending)
	l.blocked, l.notBefore = false, 0
}

// block ends the lease before a transfer to a replica is asked for.
func (l *lease) block(transferee uint64) {
	l.current.Store(nil)
	l.blocked = true
	l.pending[transferee] = true
}

// unblock is called when the transfer has ended and this replica still leads the same term.
func (l *lease) unblock() {
	l.blocked = false
	l.notBefore = monotonic()
	clear(l.acks)
}

// answered notes that a replica answered a heartbeat sent at a time, and extends the lease if a quorum has.
func (l *lease) answered(term, self, from uint64, sent int64, voters quorum.JointConfig) {
	if sent < l.notBefore || sent <= l.acks[from] {
		return
	}
	l.acks[from] = sent
	if !l.blocked {
		delete(l.pending, from)
	}
	l.extend(term, self, voters)
}

// extend computes the lease from the answers so far.
func (l *lease) extend(term, self uint64, voters quorum.JointConfig) {
	if l.blocked || len(l.pending) > 0 {
		return
	}
	l.acks[self] = monotonic()
	start := quorumTime(l.acks, voters)
	if start == 0 {
		return
	}
	until := start + l.duration
	if now := l.current.Load(); now == nil || now.term != term || until > now.until {
		l.current.Store(&leaseTime{term: term, until: until})
	}
}

// quorumTime is the latest send time such that a quorum (of both halves of a joint configuration) answered a
// heartbeat sent then or later; 0 if there is none.
func quorumTime(acks map[uint64]int64, voters quorum.JointConfig) int64 {
	times := make([]int64, 0, len(acks))
	for _, t := range acks {
		times = append(times, t)
	}
	sort.Slice(times, func(i, j int) bool { return times[i] > times[j] })
	votes := make(map[uint64]bool, len(acks))
	for _, t := range times {
		for id, ack := range acks {
			if ack >= t {
				votes[id] = true
			}
		}
		if voters.VoteResult(votes) == quorum.VoteWon {
			return t
		}
	}
	return 0
}

// leaseDuration is the election timeout less two ticks, less a tenth for clocks that run apart.
func leaseDuration(tick time.Duration, electionTicks int) int64 {
	return int64(tick) * int64(electionTicks-2) * 9 / 10
}
