package partition

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
)

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
