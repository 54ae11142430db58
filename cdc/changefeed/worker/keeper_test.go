package worker

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// A checkpoint is never ahead of the sink, whatever is in the writer's hands.
func TestNeverAheadOfTheSink(t *testing.T) {
	in(t, 1, func(w *world) {
		w.sink.delay = 700 * time.Millisecond
		w.reg.onSave = func(partition uint32, p *changefeed.Progress) {
			r := w.sink.resumeOf(partition)
			if p.Position.Compare(r.After) > 0 {
				t.Errorf("saved %s, the sink has %s", p.Position, r.After)
			}
		}
		w.create()
		p := w.start("a", func(o *Options) { o.SaveEvery = time.Second })
		for range 60 {
			w.source.logs[0].add(3)
			after(333 * time.Millisecond)
		}
		w.store.ExpireClaims("a")
		after(3 * time.Second)
		p.stop()
		if n := len(w.reg.saved()); n < 10 {
			t.Fatalf("%d saves in 20 s", n)
		}
	})
}

func TestShutdownSavesEverything(t *testing.T) {
	in(t, 3, func(w *world) {
		w.create()
		w.sink.delay = 300 * time.Millisecond
		p := w.start("a")
		after(time.Second)
		for _, log := range w.source.logs {
			log.add(5)
		}
		time.Sleep(100 * time.Millisecond)
		begin := time.Now()
		p.stop()
		if d := time.Since(begin); d > 3*time.Second {
			t.Fatalf("it took %s", d)
		}
		for n := range w.source.logs {
			w.wantAll(n)
			if saved := w.progress(uint32(n)); saved.Position.Index != 5 {
				t.Fatalf("saved %s", saved.Position)
			}
		}
		if len(w.reg.View().Feeds["f"].Owners) != 0 {
			t.Fatal("claims weren't released")
		}
	})
}

// A sink that hangs doesn't keep a process from ending.
func TestShutdownIsBounded(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		p := w.start("a")
		w.source.logs[0].add(1)
		after(time.Second)
		w.sink.set(func() { w.sink.delay = time.Hour })
		w.source.logs[0].add(30)
		after(time.Second)
		begin := time.Now()
		p.stop()
		if d := time.Since(begin); d > 6*time.Second {
			t.Fatalf("it took %s", d)
		}
		if saved := w.progress(0); saved.Position.Index != 1 {
			t.Fatalf("saved %+v", saved)
		}
	})
}

// Once the claim is lost nothing more is given to the writer, and nothing saved.
func TestNothingAfterTheClaimIsLost(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		w.sink.delay = time.Second
		p := w.start("a")
		after(time.Second)
		w.source.logs[0].add(100)
		after(1500 * time.Millisecond)
		before := len(w.reg.saved())
		w.store.ExpireClaims("a")
		synctest.Wait()
		n := len(w.sink.records(0))
		w.source.logs[0].add(1)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if len(p.Feeds()) != 0 || len(w.sink.records(0)) != n || len(w.reg.saved()) != before {
			t.Fatalf("runs %d; %d records, %d before; %d saves, %d before", len(p.Feeds()), len(w.sink.records(0)), n, len(w.reg.saved()), before)
		}
		p.stop()
	})
}

func TestRegistryDown(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		p := w.start("a")
		after(2 * time.Second)
		w.reg.failSaves(errors.New("etcd: no leader"))
		w.source.logs[0].add(3)
		after(20 * time.Second)
		w.wantAll(0)
		live := p.Feeds()[0].Progress
		if live.State != changefeed.Warning || live.Trouble.Code != changefeed.CodeRegistry {
			t.Fatalf("live: %+v", live.Trouble)
		}
		w.reg.failSaves(nil)
		after(20 * time.Second)
		w.wantState(0, changefeed.Normal, "")
		p.stop()
	})
}

func TestPlaceAtRisk(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		p := w.start("a")
		w.source.logs[0].add(1)
		after(8 * time.Second)
		w.sink.set(func() { w.sink.delay = time.Hour })
		w.source.set(func() {
			w.source.head.Headroom = map[string]int64{changefeed.ConsumerID("f"): 600, changefeed.ConsumerID("other"): 0}
		})
		w.source.logs[0].add(30)
		after(20 * time.Second)
		saved := w.wantState(0, changefeed.Warning, changefeed.CodePlaceAtRisk)
		if f := saved.Figures; f.LagEntries != 30 || f.LagBytes != 3000 || f.HeadroomBytes != 600 || f.LagSeconds < 15 || f.ETASeconds != -1 {
			t.Fatalf("figures: %+v", f)
		}
		if !strings.Contains(saved.Trouble.Reason, "600 B") {
			t.Fatalf("reason: %s", saved.Trouble.Reason)
		}
		p.stop()
	})
}

// What costs something at rest: registry writes, entries of the log, and wake-ups.
func TestAtRest(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		p := w.start("a")
		w.source.logs[0].add(5)
		after(20 * time.Second)
		saves, holds := len(w.reg.saved()), len(w.source.held())
		for range 10 {
			w.source.logs[0].Append(1, nil) // such as what holds of other consumers leave
			after(30 * time.Second)
		}
		if n := len(w.reg.saved()) - saves; n < 15 || n > 21 {
			t.Errorf("%d saves in 5 minutes", n)
		}
		if n := len(w.source.held()) - holds; n != 0 {
			t.Errorf("%d holds in 5 minutes", n)
		}
		saved := w.wantState(0, changefeed.Normal, "")
		if saved.Position.Index != 15 || saved.Figures.LagSeconds != 0 || saved.Figures.LagEntries != 0 {
			t.Errorf("an idle partition doesn't advance: %+v", saved)
		}
		w.source.logs[0].add(1)
		after(10 * time.Second)
		if n := len(w.source.held()) - holds; n != 1 || w.source.held()[len(w.source.held())-1].Index != 16 {
			t.Errorf("holds after an event: %v", w.source.held())
		}
		p.stop()
	})
}

// What is held is what was saved, and not more.
func TestHoldsWhatIsSaved(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		p := w.start("a")
		for range 100 {
			w.source.logs[0].add(2)
			after(500 * time.Millisecond)
			if n := len(w.source.held()); n > 0 && w.source.held()[n-1].Compare(w.progress(0).Position) > 0 {
				t.Fatalf("held at %s, saved %s", w.source.held()[n-1], w.progress(0).Position)
			}
		}
		if n := len(w.source.held()); n < 5 || n > 25 {
			t.Fatalf("%d holds in 50 s", n)
		}
		p.stop()
	})
}

func TestHeartbeats(t *testing.T) {
	in(t, 1, func(w *world) {
		w.spec.Heartbeat = changefeed.Duration(10 * time.Second)
		w.create()
		p := w.start("a")
		w.source.logs[0].add(1)
		after(2 * time.Minute)
		if n := w.sink.count(0, "beat"); n < 10 || n > 14 {
			t.Fatalf("%d heartbeats in 2 minutes", n)
		}
		p.stop()
	})
}

// A checkpoint set by hand to before what the log was told to keep has it told anew: it would keep what comes after the later one.
func TestHoldGoesBack(t *testing.T) {
	in(t, 1, func(w *world) {
		log := w.source.logs[0]
		log.add(9)
		w.create()
		p := w.start("a")
		after(15 * time.Second)
		w.update(func(s *changefeed.Spec) { s.Paused = true })
		after(2 * time.Second)
		first := log.Stamps()[1]
		w.sink.failing = stuck("write")
		if err := w.reg.SetProgress(t.Context(), "f", 0, changefeed.Progress{Position: first.Position, Chain: first.Chain, Forced: true}); err != nil {
			t.Fatal(err)
		}
		w.update(func(s *changefeed.Spec) { s.Paused = false })
		after(15 * time.Second)
		if held := w.source.held(); len(held) < 2 || held[len(held)-1] != first.Position || !held[len(held)-2].IsZero() {
			t.Errorf("held after %v, want nothing and then after %s", held, first.Position)
		}
		p.stop()
	})
}
