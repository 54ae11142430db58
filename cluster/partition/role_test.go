package partition

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
)

const closedToClients = "-" + command.ErrSyncerOnly + "\r\n"

// setRole switches the role, wherever the leader is.
func (c *cluster) setRole(syncerOnly bool) (role store.Role) {
	c.t.Helper()
	eventually(c.t, "the role is switched", func() bool {
		got, err := c.leader().replica.SetRole(c.t.Context(), syncerOnly)
		if err != nil && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrUnknownOutcome) {
			c.t.Fatal(err)
		}
		role = got
		return err == nil
	})
	if role.SyncerOnly != syncerOnly || role.Since.IsZero() {
		c.t.Fatalf("switched to %v: %+v", syncerOnly, role)
	}
	return role
}

// agreeOnRole wants that every replica has a role, its position included.
func (c *cluster) agreeOnRole(want store.Role) {
	c.t.Helper()
	for _, m := range c.members {
		eventually(c.t, fmt.Sprintf("node %d has role %+v", m.id, want), func() bool {
			got, ok := m.replica.Role()
			return ok && got == want
		})
	}
}

// A switch is no event, a repeated one no entry; both name the position of the entry that switched.
func TestRoleRepeats(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.do("set", "k", "v")
	m := c.leader()
	before, _ := m.replica.State()
	if got, err := m.replica.LeaderRole(t.Context()); err != nil || got != (store.Role{}) {
		t.Errorf("before any switch: %+v, %v", got, err)
	}
	first := c.setRole(false)
	if first.Since.Index != before.Applied.Index+1 {
		t.Errorf("the first switch was at %s, want the entry after %s, also where it changes nothing", first.Since, before.Applied)
	}
	closed := c.setRole(true)
	for range 3 {
		if again := c.setRole(true); again != closed {
			t.Errorf("repeated: %+v, want %+v", again, closed)
		}
	}
	expect(t, "a write", c.do("set", "k", "w"), closedToClients)
	after, _ := m.replica.State()
	if after.Applied != closed.Since || after.LastEvent != before.LastEvent || after.Chain != before.Chain || after.Events != before.Events {
		t.Errorf("before %+v, after %+v, switched at %s", before, after, closed.Since)
	}
	if got, err := m.replica.LeaderRole(t.Context()); err != nil || got != closed {
		t.Errorf("told: %+v, %v, want %+v", got, err, closed)
	}
	open := c.setRole(false)
	if open.Since.Compare(closed.Since) <= 0 {
		t.Errorf("opened at %s, closed at %s", open.Since, closed.Since)
	}
	expect(t, "a write", c.do("set", "k", "w"), "+OK\r\n")
	c.agreeOnRole(open)
	for _, other := range c.members {
		if _, err := other.replica.SetRole(t.Context(), true); other != m && !errors.Is(err, ErrNotLeader) {
			t.Errorf("node %d: %v, want ErrNotLeader", other.id, err)
		}
	}
}

// The next leader goes on with the role, and so does one that got it in a snapshot.
func TestRoleOutlivesTheLeader(t *testing.T) {
	r := seeded(t)
	c := newCluster(t, 3, nil)
	late := c.behind(r)
	role := c.setRole(true)
	for _, m := range c.members {
		if m != late {
			m.forget()
		}
	}
	c.isolate(late, false)
	c.agreeOnRole(role)
	for _, m := range []*member{late, c.members[int(late.id)%3]} {
		c.transfer(m)
		expect(t, "a write", c.do("set", "k", "w"), closedToClients)
		if again := c.setRole(true); again != role {
			t.Errorf("node %d: repeated: %+v, want %+v", m.id, again, role)
		}
	}
	m := c.leader()
	m.crash(func(n int) int { return r.IntN(n) })
	m.start()
	expect(t, "a write", c.do("set", "k", "w"), closedToClients)
	c.agreeOnRole(role)
}

// A switch that a leader proposed alone never was: the next one takes writes, and what the old one is told is that it didn't happen, or may not have.
func TestRoleProposedAlone(t *testing.T) {
	c := newCluster(t, 3, nil)
	old := c.leader()
	c.do("set", "k", "v")
	c.isolate(old, true)
	last := old.replica.log.LastIndex()
	result := make(chan error, 1)
	go func() {
		_, err := old.replica.SetRole(t.Context(), true)
		result <- err
	}()
	eventually(t, "the switch is in the log", func() bool { return old.replica.log.LastIndex() > last })
	write := request("set", "k", "never")
	behind := old.pending(write) // waits for the barrier
	eventually(t, "another leads", func() bool {
		now := c.serving()
		return now != nil && now != old && !old.replica.Leading()
	})
	expect(t, "a write", c.do("set", "k", "w"), "+OK\r\n")
	c.isolate(old, false)
	answered(t, "the write behind the switch", behind)
	if write.Outcome != command.Elsewhere {
		t.Errorf("the write behind the switch: outcome %d", write.Outcome)
	}
	if err := <-result; !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("the switch: %v", err)
	}
	c.agreeOnRole(store.Role{})
	c.transfer(old)
	expect(t, "a write", c.do("set", "k", "w"), "+OK\r\n")
	c.agreeOnRole(c.setRole(true))
}

// Every way of writing is refused, and nothing of it is done; reads go on.
func TestRoleRefusesWrites(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	for _, line := range []string{"set s 1", "rpush l a b", "zadd z 1 a"} {
		m.doList(line)
	}
	role := c.setRole(true)
	for _, line := range []string{
		"set s 2", "setnx n 1", "get s", "del s", "del none", "expire s 10", "getdel s", "incr s", "lpop l", "lpop none", "blpop l 0", "blpop none 0", "bzpopmin z 0",
		"zadd z 1 a", "flushdb", "exists s l z", "pfadd p a", "sort l alpha store d", "lrange l 0 -1",
	} {
		req := listRequest(line)
		got := m.run(req)
		if refused := got == closedToClients; refused != (req.Spec.Flags&command.Write != 0) {
			t.Errorf("%s: %q", line, got)
		}
	}
	expect(t, "an EXEC with a write", m.run(exec("get s", "set s 2")), closedToClients)
	expect(t, "an EXEC that reads", m.run(exec("get s", "llen l")), "*2\r\n$1\r\n1\r\n:2\r\n")
	pipeline := []*command.Request{request("get", "s"), request("set", "s", "2"), request("get", "s"), request("flushdb"), request("dbsize")}
	m.submit(pipeline...)
	for i, want := range []string{"$1\r\n1\r\n", closedToClients, "$1\r\n1\r\n", closedToClients, ":3\r\n"} {
		expect(t, fmt.Sprint("command ", i), string(pipeline[i].Reply.Buf), want)
	}
	if at := m.applied(); at != role.Since {
		t.Errorf("applied %s, switched at %s", at, role.Since)
	}
}

// Those who wait for keys are told, and what their connections sent behind it goes on.
func TestRoleEndsWaits(t *testing.T) {
	c := newCluster(t, 3, nil)
	m := c.leader()
	var reqs []*command.Request
	var dones []chan struct{}
	for i, line := range []string{"blpop a 0", "blmove a b left left 100", "bzpopmin z 0"} {
		req, behind := listRequest(line), request("exists", "a")
		reqs, dones = append(reqs, req, behind), append(dones, m.pending(req, behind))
		m.blockedNow(i + 1)
	}
	c.setRole(true)
	for i, done := range dones {
		answered(t, "who waits", done)
		expect(t, "who waits", string(reqs[2*i].Reply.Buf), closedToClients)
		expect(t, "what comes behind", string(reqs[2*i+1].Reply.Buf), ":0\r\n")
	}
	m.nothingLeft()
	c.setRole(false)
	req, done := m.waiter("blpop a 0", 1)
	m.doList("rpush a x")
	answered(t, "who waits", done)
	expect(t, "who waits when clients may write again", string(req.Reply.Buf), popped("a", "x"))
}

// A cluster expires for itself, whoever writes.
func TestRoleLetsKeysExpire(t *testing.T) {
	var clock manual
	c := newCluster(t, 3, clock.use())
	c.do("set", "a", "1", "px", "60000")
	m := c.leader()
	role := c.setRole(true)
	clock.advance(61 * time.Second)
	eventually(t, "the key is removed", func() bool { s, _ := m.replica.State(); return s.Keys == 0 })
	for _, ev := range m.events(role.Since.Index + 1) {
		for i := range ev.Mutations {
			if ev.Mutations[i].Op != event.OpExpire {
				t.Errorf("op %s after the switch", ev.Mutations[i].Op)
			}
		}
	}
	c.equal()
}
