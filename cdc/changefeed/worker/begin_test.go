package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// stuck is a broker that can't be reached at all, or that takes nothing: what fails.
func stuck(what string) func(uint32, uint64, string) error {
	return func(_ uint32, _ uint64, doing string) error {
		if doing == what {
			return errors.New("the broker is away")
		}
		return nil
	}
}

// What latest means is settled once: neither the next attempt nor the next owner begins further on, though nothing ever came into the sink.
func TestLatestIsSettledOnce(t *testing.T) {
	for _, what := range []string{"open", "write"} {
		t.Run(what, func(t *testing.T) {
			in(t, 1, func(w *world) {
				w.source.logs[0].add(5)
				w.spec.From = "latest"
				w.sink.failing = stuck(what)
				w.create()
				p := w.start("a")
				after(5 * time.Second)
				w.source.logs[0].add(3)
				after(time.Minute)
				p.stop()
				w.source.logs[0].add(4)
				w.sink.set(func() { w.sink.failing = nil })
				p = w.start("b")
				after(10 * time.Second)
				same(t, w.sink.stamps(0), w.source.logs[0].Stamps()[5:])
				if saved := w.wantState(0, changefeed.Normal, ""); saved.Began != "" {
					t.Errorf("still said to begin at %q, %s", saved.Began, saved.Position)
				}
				p.stop()
			})
		})
	}
}

// Nothing is given to the sink, and it isn't even opened, before where it begins is saved.
func TestBeginIsSavedFirst(t *testing.T) {
	in(t, 1, func(w *world) {
		w.source.logs[0].add(5)
		w.spec.From = "latest"
		w.reg.failSaves(errors.New("etcd is away"))
		w.create()
		p := w.start("a")
		after(30 * time.Second)
		if n := w.sink.opensOf(0); n != 0 {
			t.Errorf("opened %d times", n)
		}
		w.source.logs[0].add(2)
		w.reg.failSaves(nil)
		after(10 * time.Second)
		same(t, w.sink.stamps(0), w.source.logs[0].Stamps()[5:])
		p.stop()
	})
}

// The log is kept from where the partition begins, and from nowhere further on, when the sink ends before that.
func TestBeginIsHeld(t *testing.T) {
	in(t, 1, func(w *world) {
		log := w.source.logs[0]
		log.add(5)
		w.spec.From = "latest"
		w.sink.failing = stuck("open")
		w.create()
		p := w.start("a")
		after(15 * time.Second)
		want := log.Stamps()[4].Position
		if held := w.source.held(); len(held) != 1 || held[0] != want {
			t.Errorf("held after %v, want after %s", held, want)
		}
		p.stop()
	})
}

// Another From is another place to begin, as long as nothing was written.
func TestBeginIsDefinedAnew(t *testing.T) {
	for from, first := range map[string]int{"earliest": 0, "latest": 5, "": 3} {
		in(t, 1, func(w *world) {
			log := w.source.logs[0]
			log.add(5)
			w.spec.From = "latest"
			w.sink.failing = stuck("open")
			w.create()
			p := w.start("a")
			after(5 * time.Second)
			w.sink.set(func() { w.sink.failing = nil })
			if from == "" {
				from = log.Stamps()[3].Position.String()
			}
			w.update(func(s *changefeed.Spec) { s.From = from })
			after(5 * time.Second)
			log.add(2)
			after(5 * time.Second)
			same(t, w.sink.stamps(0), log.Stamps()[first:])
			p.stop()
		})
	}
}

// A log that lost its beginning while the sink was away isn't taken for one that begins later.
func TestEarliestIsSettledOnce(t *testing.T) {
	in(t, 1, func(w *world) {
		log := w.source.logs[0]
		log.add(9)
		w.sink.failing = stuck("write")
		w.create()
		p := w.start("a")
		after(5 * time.Second)
		log.replica.Truncate(6)
		w.sink.set(func() { w.sink.failing = nil })
		after(time.Minute)
		if n := w.source.taken(); n != 1 {
			t.Errorf("%d snapshots of what the log lost", n)
		}
		p.stop()
	})
}

// What a sink has counts for more than where the partition was found to begin, and is nothing that it lost.
func TestStartOfBegan(t *testing.T) {
	chain := event.Chain{7}
	began := changefeed.Progress{Position: at(20), Chain: chain, Began: "latest"}
	first := changefeed.Progress{Began: "earliest"}
	there := changefeed.Place{After: at(20), Chain: chain, ChainKnown: true}
	forced := began
	forced.Forced = true
	for _, c := range []struct {
		name  string
		p     changefeed.Progress
		r     changefeed.Resume
		want  changefeed.Place
		began string
	}{
		{name: "an empty sink", p: began, want: there, began: "latest"},
		{name: "a sink with something before", p: began, r: changefeed.Resume{Known: true, After: at(10)}, want: changefeed.Place{After: at(10)}},
		{name: "within a first snapshot", p: began, r: changefeed.Resume{Known: true, InSnapshot: true}, want: there, began: "latest"},
		{name: "a part of the first event", p: began, r: changefeed.Resume{Known: true}, want: changefeed.Place{From: "earliest", ChainKnown: true}},
		{name: "the very beginning", p: first, want: changefeed.Place{From: "earliest", ChainKnown: true}, began: "earliest"},
		{name: "set by hand", p: forced, r: changefeed.Resume{Known: true, After: at(30)}, want: there, began: "latest"},
	} {
		s, err := startOf(&changefeed.Spec{ID: "f", From: "latest"}, 1, &c.p, c.r)
		if err != nil || s.at != c.want || s.began != c.began || s.behind != "" || s.rewind != c.p.Forced {
			t.Errorf("%s: %+v, %v", c.name, s, err)
		}
	}
}
