package partition

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/store"
)

// follow carries what came into the source's log after a full sync, of one partition of it, to one target partition.
func (s *syncing) follow() {
	s.t.Helper()
	for q := range s.from.cut().Sharing(s.p, s.to.cut()).All() {
		c := s.to.parts[q]
		one := &stream{t: s.t, from: s.from.parts[s.p], to: c, id: s.sender()}
		head := one.source().applied()
		at := s.placeOf(c)
		for at.Reached.Position.Compare(head) < 0 {
			rng := one.rangeFrom(at.Reached)
			rng.To.Position = head
			s.keep(rng, q)
			c.asLeader("a range is taken", func(r *Replica) error {
				got, err := r.Replay(s.t.Context(), rng)
				if err != nil {
					rng = one.rangeFrom(s.placeOf(c).Reached)
					rng.To.Position = head
					s.keep(rng, q)
				}
				at = got.Sender
				return err
			})
		}
	}
}

// keep leaves of a range what is the target partition's, up to its end.
func (s *syncing) keep(rng *Range, q uint32) {
	kept := rng.Slices[:0]
	for _, slice := range rng.Slices {
		if slice.Position.Compare(rng.To.Position) > 0 {
			continue
		}
		ms, numbers := slice.Event.Mutations[:0], slice.Numbers[:0]
		for i := range slice.Event.Mutations {
			if store.PartitionBySlot(slice.Event.Mutations[i].Key, uint32(len(s.to.parts))) == q {
				ms, numbers = append(ms, slice.Event.Mutations[i]), append(numbers, slice.Numbers[i])
			}
		}
		if slice.Event.Mutations, slice.Numbers = ms, numbers; len(ms) > 0 {
			kept = append(kept, slice)
		}
	}
	rng.Slices = kept
}

func (s *syncing) placeOf(c *cluster) (at store.Sender) {
	c.asLeader("the sender is open", func(r *Replica) error {
		p, err := r.OpenSender(s.t.Context(), s.sender(), uint32(len(s.from.parts)), meta.HashCRC16)
		at = p.Sender
		return err
	})
	return at
}

// TestFullSyncGoesOn: a full sync that is broken off goes on behind the keys that are in, with the state at a later position, while the source is
// written to and targets lose their leaders; the log after it, of which each key has been taken up to another place, makes them equal.
func TestFullSyncGoesOn(t *testing.T) {
	for _, shape := range [][2]int{{1, 1}, {3, 2}} {
		t.Run(fmt.Sprint(shape[0], " to ", shape[1]), func(t *testing.T) {
			t.Parallel()
			draw := seeded(t)
			a, b := newSide(t, "dc-a", shape[0], 1), newSide(t, "dc-b", shape[1], 3)
			a.replicates("dc-b")
			a.fill(draw, 2000)
			a.large("one")
			var all []*syncing
			for p := range a.parts {
				s := &syncing{t: t, from: a, to: b, p: uint32(p), draw: draw, cut: 2}
				all = append(all, s)
				left := 0
				s.each = func() bool {
					left--
					return left >= 0
				}
				for left = 1 + draw.IntN(6); !s.run(); left = 2 + draw.IntN(20) {
					a.fill(draw, 200)
					if draw.IntN(3) == 0 {
						b.parts[draw.IntN(len(b.parts))].leader().restart(draw)
					}
				}
			}
			a.fill(draw, 500)
			for _, s := range all {
				s.follow()
			}
			a.equals(b)
			for _, c := range b.parts {
				c.agreeOnRows()
				records, _ := c.leader().conflictRows()
				for _, rec := range records {
					t.Errorf("nobody wrote to the target, and there is a conflict: %s %q %q: %s %s; here %s, there %s at %s", rec.Register, rec.Key, rec.Sub, rec.Action, rec.Reason,
						fmt.Sprint(rec.Here.Version, rec.Here.Type, rec.Here.ExpireAt), fmt.Sprint(rec.There.Version, rec.There.Type, rec.Op, rec.Command, rec.There.ExpireAt), rec.There.Place.Position)
				}
			}
		})
	}
}

// restart ends a member as kill -9 does, and starts it again.
func (m *member) restart(draw interface{ IntN(int) int }) {
	m.crash(draw.IntN)
	m.start()
}

// TestFullSyncMeetsWrites: what clients of the target wrote while the source didn't hear of it stays where nobody else wrote and is told of, goes by its time
// where the timestamp rule holds, and has diverged where not.
func TestFullSyncMeetsWrites(t *testing.T) {
	draw := seeded(t)
	a, b := newSide(t, "dc-a", 1, 1), newSide(t, "dc-b", 1, 1)
	a.replicates("dc-b")
	for _, args := range [][]string{
		{"set", "both", "1"}, {"set", "deleted", "1"}, {"set", "ancestor", "1"}, {"hset", "h", "f", "1", "g", "1", "gone", "1"}, {"sadd", "s", "x", "y"},
		{"rpush", "l", "1", "2"}, {"set", "plain", "1"}, {"hset", "hdead", "f", "1"},
	} {
		a.do(args...)
	}
	a.fullSync(b, draw, 1)
	a.equals(b)
	for _, args := range [][]string{
		{"set", "both", "older"}, {"set", "deleted", "b"}, {"set", "only", "b"}, {"hset", "h", "g", "b", "new", "b"}, {"sadd", "s", "z"}, {"srem", "s", "x"}, {"rpush", "l", "b"},
		{"set", "later", "b"}, {"hset", "hdead", "g", "b"},
	} {
		b.do(args...)
	}
	for _, args := range [][]string{
		{"set", "both", "a"}, {"del", "deleted"}, {"del", "ancestor"}, {"hset", "h", "f", "a"}, {"hdel", "h", "gone"}, {"sadd", "s", "w"}, {"rpush", "l", "a"}, {"del", "hdead"},
	} {
		a.do(args...)
	}
	a.fullSync(b, draw, 1)
	for query, want := range map[string]string{
		"get both": "a", "get only": "b", "get later": "b", "get plain": "1", "exists ancestor": "0", "hget h f": "a", "hget h g": "b", "hget h new": "b", "hexists h gone": "0",
		"sismember s w": "1", "sismember s z": "1", "sismember s x": "0", "llen l": "3", "lindex l 2": "b", "exists deleted": "0", "exists hdead": "0",
	} {
		var args []string
		for _, f := range bytes.Fields([]byte(query)) {
			args = append(args, string(f))
		}
		if got := b.do(args...); got != ":"+want+"\r\n" && got != fmt.Sprintf("$%d\r\n%s\r\n", len(want), want) {
			t.Errorf("%s: %q, want %s", query, got, want)
		}
	}
	records, diverged := b.parts[0].leader().conflictRows()
	told := map[string]string{}
	for _, rec := range records {
		told[string(rec.Key)+" "+string(rec.Sub)] += fmt.Sprint(rec.Action, " ", rec.Reason, ";")
	}
	for what, want := range map[string]string{
		"both ": "overwrite later;", "deleted ": "overwrite later;", "only ": "ignore only-here;", "later ": "ignore only-here;", "h ": "ignore only-here;", "h g": "",
		"s ": "ignore only-here;", "s x": "diverge not-prev;", "l ": "diverge not-prev;",
	} {
		if want != "" && told[what] != want {
			t.Errorf("%q: the conflict log has %q, want %q", what, told[what], want)
		}
	}
	if len(diverged) != 2 {
		t.Errorf("%d keys have diverged, want those of the set and the list", len(diverged))
	}
	before := b.sums(time.Now().UnixMilli(), watermarkOf(b))
	if got := a.fullSync(b, draw, 1); got.Applied != 0 {
		t.Errorf("taken over again it applies %d", got.Applied)
	}
	for slot, sum := range b.sums(time.Now().UnixMilli(), watermarkOf(b)) {
		if before[slot] != sum {
			t.Errorf("slot %d is another afterwards", slot)
		}
	}
	st, _ := b.parts[0].leader().replica.State()
	heard := &syncing{t: t, from: a, to: b, draw: draw, cut: 1, heard: st.Clock}
	heard.run()
	a.equals(b)
	if _, diverged = b.parts[0].leader().conflictRows(); len(diverged) != 0 || heard.done.Conflicts != 0 {
		t.Errorf("the source had heard of everything: %d keys are still said to differ, %d new conflicts", len(diverged), heard.done.Conflicts)
	}
}

// TestFullSyncAheadOfTheClock: what is written after rows of a cluster whose clock is ahead is later than they are.
func TestFullSyncAheadOfTheClock(t *testing.T) {
	var clock manual
	clock.advance(30 * time.Second)
	draw := seeded(t)
	a, b := newSide(t, "dc-a", 1, 1, clock.use()), newSide(t, "dc-b", 1, 1)
	a.replicates("dc-b")
	a.do("set", "k", "a")
	a.do("hset", "h", "f", "a")
	a.fullSync(b, draw, 0)
	b.do("set", "k", "b")
	b.do("hset", "h", "f", "b")
	a.fullSync(b, draw, 0)
	if k, h := b.do("get", "k"), b.do("hget", "h", "f"); k != "$1\r\nb\r\n" || h != k {
		t.Errorf("%q and %q, want what was written last", k, h)
	}
}

// TestFullSyncRefuses: chunks that don't go on where the place is change nothing, and repeated ones neither.
func TestFullSyncRefuses(t *testing.T) {
	ctx := t.Context()
	c := newCluster(t, 1, named("dc-b", nil))
	r := c.leader().replica
	id := store.SenderID{Cluster: "dc-a", Namespace: "default"}
	base := event.Position{Term: 2, Index: 50}
	begin := &Begin{Sender: id, Base: base, Time: 1000, Horizons: map[string]int64{"dc-a": 1000}}
	_, err := r.BeginSync(ctx, begin)
	refused(t, "not open", err, RefusedState)
	_, err = r.OpenSender(ctx, id, 1, meta.HashCRC16)
	must(t, err)
	chunk := func(after, through string, part uint32, rows ...event.Mutation) *Chunk {
		return &Chunk{Sender: id, Base: base, After: []byte(after), Through: []byte(through), Part: part, Names: senderNames, Rows: rows}
	}
	_, err = r.ReplayChunk(ctx, chunk("", "k", 0))
	refused(t, "no full sync", err, RefusedSuperseded)
	ahead := *begin
	ahead.Time = time.Now().Add(time.Hour).UnixNano()
	_, err = r.BeginSync(ctx, &ahead)
	refused(t, "base ahead of the clock", err, RefusedClock)
	_, err = r.BeginSync(ctx, begin)
	must(t, err)
	row := func(key string) event.Mutation { return setBy(key, "v", at(500, byA), event.Version{}) }
	got, err := r.ReplayChunk(ctx, chunk("", "b", 0, row("a"), row("b")))
	must(t, err)
	if s := got.Sender.Sync; string(s.Through) != "b" || s.Parts != 0 || got.Applied != 2 {
		t.Fatalf("%+v after %+v", got, s)
	}
	got, err = r.ReplayChunk(ctx, chunk("", "b", 0, row("a"), row("b")))
	if err != nil || got.Applied != 0 || got.Skipped != 2 {
		t.Errorf("repeated: %+v, %v", got, err)
	}
	_, err = r.ReplayChunk(ctx, chunk("c", "d", 0, row("d")))
	refused(t, "behind a gap", err, RefusedGap)
	_, err = r.ReplayChunk(ctx, chunk("b", "d", 1, row("d")))
	refused(t, "a part that isn't next", err, RefusedGap)
	other := chunk("b", "d", 0, row("d"))
	other.Base.Index++
	_, err = r.ReplayChunk(ctx, other)
	refused(t, "another base", err, RefusedSuperseded)
	far := row("d")
	far.Version.Time = time.Now().Add(time.Hour).UnixNano()
	_, err = r.ReplayChunk(ctx, chunk("b", "d", 0, far))
	refused(t, "version ahead of the clock", err, RefusedClock)
	last := chunk("b", "", 0, row("d"))
	last.End = true
	got, err = r.ReplayChunk(ctx, last)
	if err != nil || got.Sender.Sync != nil || got.Sender.Reached != (store.Cursor{Position: base, Done: store.AllDone}) || got.Sender.Time != 1000 {
		t.Fatalf("end: %+v, %v", got, err)
	}
	_, err = r.ReplayChunk(ctx, last)
	refused(t, "done", err, RefusedSuperseded)
}

// TestFullSyncOfTwo: two who carry the same state, cut elsewhere within a key, don't take each other's parts for their own.
func TestFullSyncOfTwo(t *testing.T) {
	ctx := t.Context()
	c := newCluster(t, 1, named("dc-b", nil))
	r := c.leader().replica
	id := store.SenderID{Cluster: "dc-a", Namespace: "default"}
	base := event.Position{Term: 2, Index: 50}
	begin := func() {
		t.Helper()
		_, err := r.BeginSync(ctx, &Begin{Sender: id, Base: base, Time: 1000, Horizons: map[string]int64{"dc-a": 1000}})
		must(t, err)
	}
	_, err := r.OpenSender(ctx, id, 1, meta.HashCRC16)
	must(t, err)
	send := func(part uint32, from, to int, end bool) (uint32, error) {
		m := event.Mutation{Op: event.OpHSet, Type: event.TypeHash, Key: []byte("h"), Version: at(500, byA), KeyVersion: at(500, byA), Count: uint64(to), Whole: from == 0}
		for i := from; i < to; i++ {
			m.Elements = append(m.Elements, event.Element{Sub: fmt.Appendf(nil, "f%02d", i), Value: []byte("v"), Prev: at(500, byA)})
		}
		got, err := r.ReplayChunk(ctx, &Chunk{Sender: id, Base: base, Part: part, End: end, Names: senderNames, Rows: []event.Mutation{m}})
		return syncOf(&got.Sender).Parts, err
	}
	take := func(part uint32, from, to int, end bool) uint32 {
		t.Helper()
		next, err := send(part, from, to, end)
		must(t, err)
		return next
	}
	begin()
	old := take(0, 0, 10, false)
	old = take(old, 10, 20, false)
	begin()
	for range 4 {
		_, err = send(old, 20, 30, false)
		refused(t, "the one before, before the first part", err, RefusedGap)
	}
	next := take(0, 0, 4, false)
	for _, part := range []uint32{old - 1, old} {
		_, err = send(part, 20, 30, false)
		refused(t, "the one before", err, RefusedGap)
		_, err = send(part, 20, 30, true)
		refused(t, "the one before, at its end", err, RefusedGap)
	}
	next = take(next, 4, 8, false)
	if again := take(next-1, 4, 8, false); again != next {
		t.Errorf("the last part once more: %d is next, and was %d", again, next)
	}
	anew := take(0, 0, 10, false) // by the one before, which begins too
	_, err = send(next, 8, 12, false)
	refused(t, "after the other one began anew", err, RefusedGap)
	take(anew, 10, 30, true)
	if n := c.do("hlen", "h"); n != ":30\r\n" {
		t.Errorf("%q fields, want 30", n)
	}
}

// TestFullSyncRegions: gone on with at other bases, a full sync says of each key what base it is of, and begun anew nothing.
func TestFullSyncRegions(t *testing.T) {
	c := newCluster(t, 1, named("dc-b", nil))
	r := c.leader().replica
	id := store.SenderID{Cluster: "dc-a", Namespace: "default"}
	_, err := r.OpenSender(t.Context(), id, 1, meta.HashCRC16)
	must(t, err)
	position := func(n uint64) event.Position { return event.Position{Term: 1, Index: n} }
	begin := func(n uint64, anew bool) store.Sender {
		s, err := r.BeginSync(t.Context(), &Begin{Sender: id, Base: position(n), Time: int64(n), Horizons: map[string]int64{"dc-a": int64(n)}, Anew: anew})
		must(t, err)
		return s
	}
	chunk := func(n uint64, after, through string, end bool) store.Sender {
		got, err := r.ReplayChunk(context.Background(), &Chunk{Sender: id, Base: position(n), After: []byte(after), Through: []byte(through), End: end, Names: senderNames})
		must(t, err)
		return got.Sender
	}
	begin(10, false)
	begin(20, false) // nothing came of the first
	chunk(20, "", "f", false)
	if s := begin(30, false); string(s.Sync.Through) != "f" || len(s.Regions) != 1 {
		t.Fatalf("at another base: %+v", s)
	}
	begin(40, false) // nor of this one
	chunk(40, "f", "m", false)
	begin(40, false)
	s := chunk(40, "m", "", true)
	if s.Reached.Position != position(20) || s.Time != 20 || len(s.Regions) != 2 || s.Regions[0].Base != position(20) || s.Regions[1].Base != position(40) {
		t.Fatalf("done: %+v", s)
	}
	for key, want := range map[string]uint64{"a": 20, "f": 20, "g": 40, "z": 40} {
		if g, ok := s.RegionOf([]byte(key)); !ok || g.Base != position(want) {
			t.Errorf("%q is of %+v, want %d", key, g, want)
		}
	}
	begin(50, false)
	chunk(50, "", "x", false)
	if s := begin(60, true); len(s.Sync.Through) != 0 || len(s.Regions) != 0 {
		t.Fatalf("anew: %+v", s)
	}
	if s := chunk(60, "", "", true); s.Regions != nil || s.Reached.Position != position(60) {
		t.Fatalf("anew and done: %+v", s)
	}
}
