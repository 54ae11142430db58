package worker

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

func TestSinkFailsAndComesBack(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		p := w.start("a")
		w.source.logs[0].add(4)
		after(2 * time.Second)
		down := &changefeed.Error{Stage: changefeed.StageBroker, Code: changefeed.CodeBrokerDown, What: "broker 127.0.0.1:1 refuses the connection"}
		tries := 0
		w.sink.set(func() {
			w.sink.failing = func(uint32, uint64, string) error { tries++; return down }
		})
		begun := time.Now()
		w.source.logs[0].add(4)
		after(time.Minute)
		saved := w.wantState(0, changefeed.Warning, changefeed.CodeBrokerDown)
		if d := time.Unix(0, saved.Trouble.Since).Sub(begun); d > time.Second {
			t.Fatalf("the trouble is said to have begun %s late", d)
		}
		if tries < 6 || tries > 20 {
			t.Fatalf("%d tries in a minute", tries)
		}
		if saved.Figures.LagSeconds < 30 || saved.Figures.Retries == 0 {
			t.Fatalf("figures: %+v", saved.Figures)
		}
		w.sink.set(func() { w.sink.failing = nil })
		after(32 * time.Second)
		w.wantState(0, changefeed.Normal, "")
		w.wantAll(0)
		p.stop()
	})
}

// One failure that doesn't come again is nobody's business.
func TestOneFailureIsNoWarning(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		p := w.start("a")
		failed := false
		w.sink.set(func() {
			w.sink.failing = func(_ uint32, _ uint64, what string) error {
				if failed || what == "open" {
					return nil
				}
				failed = true
				return errors.New("a hiccup")
			}
		})
		w.source.logs[0].add(4)
		after(10 * time.Second)
		for _, s := range w.reg.saved() {
			if s.State != changefeed.Normal {
				t.Fatalf("saved %+v", s)
			}
		}
		w.wantAll(0)
		p.stop()
	})
}

func TestFinalFailure(t *testing.T) {
	in(t, 2, func(w *world) {
		w.create()
		p := w.start("a")
		w.sink.set(func() {
			w.sink.failing = func(partition uint32, _ uint64, what string) error {
				if partition == 0 && what == "write" {
					return &changefeed.Error{Stage: changefeed.StageBroker, Code: changefeed.CodeTopic, Final: true, What: "topic x has 1 partition, want 2"}
				}
				return nil
			}
		})
		w.source.logs[0].add(1)
		w.source.logs[1].add(1)
		after(10 * time.Second)
		w.wantState(0, changefeed.Failed, changefeed.CodeTopic)
		if running := p.Feeds(); len(running) != 1 || running[0].Partition != 1 {
			t.Fatalf("running: %+v", running)
		}
		w.wantAll(1)
		w.sink.set(func() { w.sink.failing = nil })
		after(time.Minute)
		w.wantState(0, changefeed.Failed, changefeed.CodeTopic)
		w.update(func(*changefeed.Spec) {}) // resume
		after(10 * time.Second)
		w.wantState(0, changefeed.Normal, "")
		w.wantAll(0)
		p.stop()
	})
}

func TestPanicFailsOnePartition(t *testing.T) {
	in(t, 2, func(w *world) {
		w.create()
		p := w.start("a")
		w.sink.set(func() {
			w.sink.failing = func(partition uint32, _ uint64, what string) error {
				if partition == 0 && what == "open" {
					panic("out of cheese")
				}
				return nil
			}
		})
		w.source.logs[1].add(3)
		after(5 * time.Second)
		w.wantState(0, changefeed.Failed, changefeed.CodeInternal)
		w.wantState(1, changefeed.Normal, "")
		w.wantAll(1)
		p.stop()
	})
}

func TestSourceTroubles(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		state changefeed.State
		code  changefeed.Code
	}{
		{"down", errors.New("no replica served"), changefeed.Warning, changefeed.CodeSourceDown},
		{"mismatch", &feed.Error{Kind: feed.Mismatch, What: "another history"}, changefeed.Failed, changefeed.CodeHistory},
		{"corrupt", event.ErrCorrupt, changefeed.Warning, changefeed.CodeCorrupt},
		{"elsewhere", &feed.Error{Kind: feed.Elsewhere, What: "not here"}, changefeed.Warning, changefeed.CodeSourceDown},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, 1, func(w *world) {
				w.create()
				p := w.start("a")
				after(3 * time.Second)
				w.source.set(func() { w.source.fail = c.err })
				w.source.logs[0].add(1)
				after(20 * time.Second)
				w.wantState(0, c.state, c.code)
				opens := w.sink.opensOf(0)
				w.source.set(func() { w.source.fail = nil })
				after(40 * time.Second)
				if c.state == changefeed.Warning {
					if opens != 1 {
						t.Errorf("the sink was opened %d times because of its source", opens)
					}
					w.wantState(0, changefeed.Normal, "")
					w.wantAll(0)
				}
				p.stop()
			})
		})
	}
}

// Where nothing moves that could show that a trouble is over, it is over when it hasn't come again for a while.
func TestRecoversAtRest(t *testing.T) {
	in(t, 1, func(w *world) {
		w.source.logs[0].add(3)
		w.create()
		p := w.start("a")
		after(10 * time.Second)
		w.source.set(func() { w.source.fail = errors.New("no replica served") })
		after(20 * time.Second)
		for range 120 {
			after(time.Second)
			w.wantState(0, changefeed.Warning, changefeed.CodeSourceDown) // and not now and then
		}
		w.source.set(func() { w.source.fail = nil })
		after(50 * time.Second)
		w.wantState(0, changefeed.Normal, "")
		p.stop()
	})
}

// A position beyond the log, and a namespace that isn't known, may be what replicas have yet to hear of. After a minute they aren't.
func TestAheadAndUnknownFailAfterAWhile(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		if err := w.reg.SetProgress(t.Context(), "f", 0, changefeed.Progress{Position: event.Position{Term: 1, Index: 50}}); err != nil {
			t.Fatal(err)
		}
		p := w.start("a")
		after(30 * time.Second)
		w.wantState(0, changefeed.Warning, changefeed.CodeHistory)
		after(90 * time.Second)
		w.wantState(0, changefeed.Failed, changefeed.CodeHistory)
		p.stop()
	})
	in(t, 1, func(w *world) {
		w.source.waits = true
		w.create()
		if err := w.reg.SetProgress(t.Context(), "f", 0, changefeed.Progress{Position: event.Position{Term: 1, Index: 5}}); err != nil {
			t.Fatal(err)
		}
		p := w.start("a")
		after(40 * time.Second)
		w.wantState(0, changefeed.Warning, changefeed.CodeHistory)
		w.source.logs[0].add(7) // the log gets there after all
		after(20 * time.Second)
		w.wantState(0, changefeed.Normal, "")
		same(t, w.sink.stamps(0), w.source.logs[0].Stamps()[5:])
		p.stop()
		if err := w.reg.SetProgress(t.Context(), "f", 0, changefeed.Progress{Position: event.Position{Term: 1, Index: 50}, Forced: true}); err != nil {
			t.Fatal(err)
		}
		p = w.start("a")
		after(2 * time.Minute)
		if saved := w.wantState(0, changefeed.Failed, changefeed.CodeHistory); !strings.Contains(saved.Trouble.Reason, "1-50") {
			t.Fatalf("reason: %s", saved.Trouble.Reason)
		}
		p.stop()
	})
	in(t, 1, func(w *world) {
		w.source.unknown = true
		w.create()
		p := w.start("a")
		after(30 * time.Second)
		w.wantState(0, changefeed.Warning, changefeed.CodeSourceDown)
		after(90 * time.Second)
		w.wantState(0, changefeed.Failed, changefeed.CodeSourceDown)
		p.stop()
	})
}

func TestEventThatDoesNotJoin(t *testing.T) {
	in(t, 1, func(w *world) {
		w.create()
		p := w.start("a")
		w.source.logs[0].add(3)
		after(2 * time.Second)
		w.source.set(func() {
			w.source.tamper = func(i *changefeed.Item) {
				st := *i.Stamp
				st.PrevChain[0] ^= 1
				i.Stamp = &st
			}
		})
		w.source.logs[0].add(1)
		after(2 * time.Second)
		w.wantState(0, changefeed.Failed, changefeed.CodeHistory)
		if got := w.sink.count(0, "event"); got != 3 {
			t.Fatalf("%d events in the sink, want 3", got)
		}
		p.stop()
	})
}

// TestPlaceOfAnotherHistory: a sink that decides has a place, and the source's log is another one by now, which is longer, of the same term.
func TestPlaceOfAnotherHistory(t *testing.T) {
	for what, anew := range map[string]bool{"the same log": false, "made anew": true} {
		t.Run(what, func(t *testing.T) {
			in(t, 1, func(w *world) {
				w.create()
				p := w.start("a")
				w.source.logs[0].add(3)
				after(7 * time.Second)
				p.stop()
				saved := w.progress(0).Position
				w.source.logs[0].add(5)
				stamps := w.source.logs[0].Stamps()
				last := stamps[4]
				if last.Position.Compare(saved) <= 0 {
					t.Fatalf("the checkpoint is at %s", saved)
				}
				w.sink.set(func() { // the owner died before it saved what the sink has
					s := w.sink.stream(0)
					for _, st := range stamps[3:5] {
						s.records = append(s.records, record{kind: "event", stamp: st, reached: changefeed.Reached{Position: st.Position, Chain: st.Chain}})
					}
					w.sink.decides = true
				})
				if anew {
					h := feedtest.NewHistory()
					h.Fill(last.Position.Term, 40)
					w.source.set(func() { w.source.logs[0] = &partitionLog{History: h, replica: feedtest.NewReplica(h)} })
				}
				p = w.start("b")
				after(7 * time.Second)
				if !anew {
					w.wantAll(0)
				} else if w.wantState(0, changefeed.Failed, changefeed.CodeHistory); w.sink.count(0, "event") != 5 {
					t.Fatalf("%d events in the sink, want the 5 of before", w.sink.count(0, "event"))
				}
				p.stop()
			})
		})
	}
}

func TestBadDefinitions(t *testing.T) {
	for _, change := range []func(*changefeed.Spec){
		func(s *changefeed.Spec) { s.From = "yesterday" },
		func(s *changefeed.Spec) { s.From = "0=" },
		func(s *changefeed.Spec) { s.To = "never" },
	} {
		in(t, 1, func(w *world) {
			change(&w.spec)
			w.create()
			p := w.start("a")
			after(3 * time.Second)
			w.wantState(0, changefeed.Failed, changefeed.CodeDefinition)
			p.stop()
		})
	}
	in(t, 1, func(w *world) {
		w.spec.SinkURI = "pigeon://there"
		w.create()
		p := w.start("a")
		after(3 * time.Second)
		w.wantState(0, changefeed.Failed, changefeed.CodeSinkConfig)
		p.stop()
	})
}
