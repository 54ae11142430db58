package partition

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// sumAt is a checksum under way.
type sumAt struct {
	sum  store.Checksum
	err  error
	done chan struct{}
}

func (m *member) sum(ctx context.Context, at event.Position) *sumAt {
	s := &sumAt{done: make(chan struct{})}
	go func() {
		s.sum, s.err = m.replica.Checksum(ctx, at)
		close(s.done)
	}()
	return s
}

func (m *member) applied() event.Position {
	s, _ := m.replica.State()
	return s.Applied
}

// watching waits until the replica's goroutine knows of so many watched indexes.
func (m *member) watching(n int) {
	m.t.Helper()
	eventually(m.t, "the watches are there", func() bool {
		got := 0
		must(m.t, m.replica.do(context.Background(), func() { got = len(m.replica.watches) }))
		return got == n
	})
}

func TestChecksumAtAPosition(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	c.do("set", "a", "1")
	at := m.applied()
	now := m.sum(t.Context(), event.Position{})
	equal := m.sum(t.Context(), at)
	answered(t, "now", now.done)
	answered(t, "at what is applied", equal.done)
	if now.err != nil || equal.err != nil || now.sum.Total != equal.sum.Total || equal.sum.Keys != 1 || equal.sum.Position != at {
		t.Errorf("now: %+v, %v; at %s: %+v, %v", now.sum, now.err, at, equal.sum, equal.err)
	}
	next, wrong := at, at
	next.Index++
	wrong.Index++
	wrong.Term += 5
	ahead, otherTerm := m.sum(t.Context(), next), m.sum(t.Context(), wrong)
	m.watching(1)
	for range 3 { // in one event or several: the state shown is the one after the first
		c.do("incr", "n")
	}
	answered(t, "ahead", ahead.done)
	answered(t, "with the wrong term", otherTerm.done)
	if ahead.err != nil || ahead.sum.Position != next || ahead.sum.Keys != 2 || ahead.sum.Total == equal.sum.Total {
		t.Errorf("ahead: %+v, %v", ahead.sum, ahead.err)
	}
	if otherTerm.err == nil {
		t.Errorf("a position that never was: %+v, want an error", otherTerm.sum)
	}
	past := m.sum(t.Context(), at)
	answered(t, "past", past.done)
	if !errors.Is(past.err, ErrPast) {
		t.Errorf("past: %v, want ErrPast", past.err)
	}
}

// Who gives up leaves nothing behind: no watch, and no open view, with which the store couldn't be closed.
func TestChecksumGivenUp(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	c.do("set", "a", "1")
	for range 100 { // at whatever moment, when nobody has waited before
		ctx, cancel := context.WithCancel(t.Context())
		s := m.sum(ctx, event.Position{})
		cancel()
		answered(t, "a checksum", s.done)
	}
	far := m.applied()
	far.Index += 1000
	ctx, cancel := context.WithCancel(t.Context())
	var sums []*sumAt
	for range 8 {
		sums = append(sums, m.sum(ctx, far))
	}
	m.watching(1)
	cancel()
	for _, s := range sums {
		answered(t, "a checksum that was given up", s.done)
		if !errors.Is(s.err, context.Canceled) {
			t.Errorf("%v, want context.Canceled", s.err)
		}
	}
	m.watching(0)
}

// Closing ends checksums, instead of failing or leaving the engine open because of them.
func TestCloseWithOpenViews(t *testing.T) {
	c := newCluster(t, 1, nil)
	m := c.leader()
	c.do("set", "a", "1")
	far := m.applied()
	far.Index += 1000
	waits := m.sum(t.Context(), far)
	m.watching(1)
	view, err := m.replica.viewAt(t.Context(), event.Position{})
	must(t, err)
	closed := make(chan error, 1)
	go func() { closed <- m.replica.Close() }()
	answered(t, "the checksum that waits", waits.done)
	if !errors.Is(waits.err, ErrClosed) {
		t.Errorf("the checksum that waits: %v, want ErrClosed", waits.err)
	}
	select {
	case err := <-closed:
		t.Errorf("closed under a view: %v", err)
	default:
	}
	view.close()
	select {
	case err := <-closed:
		must(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("not closed within 10 s after the last view")
	}
	if _, err := m.replica.Checksum(t.Context(), event.Position{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v, want ErrClosed", err)
	}
	m.stop()
	m.running.Wait()
	m.net.Close()
	_ = m.log.Close()
	m.replica = nil
}
