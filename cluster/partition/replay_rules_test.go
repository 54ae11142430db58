package partition

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
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

// EXEC fails when an element of a watched key was written by a change from elsewhere that is older than the key, whose version stays as it is.
func TestWatchOfOlderElements(t *testing.T) {
	var clock manual
	b := newCluster(t, 1, named("dc-b", &clock))
	s := b.sender("dc-a")
	old := clock.now().UnixNano() - 1e9
	field := func(made event.Version, value string) event.Mutation {
		return event.Mutation{
			Op: event.OpHSet, Type: event.TypeHash, Key: []byte("h"), Version: made, KeyVersion: made, Generation: 1, Count: 1,
			Elements: []event.Element{{Sub: []byte("f"), Value: []byte(value)}},
		}
	}
	s.sent(field(made(old), "1"))
	b.do("hset", "h", "g", "1") // the key's version
	m := b.leader()
	for name, line := range map[string]string{"holds": "", "changed": "2"} {
		req := exec("set n 1")
		req.Watched = m.watch("h")
		want := "*1\r\n+OK\r\n"
		if line != "" {
			later := field(made(old+5), line)
			later.Elements[0].Prev = made(old)
			s.sent(later)
			expect(t, "field", b.do("hget", "h", "f"), "$1\r\n2\r\n")
			want = "*-1\r\n"
		}
		expect(t, name, m.run(req), want)
	}
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
