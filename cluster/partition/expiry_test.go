package partition

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

// manual is a clock that only runs ahead when it is told to.
type manual struct{ ahead atomic.Int64 }

func (m *manual) now() time.Time              { return time.Now().Add(time.Duration(m.ahead.Load())) }
func (m *manual) advance(by time.Duration)    { m.ahead.Add(int64(by)) }
func (m *manual) use() func(options *Options) { return func(o *Options) { o.Clock = m.now } }

// Expired keys are invisible at once, in every way of reading, and removed by one event.
func TestExpiry(t *testing.T) {
	var clock manual
	c := newCluster(t, 3, clock.use())
	m := c.leader()
	c.do("set", "stays", "1")
	for _, key := range []string{"a", "b", "c"} {
		c.do("set", key, "1", "px", "60000")
	}
	before, _ := m.replica.State()
	clock.advance(61 * time.Second)
	read := request("get", "a")
	if m.replica.Read(read) && string(read.Reply.Buf) != "$-1\r\n" {
		t.Errorf("read: %q", read.Reply.Buf)
	}
	if got := c.do("exists", "a", "b", "stays"); got != ":1\r\n" {
		t.Errorf("exists: %q", got)
	}
	eventually(t, "they are removed", func() bool { s, _ := m.replica.State(); return s.Keys == 1 && s.Expiring == 0 })
	after, _ := m.replica.State()
	if after.Events != before.Events+1 {
		t.Errorf("%d events removed them, want one", after.Events-before.Events)
	}
	must(t, m.replica.do(t.Context(), func() {
		for range 3 {
			clock.advance(2 * time.Second)
			if err := m.replica.tick(); err != nil {
				t.Error(err)
			}
		}
		if m.replica.open != nil || m.replica.flights != 0 {
			t.Error("they are removed a second time")
		}
	}))
	c.equal()
}

func TestExpiryOnceASecondAndNotInFlight(t *testing.T) {
	var clock manual
	c := newCluster(t, 1, clock.use())
	m := c.leader()
	c.do("set", "a", "1", "px", "60000")
	c.do("set", "b", "1", "px", "60000")
	write := request("set", "a", "again")
	var done chan struct{}
	c.inTurn(func(r *Replica) {
		var l *lane
		l, done = newLane(write)
		r.runLane(l)
		r.closeBatch() // a is in flight
		clock.advance(61 * time.Second)
		r.lastExpiry = clock.now().Add(-999 * time.Millisecond)
		at := clock.now()
		r.opts.Clock = func() time.Time { return at }
		if err := r.tick(); err != nil || r.open != nil {
			t.Errorf("before a second has passed: %v, %v", r.open, err)
		}
		at = at.Add(2 * time.Second)
		if err := r.tick(); err != nil {
			t.Error(err)
		}
		if r.open == nil && r.flights == 1 || r.open != nil && (len(r.open.ev.Mutations) != 1 || string(r.open.ev.Mutations[0].Key) != "b") {
			t.Errorf("the removal is %+v, want b's alone: a is in flight", r.open)
		}
		r.takeBackOffer()
		r.opts.Clock = clock.now
	})
	answered(t, "the write", done)
	eventually(t, "b is removed", func() bool { s, _ := m.replica.State(); return s.Keys == 1 })
	if got := c.do("get", "a"); got != "$5\r\nagain\r\n" {
		t.Errorf("get: %q", got)
	}
}

// Too much is refused at once, changes nothing and leaves room for what comes after.
func TestBusy(t *testing.T) {
	c := newCluster(t, 1, func(o *Options) { o.QueuedRequests = 4 })
	m := c.leader()
	var reqs []*command.Request
	for range 5 {
		reqs = append(reqs, request("incr", "n"))
	}
	m.submit(reqs...)
	for _, req := range reqs {
		if req.Outcome != command.Answered || !strings.HasPrefix(string(req.Reply.Buf), "-BUSY ") {
			t.Errorf("outcome %d, %q, want BUSY", req.Outcome, req.Reply.Buf)
		}
	}
	for range 3 {
		for _, req := range reqs {
			req.Reply.Buf, req.Outcome = nil, command.Pending
		}
		m.submit(reqs[:4]...)
	}
	if got := c.do("get", "n"); got != "$2\r\n12\r\n" {
		t.Errorf("get: %q", got)
	}
}
