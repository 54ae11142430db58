package partition

import (
	"fmt"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// replicating is a cluster that keeps tombstones, with a clock that is told to run.
func replicating(t *testing.T, clock *manual, more func(*Options)) *cluster {
	t.Helper()
	c := newCluster(t, 3, func(o *Options) {
		clock.use()(o)
		o.Replication.TombstoneTTL = 24 * time.Hour
		o.Replication.MaxClockOffset = time.Minute
		if more != nil {
			more(o)
		}
	})
	c.own(store.ReplicatesChange())
	c.onLeader(func(r *Replica) error { return r.readSettings() })
	return c
}

// own writes the partition's own rows.
func (c *cluster) own(changes ...event.OwnChange) {
	c.t.Helper()
	var at uint64
	c.onLeader(func(r *Replica) error {
		r.takeBackOffer()
		b := r.openBatch()
		b.ev.Own = append(b.ev.Own, changes...)
		at = r.Applied()
		r.offerBatch()
		return nil
	})
	for _, m := range c.members {
		eventually(c.t, "own rows are applied", func() bool { return m.replica.Applied() > at })
	}
}

func (c *cluster) onLeader(f func(r *Replica) error) {
	c.t.Helper()
	r := c.leader().replica
	var err error
	must(c.t, r.do(c.t.Context(), func() { err = f(r) }))
	must(c.t, err)
}

// watermark lets time pass and says what the watermark is then, everywhere.
func (c *cluster) watermark(clock *manual, pass time.Duration) int64 {
	c.t.Helper()
	clock.advance(pass)
	var open bool
	var applied uint64
	c.onLeader(func(r *Replica) error {
		applied = r.Applied()
		err := r.raiseWatermark(clock.now())
		open = r.open != nil
		return err
	})
	m := c.leader()
	if open {
		eventually(c.t, "it is applied", func() bool { return m.replica.Applied() > applied })
	}
	at, _ := m.replica.State()
	for _, other := range c.members {
		eventually(c.t, "all have it", func() bool { st, _ := other.replica.State(); return st.Watermark == at.Watermark })
	}
	return at.Watermark
}

// The watermark is the time of whoever is furthest behind, of those who take changes and those who bring them, but not older than tombstones are kept.
func TestWatermarkGoesWithTheSlowest(t *testing.T) {
	var clock manual
	c := replicating(t, &clock, nil)
	c.do("set", "k", "v")
	now := func() int64 { return clock.now().UnixNano() }
	ttl := 24 * time.Hour
	if got := c.watermark(&clock, time.Minute); got > now()-int64(time.Hour) || got < now()-int64(time.Hour)-10e9 {
		t.Fatalf("alone: %d, want an hour behind %d", got, now())
	}
	base := now() - int64(50*time.Minute)
	id := store.SenderID{Cluster: "dc-c", Namespace: "default"}
	c.own(store.PeerChange("dc-b", &store.Peer{Confirmed: base + 100e9}), store.SenderChange(id, &store.Sender{Time: base + 50e9}))
	if got := c.watermark(&clock, time.Minute); got != base+50e9 {
		t.Fatalf("%d, want the sender's %d", got, base+50e9)
	}
	c.own(store.SenderChange(id, &store.Sender{Time: base + 59e9}))
	if got := c.watermark(&clock, time.Minute); got != base+50e9 {
		t.Fatalf("it rose by less than a step, to %d", got)
	}
	c.own(store.SenderChange(id, &store.Sender{Time: base + 500e9}))
	if got := c.watermark(&clock, time.Second); got != base+50e9 {
		t.Fatalf("it rose to %d before its time", got)
	}
	if got := c.watermark(&clock, time.Minute); got != base+100e9 {
		t.Fatalf("%d, want the peer's %d", got, base+100e9)
	}
	c.own(store.PeerChange("dc-b", &store.Peer{Confirmed: base}))
	if got := c.watermark(&clock, time.Minute); got != base+100e9 {
		t.Fatalf("it fell to %d", got)
	}
	if got := c.watermark(&clock, ttl); got < now()-int64(ttl)-10e9 || got > now()-int64(ttl) {
		t.Fatalf("%d with a peer that is too far behind, want %d", got, now()-int64(ttl))
	}
	c.equal()
}

// The place of a sender that can have no key of this partition holds nothing up; one that can does.
func TestWatermarkPassesStrangers(t *testing.T) {
	var clock manual
	c := replicating(t, &clock, func(o *Options) { o.Cut, o.Partition = store.Cut{Hash: meta.HashCRC16, Partitions: 4}, 1 })
	c.do("set", "k", "v")
	base := clock.now().UnixNano()
	from := func(n uint32, time int64) event.OwnChange {
		return store.SenderChange(store.SenderID{Cluster: "dc-c", Namespace: "default", Partition: n}, &store.Sender{Partitions: 4, Hash: meta.HashCRC16, Time: time})
	}
	c.own(from(0, base-1800e9), from(1, base-600e9), from(2, base-1700e9))
	if got := c.watermark(&clock, time.Minute); got != base-600e9 {
		t.Errorf("%d, want that of the sender of the same slots, %d", got, base-600e9)
	}
	c.onLeader(func(r *Replica) error {
		if err := r.readPlaces(); err != nil {
			return err
		}
		if got := r.reachedOf("dc-c"); got != base-600e9 {
			t.Errorf("the cluster is waited for at %d, want %d", got, base-600e9)
		}
		return nil
	})
}

// What is written later is above the watermark, although a sender's clock is ahead; and a partition at rest writes no entries for it.
func TestWatermarkStaysBelowWhatIsToCome(t *testing.T) {
	var clock manual
	c := replicating(t, &clock, nil)
	c.do("hset", "h", "f", "1")
	ahead := clock.now().Add(20 * time.Hour).UnixNano()
	c.own(store.SenderChange(store.SenderID{Cluster: "dc-c", Namespace: "default"}, &store.Sender{Time: ahead}))
	at := c.watermark(&clock, time.Minute)
	if st, _ := c.leader().replica.State(); at == 0 || at >= st.Clock {
		t.Fatalf("watermark %d, the partition's clock %d", at, st.Clock)
	}
	c.do("del", "h")
	c.onLeader(func(r *Replica) error {
		m, _, ok, err := r.store.Tombstone(nil, []byte("h"))
		if !ok || m.Version.Time <= at {
			t.Errorf("deleted: %+v, %v under the watermark %d", m, ok, at)
		}
		return err
	})
	c.watermark(&clock, time.Minute)
	c.watermark(&clock, time.Minute)
	before, _ := c.leader().replica.State()
	for range 5 {
		c.watermark(&clock, time.Hour)
	}
	if after, _ := c.leader().replica.State(); after.Applied != before.Applied {
		t.Errorf("%s at rest, %s after some time", before.Applied, after.Applied)
	}
	c.equal()
}

// An expired key's row stays until the watermark has passed its end by as much as clocks may be apart; nobody sees it meanwhile.
func TestExpiredRowsStayUntilTheWatermark(t *testing.T) {
	var clock manual
	c := replicating(t, &clock, nil)
	c.do("hset", "h", "f", "1")
	c.do("expire", "h", "100")
	start := clock.now()
	peer := func(after time.Duration) {
		c.own(store.PeerChange("dc-b", &store.Peer{Confirmed: start.Add(after).UnixNano()}))
		c.watermark(&clock, time.Minute)
		c.onLeader(func(r *Replica) error { return r.tick() })
		c.do("set", "other", fmt.Sprint(after))
	}
	keys := func() int64 { st, _ := c.leader().replica.State(); return st.Keys }
	clock.advance(time.Hour)
	peer(0)
	for after := 20 * time.Second; after < 160*time.Second; after += 20 * time.Second {
		peer(after)
		if got := keys(); got != 2 {
			t.Fatalf("watermark %s after the start: %d keys, want the expired one and the other", after, got)
		}
		expect(t, "it is absent", c.do("hgetall", "h"), "*0\r\n")
	}
	peer(161 * time.Second)
	eventually(t, "it is removed", func() bool {
		clock.advance(2 * time.Second)
		return keys() == 1
	})
	c.onLeader(func(r *Replica) error {
		if m, _, ok, err := r.store.Tombstone(nil, []byte("h")); ok || err != nil {
			t.Errorf("it left %+v", m)
		}
		return nil
	})
	c.equal()
}

// Removed members of sets leave tombstones under conflict_policy element only.
func TestMemberTombstones(t *testing.T) {
	for _, policy := range []conflict.Policy{conflict.PolicyDefault, conflict.PolicyElement} {
		var clock manual
		c := replicating(t, &clock, func(o *Options) { o.Replication.Policy = policy })
		c.do("sadd", "s", "m", "n")
		c.do("srem", "s", "m")
		c.do("zadd", "z", "1", "m", "2", "n")
		c.do("zpopmin", "z")
		for _, key := range []string{"s", "z"} {
			c.onLeader(func(r *Replica) error {
				v, _, err := r.store.ElementTombstone(nil, []byte(key), []byte("m"))
				if v.IsZero() == (policy == conflict.PolicyElement) {
					t.Errorf("policy %d, %s: %v", policy, key, v)
				}
				return err
			})
		}
	}
}
