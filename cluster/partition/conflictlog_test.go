package partition

import (
	"bytes"
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

// A side that has no key settles what diverged by making and removing it in one transaction: the other cluster hears of the removal.
func TestRemovalSettlesWhatDiverged(t *testing.T) {
	var clock manual
	a, b := newCluster(t, 1, named("dc-a", &clock)), newCluster(t, 1, named("dc-b", &clock))
	there, back := a.flows(b), b.flows(a)
	a.leader().doList("rpush l 1")
	there.catchUp()
	a.leader().doList("rpush l 2")
	b.do("del", "l")
	for range 2 {
		there.catchUp()
		back.catchUp()
	}
	expect(t, "diverged", a.do("exists", "l")+b.do("exists", "l"), ":1\r\n:0\r\n")
	expect(t, "made and removed", b.leader().run(exec("set l x", "del l")), "*2\r\n+OK\r\n:1\r\n")
	for range 2 {
		there.catchUp()
		back.catchUp()
	}
	expect(t, "settled", a.do("exists", "l")+b.do("exists", "l"), ":0\r\n:0\r\n")
	for name, c := range map[string]*cluster{"a": a, "b": b} {
		if _, diverged := c.leader().conflictRows(); len(diverged) > 0 {
			t.Errorf("%s: %d diverged", name, len(diverged))
		}
	}
}
