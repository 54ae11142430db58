package partition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/conflict"
)

// A version that is too far ahead stops its sender, and nothing of its range is done; when the clock here has come, it is taken.
func TestReplayClockGuard(t *testing.T) {
	var clock manual
	b := newCluster(t, 1, named("dc-b", &clock))
	s := b.sender("dc-a")
	ahead := clock.now().Add(90 * time.Second).UnixNano()
	for name, far := range map[string]event.Mutation{
		"version": setBy("k", "far", made(ahead), event.Version{}),
		"floor":   {Op: event.OpHSet, Type: event.TypeHash, Key: []byte("h"), Version: made(5), KeyVersion: made(5), Floor: made(ahead), Generation: 1, Count: 1, Elements: []event.Element{{Sub: []byte("f")}}},
		"expiry":  {Op: event.OpValue, Type: event.TypeString, Key: []byte("n"), Version: made(5), ExpiryVersion: made(ahead)},
	} {
		b.unchanged(name, func() {
			_, err := s.send(setBy("near", "1", made(4), event.Version{}), far)
			if why := refused(t, name, err, RefusedClock); why.OffsetMS < 80_000 || why.OffsetMS > 90_000 {
				t.Errorf("%s: ahead by %d ms, want about 90,000", name, why.OffsetMS)
			}
		})
	}
	b.do("set", "local", "v")
	if st, _ := b.leader().replica.State(); st.Clock >= ahead {
		t.Errorf("the clock was dragged along")
	}
	clock.advance(31 * time.Second)
	s.sent(setBy("k", "far", made(ahead), event.Version{}))
	// What is written here over it must win, although the clock here is behind.
	b.do("set", "k", "local")
	m, _, ok, err := b.leader().replica.store.Meta(nil, []byte("k"))
	if err != nil || !ok || m.Version.Time <= ahead {
		t.Errorf("a local write over %d has version %+v, %v", ahead, m.Version, err)
	}
}

// A write in the same batch as one from ahead gets a version above it as well, whichever of the two came first.
func TestReplayBatchedWithWrites(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil))
	s := b.sender("dc-a")
	r := b.leader().replica
	v := event.Version{}
	for i := range 50 {
		ahead := made(time.Now().Add(time.Duration(i+1) * time.Second / 2).UnixNano())
		rng := s.next(s.place(), 0, []event.Mutation{setBy("k", "theirs", ahead, v)})
		before, after := request("set", "other", "1"), request("set", "k", "ours")
		done := make(chan error, 1)
		dones := []chan struct{}{}
		b.inTurn(func(r *Replica) {
			dones = append(dones, b.leader().pending(before))
			go func() {
				_, err := r.Replay(context.Background(), rng)
				done <- err
			}()
			eventually(t, "the range is in the mailbox", func() bool { r.box.Lock(); defer r.box.Unlock(); return len(r.box.calls) > 0 })
			dones = append(dones, b.leader().pending(after))
		})
		must(t, <-done)
		for _, d := range dones {
			answered(t, "the write", d)
		}
		m, _, _, err := r.store.Meta(nil, []byte("k"))
		must(t, err)
		if m.Version.Time <= ahead.Time || string(m.Value) != "ours" {
			t.Fatalf("round %d: %s has %+v, which isn't above %+v", i, "k", m.Version, ahead)
		}
		v = event.Version{}
	}
}

// Equal times are decided by the cluster's id, in both directions.
func TestReplayTie(t *testing.T) {
	for _, c := range []struct {
		cluster, wins string
		here          string
	}{{"dc-a", "$4\r\nours\r\n", "dc-b"}, {"dc-c", "$6\r\ntheirs\r\n", "dc-b"}} {
		b := newCluster(t, 1, named(c.here, nil))
		s := b.sender(c.cluster)
		b.do("set", "k", "ours")
		m, _, _, err := b.leader().replica.store.Meta(nil, []byte("k"))
		must(t, err)
		theirs := byA
		if c.cluster == "dc-c" {
			theirs = byC
		}
		s.sent(setBy("k", "theirs", at(m.Version.Time, theirs), event.Version{}))
		expect(t, c.cluster, b.do("get", "k"), c.wins)
		if records, _ := b.leader().conflictRows(); len(records) != 1 {
			t.Errorf("%s: %d records", c.cluster, len(records))
		}
	}
}

// A write that is older than a removal never brings the key, or the field, back.
func TestReplayRevivesNothing(t *testing.T) {
	var clock manual
	b := newCluster(t, 3, named("dc-b", &clock))
	s := b.sender("dc-a")
	old := clock.now().UnixNano() - 1e9
	for _, line := range []string{"set k v", "del k", "hset h f 1 g 1", "hdel h f", "sadd s a", "del s", "rpush l a", "lpop l", "hset emptied f 1", "hdel emptied f"} {
		b.leader().doList(line)
	}
	field := event.Mutation{
		Op: event.OpHSet, Type: event.TypeHash, Key: []byte("h"), Version: made(old), KeyVersion: made(old), Generation: 1, Count: 1,
		Elements: []event.Element{{Sub: []byte("f"), Value: []byte("old")}},
	}
	member := event.Mutation{
		Op: event.OpSAdd, Type: event.TypeSet, Key: []byte("s"), Version: made(old), KeyVersion: made(old), Generation: 1, Count: 1,
		Elements: []event.Element{{Sub: []byte("a")}},
	}
	emptied := field
	emptied.Key = []byte("emptied")
	got := s.sent(setBy("k", "old", made(old), event.Version{}), field, emptied, member, pushBy("l", made(old), event.Version{}, 1, "old"))
	if got.Conflicts != 5 || got.Applied != 0 {
		t.Errorf("%+v", got)
	}
	expect(t, "k", b.do("exists", "k", "s", "l", "emptied"), ":0\r\n")
	expect(t, "h", b.do("hgetall", "h"), "*2\r\n$1\r\ng\r\n$1\r\n1\r\n")
	records, diverged := b.leader().conflictRows()
	if len(records) != 5 || len(diverged) != 2 {
		t.Errorf("%d records, %d diverged", len(records), len(diverged))
	}
	b.agreeOnRows()
	b.equal()
}

// What was made here, what another sender brings, and expiries are left out.
func TestReplayLeavesOut(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil))
	s, third := b.sender("dc-a"), b.sender("dc-c")
	by := func(m event.Mutation, cluster event.ClusterNumber) event.Mutation {
		m.Origin = &event.Origin{Cluster: cluster, Position: event.Position{Term: 1, Index: 1}}
		return m
	}
	gone := setBy("k", "", made(50), made(50))
	gone.Op = event.OpExpire
	b.do("set", "k", "v")
	got := s.sent(
		by(setBy("mine", "v", at(100, byB), event.Version{}), byB), by(setBy("another's", "v", at(100, byC), event.Version{}), byC),
		gone, by(setBy("its own", "v", made(100), event.Version{}), byA),
	)
	if got.Applied != 1 || got.Skipped != 3 {
		t.Errorf("%+v", got)
	}
	expect(t, "exists", b.do("exists", "mine", "another's", "its own", "k"), ":2\r\n")
	must(t, b.leader().replica.ForgetSender(t.Context(), third.id))
	if got = s.sent(by(setBy("another's", "v", at(100, byC), event.Version{}), byC)); got.Applied != 1 {
		t.Errorf("when it comes no other way: %+v", got)
	}
}

// Versions of clusters that have no number yet get one, the same on every replica and for the next leader; a range that is refused assigns none.
func TestReplayNamesClusters(t *testing.T) {
	b := newCluster(t, 3, named("dc-b", nil))
	s := b.sender("dc-a")
	m := b.leader()
	b.unchanged("refused", func() {
		_, err := s.send(setBy("k", "v", made(100), event.Version{}), setBy("l", "v", at(time.Now().Add(time.Hour).UnixNano(), byC), event.Version{}))
		refused(t, "from ahead", err, RefusedClock)
		_, err = s.send(setBy("k", "v", made(100), event.Version{}), event.Mutation{Op: event.OpRange, Version: at(101, byC)})
		refused(t, "a range delete", err, RefusedNeedsSync)
	})
	b.do("set", "x", "y")
	if st, _ := m.replica.State(); len(st.Clusters) != 2 {
		t.Errorf("clusters %q after what was refused", st.Clusters)
	}
	s.sent(setBy("k", "v", made(100), at(99, byC)))
	for _, other := range b.members {
		b.transfer(other)
		b.do("set", "x", fmt.Sprint(other.id))
		s.sent(setBy("k", "v", made(100+int64(other.id)), event.Version{}))
		st, _ := other.replica.State()
		if got := strings.Join(st.Clusters, " "); got != " dc-b dc-a" && got != " dc-b dc-a dc-c" {
			t.Errorf("node %d: clusters %q", other.id, got)
		}
	}
	b.equal()
}

// A record shows what was here and what came: a string's value, the fields that a write of the whole key took away, as many as a record holds.
func TestReplayRecordsBothSides(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil, func(o *Options) { o.Replication.ContentLimit = 200 }))
	s := b.sender("dc-a")
	last := func() *conflict.Record {
		t.Helper()
		rows, _, err := b.leader().replica.Conflicts(nil, 0, nil)
		must(t, err)
		var newest *conflict.Record
		for _, row := range rows {
			if rec, _, err := conflict.Row(row.ID, row.Value); err == nil && rec != nil && (newest == nil || rec.DecidedAt > newest.DecidedAt) {
				newest = rec
			}
		}
		if newest == nil {
			t.Fatal("no record")
		}
		return newest
	}
	field := event.Mutation{
		Op: event.OpHSet, Type: event.TypeHash, Key: []byte("k"), Version: made(5), KeyVersion: made(5), Generation: 1, Count: 1,
		Elements: []event.Element{{Sub: []byte("f"), Value: []byte("theirs")}},
	}
	b.do("set", "k", "ours")
	s.sent(field)
	if rec := last(); string(rec.Here.Value) != "ours" || rec.Reason != conflict.Older || rec.Here.Version.Cluster != "dc-b" || rec.There.Version.Time != 5 {
		t.Errorf("a field under a string: %+v", rec)
	}
	b.do("del", "k")
	b.leader().doList("hset k a 1 b 2")
	later := func() event.Version { return made(time.Now().Add(time.Second).UnixNano()) }
	s.sent(setBy("k", "theirs", later(), event.Version{}))
	rec := last()
	if len(rec.Here.Parts) != 2 || string(rec.Here.Parts[0].Sub) != "a" || string(rec.Here.Parts[1].Value) != "2" || string(rec.There.Value) != "theirs" {
		t.Errorf("a string over fields: %+v", rec)
	}
	b.do("del", "k")
	for i := range 30 {
		b.leader().doList(fmt.Sprintf("hset k field%d value%d", i, i))
	}
	s.sent(setBy("k", "theirs", later(), event.Version{}))
	if rec = last(); len(rec.Here.Parts) == 0 || len(rec.Here.Parts) >= 30 || rec.Here.Count != 30 {
		t.Errorf("a string over 30 fields shows %d of %d", len(rec.Here.Parts), rec.Here.Count)
	}
	// A removal takes what is older, and leaves what is later.
	b.do("del", "k")
	b.leader().doList("hset k old 1")
	m, _, _, err := b.leader().replica.store.Meta(nil, []byte("k"))
	must(t, err)
	between := made(m.Version.Time + 1)
	b.leader().doList("hset k new 2")
	gone := delBy("k", between, event.Version{})
	gone.Type = event.TypeHash
	s.sent(gone)
	expect(t, "k", b.do("hgetall", "k"), "*2\r\n$3\r\nnew\r\n$1\r\n2\r\n")
	if rec = last(); rec.Reason != conflict.Partly || rec.Removed != 1 {
		t.Errorf("a removal in between: %+v", rec)
	}
	b.equal()
}

// Malformed ranges are refused before anything is done.
func TestReplayMalformed(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil))
	s := b.sender("dc-a")
	r := b.leader().replica
	p := s.place()
	fine := setBy("k", "v", made(100), event.Version{})
	change := func(f func(m *event.Mutation)) *Range {
		m := fine
		f(&m)
		return s.next(p, 0, []event.Mutation{m})
	}
	reshape := func(f func(rng *Range)) *Range {
		rng := s.next(p, 0, []event.Mutation{fine, fine})
		f(rng)
		return rng
	}
	push := pushBy("l", made(100), event.Version{}, 1, "a")
	for name, rng := range map[string]*Range{
		"backward":          reshape(func(rng *Range) { rng.From.Position.Index += 9 }),
		"beyond its end":    reshape(func(rng *Range) { rng.To.Done = 1 }),
		"before its start":  reshape(func(rng *Range) { rng.Slices[0].Position = event.Position{Term: 1, Index: 1} }),
		"numbers":           reshape(func(rng *Range) { rng.Slices[0].Numbers = []uint32{0} }),
		"falling numbers":   reshape(func(rng *Range) { rng.Slices[0].Numbers = []uint32{1, 0} }),
		"no event":          reshape(func(rng *Range) { rng.Slices[0].Event = nil }),
		"a nameless number": change(func(m *event.Mutation) { m.Prev = at(1, 4) }),
		"no version":        change(func(m *event.Mutation) { m.Version = event.Version{} }),
		"origin":            change(func(m *event.Mutation) { m.Origin = &event.Origin{Cluster: 7} }),
		"a type":            change(func(m *event.Mutation) { m.Type = 99 }),
		"type of an op":     change(func(m *event.Mutation) { m.Op = event.OpHSet }),
		"a list's ends":     change(func(m *event.Mutation) { *m = push; m.Value = nil }),
		"an item's place":   change(func(m *event.Mutation) { *m = push; m.Elements = []event.Element{{Sub: []byte("x")}} }),
		"a command":         change(func(m *event.Mutation) { m.Command = "\xff" }),
		"a cluster's id":    reshape(func(rng *Range) { rng.Names = event.Names{"", "\xff", "dc-b", "dc-c"} }),
	} {
		b.unchanged(name, func() {
			if _, err := r.Replay(t.Context(), rng); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v, want ErrMalformed", name, err)
			}
		})
	}
}

// Groups stay what they were, apart from each other and from those of clients.
func TestReplayKeepsGroups(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil))
	s := b.sender("dc-a")
	from := b.leader().applied().Index + 1
	in := func(group uint32, key string, time int64) event.Mutation {
		m := setBy(key, "v", made(time), event.Version{})
		m.Group = group
		return m
	}
	_, err := b.leader().replica.Replay(t.Context(), s.next(s.place(), 0,
		[]event.Mutation{in(0, "a", 1), in(0, "b", 2), in(3, "c", 3)}, []event.Mutation{in(3, "d", 4), in(3, "e", 5)}))
	must(t, err)
	var groups []uint32
	for _, ev := range b.leader().events(from) {
		for i := range ev.Mutations {
			m := &ev.Mutations[i]
			want := event.Position{Term: 1, Index: 2}
			if groups = append(groups, m.Group); len(groups) > 3 {
				want.Index = 3
			}
			if m.Origin == nil || m.Origin.Position != want || m.Command != "set" {
				t.Errorf("%s: origin %v, want %s, command %q", m.Key, m.Origin, want, m.Command)
			}
		}
	}
	if want := []uint32{0, 0, 1, 2, 2}; !reflect.DeepEqual(groups, want) {
		t.Errorf("groups %v, want %v", groups, want)
	}
}

// A range that an event doesn't hold becomes several, cut between groups; a group only where it doesn't fit by itself.
func TestReplayIsCut(t *testing.T) {
	const limit = 8 << 10
	b := newCluster(t, 1, named("dc-b", nil, func(o *Options) { o.MaxEventBytes = limit }))
	s := b.sender("dc-a")
	m := b.leader()
	from := m.applied().Index + 1
	value := strings.Repeat("x", 1000)
	var events [][]event.Mutation
	n := int64(0)
	add := func(group uint32, size int) (ms []event.Mutation) {
		for range size {
			n++
			m := setBy(fmt.Sprint("k", n), value, made(n), event.Version{})
			m.Group = group
			ms = append(ms, m)
		}
		return ms
	}
	events = append(events, append(add(0, 3), add(1, 3)...), add(0, 3), add(0, 20), add(0, 1))
	got, err := m.replica.Replay(t.Context(), s.next(s.place(), 77, events...))
	must(t, err)
	if got.Applied != uint64(n) || got.Sender.Time != 77 || got.Skipped != 0 {
		t.Errorf("%+v, want %d applied", got, n)
	}
	for _, ev := range m.events(from) {
		size := len(event.Append(nil, &ev))
		if size > limit+limit/8 {
			t.Errorf("an event of %d bytes with %d mutations", size, len(ev.Mutations))
		}
		if k := string(ev.Mutations[0].Key); k == "k2" || k == "k3" || k == "k5" || k == "k6" || k == "k8" || k == "k9" {
			t.Errorf("an event begins with %s, within a group that fits", k)
		}
	}
	expect(t, "dbsize", b.do("dbsize"), fmt.Sprintf(":%d\r\n", n))
	st, _ := m.replica.State()
	must(t, m.replica.store.Keys(nil, func(key []byte, meta *event.Meta) bool {
		if by := st.Clusters.ID(meta.Version.Cluster); by != "dc-a" {
			t.Errorf("%s has a version of %s", key, by)
		}
		return true
	}))
	at := s.place()
	b.unchanged("one mutation that fits into no event", func() {
		_, err := s.send(setBy("huge", strings.Repeat("x", 2*limit), made(1000), event.Version{}))
		if why := refused(t, "too large", err, RefusedState); why.Sender.Reached != at.Reached {
			t.Errorf("%+v", why)
		}
	})
	// What was lost is told by its digest, where the contents don't fit.
	b.do("set", "k", strings.Repeat("y", 5000))
	got = s.sent(setBy("k", strings.Repeat("z", 5000), made(1001), event.Version{}))
	records, _ := m.conflictRows()
	if got.Conflicts != 1 || len(records) != 1 || records[0].There.Size != 5000 || records[0].There.Value != nil || len(records[0].Here.Digest) == 0 {
		t.Fatalf("%+v, %d records", got, len(records))
	}
}

// A range waits for what clients write to its keys, and they for it; other keys pass.
func TestReplayWaitsForKeys(t *testing.T) {
	b := newCluster(t, 3, named("dc-b", nil))
	s := b.sender("dc-a")
	b.do("set", "k", "0")
	stop := make(chan struct{})
	counted := make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				counted <- n
				return
			default:
				b.do("incr", "n")
				n++
			}
		}
	}()
	v := event.Version{}
	for i := range 100 {
		now := made(time.Now().UnixNano())
		s.sent(setBy("k", fmt.Sprint(i), now, v), setBy("other", fmt.Sprint(i), now, v))
		v = now
	}
	close(stop)
	want := bulk(fmt.Sprint(<-counted))
	expect(t, "n", b.do("get", "n"), want)
	expect(t, "k", b.do("get", "k"), "$2\r\n99\r\n")
	b.equal()
	b.agreeOnRows()
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// WATCH sees what comes from elsewhere.
func TestReplayIsWatched(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil))
	s := b.sender("dc-a")
	m := b.leader()
	b.do("set", "there", "v")
	for _, key := range []string{"there", "absent"} {
		req := exec("set done 1")
		req.Watched = m.watch(key)
		s.sent(setBy(key, "theirs", made(time.Now().UnixNano()), event.Version{}), delBy(key, made(time.Now().UnixNano()), event.Version{}))
		expect(t, key, m.run(req), "*-1\r\n")
		req = exec("set done 1")
		req.Watched = m.watch(key)
		s.sent(setBy("unrelated", "theirs", made(time.Now().UnixNano()), event.Version{}))
		expect(t, key, m.run(req), "*1\r\n+OK\r\n")
	}
}

// A push from elsewhere serves who waits, in the same event, by a change of this cluster's with a later version.
func TestReplayServesWaiters(t *testing.T) {
	b := newCluster(t, 3, named("dc-b", nil))
	s := b.sender("dc-a")
	m := b.leader()
	first, done1 := m.waiter("blpop l 0", 1)
	second, done2 := m.waiter("blpop l 0", 2)
	from := m.applied().Index + 1
	ahead := made(time.Now().Add(10 * time.Second).UnixNano())
	s.sent(pushBy("l", ahead, event.Version{}, 3, "a", "b", "c"))
	answered(t, "the first", done1)
	answered(t, "the second", done2)
	expect(t, "the first", string(first.Reply.Buf), popped("l", "a"))
	expect(t, "the second", string(second.Reply.Buf), popped("l", "b"))
	expect(t, "what is left", m.doList("lrange l 0 -1"), "*1\r\n$1\r\nc\r\n")
	events := m.events(from)
	if len(events) != 1 || len(events[0].Mutations) != 3 {
		t.Fatalf("%d events", len(events))
	}
	groups := map[uint32]bool{}
	for i := range events[0].Mutations {
		e := &events[0].Mutations[i]
		groups[e.Group] = true
		if i > 0 && (e.Origin != nil || e.Version.Time <= ahead.Time) {
			t.Errorf("pop %d: version %+v, origin %v", i, e.Version, e.Origin)
		}
	}
	if len(groups) != 3 {
		t.Errorf("%d groups", len(groups))
	}
	// Also where the range fills its event.
	third, done3 := m.waiter("blpop late 0", 1)
	from = m.applied().Index + 1
	s.sent(setBy("large", strings.Repeat("x", batchBytes), made(ahead.Time+1), event.Version{}), pushBy("late", made(ahead.Time+2), event.Version{}, 1, "a"))
	answered(t, "the third", done3)
	expect(t, "the third", string(third.Reply.Buf), popped("late", "a"))
	if events = m.events(from); len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
	b.equal()
}

// What builds upon a third cluster's change waits for it, whole; after some patience it is decided without.
func TestReplayWaits(t *testing.T) {
	var clock manual
	b := newCluster(t, 1, named("dc-b", &clock, func(o *Options) { o.Replication.Patience = 10 * time.Second }))
	s, third := b.sender("dc-a"), b.sender("dc-c")
	b.do("set", "k", "ours")
	now := clock.now().UnixNano()
	builds := func() []event.Mutation {
		return []event.Mutation{setBy("first", "v", made(now), event.Version{}), setBy("k", "theirs", made(now+2), at(now+1, byC))}
	}
	waits := func(what string) {
		t.Helper()
		b.unchanged(what, func() {
			_, err := s.send(builds()...)
			refused(t, what, err, RefusedWaits)
		})
	}
	waits("at first")
	clock.advance(9 * time.Second)
	waits("for long")
	expect(t, "nothing of it is here", b.do("exists", "first"), ":0\r\n")
	move := func(time int64) {
		t.Helper()
		at3 := third.place()
		_, err := b.leader().replica.Replay(t.Context(), &Range{Sender: third.id, From: at3.Reached, To: at3.Reached, Time: time, Names: senderNames})
		must(t, err)
	}
	move(now)
	waits("as long as the third isn't here so far")
	move(now + 1) // but what was built upon wasn't among what it brought
	if got := s.sent(builds()...); got.Applied != 2 || got.Conflicts != 1 {
		t.Errorf("when it is here: %+v", got)
	}
	expect(t, "k", b.do("get", "k"), "$6\r\ntheirs\r\n")
	// One that never comes.
	later := func() event.Mutation { return setBy("k", "late", made(now+10), at(now+9, byC)) }
	_, err := s.send(later())
	refused(t, "what never comes", err, RefusedWaits)
	clock.advance(11 * time.Second)
	if got := s.sent(later()); got.Applied != 1 || got.Conflicts != 1 {
		t.Errorf("after some patience: %+v", got)
	}
	must(t, b.leader().replica.ForgetSender(t.Context(), third.id))
	if got := s.sent(setBy("k", "latest", made(now+20), at(now+19, byC))); got.Applied != 1 {
		t.Errorf("of a cluster that isn't known here: %+v", got)
	}
}

// A caller that leaves gives its memory back: nothing of a range that waits is looked at after that.
func TestReplayIsLeft(t *testing.T) {
	b := newCluster(t, 3, named("dc-b", nil))
	s := b.sender("dc-a")
	m := b.leader()
	b.do("set", "k", "v")
	place := s.place()
	b.isolate(m, true)
	held := m.pending(request("set", "k", "w"))
	eventually(t, "the write is in flight", func() bool {
		flies := false
		must(t, m.replica.do(t.Context(), func() { flies = m.replica.flights > 0 }))
		return flies
	})
	key := []byte("k")
	rng := s.next(place, 0, []event.Mutation{setBy("k", "never", made(100), event.Version{})})
	rng.Slices[0].Event.Mutations[0].Key = key
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := m.replica.Replay(ctx, rng)
		result <- err
	}()
	eventually(t, "the range waits", func() bool {
		waits := false
		must(t, m.replica.do(t.Context(), func() { waits = len(m.replica.waiting) > 0 }))
		return waits
	})
	cancel()
	if err := <-result; !errors.Is(err, ErrUnknownOutcome) && !errors.Is(err, ErrNotLeader) {
		t.Errorf("%v", err)
	}
	copy(key, "x") // the race detector sees who reads it now
	rng.Slices = nil
	b.isolate(m, false)
	answered(t, "the write", held)
	if got := b.do("exists", "x"); got != ":0\r\n" {
		t.Errorf("x is there: %s", got)
	}
}

// What diverged is open until a whole-key write heals it, whoever makes that; a part of the key's content doesn't.
func TestDivergedKeys(t *testing.T) {
	b := newCluster(t, 3, named("dc-b", nil))
	s := b.sender("dc-a")
	open := func(want int) []*conflict.Diverged {
		t.Helper()
		_, diverged := b.leader().conflictRows()
		if len(diverged) != want {
			t.Fatalf("%d keys have diverged, want %d", len(diverged), want)
		}
		return diverged
	}
	clash := func(key string, time int64) { s.sent(pushBy(key, made(time), made(time-1), 2, "theirs")) }
	for _, key := range []string{"l", "m", "n", "o"} {
		b.leader().doList("rpush " + key + " ours")
	}
	now := time.Now().UnixNano()
	clash("l", now)
	clash("l", now+1)
	s.sent(pushBy("l", made(now+2), made(now+1), 3, "theirs"), pushBy("l", made(now+3), made(now+2), 4, "theirs"))
	if d := open(1)[0]; d.Count != 3 || !bytes.Equal(d.Key, []byte("l")) || d.Source != "dc-a" || d.Latest.Time != now+3 {
		t.Errorf("%+v, want 3 events", d)
	}
	b.leader().doList("rpush l more")
	open(1)
	for _, heals := range []string{"del l", "set l v", "sort m alpha store l"} {
		clash("l", now+10)
		b.leader().doList("rpush l again")
		open(1)
		b.leader().doList(heals)
		open(0)
		b.leader().doList("del l")
		b.leader().doList("rpush l ours")
	}
	for i, key := range []string{"l", "m", "n", "o"} {
		clash(key, now+100+int64(i))
	}
	open(4)
	b.agreeOnRows()
	// Not by a repeat of what diverged, but by what is later than that.
	later := time.Now().Add(time.Second).UnixNano()
	s.sent(delBy("m", made(later), made(now+101)))
	open(3)
	// The next leader knows of them.
	for _, m := range b.members {
		b.transfer(m)
		open(3)
	}
	b.leader().doList("del l")
	open(2)
	req := exec("del n", "set o v", "rpush p x")
	b.leader().run(req)
	open(0)
	must(t, b.leader().replica.do(t.Context(), func() {
		if r := b.leader().replica; len(r.conflicts.keys) != 0 || len(r.conflicts.flying) != 0 {
			t.Errorf("%d keys, %d rows in flight are remembered", len(r.conflicts.keys), len(r.conflicts.flying))
		}
	}))
	b.agreeOnRows()
	b.equal()
}

// A transaction that doesn't fit takes the healing of its keys back with it.
func TestHealingIsRolledBack(t *testing.T) {
	const limit = 4 << 10
	b := newCluster(t, 1, named("dc-b", nil, func(o *Options) { o.MaxEventBytes = limit }))
	s := b.sender("dc-a")
	b.leader().doList("rpush l ours")
	now := time.Now().UnixNano()
	s.sent(pushBy("l", made(now), made(now-1), 2, "theirs"))
	half := strings.Repeat("x", 2*limit/3)
	req := exec("del l", "set a "+half, "set b "+half)
	if got := b.leader().run(req); !strings.Contains(got, "max_event_bytes") {
		t.Errorf("%q", got)
	}
	b.do("set", "x", "y")
	if _, diverged := b.leader().conflictRows(); len(diverged) != 1 {
		t.Errorf("%d keys have diverged", len(diverged))
	}
	b.leader().run(exec("del l", "set a 1"))
	if _, diverged := b.leader().conflictRows(); len(diverged) != 0 {
		t.Errorf("%d keys have diverged", len(diverged))
	}
}

// The conflict log is listed by pages, purged by id, and trimmed by age and size, oldest first.
func TestConflictLog(t *testing.T) {
	var clock manual
	b := newCluster(t, 3, named("dc-b", &clock, func(o *Options) { o.Replication.ConflictAge, o.Replication.ConflictBytes = time.Hour, 8<<10 }))
	s := b.sender("dc-a")
	m := b.leader()
	old := clock.now().Add(-30 * time.Minute).UnixNano()
	conflicts := func(n int, from int64) {
		t.Helper()
		var ms []event.Mutation
		for i := range n {
			key := fmt.Sprint("k", from, "-", i)
			b.do("set", key, "ours")
			ms = append(ms, setBy(key, "theirs", made(from+int64(i)), event.Version{}))
		}
		s.sent(ms...)
	}
	conflicts(10, old)
	b.leader().doList("rpush l ours")
	s.sent(pushBy("l", made(old), made(old-1), 2, "theirs"))
	var all []ConflictRow
	var after []byte
	for {
		rows, next, err := m.replica.Conflicts(after, 3, nil)
		must(t, err)
		all = append(all, rows...)
		if after = next; next == nil {
			break
		}
		if len(rows) != 3 {
			t.Errorf("a page of %d rows", len(rows))
		}
	}
	if len(all) != 12 {
		t.Fatalf("%d rows listed, want 11 records and a key that has diverged", len(all))
	}
	b.agreeOnRows()
	only, _, err := b.members[1].replica.Conflicts(nil, 0, func(_ *conflict.Record, d *conflict.Diverged) bool { return d != nil })
	if err != nil || len(only) != 1 {
		t.Errorf("%d rows have diverged, %v", len(only), err)
	}
	n, err := m.replica.PurgeConflicts(t.Context(), [][]byte{all[0].ID, all[3].ID, all[11].ID, []byte("\x01none")})
	if err != nil || n != 3 {
		t.Errorf("purged %d, %v", n, err)
	}
	b.unchanged("purged again", func() {
		if n, err := m.replica.PurgeConflicts(t.Context(), [][]byte{all[0].ID}); err != nil || n != 0 {
			t.Errorf("purged %d, %v", n, err)
		}
		for _, bad := range [][]byte{nil, {rowCounts}} {
			if _, err := m.replica.PurgeConflicts(t.Context(), [][]byte{bad}); !errors.Is(err, ErrMalformed) {
				t.Errorf("purge of % x: %v", bad, err)
			}
		}
	})
	records, diverged := m.conflictRows()
	if len(records) != 9 || len(diverged) != 0 {
		t.Errorf("%d records, %d diverged are left", len(records), len(diverged))
	}
	b.agreeOnRows()
	// By size: the newest stay.
	recent := clock.now().UnixNano()
	conflicts(100, recent-1e9)
	eventually(t, "the log is within its size", func() bool { p, err := m.replica.Places(); must(t, err); return p.ConflictBytes <= 8<<10 })
	records, _ = m.conflictRows()
	if len(records) < 10 || records[len(records)-1].There.Version.Time != recent-1e9+99 {
		t.Errorf("%d records are left, the last of %d", len(records), records[len(records)-1].There.Version.Time)
	}
	// By age.
	clock.advance(2 * time.Hour)
	eventually(t, "the log is empty", func() bool { p, err := m.replica.Places(); must(t, err); return p.ConflictRows == 0 })
	m.conflictRows()
	b.agreeOnRows()
}

// What is counted of the conflict log is right, however ranges come together in batches, and whichever of these come to nothing under a leader that stays.
func TestConflictCounts(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil))
	m := b.leader()
	b.leader().doList("rpush l ours")
	var senders []*stream
	for _, cluster := range []string{"dc-a", "dc-c", "dc-d", "dc-e"} {
		s := b.sender(cluster)
		s.sent(pushBy("l", made(5), made(4), 2, "theirs"))
		senders = append(senders, s)
	}
	was, _ := m.conflictRows()
	m.stop()
	m.running.Wait() // the raft loop takes nothing any more
	submit := func(r *Replica, i int) {
		s := senders[i]
		held, _, err := r.store.Sender(s.id)
		must(t, err)
		c := &rangeCall{r: r, highest: 10, rng: s.next(held, 0, []event.Mutation{pushBy("l", made(7+int64(i)), made(6), 2, "theirs")})}
		c.errand = errand{spec: writeErrand, place: senderPlace(s.id), keys: c.eachKey, run: c.run}
		r.evaluateLanes([]*lane{{reqs: []*command.Request{{Spec: writeErrand}}, errand: &c.errand, uncounted: true}})
	}
	take := func(r *Replica) *batch {
		p := r.TakeProposal()
		if p == nil {
			t.Fatal("nothing is proposed")
		}
		r.evaluateLanes(nil)
		return p.Owner.(*batch)
	}
	must(t, m.replica.do(t.Context(), func() {
		r := m.replica
		before := r.conflicts.counts
		count := func(what string, want uint64) {
			t.Helper()
			if got := r.conflicts.counts; got.records != before.records+want || got.diverged != uint64(len(senders)) {
				t.Errorf("%s: %+v, want %d more than %+v", what, got, want, before)
			}
		}
		submit(r, 0)
		submit(r, 1) // into the same batch, which was offered meanwhile
		first := take(r)
		rows := 0
		for i := range first.ev.Own {
			if o := &first.ev.Own[i]; o.ID[0] == rowCounts && o.Kind == event.OwnConflict {
				rows++
				if c, err := readCounts(o.Value); err != nil || c != r.conflicts.counts {
					t.Errorf("the batch says %+v, %v, want %+v", c, err, r.conflicts.counts)
				}
			}
		}
		if rows != 1 {
			t.Errorf("%d rows with counts in a batch", rows)
		}
		count("two in flight", 2)
		submit(r, 2)
		second := take(r)
		submit(r, 3)
		r.handleDropped(&first.proposal)
		count("all dropped", 0)
		r.handleDropped(&second.proposal)
		count("all dropped", 0)
		if len(r.conflicts.flying) != 0 || len(r.moving) != 0 {
			t.Errorf("%d rows and %d places are in flight", len(r.conflicts.flying), len(r.moving))
		}
		submit(r, 0)
		count("once more", 1)
		third := take(r)
		submit(r, 1)
		r.handleDropped(&third.proposal)
		count("dropped again", 0)
		r.evaluateLanes(nil)
	}))
	if now, _ := m.conflictRows(); len(now) != len(was) {
		t.Errorf("%d records, before %d", len(now), len(was))
	}
}

// Whoever writes sees what was decided counted.
func TestReplayCounts(t *testing.T) {
	b := newCluster(t, 1, named("dc-b", nil))
	s := b.sender("dc-a")
	b.do("set", "k", "ours")
	s.sent(setBy("k", "theirs", made(5), event.Version{}), setBy("k", "theirs", made(time.Now().Add(time.Second).UnixNano()), event.Version{}))
	p, err := b.leader().replica.Places()
	must(t, err)
	if want := map[string]uint64{"older": 1, "later": 1}; !reflect.DeepEqual(p.Outcomes, want) {
		t.Errorf("%v, want %v", p.Outcomes, want)
	}
}
