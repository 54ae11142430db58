package worker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// in runs a test in a bubble, in which time passes when nothing else does.
func in(t *testing.T, partitions int, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t, partitions)) })
}

func TestCarriesEverything(t *testing.T) {
	in(t, 2, func(w *world) {
		w.source.logs[0].Fill(1, 100)
		w.create()
		p := w.start("a")
		after(time.Second)
		w.source.logs[0].add(5)
		w.source.logs[1].add(5)
		after(10 * time.Second)
		w.wantAll(0)
		w.wantAll(1)
		running := p.Feeds()
		if len(running) != 2 || running[0].Partition != 0 || running[1].Partition != 1 {
			t.Fatalf("running: %+v", running)
		}
		saved := w.wantState(0, changefeed.Normal, "")
		stamps := w.source.logs[0].Stamps()
		last := stamps[len(stamps)-1]
		if saved.Position.Compare(last.Position) < 0 || saved.Chain != last.Chain || saved.Owner != "a" || saved.Epoch != 1 || saved.Generation != 1 {
			t.Fatalf("saved %+v, want %s", saved, last.Position)
		}
		if f := running[0].Progress.Figures; f.LagEntries != 0 || f.LagSeconds != 0 || f.ETASeconds != 0 || f.Events != uint64(len(stamps)) {
			t.Fatalf("figures: %+v", f)
		}
		p.stop()
		if len(w.reg.View().Feeds["f"].Owners) != 0 {
			t.Fatal("claims weren't released")
		}
		if w.sink.opens() != 1 || w.sink.closes() != 1 {
			t.Fatalf("the sink was opened %d times, closed %d times, want one of each", w.sink.opens(), w.sink.closes())
		}
	})
}

func TestTakesOverWhenOwnerDies(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		a := w.start("a")
		after(time.Second)
		b := w.start("b")
		w.source.logs[0].add(20)
		after(time.Second)
		if len(a.Feeds()) != 1 || len(b.Feeds()) != 0 {
			t.Fatal("b took from a, which lives")
		}
		w.source.logs[0].add(1)
		w.store.ExpireClaims("a") // in the middle of a write
		after(5 * time.Second)
		all := w.sink.records(0)
		if got := all[len(all)-1].epoch; got != 2 {
			t.Fatalf("the last record is of epoch %d, want 2", got)
		}
		w.wantAll(0)
		a.stop()
		b.stop()
	})
}

// An owner that has yet to learn that its claim is lost writes on: the sink refuses it, and it lets go quietly.
func TestFencedOwnerLetsGo(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		a := w.start("a")
		after(time.Second)
		w.sink.set(func() { w.sink.stream(0).epoch = 9 })
		w.source.logs[0].add(1)
		after(500 * time.Millisecond)
		if got := w.sink.count(0, "event"); got != 0 || len(a.Feeds()) != 0 {
			t.Fatalf("%d events of a fenced owner came into the stream; runs %d", got, len(a.Feeds()))
		}
		w.wantState(0, changefeed.Normal, "")
		w.sink.set(func() { w.sink.stream(0).epoch = 0 })
		after(5 * time.Second)
		w.wantAll(0)
		a.stop()
	})
}

func TestSharesWithOthers(t *testing.T) {
	in(t, 40, func(w *world) {
		w.create()
		a, b := w.start("a"), w.start("b")
		after(5 * time.Second)
		x, y := len(a.Feeds()), len(b.Feeds())
		if x+y != 40 || x < 12 || y < 12 {
			t.Fatalf("%d and %d of 40", x, y)
		}
		a.stop()
		after(3 * time.Second)
		if n := len(b.Feeds()); n != 40 {
			t.Fatalf("b runs %d of 40 when it is alone", n)
		}
		b.stop()
	})
}

// What a process leaves goes to who has less.
func TestWhoHasLessIsFirst(t *testing.T) {
	in(t, 60, func(w *world) {
		w.create()
		var begun atomic.Bool
		half := func(n uint32) time.Duration {
			if begun.Load() {
				return 0
			}
			return time.Duration(n/30) * time.Second
		}
		a := w.start("a", func(o *Options) { o.Source = &preferring{w.source, half} })
		after(900 * time.Millisecond)
		b := w.start("b")
		after(5 * time.Second)
		c := w.start("c")
		if x, y := len(a.Feeds()), len(b.Feeds()); x < 30 || x+y != 60 {
			t.Fatalf("%d and %d of 60", x, y)
		}
		left := len(b.Feeds())
		begun.Store(true)
		b.stop()
		after(5 * time.Second)
		if n := len(c.Feeds()); n < left*3/4 {
			t.Fatalf("who had none took %d of %d", n, left)
		}
		a.stop()
		c.stop()
	})
}

func TestPreference(t *testing.T) {
	in(t, 2, func(w *world) {
		w.create()
		far := func(n uint32) time.Duration { return time.Duration(n) * time.Second }
		near := func(n uint32) time.Duration { return time.Duration(1-n) * time.Second }
		a := w.start("a", func(o *Options) { o.Source = &preferring{w.source, near} })
		b := w.start("b", func(o *Options) { o.Source = &preferring{w.source, far} })
		after(3 * time.Second)
		if x, y := a.Feeds(), b.Feeds(); len(x) != 1 || len(y) != 1 || x[0].Partition != 1 || y[0].Partition != 0 {
			t.Fatalf("a runs %+v, b %+v", x, y)
		}
		a.stop()
		b.stop()
	})
}

func TestPauseResumeUpdateRemove(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		p := w.start("a")
		w.source.logs[0].add(3)
		after(2 * time.Second)
		w.update(func(s *changefeed.Spec) { s.Paused = true })
		after(time.Second)
		saved := w.wantState(0, changefeed.Paused, "")
		if len(p.Feeds()) != 0 || saved.Position.IsZero() {
			t.Fatalf("paused: runs %d, saved %+v", len(p.Feeds()), saved)
		}
		w.source.logs[0].add(3)
		after(5 * time.Second)
		if got := w.sink.count(0, "event"); got != 3 {
			t.Fatalf("%d events while paused, want 3", got)
		}
		w.update(func(s *changefeed.Spec) { s.Paused = false })
		after(3 * time.Second)
		w.wantAll(0)
		w.update(func(s *changefeed.Spec) { s.Heartbeat = changefeed.Duration(time.Second) })
		w.source.logs[0].add(3)
		after(3 * time.Second)
		w.wantAll(0)
		if saved = w.wantState(0, changefeed.Normal, ""); saved.Generation != 4 || saved.Epoch != 3 {
			t.Fatalf("after an update: %+v", saved)
		}
		if err := w.reg.Remove(t.Context(), "f"); err != nil {
			t.Fatal(err)
		}
		after(3 * time.Second)
		if len(p.Feeds()) != 0 || w.sink.closes() != w.sink.opens() {
			t.Fatalf("removed: runs %d, %d of %d sinks closed", len(p.Feeds()), w.sink.closes(), w.sink.opens())
		}
		if holds := w.source.held(); !holds[len(holds)-1].IsZero() {
			t.Fatalf("the log is still held: %v", holds)
		}
		p.stop()
	})
}

// A changefeed that is removed while it is paused has nobody that holds the log for it; it is let go nevertheless.
func TestRemovedWhilePaused(t *testing.T) {
	in(t, 1, func(w *world) {
		w.spec.Paused = true
		w.create()
		p := w.start("a")
		after(2 * time.Second)
		if err := w.reg.Remove(t.Context(), "f"); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Second)
		if len(w.source.held()) != 1 || !w.source.held()[0].IsZero() {
			t.Fatalf("holds: %v", w.source.held())
		}
		p.stop()
	})
}

// From every position of a small log, as the sink's end and as the checkpoint.
func TestResumesFromEveryPosition(t *testing.T) {
	in(t, 1, func(w *world) {
		log := w.source.logs[0]
		log.Fill(1, 30)
		w.create()
		stamps := log.Stamps()
		for _, forgetful := range []bool{false, true} {
			for i, st := range stamps {
				w.sink.set(func() {
					w.sink.forgetful = forgetful
					w.sink.streams = map[uint32]*recorded{}
					if !forgetful {
						for _, st := range stamps[:i+1] {
							w.sink.stream(0).records = append(w.sink.stream(0).records, record{kind: "event", stamp: st, reached: changefeed.Reached{Position: st.Position, Chain: st.Chain}})
						}
					}
				})
				var saved changefeed.Progress
				if forgetful {
					saved.Position, saved.Chain = st.Position, st.Chain
				}
				if err := w.reg.SetProgress(t.Context(), "f", 0, saved); err != nil {
					t.Fatal(err)
				}
				p := w.start("a")
				after(2 * time.Second)
				p.stop()
				if forgetful {
					same(t, w.sink.stamps(0), stamps[i+1:])
				} else {
					same(t, w.sink.stamps(0), stamps)
				}
			}
		}
	})
}

func TestForcedCheckpointWinsOnce(t *testing.T) {
	for _, boastful := range []bool{false, true} {
		in(t, 1, func(w *world) {
			w.sink.boastful = boastful
			forcedWinsOnce(w)
		})
	}
}

func forcedWinsOnce(w *world) {
	t := w.t
	log := w.source.logs[0]
	log.Fill(1, 30)
	w.create()
	p := w.start("a")
	after(3 * time.Second)
	p.stop()
	stamps := log.Stamps()
	at := stamps[4]
	if err := w.reg.SetProgress(t.Context(), "f", 0, changefeed.Progress{Position: at.Position, Chain: at.Chain, Forced: true}); err != nil {
		t.Fatal(err)
	}
	// An owner that dies before anything of it is durable doesn't use it up.
	w.sink.set(func() { w.sink.delay = time.Hour })
	p = w.start("a")
	after(8 * time.Second)
	if saved := w.progress(0); !saved.Forced || saved.Position != at.Position {
		t.Fatalf("before anything is durable: %+v", saved)
	}
	w.store.ExpireClaims("a")
	p.stop()
	w.sink.set(func() { w.sink.delay = time.Millisecond })
	p = w.start("b")
	after(7 * time.Second)
	if saved := w.progress(0); saved.Forced {
		t.Fatalf("it is forced for ever: %+v", saved)
	}
	p.stop()
	p = w.start("a")
	after(3 * time.Second)
	p.stop()
	same(t, w.sink.stamps(0), append(stamps[:len(stamps):len(stamps)], stamps[5:]...))
}

func TestSinkThatLostSomething(t *testing.T) {
	in(t, 1, func(w *world) {
		w.source.logs[0].Fill(1, 30)
		w.create()
		p := w.start("a")
		after(7 * time.Second)
		p.stop()
		w.sink.set(func() { s := w.sink.stream(0); s.records = s.records[:5] })
		p = w.start("a")
		after(2 * time.Second)
		w.wantState(0, changefeed.Warning, changefeed.CodeSinkBehind)
		w.wantAll(0)
		after(2 * time.Minute)
		w.wantState(0, changefeed.Normal, "")
		p.stop()
	})
}

func TestTo(t *testing.T) {
	in(t, 2, func(w *world) {
		w.source.logs[0].add(10)
		w.source.logs[1].add(2)
		stamps := w.source.logs[0].Stamps()
		w.spec.To = "0=" + stamps[6].Position.String() + ",1=1-9"
		w.create()
		p := w.start("a")
		after(3 * time.Second)
		if saved := w.wantState(0, changefeed.Finished, ""); saved.Position != stamps[6].Position {
			t.Fatalf("finished at %s, want %s", saved.Position, stamps[6].Position)
		}
		same(t, w.sink.stamps(0), stamps[:7])
		w.wantState(1, changefeed.Normal, "")
		w.source.logs[1].add(1)
		for range 7 {
			w.source.logs[1].Append(1, nil) // entries that are no events reach the end, too
		}
		after(4 * time.Second)
		w.wantState(1, changefeed.Finished, "")
		w.wantAll(1)
		if len(p.Feeds()) != 0 {
			t.Fatal("what is finished still runs")
		}
		if holds := w.source.held(); !holds[len(holds)-1].IsZero() {
			t.Fatalf("the log is still held: %v", holds)
		}
		p.stop()
	})
}

func TestToTimeOnIdlePartition(t *testing.T) {
	in(t, 1, func(w *world) {
		w.source.logs[0].add(4)
		w.spec.To = time.Now().Add(20 * time.Second).UTC().Format(time.RFC3339Nano)
		w.create()
		p := w.start("a")
		after(19 * time.Second)
		w.wantState(0, changefeed.Normal, "")
		after(4 * time.Second)
		w.wantState(0, changefeed.Finished, "")
		w.wantAll(0)
		p.stop()
	})
}
