package partition

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/store"
)

// unchanged wants that a call leaves nothing behind: no entry, and nothing in memory of the leader that a later batch would bring.
func (c *cluster) unchanged(what string, call func()) {
	c.t.Helper()
	m := c.leader()
	look := func() (s []any) {
		must(c.t, m.replica.do(c.t.Context(), func() {
			r := m.replica
			s = []any{r.store.State().Applied, len(r.inflight), len(r.moving), r.conflicts.counts, len(r.conflicts.flying), r.flights, r.open == nil || r.open.empty()}
		}))
		return s
	}
	before := look()
	call()
	if after := look(); !reflect.DeepEqual(after, before) {
		c.t.Errorf("%s: before %+v, after %+v", what, before, after)
	}
}

// A range is taken where the place is, and only there; what is behind that is in already.
func TestReplayPlace(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil))
	s := b.sender("dc-a")
	r := b.leader().replica
	first := s.place()
	v := func(i int64) event.Version { return at(100+i, byA) }
	s.sent(setBy("k", "1", v(1), event.Version{}))
	second := s.place()
	if second.Reached.Position.Index != first.Reached.Position.Index+1 || second.Reached.Done != store.AllDone {
		t.Errorf("after one event: %s", second.Reached)
	}
	third := func() []event.Mutation {
		return []event.Mutation{setBy("k", "2", v(2), v(1)), setBy("l", "2", v(3), event.Version{})}
	}
	gap := s.next(second, 0, third())
	gap.From.Position.Index++
	gap.To.Position.Index++
	gap.Slices[0].Position.Index++
	b.unchanged("a gap", func() {
		_, err := r.Replay(t.Context(), gap)
		if why := refused(t, "a gap", err, RefusedGap); why.Sender.Reached != second.Reached {
			t.Errorf("the place is said to be %s, want %s", why.Sender.Reached, second.Reached)
		}
	})
	b.unchanged("a range that is in", func() {
		got, err := r.Replay(t.Context(), s.next(first, 0, []event.Mutation{setBy("k", "never", v(1), event.Version{})}))
		must(t, err)
		if got.Sender.Reached != second.Reached || got.Applied != 0 {
			t.Errorf("%+v", got)
		}
	})
	// It begins with what is in, with another content to see that it is left out.
	overlaps := s.next(first, 0, []event.Mutation{setBy("k", "never", at(1000, byA), event.Version{})}, third())
	got, err := r.Replay(t.Context(), overlaps)
	must(t, err)
	if got.Applied != 2 || got.Skipped != 1 {
		t.Errorf("overlapping: %+v", got)
	}
	expect(t, "k", b.do("get", "k"), "$1\r\n2\r\n")
	// A half of an event, then the whole.
	fourth := func() *Range {
		return s.next(got.Sender, 0, []event.Mutation{setBy("k", "3", v(4), v(2)), setBy("l", "3", v(5), v(3))})
	}
	half := fourth()
	half.Slices[0].Event.Mutations = half.Slices[0].Event.Mutations[:1]
	half.To.Done = 1
	got, err = r.Replay(t.Context(), half)
	must(t, err)
	if got.Sender.Reached.Done != 1 {
		t.Errorf("half of an event: %s", got.Sender.Reached)
	}
	expect(t, "l", b.do("get", "l"), "$1\r\n2\r\n")
	whole := fourth()
	whole.From, whole.To = got.Sender.Reached, store.Cursor{Position: got.Sender.Reached.Position, Done: store.AllDone}
	whole.Slices[0] = Slice{Position: whole.To.Position, Numbers: []uint32{1}, Event: &event.Event{Mutations: []event.Mutation{setBy("l", "3", v(5), v(3))}}}
	got, err = r.Replay(t.Context(), whole)
	must(t, err)
	expect(t, "l", b.do("get", "l"), "$1\r\n3\r\n")
	if records, _ := b.leader().conflictRows(); len(records) != 0 {
		t.Errorf("%d conflicts", len(records))
	}
}

// A range without changes moves the place and its time; one that moves neither is no entry; time doesn't go back.
func TestReplayMovesThePlaceAlone(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil))
	s := b.sender("dc-a")
	r := b.leader().replica
	at0 := s.place()
	onward := &Range{Sender: s.id, From: at0.Reached, To: store.Cursor{Position: event.Position{Term: 1, Index: 9}, Done: store.AllDone}, Time: 50}
	got, err := r.Replay(t.Context(), onward)
	must(t, err)
	if got.Sender.Time != 50 || got.Sender.Reached != onward.To {
		t.Errorf("%+v", got.Sender)
	}
	heartbeat := &Range{Sender: s.id, From: onward.To, To: onward.To, Time: 70}
	got, err = r.Replay(t.Context(), heartbeat)
	must(t, err)
	if got.Sender.Time != 70 || got.Sender.Reached != onward.To || s.place().Time != 70 {
		t.Errorf("%+v", got.Sender)
	}
	for _, time := range []int64{0, 60, 70} {
		b.unchanged("a heartbeat that says nothing new", func() {
			heartbeat.Time = time
			if got, err := r.Replay(t.Context(), heartbeat); err != nil || got.Sender.Time != 70 {
				t.Errorf("%+v, %v", got.Sender, err)
			}
		})
	}
	if st, _ := b.leader().replica.State(); st.Events != 0 {
		t.Errorf("%d events", st.Events)
	}
}

// A place that can't be gone on from is refused, for each reason.
func TestReplayNeedsSync(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil))
	m := b.leader()
	r := m.replica
	id := store.SenderID{Cluster: "dc-a", Namespace: "default"}
	s := &stream{t: t, to: b, id: id}
	some := func(at store.Sender) *Range {
		return s.next(at, 0, []event.Mutation{setBy("k", "never", made(1000), event.Version{})})
	}
	b.unchanged("an unknown sender", func() {
		_, err := r.Replay(t.Context(), some(store.Sender{}))
		refused(t, "an unknown sender", err, RefusedState)
	})
	p, err := r.OpenSender(t.Context(), id, 1, meta.HashCRC16)
	must(t, err)
	if !p.NeedsSync || p.Why == "" {
		t.Errorf("opened for the first time: %+v", p)
	}
	b.unchanged("without a place", func() {
		_, err := r.Replay(t.Context(), some(p.Sender))
		refused(t, "without a place", err, RefusedNeedsSync)
	})
	put := func(at store.Sender, more ...event.OwnChange) {
		b.inTurn(func(r *Replica) {
			for _, o := range append(more, store.SenderChange(id, &at)) {
				r.changeOwn(answer{lane: &lane{open: 1}, req: request("ping")}, o)
			}
		})
		eventually(t, "it is applied", func() bool { got, _, _ := r.store.Sender(id); return reflect.DeepEqual(got, at) })
		b.inTurn(func(r *Replica) { must(t, r.readPlaces()) })
	}
	at1 := store.Sender{Partitions: 1, Hash: meta.HashCRC16, Reached: store.Cursor{Position: event.Position{Term: 1, Index: 5}, Done: store.AllDone}, Time: 500}
	syncing := at1
	syncing.Sync = &store.FullSync{Base: event.Position{Term: 1, Index: 9}, Through: []byte("q")}
	put(syncing)
	b.unchanged("during a full sync", func() {
		_, err := r.Replay(t.Context(), some(syncing))
		refused(t, "during a full sync", err, RefusedNeedsSync)
	})
	put(at1, store.Watermark(501))
	b.unchanged("below the watermark", func() {
		_, err := r.Replay(t.Context(), some(at1))
		refused(t, "below the watermark", err, RefusedNeedsSync)
	})
	at1.Time = 501
	put(at1)
	if _, err := r.Replay(t.Context(), some(at1)); err != nil {
		t.Errorf("at the watermark: %v", err)
	}
	got, _ := r.OpenSender(t.Context(), id, 1, meta.HashCRC16)
	b.unchanged("a range delete", func() {
		_, err := r.Replay(t.Context(), s.next(got.Sender, 0, []event.Mutation{setBy("k", "never", made(2000), event.Version{}), {Op: event.OpRange, Version: made(2001)}}))
		refused(t, "a range delete", err, RefusedNeedsSync)
	})
}

func made(time int64) event.Version { return at(time, byA) }

// What is in a region at or before its base was in the rows of a full sync.
func TestReplayRegions(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil))
	s := b.sender("dc-a")
	r := b.leader().replica
	at0 := s.place()
	base := func(i uint64) event.Position { return event.Position{Term: 1, Index: at0.Reached.Position.Index + i} }
	at0.Regions = []store.Region{{Through: []byte("d"), Base: base(1)}, {Through: []byte("m"), Base: base(2)}}
	b.inTurn(func(r *Replica) {
		r.changeOwn(answer{lane: &lane{open: 1}, req: request("ping")}, store.SenderChange(s.id, &at0))
	})
	eventually(t, "it is applied", func() bool { got, _, _ := r.store.Sender(s.id); return len(got.Regions) > 0 })
	b.inTurn(func(r *Replica) { must(t, r.readPlaces()) })
	all := func(value string, time int64) (ms []event.Mutation) {
		for i, key := range []string{"a", "k", "z"} {
			ms = append(ms, setBy(key, value, made(time+int64(i)), event.Version{}))
		}
		return ms
	}
	got, err := r.Replay(t.Context(), s.next(at0, 0, all("1", 100)))
	must(t, err)
	if got.Applied != 1 || got.Skipped != 2 || len(got.Sender.Regions) != 2 {
		t.Errorf("at the first base: %+v", got)
	}
	got, err = r.Replay(t.Context(), s.next(got.Sender, 0, all("2", 200), all("3", 300)))
	must(t, err)
	if got.Applied != 5 || got.Skipped != 1 || len(got.Sender.Regions) != 0 {
		t.Errorf("past all: %+v", got)
	}
	for _, key := range []string{"a", "k", "z"} {
		expect(t, key, b.do("get", key), "$1\r\n3\r\n")
	}
}

// Open, adopt and forget, on every replica alike; the first of all switches tombstones on, as a barrier.
func TestSenders(t *testing.T) {
	b := newCluster(t, 3, named("dc-b", nil))
	b.do("set", "k", "v")
	r := b.leader().replica
	id := store.SenderID{Cluster: "dc-a", Namespace: "default", Partition: 2}
	before := b.leader().applied()
	p, err := r.OpenSender(t.Context(), id, 4, meta.HashMurmur3)
	must(t, err)
	if want := (store.Sender{Partitions: 4, Hash: meta.HashMurmur3}); !reflect.DeepEqual(p.Sender, want) {
		t.Errorf("opened: %+v", p)
	}
	since, err := r.store.Replicates()
	must(t, err)
	if since.Index != before.Index+1 {
		t.Errorf("tombstones are kept since %s, want the entry after %s", since, before)
	}
	b.do("del", "k")
	if _, _, kept, err := r.store.Tombstone(nil, []byte("k")); err != nil || !kept {
		t.Errorf("after that a deleted key leaves no tombstone: %v", err)
	}
	b.unchanged("opened again", func() {
		again, err := r.OpenSender(t.Context(), id, 4, meta.HashMurmur3)
		if err != nil || !reflect.DeepEqual(again.Sender, p.Sender) {
			t.Errorf("%+v, %v", again, err)
		}
	})
	b.unchanged("refused", func() {
		_, err := r.OpenSender(t.Context(), id, 8, meta.HashMurmur3)
		refused(t, "with other partitions", err, RefusedState)
		_, err = r.AdoptSender(t.Context(), id, 4, meta.HashCRC16, event.Position{Term: 1, Index: 1}, 1)
		refused(t, "with another hash", err, RefusedState)
		_, err = r.OpenSender(t.Context(), store.SenderID{Cluster: "dc-b", Namespace: "default"}, 1, meta.HashCRC16)
		refused(t, "this cluster itself", err, RefusedState)
		for _, bad := range []store.SenderID{{Namespace: "n"}, {Cluster: "c"}, {Cluster: "c", Namespace: "n", Partition: 4}} {
			if _, err := r.OpenSender(t.Context(), bad, 4, meta.HashCRC16); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v, want ErrMalformed", bad, err)
			}
		}
	})
	for _, m := range b.members {
		if m != b.leader() {
			if _, err := m.replica.OpenSender(t.Context(), id, 4, meta.HashMurmur3); !errors.Is(err, ErrNotLeader) {
				t.Errorf("node %d: %v, want ErrNotLeader", m.id, err)
			}
		}
	}
	adopted, err := r.AdoptSender(t.Context(), id, 4, meta.HashMurmur3, event.Position{Term: 3, Index: 7}, 9)
	must(t, err)
	if adopted.NeedsSync || adopted.Sender.Reached != (store.Cursor{Position: event.Position{Term: 3, Index: 7}, Done: store.AllDone}) || adopted.Sender.Time != 9 {
		t.Errorf("adopted: %+v", adopted)
	}
	b.agreeOnRows()
	places, err := r.Places()
	must(t, err)
	if len(places.Senders) != 1 || places.Senders[0].ID != id || !places.Replicates || !places.Leading {
		t.Errorf("%+v", places)
	}
	must(t, r.ForgetSender(t.Context(), id))
	b.unchanged("forgotten again", func() { must(t, r.ForgetSender(t.Context(), id)) })
	b.agreeOnRows()
	if p, err = r.OpenSender(t.Context(), id, 8, meta.HashCRC16); err != nil || !p.NeedsSync {
		t.Errorf("opened after that: %+v, %v", p, err)
	}
}

// TestNamespacesStayApart: two namespaces of one cluster don't come into one here, as the full sync of either would delete what the other brought.
func TestNamespacesStayApart(t *testing.T) {
	a, b := newSide(t, "dc-a", 1, 1), newSide(t, "dc-b", 1, 1)
	a.replicates("dc-b")
	a.do("set", "k", "v")
	a.fullSync(b, seeded(t), 0)
	other := store.SenderID{Cluster: "dc-a", Namespace: "other"}
	r := b.parts[0].leader().replica
	b.parts[0].unchanged("another namespace", func() {
		_, err := r.OpenSender(t.Context(), other, 1, meta.HashCRC16)
		refused(t, "opened", err, RefusedState)
		_, err = r.AdoptSender(t.Context(), other, 1, meta.HashCRC16, event.Position{Term: 1, Index: 1}, 1)
		refused(t, "adopted", err, RefusedState)
	})
	if _, err := r.OpenSender(t.Context(), store.SenderID{Cluster: "dc-c", Namespace: "other"}, 1, meta.HashCRC16); err != nil {
		t.Errorf("another cluster's namespace of another name: %v", err)
	}
	must(t, r.ForgetSender(t.Context(), store.SenderID{Cluster: "dc-a", Namespace: "default"}))
	if p, err := r.OpenSender(t.Context(), other, 1, meta.HashCRC16); err != nil || !p.NeedsSync {
		t.Errorf("after the first was forgotten: %+v, %v", p, err)
	}
}

// Peers confirm forward only, and each of them is registered once.
func TestPeers(t *testing.T) {
	a := newCluster(t, 3, named("dc-a", nil))
	a.do("set", "k", "v")
	before := a.leader().applied()
	r := a.leader().replica
	confirm := func(peer string, time int64) event.Position {
		t.Helper()
		since, err := r.ConfirmPeer(t.Context(), peer, time)
		must(t, err)
		return since
	}
	since := confirm("dc-b", 0)
	if since.Index != before.Index+1 {
		t.Errorf("tombstones are kept since %s, want the entry after %s", since, before)
	}
	a.unchanged("registered again", func() { confirm("dc-b", 0) })
	if again := confirm("dc-b", 100); again != since {
		t.Errorf("since %s, then %s", since, again)
	}
	a.unchanged("confirmed late", func() { confirm("dc-b", 99); confirm("dc-b", 100) })
	confirm("dc-c", 5)
	places, err := r.Places()
	must(t, err)
	if want := []PeerPlace{{"dc-b", store.Peer{Confirmed: 100}}, {"dc-c", store.Peer{Confirmed: 5}}}; !reflect.DeepEqual(places.Peers, want) {
		t.Errorf("%+v, want %+v", places.Peers, want)
	}
	a.agreeOnRows()
	must(t, r.RemovePeer(t.Context(), "dc-b"))
	a.unchanged("removed again", func() { must(t, r.RemovePeer(t.Context(), "dc-b")) })
	if _, err := r.ConfirmPeer(t.Context(), "dc-a", 1); !errors.Is(err, ErrMalformed) {
		t.Errorf("this cluster itself: %v", err)
	}
	for i := range maxPeers - 1 {
		confirm("peer"+string(rune('A'+i)), time.Now().UnixNano())
	}
	a.unchanged("one too many", func() {
		_, err := r.ConfirmPeer(t.Context(), "one more", 1)
		refused(t, "one too many", err, RefusedState)
	})
}

// Only entries move a partition's clock: one at rest gets an entry for it now and then, when a peer asks how far it is, whoever leads.
func TestPeersOfOneAtRest(t *testing.T) {
	var clock manual
	a := newCluster(t, 3, named("dc-a", &clock))
	a.do("set", "k", "v")
	confirm := func(time int64) store.State {
		t.Helper()
		r := a.leader().replica
		_, err := r.ConfirmPeer(t.Context(), "dc-b", time)
		must(t, err)
		st, _ := r.State()
		return st
	}
	first := confirm(100)
	a.unchanged("asked again", func() { confirm(0) })
	clock.advance(restsAfter + time.Second)
	if next := confirm(0); next.Clock < first.Clock+int64(restsAfter) {
		t.Errorf("its clock is %d, and was %d", next.Clock, first.Clock)
	}
	places, err := a.leader().replica.Places()
	must(t, err)
	if places.Peers[0].Confirmed != 100 {
		t.Errorf("%+v", places.Peers)
	}
	a.agreeOnRows()
}
