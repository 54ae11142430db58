package partition

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// A leader whose raft loop stands still doesn't learn that another leads. Its lease ends all the same.
func TestPausedLeaderDoesntServeReads(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.do("set", "a", "old")
	old := c.leader()
	eventually(t, "it reads under its lease", func() bool { return old.replica.Read(request("get", "a")) })
	goOn := make(chan struct{})
	old.replica.Group().ReadIndex(0, func(bool) { <-goOn }) // called by the loop, which waits in it
	eventually(t, "another leads", func() bool { now := c.serving(); return now != nil && now != old })
	if got := c.do("set", "a", "new"); got != "+OK\r\n" {
		t.Fatalf("set: %q", got)
	}
	if !old.replica.Leading() {
		t.Error("the old leader knows of the new one: nothing is tested")
	}
	read := request("get", "a")
	if old.replica.Read(read) {
		t.Errorf("the old leader reads %q", read.Reply.Buf)
	}
	submitted, noop := request("get", "a"), request("setnx", "a", "x")
	first, second := old.pending(submitted), old.pending(noop)
	must(t, old.replica.do(t.Context(), func() {})) // both are evaluated
	stale := request("stale.get", "a")
	if !old.replica.Read(stale) || string(stale.Reply.Buf) != "$3\r\nold\r\n" {
		t.Errorf("a stale read: %q", stale.Reply.Buf)
	}
	close(goOn)
	answered(t, "a read", first)
	answered(t, "a write that changes nothing", second)
	for _, req := range []*command.Request{submitted, noop} {
		if req.Outcome != command.Elsewhere {
			t.Errorf("%s: outcome %d, %q, want Elsewhere", req.Spec.Name, req.Outcome, req.Reply.Buf)
		}
	}
}

// A new leader serves nothing before it has applied an entry of its own term: it may lack what was acknowledged.
func TestNewLeaderServesOnlyAfterItsOwnEntry(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.do("set", "a", "1")
	old := c.leader()
	to := c.members[int(old.id)%3]
	lose := func(m *raftpb.Message) bool { return m.Type == raftpb.MsgApp && m.From == uint64(to.id) }
	c.lose.Store(&lose)
	eventually(t, "the other leads the group", func() bool {
		old.replica.Group().TransferLeadership(uint64(to.id))
		return to.replica.Leadership().Leading
	})
	req := request("get", "a")
	for range 50 {
		if to.replica.Leading() || to.replica.Read(req) {
			t.Fatal("it serves although no entry of its term is applied")
		}
		c.pause(1)
	}
	to.submit(req)
	if req.Outcome != command.Elsewhere {
		t.Errorf("outcome %d, want Elsewhere", req.Outcome)
	}
	c.lose.Store(nil)
	c.leader()
}

// In quorum mode nothing is read without asking, and reads are answered all the same.
func TestReadQuorum(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.ReadQuorum = true })
	c.do("set", "a", "1")
	m := c.leader()
	eventually(t, "there is a lease", func() bool { return m.replica.Group().LeaseValid(m.replica.Leadership().Term) })
	if m.replica.Read(request("get", "a")) {
		t.Error("a read without asking")
	}
	if got := c.do("get", "a"); got != "$1\r\n1\r\n" {
		t.Errorf("get: %q", got)
	}
	if got := c.do("setnx", "a", "2"); got != ":0\r\n" {
		t.Errorf("setnx: %q", got)
	}
	seen := request("set", "own", "w")
	after := request("get", "own")
	m.submit(seen, after)
	if got := string(after.Reply.Buf); got != "$1\r\nw\r\n" {
		t.Errorf("a lane's read of its own write: %q", got)
	}
}

// Without a quorum a write's client is told after a while that its outcome isn't known. Its key stays in flight until it is known.
func TestUnknownWithoutAQuorum(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.ProposalTimeout = 20 * time.Millisecond })
	c.do("set", "a", "0")
	old := c.leader()
	lose := func(m *raftpb.Message) bool { return m.Type == raftpb.MsgApp } // heartbeats pass: it goes on leading
	c.lose.Store(&lose)
	write, next := request("incr", "a"), request("incr", "a")
	last := old.replica.log.LastIndex()
	first := old.pending(write)
	eventually(t, "the write is in the log", func() bool { return old.replica.log.LastIndex() > last })
	second := old.pending(next)
	answered(t, "the write", first)
	if write.Outcome != command.Unknown || !strings.HasPrefix(string(write.Reply.Buf), "-UNKNOWN ") {
		t.Errorf("outcome %d, %q, want Unknown", write.Outcome, write.Reply.Buf)
	}
	for range 2 { // whatever the first of these turns woke
		must(t, old.replica.do(t.Context(), func() {
			r := old.replica
			if r.servingNow() && (len(r.waiting) != 1 || r.open != nil || len(r.flight) != 1) {
				t.Errorf("%d lanes wait, %d batches in flight, want one of each: the next write waits for the first", len(r.waiting), len(r.flight))
			}
		}))
	}
	c.lose.Store(nil)
	answered(t, "the next write", second)
	if next.Outcome == command.Answered && string(next.Reply.Buf) != ":2\r\n" {
		t.Errorf("the next write: %q", next.Reply.Buf)
	}
	c.equal()
}

// An entry that was evaluated in another term than its own is rejected by every replica, and is no event of the feed.
func TestEntryOfAnotherTermIsRejected(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.do("set", "a", "1")
	m := c.leader()
	before, _ := m.replica.State()
	for _, wrong := range []uint64{1, before.Applied.Term + 1} {
		last := m.replica.Applied()
		c.inTurn(func(r *Replica) {
			l, _ := newLane(request("set", "a", "wrong"))
			r.runLane(l)
			r.open.ev.Term = wrong
			r.open.answers = nil
		})
		must(t, m.replica.WaitApplied(t.Context(), last))
	}
	after, _ := m.replica.State()
	if after.Events != before.Events || after.Chain != before.Chain || after.LastEvent != before.LastEvent {
		t.Errorf("%d events up to %s, before %d up to %s", after.Events, after.LastEvent, before.Events, before.LastEvent)
	}
	if got := c.do("get", "a"); got != "$1\r\n1\r\n" {
		t.Errorf("get: %q", got)
	}
	c.equal()
}

// folded reads a member's log from a mark on, checks it as a reader of the feed does, and folds it.
func (m *member) folded() *event.Fold {
	m.t.Helper()
	r := m.replica
	state, _ := r.State()
	mark, ok, err := r.Mark(r.FirstIndex() - 1)
	if err != nil || !ok {
		m.t.Fatalf("no mark before %d: %v", r.FirstIndex(), err)
	}
	var fold event.Fold
	names := state.Clusters // assigned by events that may be truncated
	var valid event.Validator
	var scratch event.Scratch
	valid.From(mark.LastEvent, mark.Chain)
	at, chain := mark.LastEvent, mark.Chain
	reader := r.NewLogReader(mark.Index + 1)
	defer reader.Close()
	for reader.Index() <= state.Applied.Index {
		entries, err := reader.Next(state.Applied.Index)
		must(m.t, err)
		for _, e := range entries {
			var ev event.Event
			if e.Type != raftpb.EntryNormal || len(e.Data) == 0 {
				continue
			}
			must(m.t, event.Decode(e.Data, &ev))
			if !ev.InFeed(e.Term) {
				continue
			}
			names = slices.Clone(names).Add(ev.Clusters)
			stamp := event.Stamp{Cluster: "test", Namespace: "default", Position: event.Position{Term: e.Term, Index: e.Index}, Prev: at, PrevChain: chain}
			stamp.Chain = event.NextChain(chain, &stamp, &ev, names, &scratch)
			if _, err := valid.Event(&stamp, &ev, names); err != nil {
				m.t.Fatal(err)
			}
			at, chain = stamp.Position, stamp.Chain
			fold.Event(&ev)
		}
	}
	if at != state.LastEvent || chain != state.Chain {
		m.t.Errorf("node %d: the log ends with event %s, chain %s; the store with %s, %s", m.id, at, chain, state.LastEvent, state.Chain)
	}
	return &fold
}

// The store holds exactly what folding the log gives.
func (m *member) equalsItsLog() {
	m.t.Helper()
	fold := m.folded()
	n := 0
	must(m.t, m.replica.store.Keys(nil, func(key []byte, got *event.Meta) bool {
		n++
		if want, ok := fold.Get(key); !ok || fmt.Sprint(want) != fmt.Sprint(*got) {
			m.t.Errorf("node %d: %q is %+v in the store, %+v (%v) in the log", m.id, key, *got, want, ok)
		}
		return true
	}))
	if n != fold.Len() {
		m.t.Errorf("node %d: %d keys in the store, %d in the log", m.id, n, fold.Len())
	}
}
