package partition

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/wal"
)

// look has the log's tail looked at now.
func (m *member) look() {
	m.t.Helper()
	must(m.t, m.replica.do(m.t.Context(), func() {
		r := m.replica
		r.lastRetain = time.Time{}
		if err := r.retain(r.opts.Clock()); err != nil {
			m.t.Error(err)
		}
	}))
}

// startsAtAMark says whether a reader of the feed can begin where the log does.
func (m *member) startsAtAMark() {
	m.t.Helper()
	first := m.replica.FirstIndex()
	if mark, ok, err := m.replica.Mark(first - 1); err != nil || !ok || mark.Index != first-1 {
		m.t.Errorf("the log begins with %d, the mark before it is at %d (%v, %v)", first, mark.Index, ok, err)
	}
}

// What is retained for its age and size goes when neither holds it, consumers hold it longer, and MaxBytes wins over them. Whatever
// is dropped, a reader can begin with what is left.
func TestRetention(t *testing.T) {
	var clock manual
	c := newCluster(t, 1, func(o *Options) {
		o.Clock = clock.now
		o.Retention = Retention{Age: time.Hour, Bytes: 1, MaxBytes: 3 << 20}
	})
	m := c.leader()
	c.do("set", "a", "1")
	consumer := m.applied()
	must(t, m.replica.SetConsumer(t.Context(), "kafka", consumer))
	for range 20 {
		c.do("append", "a", "x")
	}
	first := m.replica.FirstIndex()
	m.look()
	if got := m.replica.FirstIndex(); got != first {
		t.Errorf("the log begins with %d although all is young, want %d", got, first)
	}
	must(t, m.replica.Flush())
	m.look()
	if got := m.replica.FirstIndex(); got != first {
		t.Errorf("flushed, and young: it begins with %d, want %d", got, first)
	}
	clock.advance(2 * time.Hour)
	m.look()
	if got := m.replica.FirstIndex(); got > consumer.Index+1 {
		t.Errorf("it begins with %d, and a consumer has read up to %d", got, consumer.Index)
	}
	m.startsAtAMark()
	big := strings.Repeat("x", 512<<10)
	for range 16 {
		c.do("set", "big", big)
	}
	flushed := m.applied().Index
	must(t, m.replica.Flush())
	c.do("set", "late", "1")
	m.look()
	if got := m.replica.FirstIndex(); got <= consumer.Index+1 || got > flushed+1 {
		t.Errorf("over MaxBytes it begins with %d, want between %d and %d: past the consumer, not past what is flushed", got, consumer.Index+2, flushed+1)
	}
	m.startsAtAMark()
}

// A quiet partition lets go of all that its limits don't want kept, and a crash right after that leaves a mark where the log begins.
func TestQuietPartitionReleases(t *testing.T) {
	c := newCluster(t, 1, func(o *Options) { o.Retention = Retention{Age: time.Hour, Bytes: 1, MaxBytes: 1} })
	m := c.leader()
	for range 20 {
		c.do("incr", "n")
	}
	must(t, m.replica.Flush())
	m.look()
	if got, want := m.replica.FirstIndex(), m.applied().Index+1; got != want {
		t.Errorf("the log begins with %d, want %d", got, want)
	}
	m.startsAtAMark()
	c.do("incr", "other") // with it the log forgets durably what was truncated; the store's mark isn't flushed
	m.crash(nil)
	m.start()
	if first := m.replica.FirstIndex(); first < 20 {
		t.Errorf("after the crash the log begins with %d: nothing is tested", first)
	}
	m.startsAtAMark()
	if got := c.do("get", "n"); got != "$2\r\n20\r\n" {
		t.Errorf("get: %q", got)
	}
	m.folded() // the chain closes
}

// A quiet partition that lies far behind lets go of what has the age, down to what can be moved, and of nothing that is younger or that a
// consumer holds.
func TestFarBehindGoesByAge(t *testing.T) {
	var clock manual
	c := newCluster(t, 1, func(o *Options) {
		o.Clock = clock.now
		o.Retention = Retention{Age: time.Hour, Bytes: 64 << 20}
	})
	m := c.leader()
	big := strings.Repeat("x", 100<<10)
	var at event.Position
	for i := range 40 {
		c.do("set", "k", big)
		if i == 24 {
			at = m.applied()
		}
	}
	must(t, m.replica.MoveConsumer(t.Context(), "kafka", at))
	must(t, m.replica.Flush())
	first := m.replica.FirstIndex()
	release := func(what string, far, goes bool) uint64 {
		t.Helper()
		before := m.replica.FirstIndex()
		m.replica.Release(far)
		m.look()
		now := m.replica.FirstIndex()
		if (now > before) != goes {
			t.Errorf("%s: the log begins with %d, before it was %d", what, now, before)
		}
		return now
	}
	release("young", true, false)
	clock.advance(2 * time.Hour)
	release("not far", false, false)
	if now := release("a consumer holds it", true, true); now > at.Index+1 || now == first {
		t.Errorf("the log begins with %d, the consumer is at %s", now, at)
	}
	must(t, m.replica.MoveConsumer(t.Context(), "kafka", m.applied()))
	release("nobody holds it", true, true)
	if left := m.log.Group(testGroup).Bytes(); left > wal.MaxRewriteBytes || left < 100<<10 {
		t.Errorf("%d bytes are left, %d can be moved", left, wal.MaxRewriteBytes)
	}
	m.startsAtAMark()
}

// Nothing that isn't flushed is dropped: a crash would leave a store that its log can't bring up to date.
func TestRetentionKeepsWhatIsNotFlushed(t *testing.T) {
	var clock manual
	c := newCluster(t, 1, func(o *Options) {
		o.Clock = clock.now
		o.Retention = Retention{Age: time.Second, Bytes: 1, MaxBytes: 1}
	})
	m := c.leader()
	for range 30 {
		c.do("incr", "n")
	}
	clock.advance(time.Hour)
	m.look()
	c.do("incr", "n") // a truncation is durable with the next entry
	m.crash(nil)
	m.start()
	if got := c.do("get", "n"); got != "$2\r\n31\r\n" {
		t.Errorf("get: %q", got)
	}
	m.equalsItsLog()
}

// holding is what the member's log holds, of one consumer.
func (m *member) holding() (Holding, Consumer) {
	m.t.Helper()
	h, err := m.replica.Holding()
	must(m.t, err)
	if len(h.Consumers) != 1 {
		m.t.Fatalf("consumers %+v, want one", h.Consumers)
	}
	return h, h.Consumers[0]
}

// A consumer that is silent holds the log until its entries have the age, is told how long that will take, and holds nothing once its
// place is lost.
func TestSilentConsumerLosesItsPlace(t *testing.T) {
	var clock manual
	c := newCluster(t, 1, func(o *Options) {
		o.Clock = clock.now
		o.Retention = Retention{Age: time.Second, Bytes: 1, MaxBytes: 8 << 20, ConsumerAge: 72 * time.Hour}
	})
	m := c.leader()
	c.do("set", "a", "1")
	at := m.applied()
	must(t, m.replica.MoveConsumer(t.Context(), "kafka", at))
	if _, k := m.holding(); k.LagEntries != 0 || k.LagBytes != 0 || k.Lag != 0 || k.HeadroomBytes != 8<<20 || k.Headroom != 72*time.Hour || k.Lost {
		t.Errorf("at the end: %+v", k)
	}
	big := strings.Repeat("x", 100<<10) // so that the log knows the place of each
	for range 20 {
		c.do("set", "a", big)
	}
	must(t, m.replica.Flush())
	clock.advance(71 * time.Hour)
	m.look()
	h, k := m.holding()
	if m.replica.FirstIndex() > at.Index+1 || k.Lost {
		t.Errorf("after 71 h the log begins with %d, the consumer has read up to %s: %+v", m.replica.FirstIndex(), at, k)
	}
	if k.LagEntries != 21 || k.LagBytes < 1900<<10 || int64(k.LagBytes)+k.HeadroomBytes != 8<<20 {
		t.Errorf("its lag: %+v", k)
	}
	if k.Headroom > time.Hour || k.Headroom < 50*time.Minute || k.Lag+k.Headroom != 72*time.Hour {
		t.Errorf("after 71 h: %s behind, %s left", k.Lag, k.Headroom)
	}
	if h.LimitBytes != 8<<20 || h.LimitAge != 72*time.Hour || h.Bytes < k.LagBytes || h.First != m.replica.FirstIndex() {
		t.Errorf("holding %+v", h)
	}
	clock.advance(2 * time.Hour)
	m.look()
	h, k = m.holding()
	if m.replica.FirstIndex() <= at.Index+1 || !k.Lost || k.Headroom > 0 || k.HeadroomBytes > 0 || h.Oldest.Index <= at.Index {
		t.Errorf("after 73 h the log begins with %d: %+v", m.replica.FirstIndex(), k)
	}
	m.startsAtAMark()
	for range 20 {
		c.do("set", "a", big)
	}
	clock.advance(time.Hour)
	must(t, m.replica.Flush())
	m.look()
	if got := m.replica.FirstIndex(); got <= h.First+10 {
		t.Errorf("the log begins with %d, as a consumer that is lost held it; before it was %d", got, h.First)
	}
	end := m.applied()
	must(t, m.replica.MoveConsumer(t.Context(), "kafka", end))
	if _, k := m.holding(); k.Lost || k.Position != end || k.LagEntries != 0 {
		t.Errorf("moved on: %+v", k)
	}
}

// What a consumer is told it has left, it has, but for a 32nd of the limit; and one that is told that nothing is left loses its place soon.
func TestHeadroomIsKept(t *testing.T) {
	const limit = 6 << 20
	var lines strings.Builder
	c := newCluster(t, 1, func(o *Options) {
		o.Retention = Retention{Age: time.Nanosecond, Bytes: 1, MaxBytes: limit}
		o.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	})
	r, m := seeded(t), c.leader()
	c.do("set", "k", "")
	lost := 0
	for lost < 4 {
		must(t, m.replica.MoveConsumer(t.Context(), "kafka", m.applied()))
		at := m.applied()
		before, written, over := int64(limit), int64(0), 0
		for {
			_, k := m.holding()
			if k.Lost {
				if before-written > limit/32 {
					t.Errorf("lost with %d bytes written, %d were left", written, before)
				}
				break
			}
			if k.HeadroomBytes < -limit/4 {
				t.Fatalf("not lost yet: %+v", k)
			}
			if k.HeadroomBytes < limit/2 && over == 0 {
				over++
				must(t, m.replica.do(t.Context(), func() {
					if m.replica.FirstIndex() > at.Index+1 {
						t.Errorf("half is left, and the log begins with %d, after %s", m.replica.FirstIndex(), at)
					}
				}))
			}
			before, written = k.HeadroomBytes, 0
			for range 1 + r.IntN(4) {
				n := 1 + r.IntN(100<<10)
				c.do("set", "k", strings.Repeat("x", n))
				written += int64(n)
			}
			must(t, m.replica.Flush())
			m.look()
		}
		lost++
	}
	must(t, m.replica.do(t.Context(), func() {}))
	if n := strings.Count(lines.String(), "a consumer lost its place"); n != lost {
		t.Errorf("it was said %d times, want %d:\n%s", n, lost, lines.String())
	}
}

// A consumer that has read all of a quiet partition keeps its place whatever is truncated behind it, on every replica, over a restart
// and a snapshot, and goes on with the same chain.
func TestQuietPartitionKeepsAConsumersPlace(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) {
		o.Retention = Retention{Age: time.Second, Bytes: 1, MaxBytes: 1, ConsumerAge: time.Second}
	})
	for range 20 {
		c.do("incr", "n")
	}
	m := c.leader()
	state, _ := m.replica.State()
	at, chain := state.LastEvent, state.Chain
	must(t, m.replica.MoveConsumer(t.Context(), "kafka", at))
	end := m.applied()
	check := func(what string) {
		t.Helper()
		for _, m := range c.members {
			h, k := m.holding()
			mark, ok, err := m.replica.Mark(m.replica.FirstIndex() - 1)
			must(t, err)
			if !ok || mark.LastEvent != at || mark.Chain != chain || h.Oldest != at {
				t.Errorf("%s: node %d: the log begins after %+v (%v), the consumer is at %s, chain %s", what, m.id, mark, ok, at, chain)
			}
			if k.Lost || k.LagEntries != 0 || k.LagBytes != 0 || k.Position != at {
				t.Errorf("%s: node %d: %+v", what, m.id, k)
			}
		}
	}
	for _, m := range c.members {
		eventually(t, "all is applied", func() bool { return m.applied().Index >= end.Index })
		m.forget()
		if first := m.replica.FirstIndex(); first <= at.Index {
			t.Fatalf("node %d: the log begins with %d: nothing is tested", m.id, first)
		}
	}
	check("truncated")
	must(t, c.leader().replica.SetConsumer(t.Context(), "kafka", at)) // with this entry, which is no event, the truncations are durable
	end = c.leader().applied()
	for _, m := range c.members {
		eventually(t, "it is applied", func() bool { return m.applied().Index >= end.Index })
	}
	for _, m := range c.members {
		must(t, m.log.Rewrite(testGroup))
		m.crash(nil)
		m.start()
	}
	c.leader()
	for _, m := range c.members {
		eventually(t, "the new term is applied", func() bool { return m.applied().Term > end.Term })
	}
	check("after a restart")
	last := c.members[int(c.leader().id)%3]
	last.shutdown()
	last.wipe()
	last.start()
	c.transfer(c.members[6-int(c.leader().id)-int(last.id)-1]) // the leader remembers what it had acknowledged; the next one asks
	eventually(t, "the snapshot is installed", func() bool { return last.applied().Index >= end.Index && last.replica.FirstIndex() > at.Index })
	check("after a snapshot")
	c.do("incr", "n")
	for _, m := range c.members {
		eventually(t, "the event is applied", func() bool { s, _ := m.replica.State(); return s.LastEvent.Index > at.Index })
		if _, k := m.holding(); k.Lost || k.LagEntries == 0 || k.LagBytes == 0 {
			t.Errorf("node %d, an event later: %+v", m.id, k)
		}
	}
}
