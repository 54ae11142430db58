package partition

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
)

// The configured role is that of a partition that never had a switch, before the first write. An explicit switch stays, whatever is configured.
func TestRoleInitial(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.SyncerOnly = true })
	expect(t, "the first write", c.do("set", "k", "v"), closedToClients)
	m := c.leader()
	role, err := m.replica.LeaderRole(t.Context())
	must(t, err)
	if s, _ := m.replica.State(); !role.SyncerOnly || s.Events != 0 {
		t.Errorf("role %+v, %d events", role, s.Events)
	}
	c.agreeOnRole(role)
	c.transfer(c.members[int(m.id)%3])
	if again := c.setRole(true); again != role {
		t.Errorf("the next leader has %+v, want %+v", again, role)
	}
	open := c.setRole(false)
	expect(t, "a write", c.do("set", "k", "v"), "+OK\r\n")
	c.transfer(m)
	expect(t, "a write", c.do("set", "k", "v"), "+OK\r\n")
	c.agreeOnRole(open)
}

// When the entry with the configured role is dropped, there comes another, and no write passes in between.
func TestRoleInitialIsDropped(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	m.stop()
	m.running.Wait()
	write, flush := request("set", "k", "v"), request("flushdb")
	one, _ := newLane(write)
	two, _ := newLane(flush)
	must(t, m.replica.do(t.Context(), func() {
		r := m.replica
		r.opts.SyncerOnly = true
		must(t, r.readSettings())
		for range 3 {
			r.giveRole()
			first := r.initial
			if first == nil || m.replica.TakeProposal() != &first.proposal {
				t.Fatal("the role isn't proposed")
			}
			r.evaluateLanes(nil)
			r.runLane(one)
			r.runLane(two)
			r.giveRole()
			if r.initial != first || r.open != nil {
				t.Fatal("it is proposed twice, or something was evaluated")
			}
			r.handleDropped(&first.proposal)
			r.evaluateLanes(nil)
			if r.initial != nil || write.Outcome != 0 || one.next != 0 || two.next != 0 {
				t.Fatalf("dropped: %v is under way, the write has outcome %d", r.initial, write.Outcome)
			}
		}
	}))
}

// A command that works in pages is whole on one side of a switch that came in between.
func TestRoleWaitsForPages(t *testing.T) {
	c := newCluster(t, 1, nil)
	c.replicating()
	m := c.leader()
	var reqs []*command.Request
	for i := range command.DefaultLimits.Batch + 10 {
		reqs = append(reqs, request("set", fmt.Sprint("k", i), "x"))
	}
	m.submit(reqs...)
	flush, write := request("flushdb"), request("set", "k", "y")
	first, flushed := newLane(flush)
	last, wrote := newLane(write)
	second, call, switched := newRoleLane()
	c.inTurn(func(r *Replica) {
		for _, l := range []*lane{first, second, last} {
			r.runLane(l)
		}
	})
	for _, done := range []chan struct{}{flushed, switched, wrote} {
		answered(t, "a lane", done)
	}
	expect(t, "FLUSHDB", string(flush.Reply.Buf), "+OK\r\n")
	expect(t, "the write behind the switch", string(write.Reply.Buf), closedToClients)
	s, _ := m.replica.State()
	if s.Keys != 0 || !call.found.SyncerOnly || s.LastEvent.Index >= call.found.Since.Index {
		t.Errorf("%d keys, the last event at %s, switched at %+v", s.Keys, s.LastEvent, call.found)
	}
}

// newRoleLane is a lane that switches to the syncer alone.
func newRoleLane() (*lane, *roleCall, chan struct{}) {
	l, done := newLane(&command.Request{Spec: switchRole})
	l.role = &roleCall{spec: switchRole, to: true}
	return l, l.role, done
}

// A switch has an entry for itself, and is proposed when nothing is in flight: a write before it has a lower position.
func TestRoleStandsAlone(t *testing.T) {
	c := newCluster(t, 1, nil)
	for _, proposed := range []bool{false, true} {
		write := request("incr", "n")
		before, wrote := newLane(write)
		l, call, switched := newRoleLane()
		c.inTurn(func(r *Replica) {
			r.runLane(before)
			if proposed {
				r.closeBatch()
			}
			r.runLane(l)
			if l.next != 0 {
				t.Errorf("proposed %v: the switch didn't wait for the write before it", proposed)
			}
		})
		answered(t, "the write", wrote)
		answered(t, "the switch", switched)
		if s, _ := c.leader().replica.State(); s.LastEvent.Index+1 != call.found.Since.Index {
			t.Errorf("proposed %v: the write is at %s, the switch at %s", proposed, s.LastEvent, call.found.Since)
		}
		c.setRole(false)
	}
}

// A switch whose caller has gone before its turn isn't done.
func TestRoleCallerGone(t *testing.T) {
	c := newCluster(t, 1, nil)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	write := request("set", "k", "v")
	l, done := newLane(write)
	m := c.leader()
	c.inTurn(func(r *Replica) {
		r.runLane(l)
		r.closeBatch() // in flight: the switch waits
		go func() {
			_, err := m.replica.SetRole(ctx, true)
			result <- err
		}()
		arrived := func() bool {
			r.box.Lock()
			defer r.box.Unlock()
			return len(r.box.calls) > 0
		}
		for !arrived() {
			runtime.Gosched()
		}
		cancel()
		if err := <-result; !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%v, want ErrUnknownOutcome", err)
		}
	})
	answered(t, "the write before it", done)
	expect(t, "a write", c.do("set", "k", "w"), "+OK\r\n")
	c.agreeOnRole(store.Role{})
}
