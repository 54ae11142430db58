package partition

import (
	"fmt"
	"testing"

	"github.com/zankv/zankv/cluster/command"
)

// pending submits a lane and returns what to wait for.
func (m *member) pending(reqs ...*command.Request) chan struct{} {
	done := make(chan struct{})
	m.replica.Submit(reqs, func() { close(done) })
	return done
}

// transfer makes a member the leader.
func (c *cluster) transfer(to *member) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("node %d leads", to.id), func() bool {
		from := c.serving()
		if from == to {
			return true
		}
		if from != nil {
			from.replica.Group().TransferLeadership(uint64(to.id))
		}
		return false
	})
}

// inFlightAlone makes the leader propose count writes that nobody else hears of, and deposes it.
func (c *cluster) inFlightAlone(count int) (old *member, reqs []*command.Request, done []chan struct{}) {
	c.t.Helper()
	old = c.leader()
	c.do("set", "settled", "1")
	c.isolate(old, true)
	for i := range count {
		last := old.replica.log.LastIndex()
		req := request("set", fmt.Sprint("lost-", i), "x")
		reqs = append(reqs, req)
		done = append(done, old.pending(req))
		eventually(c.t, "the write is in the log", func() bool { return old.replica.log.LastIndex() > last })
	}
	eventually(c.t, "another leads", func() bool {
		now := c.serving()
		return now != nil && now != old && !old.replica.Leading()
	})
	return old, reqs, done
}

// A deposed leader's proposals were overwritten by fewer entries than they were. When it leads again, its new proposals get
// indexes below those of the old ones.
func TestLeaderAgainOverLongerLostLog(t *testing.T) {
	c := newCluster(t, 3, nil)
	old, reqs, done := c.inFlightAlone(8)
	c.isolate(old, false)
	c.transfer(old)
	for i := range 3 {
		req := request("set", fmt.Sprint("new-", i), "y")
		old.submit(req)
		if req.Outcome != command.Answered {
			t.Fatalf("write %d of the new term: outcome %d", i, req.Outcome)
		}
	}
	for i, req := range reqs {
		<-done[i]
		if req.Outcome != command.Elsewhere {
			t.Errorf("write %d of the old term: outcome %d, want Elsewhere: it is known that it didn't happen", i, req.Outcome)
		}
		if got := c.do("exists", fmt.Sprint("lost-", i)); got != ":0\r\n" {
			t.Errorf("write %d of the old term happened: %q", i, got)
		}
	}
	c.equal()
}

// A page of a command that works in pages may be dropped while the leader stays the leader (a transfer that comes to nothing): then
// the command is to begin anew, and doesn't go on with the next page.
func TestPageOfABarrierIsDropped(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	var reqs []*command.Request
	for i := range command.DefaultLimits.Batch + 10 {
		reqs = append(reqs, request("set", fmt.Sprint("k", i), "x"))
	}
	m.submit(reqs...)
	m.stop()
	m.running.Wait()
	flush := request("flushdb")
	l, done := newLane(flush)
	must(t, m.replica.do(t.Context(), func() {
		r := m.replica
		r.replicates = true
		r.runLane(l)
		if len(r.offer.closed) != 1 || len(r.waiting) != 1 {
			t.Fatalf("%d pages offered, %d lanes wait, want one of each", len(r.offer.closed), len(r.waiting))
		}
		page := r.offer.closed[0]
		r.offer.closed = nil
		r.handleDropped(&page.proposal)
		r.evaluateLanes(nil)
	}))
	answered(t, "the command", done)
	if flush.Outcome != command.Elsewhere {
		t.Errorf("outcome %d, want Elsewhere", flush.Outcome)
	}
}
