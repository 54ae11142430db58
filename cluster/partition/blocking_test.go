package partition

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// blockedNow waits until so many requests wait for their keys.
func (m *member) blockedNow(n int) {
	m.t.Helper()
	eventually(m.t, fmt.Sprint(n, " requests are blocked"), func() bool {
		got := 0
		must(m.t, m.replica.do(m.t.Context(), func() { got = len(m.replica.blocked.waits) }))
		return got == n
	})
}

// waiter submits one command as a lane and waits until it is blocked, with n in all.
func (m *member) waiter(line string, n int) (*command.Request, chan struct{}) {
	m.t.Helper()
	req := listRequest(line)
	done := m.pending(req)
	m.blockedNow(n)
	return req, done
}

func (m *member) doList(line string) string {
	m.t.Helper()
	req := listRequest(line)
	m.submit(req)
	if req.Outcome != command.Answered {
		m.t.Fatalf("%s: outcome %d", line, req.Outcome)
	}
	return string(req.Reply.Buf)
}

func popped(key, item string) string {
	return fmt.Sprintf("*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(item), item)
}

// events are those of the leader's log from an index on.
func (m *member) events(from uint64) (all []event.Event) {
	m.t.Helper()
	entries, err := m.replica.log.Entries(from, m.replica.log.LastIndex()+1, 1<<30)
	must(m.t, err)
	for _, e := range entries {
		var ev event.Event
		if len(e.Data) == 0 {
			continue
		}
		must(m.t, event.Decode(e.Data, &ev))
		if ev.InFeed(e.Term) {
			all = append(all, ev)
		}
	}
	return all
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// What a push brings goes to who waited longest, in the event of the push, each pop with a group of its own.
func TestWaitersAreServedInOrderInThePushersEvent(t *testing.T) {
	c := newCluster(t, 3, nil)
	m := c.leader()
	c.do("set", "other", "1")
	var reqs []*command.Request
	var dones []chan struct{}
	for i := range 4 {
		line := "pop a 0"
		if i == 1 {
			line = "pop b a 0"
		}
		req, done := m.waiter(line, i+1)
		reqs, dones = append(reqs, req), append(dones, done)
	}
	from := m.replica.log.LastIndex() + 1
	expect(t, "push", m.doList("push a 1 2 3"), ":3\r\n")
	for i := range 3 {
		answered(t, "a waiter", dones[i])
		expect(t, "waiter", string(reqs[i].Reply.Buf), popped("a", fmt.Sprint(i+1)))
	}
	m.blockedNow(1)
	events := m.events(from)
	if len(events) != 1 || len(events[0].Mutations) != 4 {
		t.Fatalf("%d events: %+v", len(events), events)
	}
	for i, mutation := range events[0].Mutations {
		if mutation.Group != uint32(i) {
			t.Errorf("mutation %d: group %d", i, mutation.Group)
		}
	}
	expect(t, "exists", c.do("exists", "a"), ":0\r\n")
	m.doList("push a 4")
	answered(t, "the last waiter", dones[3])
	expect(t, "the last waiter", string(reqs[3].Reply.Buf), popped("a", "4"))
	c.equal()
	for _, m := range c.members {
		m.equalsItsLog()
	}
}

// A waiter that puts what it gets into another list wakes who waits for that.
func TestWaitersWakeEachOther(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	last, lastDone := m.waiter("pop c 0", 1)
	second, secondDone := m.waiter("move b c 0", 2)
	first, firstDone := m.waiter("move a b 0", 3)
	from := m.replica.log.LastIndex() + 1
	m.doList("push a x")
	answered(t, "first", firstDone)
	answered(t, "second", secondDone)
	answered(t, "last", lastDone)
	expect(t, "first", string(first.Reply.Buf), "$1\r\nx\r\n")
	expect(t, "second", string(second.Reply.Buf), "$1\r\nx\r\n")
	expect(t, "last", string(last.Reply.Buf), popped("c", "x"))
	if events := m.events(from); len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
	expect(t, "exists", c.do("exists", "a", "b", "c"), ":0\r\n")
	m.equalsItsLog()
}

// A key of another type, at first, is an error; later it keeps the client waiting. A sorted set doesn't serve who waits for a list.
func TestWaitersAndTypes(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	c.do("set", "s", "1")
	expect(t, "pop", m.doList("pop s 0"), "-"+command.ErrWrongType+"\r\n")
	req, done := m.waiter("pop a 0", 1)
	zreq, zdone := m.waiter("zpop a 0", 2)
	c.do("set", "a", "1")
	c.do("del", "a")
	m.blockedNow(2)
	m.doList("zadd a m")
	answered(t, "the waiter for a sorted set", zdone)
	expect(t, "zpop", string(zreq.Reply.Buf), ":1\r\n")
	m.doList("zadd a m")
	m.blockedNow(1)
	c.do("del", "a")
	m.doList("push a 1")
	answered(t, "the waiter for a list", done)
	expect(t, "pop", string(req.Reply.Buf), popped("a", "1"))
	timed, timedDone := m.waiter("pop a 50", 1)
	c.do("set", "a", "1")
	answered(t, "who timed out", timedDone)
	expect(t, "a timeout over another type", string(timed.Reply.Buf), "*-1\r\n")
	move, moveDone := m.waiter("move src a 0", 1)
	m.doList("push src 1")
	answered(t, "who moves to a string", moveDone)
	expect(t, "move", string(move.Reply.Buf), "-"+command.ErrWrongType+"\r\n")
	expect(t, "what was pushed is still there", m.doList("pop src 0"), popped("src", "1"))
}

// The time runs precisely, from when the command first blocked; whoever is served before isn't timed out.
func TestWaitTimesOut(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	const waits, each = 6, 20 * time.Millisecond
	began := time.Now()
	for range waits {
		req, after := listRequest("pop a b 20"), request("get", "x")
		start := time.Now()
		answered(t, "the wait", m.pending(req, after))
		expect(t, "pop", string(req.Reply.Buf), "*-1\r\n")
		expect(t, "what came behind it", string(after.Reply.Buf), "$-1\r\n")
		if took := time.Since(start); took < each {
			t.Errorf("took %v, want %v", took, each)
		}
	}
	if took := time.Since(began); took > waits*housekeeping/2 {
		t.Errorf("%d waits took %v: something else than the timer ended them", waits, took)
	} else {
		t.Logf("%d waits of %v took %v", waits, each, took)
	}
	long, longDone := m.waiter("pop a 60000", 1)
	short, shortDone := m.waiter("pop a 20", 2)
	answered(t, "the short wait", shortDone)
	expect(t, "the short wait", string(short.Reply.Buf), "*-1\r\n")
	m.doList("push a 1")
	answered(t, "the long wait", longDone)
	expect(t, "the long wait", string(long.Reply.Buf), popped("a", "1"))
	m.nothingLeft()
}

// nothingLeft checks that nothing of any wait or lane is kept.
func (m *member) nothingLeft() {
	m.t.Helper()
	must(m.t, m.replica.do(m.t.Context(), func() {
		b := &m.replica.blocked
		if len(b.waits)+len(b.lists)+len(b.zsets)+len(b.timed)+b.requests != 0 {
			m.t.Errorf("left over: %d waits, %d+%d queues, %d timed, %d requests", len(b.waits), len(b.lists), len(b.zsets), len(b.timed), b.requests)
		}
		if r := m.replica; len(r.blockers)+len(r.waiting)+len(r.offers)+len(r.resumed) != 0 || r.box.requests != 0 {
			m.t.Errorf("left over: %d blockers, %d lanes wait, %d offers, %d resumed, %d requests in the mailbox", len(r.blockers), len(r.waiting), len(r.offers), len(r.resumed), r.box.requests)
		}
	}))
}

// A wait ends as CLIENT UNBLOCK says, or with its client, and then nothing behind it happens.
func TestUnblock(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	timeout, timeoutDone := m.waiter("pop a 0", 1)
	failed, failedDone := m.waiter("pop a 0", 2)
	gone, behind := listRequest("pop a 0"), request("set", "behind", "1")
	goneDone := m.pending(gone, behind)
	m.blockedNow(3)
	m.replica.Unblock(timeout, command.UnblockTimeout)
	m.replica.Unblock(failed, command.UnblockError)
	m.replica.Unblock(gone, command.UnblockGone)
	answered(t, "timeout", timeoutDone)
	answered(t, "error", failedDone)
	answered(t, "gone", goneDone)
	expect(t, "timeout", string(timeout.Reply.Buf), "*-1\r\n")
	expect(t, "error", string(failed.Reply.Buf), "-"+command.ErrUnblocked+"\r\n")
	if behind.Outcome != command.Elsewhere {
		t.Errorf("behind the one who is gone: outcome %d, want Elsewhere", behind.Outcome)
	}
	m.replica.Unblock(timeout, command.UnblockGone) // once more is nothing
	expect(t, "push", m.doList("push a 1"), ":1\r\n")
	expect(t, "pop", m.doList("pop a 0"), popped("a", "1"))
	expect(t, "exists", c.do("exists", "behind"), ":0\r\n")
	m.nothingLeft()
}

// Unblock comes before the command could be evaluated: it never blocks, and swallows nothing later.
func TestUnblockBeforeItBlocks(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	c.do("set", "x", "0")
	for _, how := range []command.UnblockHow{command.UnblockGone, command.UnblockTimeout, command.UnblockError} {
		req := listRequest("pop a 0")
		l, done := newLane(req)
		var pushed, popDone chan struct{}
		c.inTurn(func(r *Replica) {
			var first, second *lane
			first, pushed = newLane(listRequest("push a 1"))
			r.runLane(first)
			second, popDone = newLane(listRequest("pop a 0"))
			r.runLane(second)
			r.closeBatch()
			r.evaluateLanes([]*lane{l}) // waits for its key
			if len(r.waiting) != 1 {
				t.Errorf("%d lanes wait", len(r.waiting))
			}
			r.unblockAll([]unblock{{req, how}})
		})
		answered(t, "the one unblocked", done)
		answered(t, "the push", pushed)
		answered(t, "the pop", popDone)
		m.blockedNow(0)
	}
	m.nothingLeft()
}

// More waiters than are allowed get an error; they don't take the room of those who don't block.
func TestBlockedRequestsAreBounded(t *testing.T) {
	c := newCluster(t, 1, func(o *Options) { o.BlockedRequests, o.QueuedRequests = 3, 2 })
	m := c.leader()
	var reqs []*command.Request
	var dones []chan struct{}
	for i := range 3 {
		req, done := m.waiter("pop a 0", i+1)
		reqs, dones = append(reqs, req), append(dones, done)
	}
	expect(t, "one too many", m.doList("pop a 0"), "-"+blockedText+"\r\n")
	expect(t, "others", c.do("set", "x", "1"), "+OK\r\n")
	m.doList("push a 1 2 3")
	for i := range dones {
		answered(t, "a waiter", dones[i])
		expect(t, "waiter", string(reqs[i].Reply.Buf), popped("a", fmt.Sprint(i+1)))
	}
	m.nothingLeft()
}

// A waiter whose other key is in flight isn't run before that has landed, and nobody behind it passes it.
func TestWokenWhileAKeyIsInFlight(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	first, firstDone := m.waiter("pop b a 0", 1)
	second, secondDone := m.waiter("pop a 0", 2)
	var busy chan struct{}
	var push chan struct{}
	c.inTurn(func(r *Replica) {
		var l *lane
		l, busy = newLane(request("set", "b", "1"), request("del", "b"))
		r.runLane(l)
		r.closeBatch()
		l, push = newLane(listRequest("push a 1 2"))
		r.runLane(l)
		if len(r.blocked.waits) != 1 || len(r.waiting) != 1 || len(first.Reply.Buf) > 0 {
			t.Errorf("%d blocked, %d lanes wait, want one each: the second isn't passed over", len(r.blocked.waits), len(r.waiting))
		}
	})
	for _, done := range []chan struct{}{busy, push, firstDone, secondDone} {
		answered(t, "all", done)
	}
	expect(t, "first", string(first.Reply.Buf), popped("a", "1"))
	expect(t, "second", string(second.Reply.Buf), popped("a", "2"))
	must(t, m.replica.do(t.Context(), func() { m.replica.box.requests = 0 }))
	m.nothingLeft()
}

// A batch is dropped while its leader leads on: who found a key empty because of it is served now, and who was served by it is told
// that it didn't happen.
func TestDroppedBatchWakes(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	m.doList("push a 1")
	pop, wait, push, served := listRequest("pop a 0"), listRequest("pop a 0"), listRequest("push z 1"), listRequest("pop z 0")
	var popDone, waitDone, pushDone, servedDone chan struct{}
	m.stop()
	m.running.Wait() // the raft loop takes nothing any more
	must(t, m.replica.do(t.Context(), func() {
		r := m.replica
		var lanes [4]*lane
		lanes[0], popDone = newLane(pop)
		lanes[1], waitDone = newLane(wait)
		lanes[2], servedDone = newLane(served)
		lanes[3], pushDone = newLane(push)
		r.evaluateLanes(lanes[:])
		if len(r.blocked.waits) != 1 || len(r.open.ev.Mutations) != 3 {
			t.Fatalf("%d blocked, %d mutations", len(r.blocked.waits), len(r.open.ev.Mutations))
		}
		r.dropOpen()
		r.evaluateLanes(nil)
		if len(r.blocked.waits) != 0 || r.open == nil || len(r.open.ev.Mutations) != 1 {
			t.Fatalf("%d blocked, open %+v", len(r.blocked.waits), r.open)
		}
	}))
	answered(t, "pop", popDone)
	answered(t, "push", pushDone)
	answered(t, "served", servedDone)
	for what, req := range map[string]*command.Request{"pop": pop, "push": push, "served": served} {
		if req.Outcome != command.Elsewhere {
			t.Errorf("%s: outcome %d, want Elsewhere", what, req.Outcome)
		}
	}
	if wait.Outcome != command.Pending {
		t.Errorf("wait: outcome %d", wait.Outcome)
	}
	_ = waitDone
}

// A leader that leads no more, or closes, ends its waits with an error, and lets nobody wait for ever.
func TestWaitsEndWithTheLeadership(t *testing.T) {
	c := newCluster(t, 3, nil)
	m := c.leader()
	req, behind := listRequest("pop a 0"), request("set", "b", "1")
	done := m.pending(req, behind)
	m.blockedNow(1)
	var to *member
	for _, other := range c.members {
		if other != m {
			to = other
		}
	}
	c.transfer(to)
	answered(t, "the waiter", done)
	forced := "-" + command.ErrUnblockedByForce + "\r\n"
	expect(t, "the waiter", string(req.Reply.Buf), forced)
	if req.Outcome != command.Answered || behind.Outcome != command.Elsewhere {
		t.Errorf("outcomes %d and %d", req.Outcome, behind.Outcome)
	}
	m.nothingLeft()
	closing, closingDone := to.waiter("pop a 0", 1)
	to.shutdown()
	answered(t, "the waiter", closingDone)
	expect(t, "the waiter", string(closing.Reply.Buf), forced)
	to.start()
}

// Ten thousand wait for one key: a push costs what it serves.
func TestManyWaiters(t *testing.T) {
	const n = 10000
	c := newCluster(t, 1, nil)
	m := c.leader()
	var reqs []*command.Request
	var dones []chan struct{}
	for i := range n {
		timeout := []string{"0", "3600000"}[i%2]
		req := listRequest("pop a b " + timeout)
		reqs, dones = append(reqs, req), append(dones, m.pending(req))
	}
	m.blockedNow(n)
	began := time.Now()
	for i := range 200 {
		m.doList(fmt.Sprint("push a ", i))
		answered(t, "a waiter", dones[i])
		expect(t, "waiter", string(reqs[i].Reply.Buf), popped("a", fmt.Sprint(i)))
		c.do("set", "x", "1")
	}
	t.Logf("200 pushes over %d waiters, and 200 sets: %v", n, time.Since(began))
	began = time.Now()
	m.doList("push b" + strings.Repeat(" i", n-201))
	for i := 200; i < n-1; i++ {
		answered(t, "a waiter", dones[i])
	}
	t.Logf("one push to %d: %v", n-201, time.Since(began))
	m.replica.Unblock(reqs[n-1], command.UnblockGone)
	answered(t, "the last", dones[n-1])
	m.nothingLeft()
}
