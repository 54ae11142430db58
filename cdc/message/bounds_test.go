package message

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// counting is an Appender that keeps nothing: it counts mutations as they come.
type counting struct {
	budget  *changefeed.Budget
	next    uint32
	largest int
	held    int64
}

func (a *counting) Append(_ context.Context, b *Batch) error {
	a.largest, a.held = max(a.largest, b.Bytes), max(a.held, a.budget.Used())
	for i := range b.Messages {
		if b.Messages[i].Seq != a.next {
			return fmt.Errorf("mutation %d where %d is due", b.Messages[i].Seq, a.next)
		}
		a.next++
	}
	return nil
}

func (a *counting) MaxBytes() int { return 1 << 20 }
func (a *counting) Close() error  { return nil }

// One event of very many mutations takes no more memory than others.
func TestAnEventOfManyMutations(t *testing.T) {
	const n = 1_000_000
	h := newHistory(18)
	ms := make([]event.Mutation, n)
	for i := range ms {
		ms[i] = event.Mutation{Op: event.OpDel, Type: event.TypeString, Key: []byte("s:1")}
	}
	h.add(ms...)
	tg := target(changefeed.Spec{})
	tg.Budget = changefeed.NewBudget(2 << 20)
	sink := &counting{budget: tg.Budget}
	w := open(t, Options{Target: tg, Appender: sink})
	h.write(t, w)
	if sink.next != n || w.Durable().Position != h.last.Position || sink.largest > 512<<10 {
		t.Errorf("%d messages in batches of up to %d bytes, durable %+v", sink.next, sink.largest, w.Durable())
	}
	if sink.held > 1<<20 || sink.held == 0 {
		t.Errorf("%d bytes were held", sink.held)
	}
	shut(t, w)
}

// A caller whose ctx ended in the middle of an event gives it again, and nothing of it is lost or comes twice.
func TestACallThatIsBrokenOffGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(19)
		for range 12 {
			ms := []event.Mutation{}
			for range 8 {
				// Large lines with tombstones, so that calls are broken off before these as well.
				gone := event.Mutation{Op: event.OpSRem, Type: event.TypeSet, Key: fmt.Appendf(nil, "s:%0900d", 0), Elements: []event.Element{{Sub: h.value(20 << 10)}}}
				ms = append(ms, h.mutation(20<<10), gone)
			}
			h.add(ms...)
		}
		tg := target(changefeed.Spec{Filter: changefeed.Filter{Tables: []string{"s", "l"}}, Digests: true})
		tg.Budget = changefeed.NewBudget(128 << 10)
		sink := &memory{max: 4 << 10, gate: make(chan struct{})}
		w := open(t, Options{Target: tg, Appender: sink, Tombstones: true})
		broken := 0
		for i, ev := range h.events {
			for {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				err := w.Event(ctx, &h.stamps[i], ev, h.names)
				cancel()
				if err == nil {
					break
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(err)
				}
				broken++
				sink.gate <- struct{}{}
			}
		}
		close(sink.gate)
		settle(t, w, h.last.Position)
		shut(t, w)
		if broken < 10 {
			t.Errorf("%d calls were broken off", broken)
		}
		whole := &memory{max: 4 << 10}
		w = open(t, Options{Target: target(*tg.Spec), Appender: whole, Tombstones: true})
		h.write(t, w)
		shut(t, w)
		if diff := sameMessages(sink.messages, whole.messages); diff != "" {
			t.Error(diff)
		}
	})
}

// A value that fits nowhere but in the common half waits for its turn there, and counts that as the quota's.
func TestLargeValuesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := changefeed.NewBudget(1 << 20)
		h := newHistory(20)
		h.add(event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("large"), Value: make([]byte, 700<<10)})
		var writers []*Writer
		var sinks []*memory
		for range 3 {
			tg := target(changefeed.Spec{})
			tg.Budget = budget
			sinks = append(sinks, &memory{max: 1 << 20, gate: make(chan struct{}, 100)})
			w := open(t, Options{Target: tg, Appender: sinks[len(sinks)-1]})
			writers = append(writers, w)
			go func() {
				err := w.Event(t.Context(), &h.stamps[0], h.events[0], h.names)
				if err == nil {
					err = w.Flush(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
		}
		for i, w := range writers {
			time.Sleep(time.Second)
			if used := budget.Used(); used > budget.Total() {
				t.Errorf("%d bytes are used of %d", used, budget.Total())
			}
			if waited := time.Duration(w.meter.WaitQuota.Load()); i > 0 && waited < time.Second {
				t.Errorf("writer %d waited %s for the quota", i, waited)
			}
			for range 20 {
				sinks[i].gate <- struct{}{}
			}
			synctest.Wait()
			if w.Durable().Position != h.last.Position {
				t.Errorf("writer %d: %+v", i, w.Durable())
			}
		}
		for _, w := range writers {
			w.Close()
		}
		if budget.Used() != 0 {
			t.Errorf("%d bytes are used at the end", budget.Used())
		}
	})
}

// Lines of any size beside the share's limit pass: none waits for room that nobody is going to give back.
func TestLinesOfAnySizePass(t *testing.T) {
	for _, max := range []int{2 << 10, 40 << 10, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			h := newHistory(21)
			for i := range 150 {
				size := 500 * (1 + h.r.IntN(150))
				if i%3 == 0 {
					size = 20 << 10
				}
				value := bytes.Repeat([]byte("\x01a"[i%2:]), size)
				h.add(event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("s"), Value: value})
			}
			tg := target(changefeed.Spec{})
			tg.Budget = changefeed.NewBudget(256 << 10)
			other := tg.Budget.Join()
			sink := &memory{max: max}
			w := open(t, Options{Target: tg, Appender: sink, BatchBytes: 40 << 10})
			h.write(t, w)
			other.Leave()
			shut(t, w)
			check(t, lines(t, sink.messages))
		})
	}
}

// A line that takes all of the share leaves none for the messages that it makes: they pass all the same.
func TestALineThatTakesAllOfTheShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(22)
		tg := target(changefeed.Spec{})
		tg.Budget = changefeed.NewBudget(256 << 10)
		sink := &memory{max: 2 << 10}
		w := open(t, Options{Target: tg, Appender: sink})
		m := event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("s"), Command: "set"}
		for step := 512; step > 0; step /= 8 {
			for w.estimate(&m)+int64(len(m.Key)+2*step) < w.share.Limit() {
				m.Value = append(m.Value, bytes.Repeat([]byte("v"), step)...)
			}
		}
		h.add(m)
		h.write(t, w)
		shut(t, w)
		check(t, lines(t, sink.messages))
	})
}

// panicking is an Appender with a bug.
type panicking struct{ memory }

func (*panicking) Append(context.Context, *Batch) error { panic("a bug") }

// A panic while appending ends the writer, not the process.
func TestPanicFailsTheWriter(t *testing.T) {
	h := newHistory(1)
	h.fill(1, 10)
	w := open(t, Options{Target: target(changefeed.Spec{}), Appender: &panicking{memory{max: 1 << 20}}})
	if err := w.Event(t.Context(), &h.stamps[0], h.events[0], h.names); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-w.Failed()
	if e, ok := errors.AsType[*changefeed.Error](w.Err()); !ok || !e.Final || e.Action == "" || !strings.Contains(e.What, "a bug") {
		t.Errorf("it failed with %v", w.Err())
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// overtaken is an Appender whose first append succeeds when the writer is being closed.
type overtaken struct {
	memory
	begun chan struct{}
}

func (a *overtaken) Append(ctx context.Context, _ *Batch) error {
	close(a.begun)
	<-ctx.Done()
	return nil
}

// A writer that is closed gives back all that it took, a batch included that was ready when the one before had just been written.
func TestCloseGivesBackWhatIsReady(t *testing.T) {
	h := newHistory(1)
	for _, size := range []int{10, 300 << 10} {
		h.add(event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("k"), Value: bytes.Repeat([]byte("v"), size)})
	}
	g := target(changefeed.Spec{})
	g.Budget = changefeed.NewBudget(1 << 20)
	other := g.Budget.Join() // so that the value is larger than a share
	sink := &overtaken{memory{max: 1 << 20}, make(chan struct{})}
	w := open(t, Options{Target: g, Appender: sink})
	for i, ev := range h.events {
		if err := w.Event(t.Context(), &h.stamps[i], ev, h.names); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-sink.begun
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	other.Leave()
	if used, buffered := g.Budget.Used(), g.Meter.Buffered.Load(); used != 0 || buffered != 0 {
		t.Errorf("%d bytes of the budget are still taken, %d are said to be buffered", used, buffered)
	}
}
