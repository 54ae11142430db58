package partition

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"

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

// Clients write, in pipelines and transactions, while the role is switched: nothing that was acknowledged is lost, nothing took effect at a later
// position, and whoever was refused once is refused until the role is switched back.
func TestRoleUnderLoad(t *testing.T) {
	const clients = 12
	c := newCluster(t, 3, nil)
	m := c.leader()
	var counted [clients]int
	var running, started sync.WaitGroup
	for i := range clients {
		started.Add(1)
		running.Go(func() {
			key, refused := fmt.Sprint("n", i), 0
			for round := 0; refused < 20; round++ {
				reqs := []*command.Request{request("incr", key), exec("incr "+key, "get "+key), request("incr", fmt.Sprint("all", round%3)), request("get", key)}
				answered(t, "a lane", m.pending(reqs...))
				for n, req := range reqs[:3] {
					switch {
					case req.Outcome != command.Answered:
						t.Errorf("outcome %d under a leader that stays", req.Outcome)
					case string(req.Reply.Buf) == closedToClients:
						refused++
					case req.Reply.IsError() || refused > 0:
						t.Errorf("after %d refusals: %q", refused, req.Reply.Buf)
					case n < 2:
						counted[i]++
					}
				}
				if reqs[3].Reply.IsError() {
					t.Errorf("a read: %q", reqs[3].Reply.Buf)
				}
				if round == 5 {
					started.Done()
				}
			}
		})
	}
	started.Wait()
	role := c.setRole(true)
	running.Wait()
	c.agreeOnRole(role)
	for i := range clients {
		text := fmt.Sprint(counted[i])
		expect(t, "what was acknowledged", c.do("get", fmt.Sprint("n", i)), fmt.Sprintf("$%d\r\n%s\r\n", len(text), text))
	}
	c.equal()
	for _, m := range c.members {
		if s, _ := m.replica.State(); s.LastEvent.Index >= role.Since.Index {
			t.Errorf("node %d: event %s took effect after the switch at %s", m.id, s.LastEvent, role.Since)
		}
	}
	must(t, m.replica.do(t.Context(), func() {
		if r := m.replica; r.flights != 0 || r.barrier || len(r.waiting) != 0 {
			t.Errorf("left over: %d flights, barrier %v, %d lanes", r.flights, r.barrier, len(r.waiting))
		}
	}))
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

// closedIsSilent walks a member's whole log and wants no client's change while clients may not write. It returns how often they could no more.
func (m *member) closedIsSilent() (closings int) {
	m.t.Helper()
	entries, err := m.replica.log.Entries(m.replica.FirstIndex(), m.replica.Applied()+1, 1<<30)
	must(m.t, err)
	closed, open := store.RoleChange(true).Value[0], store.RoleChange(false).Value[0]
	role := open
	for _, e := range entries {
		var ev event.Event
		if len(e.Data) == 0 || e.Type != raftpb.EntryNormal {
			continue
		}
		must(m.t, event.Decode(e.Data, &ev))
		if ev.Term != e.Term {
			continue
		}
		for i := range ev.Mutations {
			if role == closed && ev.Mutations[i].Op != event.OpExpire {
				m.t.Errorf("node %d: %s of %q at %d-%d, while only the syncer may write", m.id, ev.Mutations[i].Op, ev.Mutations[i].Key, e.Term, e.Index)
			}
		}
		for _, own := range ev.Own {
			if own.Kind == event.OwnRole {
				if role != closed && own.Value[0] == closed {
					closings++
				}
				role = own.Value[0]
			}
		}
	}
	return closings
}

// The role goes to and fro while the leadership moves and clients write: what is acknowledged is there, and each log is silent where it was closed.
func TestRoleWhileLeadersMove(t *testing.T) {
	const rounds, clients = 8, 6
	r := seeded(t)
	c := newCluster(t, 3, nil)
	c.leader()
	stop := make(chan struct{})
	var acknowledged, unknown [clients]int
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				req := request("incr", fmt.Sprint("n", i))
				answered(t, "a write", c.members[n%len(c.members)].pending(req))
				switch {
				case req.Outcome == command.Unknown:
					unknown[i]++
				case req.Outcome == command.Answered && !req.Reply.IsError():
					acknowledged[i]++
				}
			}
		})
	}
	for round := range rounds {
		c.setRole(round%2 == 0)
		c.transfer(c.members[r.IntN(len(c.members))])
	}
	last := c.setRole(true)
	close(stop)
	running.Wait()
	c.agreeOnRole(last)
	c.equal()
	for _, m := range c.members {
		if got := m.closedIsSilent(); got != rounds/2+1 {
			t.Errorf("node %d: its log was closed to clients %d times, want %d", m.id, got, rounds/2+1)
		}
	}
	for i := range clients {
		reply := c.do("get", fmt.Sprint("n", i))
		n := 0
		if reply != "$-1\r\n" {
			size := 0
			_, err := fmt.Sscanf(reply, "$%d\r\n%d\r\n", &size, &n)
			must(t, err)
		}
		if n < acknowledged[i] || n > acknowledged[i]+unknown[i] {
			t.Errorf("n%d is %d; %d were acknowledged, %d are unknown", i, n, acknowledged[i], unknown[i])
		}
	}
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
