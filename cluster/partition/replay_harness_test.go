package partition

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// named has a test's cluster be one of several, with the clock of all.
func named(id string, clock *manual, more ...func(*Options)) func(*Options) {
	return func(o *Options) {
		o.Cluster = id
		o.Replication.TombstoneTTL = 200 * 365 * 24 * time.Hour // these tests' times are anything
		if clock != nil {
			o.Clock = clock.now
		}
		for _, tune := range more {
			tune(o)
		}
	}
}

// stream carries what one cluster's log has into another, as a syncer does.
type stream struct {
	t        *testing.T
	from, to *cluster
	id       store.SenderID
	target   string // cluster's id
}

// flows begins a stream where both are taken to be equal.
func (c *cluster) flows(to *cluster) *stream {
	c.t.Helper()
	s := &stream{t: c.t, from: c, to: to, target: to.members[0].replica.opts.Cluster}
	s.id = store.SenderID{Cluster: c.members[0].replica.opts.Cluster, Namespace: "default"}
	c.asLeader("a peer is known", func(r *Replica) error {
		_, err := r.ConfirmPeer(c.t.Context(), s.target, 0)
		return err
	})
	at, _ := s.source().replica.State()
	to.asLeader("the sender is adopted", func(r *Replica) error {
		_, err := r.AdoptSender(c.t.Context(), s.id, 1, meta.HashCRC16, at.Applied, at.Clock)
		return err
	})
	return s
}

// asLeader has a call made until it has gone well at whoever leads.
func (c *cluster) asLeader(what string, call func(r *Replica) error) {
	c.t.Helper()
	eventually(c.t, what, func() bool {
		err := call(c.leader().replica)
		if err != nil && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrUnknownOutcome) {
			c.t.Fatalf("%s: %v", what, err)
		}
		return err == nil
	})
}

func (s *stream) source() *member { return s.from.leader() }

// slices are the source's events after a position, each with all that isn't the target's own and isn't an expiry.
func (s *stream) slices(after event.Position) (all []Slice, names event.Names, last event.Position, clock int64) {
	s.t.Helper()
	m := s.source()
	st, _ := m.replica.State()
	entries, err := m.replica.log.Entries(after.Index+1, st.Applied.Index+1, 1<<30)
	must(s.t, err)
	for _, e := range entries {
		ev := &event.Event{}
		if len(e.Data) == 0 {
			continue
		}
		must(s.t, event.Decode(e.Data, ev))
		if !ev.InFeed(e.Term) {
			continue
		}
		slice := Slice{Position: event.Position{Term: e.Term, Index: e.Index}, Event: ev}
		kept := ev.Mutations[:0:0]
		for i := range ev.Mutations {
			if o := ev.Mutations[i].Origin; ev.Mutations[i].Op != event.OpExpire && (o == nil || st.Clusters.ID(o.Cluster) != s.target) {
				kept = append(kept, ev.Mutations[i])
				slice.Numbers = append(slice.Numbers, uint32(i))
			}
		}
		if ev.Mutations = kept; len(kept) > 0 {
			all = append(all, slice)
		}
	}
	return all, st.Clusters, st.Applied, st.Clock
}

// rangeFrom is everything after a place.
func (s *stream) rangeFrom(from store.Cursor) *Range {
	after := from.Position
	if from.Done != store.AllDone && after.Index > 0 {
		after.Index--
	}
	slices, names, last, clock := s.slices(after)
	return &Range{Sender: s.id, From: from, To: store.Cursor{Position: last, Done: store.AllDone}, Time: clock, Names: names, Slices: slices}
}

func (s *stream) place() (at store.Sender) {
	s.t.Helper()
	s.to.asLeader("the sender is open", func(r *Replica) error {
		p, err := r.OpenSender(s.t.Context(), s.id, 1, meta.HashCRC16)
		at = p.Sender
		return err
	})
	return at
}

// catchUp carries everything that there is now.
func (s *stream) catchUp() (all Replayed) {
	s.t.Helper()
	head := s.source().applied()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for at := s.place(); at.Reached.Position.Compare(head) < 0; at = s.place() {
		if ctx.Err() != nil {
			s.t.Fatalf("at %s, which isn't %s, after 20 s", at.Reached, head)
		}
		got, err := s.to.leader().replica.Replay(ctx, s.cutToDecided(s.rangeFrom(at.Reached)))
		all.Applied, all.Skipped, all.Conflicts = all.Applied+got.Applied, all.Skipped+got.Skipped, all.Conflicts+got.Conflicts
		if err != nil && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrUnknownOutcome) {
			s.t.Fatal(err)
		}
	}
	has := s.place().Time
	s.from.asLeader("the peer's time is confirmed", func(r *Replica) error {
		_, err := r.ConfirmPeer(s.t.Context(), s.target, has)
		return err
	})
	return all
}

// cutToDecided leaves out of a range's slices what comes before it.
func (s *stream) cutToDecided(rng *Range) *Range {
	for len(rng.Slices) > 0 {
		first := &rng.Slices[0]
		n := len(first.Numbers)
		if (store.Cursor{Position: first.Position, Done: first.Numbers[n-1]}).Compare(rng.From) >= 0 {
			break
		}
		rng.Slices = rng.Slices[1:]
	}
	for len(rng.Slices) > 0 && (store.Cursor{Position: rng.Slices[0].Position, Done: rng.Slices[0].Numbers[0]}).Compare(rng.From) < 0 {
		first := &rng.Slices[0]
		first.Numbers, first.Event.Mutations = first.Numbers[1:], first.Event.Mutations[1:]
	}
	return rng
}

// rows are the conflict log of a replica, and its own counts of it are checked.
func (m *member) conflictRows() (records []*conflict.Record, diverged []*conflict.Diverged) {
	m.t.Helper()
	bytes := uint64(0)
	must(m.t, m.replica.store.Own(event.OwnConflict, func(id, value []byte) bool {
		if id[0] == rowCounts {
			return true
		}
		rec, d, err := conflict.Row(append([]byte(nil), id...), append([]byte(nil), value...))
		must(m.t, err)
		bytes += uint64(len(id) + len(value))
		if rec != nil {
			records = append(records, rec)
		} else {
			diverged = append(diverged, d)
		}
		return true
	}))
	p, err := m.replica.Places()
	must(m.t, err)
	if p.ConflictRows != uint64(len(records)) || p.Diverged != uint64(len(diverged)) || p.ConflictBytes != bytes {
		m.t.Errorf("node %d: %d records, %d diverged, %d bytes are counted; there are %d, %d, %d", m.id, p.ConflictRows, p.Diverged, p.ConflictBytes, len(records), len(diverged), bytes)
	}
	return records, diverged
}

// agreeOnRows wants that all replicas have the leader's own rows: places, conflicts, peers.
func (c *cluster) agreeOnRows() {
	c.t.Helper()
	own := func(m *member) (rows []string) {
		for kind := event.OwnKind(1); kind < 16; kind++ {
			must(c.t, m.replica.store.Own(kind, func(id, value []byte) bool {
				rows = append(rows, fmt.Sprintf("%d %x %x", kind, id, value))
				return true
			}))
		}
		return rows
	}
	var differs string
	same := func() bool { // the leader may write one meanwhile: then it is looked again
		leader := c.leader()
		before := leader.applied()
		want := own(leader)
		for _, m := range c.members {
			if m.replica.Applied() != before.Index || leader.applied() != before {
				return false
			}
			if got := own(m); fmt.Sprint(got) != fmt.Sprint(want) {
				differs = fmt.Sprintf("node %d has rows\n%.2000q\nthe leader\n%.2000q", m.id, got, want)
				return false
			}
		}
		return true
	}
	for range 2500 {
		if same() {
			return
		}
		c.pause(4)
	}
	c.t.Errorf("not the same rows within 10 s: %s", differs)
}

// refused wants that a call is refused so.
func refused(t *testing.T, what string, err error, want Refusal) *ReplayError {
	t.Helper()
	var why *ReplayError
	if !errors.As(err, &why) || why.Refusal != want {
		t.Fatalf("%s: %v, want refusal %d", what, err, want)
	}
	return why
}

// The numbers of clusters in the ranges of a sender that no cluster here is.
const (
	byA event.ClusterNumber = 1
	byB event.ClusterNumber = 2
	byC event.ClusterNumber = 3
)

var senderNames = event.Names{"", "dc-a", "dc-b", "dc-c"}

// sender sends what no cluster here made.
func (c *cluster) sender(cluster string) *stream {
	s := &stream{t: c.t, to: c, id: store.SenderID{Cluster: cluster, Namespace: "default"}}
	c.asLeader("the sender is adopted", func(r *Replica) error {
		_, err := r.AdoptSender(c.t.Context(), s.id, 1, meta.HashCRC16, event.Position{Term: 1, Index: 1}, 1)
		return err
	})
	return s
}

// next is a range with events of these mutations after a place, one event for each list of them.
func (s *stream) next(at store.Sender, time int64, events ...[]event.Mutation) *Range {
	rng := &Range{Sender: s.id, From: at.Reached, To: at.Reached, Time: time, Names: senderNames}
	for _, mutations := range events {
		rng.To = store.Cursor{Position: event.Position{Term: 1, Index: rng.To.Position.Index + 1}, Done: store.AllDone}
		rng.Slices = append(rng.Slices, Slice{Position: rng.To.Position, Event: &event.Event{Mutations: mutations}})
	}
	return rng
}

// send has one event replayed.
func (s *stream) send(mutations ...event.Mutation) (Replayed, error) {
	s.t.Helper()
	at := s.place()
	return s.to.leader().replica.Replay(s.t.Context(), s.next(at, at.Time, mutations))
}

// sent wants that an event is taken.
func (s *stream) sent(mutations ...event.Mutation) Replayed {
	s.t.Helper()
	got, err := s.send(mutations...)
	must(s.t, err)
	return got
}

func at(time int64, by event.ClusterNumber) event.Version {
	return event.Version{Time: time, Cluster: by}
}

// setBy is what SET makes.
func setBy(key, value string, v, prev event.Version) event.Mutation {
	return event.Mutation{
		Op: event.OpSet, Type: event.TypeString, Key: []byte(key), Value: []byte(value), Version: v, Prev: prev, Floor: v, ExpiryVersion: v, Command: "set",
		Before: event.Before{Exists: !prev.IsZero(), Type: event.TypeString},
	}
}

// delBy is what DEL makes.
func delBy(key string, v, prev event.Version) event.Mutation {
	return event.Mutation{
		Op: event.OpDel, Type: event.TypeString, Key: []byte(key), Version: v, Prev: prev, Floor: v, ExpiryVersion: v, Command: "del", Tombstone: true,
		Before: event.Before{Exists: true, Type: event.TypeString},
	}
}

// pushBy is what RPUSH makes of a list that isn't there, or has count items then.
func pushBy(key string, v, prev event.Version, count uint64, items ...string) event.Mutation {
	m := event.Mutation{
		Op: event.OpRPush, Type: event.TypeList, Key: []byte(key), Version: v, Prev: prev, KeyVersion: v, Generation: uint64(v.Time), Count: count, Command: "rpush",
		Before: event.Before{Exists: !prev.IsZero(), Type: event.TypeList},
	}
	place := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n^1<<63) }
	for i, item := range items {
		m.Elements = append(m.Elements, event.Element{Sub: place(count - uint64(len(items)) + uint64(i)), Value: []byte(item)})
	}
	m.Value = append(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 0), count-1), 0)
	return m
}
