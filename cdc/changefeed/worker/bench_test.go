package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/meta/memmeta"
)

var errOver = errors.New("over")

// endless is a stream that has n events at hand, without making them.
type endless struct {
	n    int
	st   event.Stamp
	ev   event.Event
	item changefeed.Item
}

func (e *endless) Buffered() bool { return true }
func (e *endless) Close() error   { return nil }

func (e *endless) Next(context.Context) (*changefeed.Item, error) {
	if e.n--; e.n < 0 {
		return nil, errOver
	}
	e.st.Position.Index++
	e.ev.Time += 1e6
	e.item = changefeed.Item{Event: &e.ev, Stamp: &e.st, Position: e.st.Position}
	return &e.item, nil
}

// void is a writer that takes everything.
type void struct {
	changefeed.Writer
	at changefeed.Reached
}

func (v *void) Event(_ context.Context, st *event.Stamp, _ *event.Event, _ event.Names) error {
	v.at.Position = st.Position
	return nil
}

func (v *void) Heartbeat(context.Context, event.Position, *event.Stamp, int64) error { return nil }
func (v *void) Durable() changefeed.Reached                                          { return v.at }

func newBenchAttempt(t testing.TB) *attempt {
	store := memmeta.New()
	spec := changefeed.Spec{ID: "f", Namespace: "default", SinkURI: "rec://there"}
	spec.SetDefaults()
	if err := store.Changefeeds().Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	claim, err := store.Changefeeds().Claim(t.Context(), "f", 0, "a")
	if err != nil {
		t.Fatal(err)
	}
	o := &Options{Registry: store.Changefeeds(), Source: &source{}, Process: "a", Logger: slog.New(slog.DiscardHandler)}
	w := newWorker(t.Context(), o, newSinks(nil), &spec, 0, claim)
	return &attempt{w: w, writer: &void{}, read: w.reading, write: w.work}
}

// What the loop adds to an event, beside what source and writer cost: nothing is allocated.
func BenchmarkLoop(b *testing.B) {
	a := newBenchAttempt(b)
	b.ReportAllocs()
	if err := a.copy(&endless{n: b.N}); !errors.Is(err, errOver) {
		b.Fatal(err)
	}
}

func TestLoopAllocatesNothing(t *testing.T) {
	a := newBenchAttempt(t)
	e := &endless{}
	if n := testing.AllocsPerRun(5, func() {
		e.n = 10000
		a.at = changefeed.Place{}
		if err := a.copy(e); !errors.Is(err, errOver) {
			t.Fatal(err)
		}
	}); n > 20 {
		t.Errorf("%v allocations for 10000 events", n)
	}
}
