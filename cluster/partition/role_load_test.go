package partition

import (
	"fmt"
	"sync"
	"testing"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
)

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
