package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// A process runs what is for its kind, and of that what it takes.
func TestTakesWhatIsItsOwn(t *testing.T) {
	in(t, 2, func(w *world) {
		w.create()
		syncer := func(o *Options) { o.Runner = changefeed.RunBySyncer }
		p, q := w.start("node"), w.start("syncer", syncer)
		not := w.start("other", syncer, func(o *Options) { o.Takes = func(s *changefeed.Spec) bool { return s.ID != "f" } })
		runs := func(node, syncer int) {
			t.Helper()
			after(3 * time.Second)
			if a, b, c := len(p.Feeds()), len(q.Feeds()), len(not.Feeds()); a != node || b != syncer || c != 0 {
				t.Fatalf("the node runs %d, want %d, the syncer %d, want %d, the other one %d", a, node, b, syncer, c)
			}
		}
		runs(2, 0)
		w.update(func(s *changefeed.Spec) { s.Runner = changefeed.RunBySyncer })
		runs(0, 2)
		for _, one := range []*process{p, q, not} {
			one.stop()
		}
	})
}

// What can't be learned or claimed at first is tried again.
func TestClaimsWhenItCan(t *testing.T) {
	in(t, 2, func(w *world) {
		w.source.set(func() { w.source.deaf = true })
		w.reg.claim = errors.New("etcd: no leader")
		w.create()
		p := w.start("a")
		after(10 * time.Second)
		w.source.set(func() { w.source.deaf = false })
		after(5 * time.Second)
		if n := len(p.Feeds()); n != 0 {
			t.Fatalf("runs %d that it couldn't claim", n)
		}
		w.reg.mu.Lock()
		w.reg.claim = nil
		w.reg.mu.Unlock()
		after(3 * time.Second)
		if n := len(p.Feeds()); n != 2 {
			t.Fatalf("runs %d, want 2", n)
		}
		p.stop()
	})
}

// A namespace that gets known later gets all its partitions.
func TestNamespaceThatComesLater(t *testing.T) {
	in(t, 3, func(w *world) {
		w.source.set(func() { w.source.unknown = true })
		w.create()
		p := w.start("a")
		after(10 * time.Second)
		w.source.set(func() { w.source.unknown = false })
		after(time.Minute)
		if n := len(p.Feeds()); n != 3 {
			t.Fatalf("runs %d, want 3", n)
		}
		w.wantState(0, changefeed.Normal, "")
		p.stop()
	})
}

// A changefeed of the same name that is defined anew is another one.
func TestDefinedAnew(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		p := w.start("a")
		w.source.logs[0].add(3)
		after(3 * time.Second)
		if err := w.reg.Remove(t.Context(), "f"); err != nil {
			t.Fatal(err)
		}
		w.spec.Created = time.Now().UnixNano()
		w.spec.SinkURI = "rec://elsewhere"
		w.create()
		after(5 * time.Second)
		if running := p.Feeds(); len(running) != 1 || running[0].Progress.State != changefeed.Normal {
			t.Fatalf("running: %+v", running)
		}
		if w.sink.opens() != 2 || w.sink.closes() != 1 {
			t.Fatalf("%d sinks were opened, %d closed, want 2 and 1", w.sink.opens(), w.sink.closes())
		}
		p.stop()
	})
}

// Somebody else finished it between the view and the claim: it isn't run again.
func TestClaimOfWhatIsOver(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		c, err := w.store.Changefeeds().Claim(t.Context(), "f", 0, "other")
		if err != nil {
			t.Fatal(err)
		}
		p := w.start("a")
		after(time.Second)
		if err := c.Save(t.Context(), changefeed.Progress{State: changefeed.Finished, Generation: 1}); err != nil {
			t.Fatal(err)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		after(10 * time.Second)
		if n := len(p.Feeds()); n != 0 || w.sink.opens() != 0 {
			t.Fatalf("runs %d, %d sinks opened", n, w.sink.opens())
		}
		if f := w.reg.View().Feeds["f"]; len(f.Owners) != 0 {
			t.Fatalf("owners: %+v", f.Owners)
		}
		p.stop()
	})
}

func TestOptions(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a manager of nothing")
	}
	if _, err := NewFeedSource(FeedSourceOptions{}); err == nil {
		t.Error("a source of nothing")
	}
}
