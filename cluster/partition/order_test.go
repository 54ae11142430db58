package partition

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/command"
)

// A read opens a batch that stays empty; a barrier after it in the same turn finds nothing to wait for.
func TestBarrierAfterWhatChangedNothing(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.do("set", "a", "1")
	m := c.leader()
	eventually(t, "the leader has a lease", func() bool { return m.replica.Read(request("get", "a")) })
	get, flush, size := request("get", "a"), request("flushdb"), request("dbsize")
	m.submit(get, flush, size)
	for i, want := range []string{"$1\r\n1\r\n", "+OK\r\n", ":0\r\n"} {
		req := []string{string(get.Reply.Buf), string(flush.Reply.Buf), string(size.Reply.Buf)}[i]
		if req != want {
			t.Errorf("reply %d: %q, want %q", i, req, want)
		}
	}
}

// inTurn runs f as one turn of the leader's goroutine, in which nothing is settled, while the leader has a lease.
func (c *cluster) inTurn(f func(r *Replica)) {
	c.t.Helper()
	m := c.leader()
	for ran := false; !ran; {
		eventually(c.t, "the leader has a lease", func() bool { return m.replica.group.LeaseValid(m.replica.serving.Load()) })
		must(c.t, m.replica.do(c.t.Context(), func() {
			r := m.replica
			r.takeBackOffer()
			if ran = r.group.LeaseValid(r.term) && r.flights == 0 && r.open == nil; ran {
				f(r)
				r.offerBatch()
			}
		}))
	}
}

func newLane(reqs ...*command.Request) (*lane, chan struct{}) {
	done := make(chan struct{})
	return &lane{reqs: reqs, uncounted: true, done: func() { close(done) }}, done // it never is in the mailbox
}

// A key in flight makes its next writer wait, and that one's keys the writers after it; other keys pass.
func TestWritersOfAKeyWaitInOrder(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.do("set", "a", "0")
	first, other, both := request("append", "a", "1"), request("append", "b", "1"), request("mset", "a", "m", "c", "m")
	second, third := request("append", "a", "2"), request("append", "c", "3")
	var dones []chan struct{}
	run := func(r *Replica, req *command.Request) {
		l, done := newLane(req)
		dones = append(dones, done)
		r.runLane(l)
	}
	c.inTurn(func(r *Replica) {
		run(r, first)
		r.closeBatch()
		run(r, both)   // waits for a
		run(r, second) // waits for a, behind both
		run(r, third)  // c is free, but both wants it and came first
		if len(r.waiting) != 3 || r.open != nil && !r.open.empty() {
			t.Errorf("%d lanes wait, want 3", len(r.waiting))
		}
		run(r, other)
		if len(r.waiting) != 3 || r.open.empty() {
			t.Error("a writer of another key doesn't pass")
		}
	})
	for _, done := range dones {
		answered(t, "a writer", done)
	}
	for key, want := range map[string]string{"a": "$2\r\nm2\r\n", "b": "$1\r\n1\r\n", "c": "$2\r\nm3\r\n"} {
		if got := c.do("get", key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

// A barrier waits for what is in flight, and everything after it waits for the barrier.
func TestBarrierStandsAlone(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.do("set", "a", "0")
	before, flush, after, read := request("set", "b", "1"), request("flushdb"), request("set", "c", "1"), request("get", "a")
	var dones []chan struct{}
	c.inTurn(func(r *Replica) {
		for i, req := range []*command.Request{before, flush, after, read} {
			l, done := newLane(req)
			dones = append(dones, done)
			r.runLane(l)
			if want := max(0, i); len(r.waiting) != want {
				t.Errorf("after %s: %d lanes wait, want %d", req.Spec.Name, len(r.waiting), want)
			}
		}
	})
	for _, done := range dones {
		answered(t, "a lane", done)
	}
	if got := c.do("dbsize"); got != ":1\r\n" {
		t.Errorf("dbsize: %q, want 1: only what came after the barrier", got)
	}
	if got := string(read.Reply.Buf); got != "$-1\r\n" {
		t.Errorf("a read after the barrier: %q", got)
	}
}

// What changes nothing is answered after the lane's earlier writes, or an earlier one that ends Elsewhere would be overtaken by it.
func TestNoOpWriteWaitsForItsLane(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.do("set", "b", "there")
	write, noop := request("set", "a", "1"), request("setnx", "b", "x")
	l, done := newLane(write)
	c.inTurn(func(r *Replica) {
		r.runLane(l)
		r.closeBatch()
		l.reqs = append(l.reqs, noop)
		r.runLane(l)
		if noop.Outcome != command.Pending || len(r.waiting) != 1 {
			t.Errorf("outcome %d while the write before it is in flight, want pending", noop.Outcome)
		}
	})
	answered(t, "the lane", done)
	if got := string(noop.Reply.Buf); got != ":0\r\n" || noop.Outcome != command.Answered {
		t.Errorf("setnx: %q, outcome %d", got, noop.Outcome)
	}
}

// Who sees the open batch sees what was proposed before it as well: another client may have read the one without the other.
func TestReadsDontMixBatches(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.do("mset", "x", "old", "y", "old")
	both := request("mget", "x", "y")
	y, x := request("get", "y"), request("get", "x")
	free := request("mget", "x", "z")
	var dones []chan struct{}
	c.inTurn(func(r *Replica) {
		for _, reqs := range [][]*command.Request{{request("set", "x", "new")}, {request("set", "y", "new")}, {both}, {y, x}, {free}} {
			l, done := newLane(reqs...)
			dones = append(dones, done)
			r.runLane(l)
			if len(dones) == 1 {
				r.closeBatch()
			}
		}
		if len(r.waiting) != 2 {
			t.Errorf("%d lanes wait, want 2", len(r.waiting))
		}
		if free.Outcome != command.Answered {
			t.Error("a read of what is applied doesn't pass")
		}
	})
	for _, done := range dones {
		answered(t, "a lane", done)
	}
	// y may still be in flight when x is applied; but x was proposed first.
	if got := string(both.Reply.Buf); !strings.HasPrefix(got, "*2\r\n$3\r\nnew\r\n") {
		t.Errorf("mget: %q", got)
	}
	if got := string(y.Reply.Buf) + string(x.Reply.Buf); got != "$3\r\nnew\r\n$3\r\nnew\r\n" {
		t.Errorf("get y, get x: %q", got)
	}
}

// What needs an event that is too large is refused and changes nothing, however small its arguments; what only doesn't fit into
// the open one goes into the next.
func TestMaxEventBytes(t *testing.T) {
	const most = 2000
	c := newCluster(t, 1, func(o *Options) { o.MaxEventBytes = most })
	m := c.leader()
	text := strings.Repeat("x", 1200)
	c.do("set", "a", text)
	for _, args := range [][]string{{"append", "a", text}, {"set", "a", text + text}, {"mset", "b", text, "c", text}} {
		if got := c.do(args...); !strings.HasPrefix(got, "-ERR the command needs an event larger") {
			t.Errorf("%s: %.60q", args[0], got)
		}
	}
	for key, want := range map[string]string{"a": ":1200\r\n", "b": ":0\r\n", "c": ":0\r\n"} {
		if got := c.do("strlen", key); got != want {
			t.Errorf("strlen %s: %q, want %q", key, got, want)
		}
	}
	var reqs []*command.Request
	for i := range 12 {
		reqs = append(reqs, request("set", fmt.Sprint("k", i%5), strings.Repeat("y", 700)), request("append", fmt.Sprint("k", i%5), fmt.Sprint(i%10)))
	}
	m.submit(reqs...)
	for i, req := range reqs {
		if req.Outcome != command.Answered || req.Reply.IsError() {
			t.Errorf("request %d: outcome %d, %q", i, req.Outcome, req.Reply.Buf)
		}
	}
	entries, err := m.replica.log.Entries(m.replica.log.FirstIndex(), m.replica.log.LastIndex()+1, 1<<30)
	must(t, err)
	for _, e := range entries {
		if len(e.Data) > most {
			t.Errorf("entry %d has %d bytes, want %d at most", e.Index, len(e.Data), most)
		}
	}
	c.equal()
}
