package partition

import (
	"strings"
	"testing"
	"time"
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
