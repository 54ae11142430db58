package replay

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/replay/problem"
)

// eventually waits until something is so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); <-time.After(time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("not in 30 s: %s", what)
		}
	}
}

// begun is a source with some events that the target has, and a writer that goes on behind them.
func begun(t *testing.T, target *theTarget, sink *Sink, s *source, budget int64) (*Writer, *changefeed.Meter) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(s.number)))
	if len(s.events) == 0 {
		s.write(r, 3)
	}
	meter := new(changefeed.Meter)
	s.carry(t, sink, r, carrying{upTo: len(s.events), budget: 1 << 20, stop: never})
	w, err := sink.Open(t.Context(), s.target(&carrying{budget: budget, meter: meter}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w.(*Writer), meter
}

// give has a writer take the source's events from a number on.
func (s *source) give(ctx context.Context, w *Writer, from int) error {
	for i := from; i < len(s.events); i++ {
		st, ev := s.at(i)
		if err := w.Event(ctx, &st, ev, s.names); err != nil {
			return err
		}
	}
	return nil
}

// set adds an event that sets one key.
func (s *source) set(key, text string) {
	n := len(s.events)
	prev := s.stamps[n-1]
	old := &value{}
	state := map[string]*value{}
	for k, v := range s.states[n-1] {
		state[k] = v
	}
	if state[key] != nil {
		old = state[key]
	}
	at := event.Position{Term: prev.Position.Term, Index: prev.Position.Index + 1}
	ev := event.Event{Time: int64(n+1) * 1e6, Term: at.Term}
	m := event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte(key), Value: []byte(text), Version: event.Version{Time: ev.Time, Cluster: 1}, Prev: old.version}
	ev.Mutations = []event.Mutation{m}
	v := old.clone()
	v.apply(&m)
	state[key] = v
	next := prev.Chain
	next[1]++
	s.events, s.states = append(s.events, ev), append(s.states, state)
	s.stamps = append(s.stamps, event.Stamp{Cluster: s.cluster, Namespace: "ns", Partition: s.number, Position: at, Prev: prev.Position, PrevChain: prev.Chain, Chain: next})
}

// keyOf is a key of the source's that belongs to a partition of the target.
func (t *theTarget) keyOf(s *source, partition uint32) string {
	for n := 0; ; n++ {
		if key := fmt.Sprint("k:", n); s.hash([]byte(key)) == s.number && t.hash([]byte(key)) == partition {
			return key
		}
	}
}

// Each refusal has its code; what may pass is repeated until it does, and told meanwhile.
func TestRefusals(t *testing.T) {
	for kind, code := range map[problem.Kind]changefeed.Code{
		problem.Invalid: changefeed.CodeTargetRefused, problem.Unknown: changefeed.CodeTargetConfig, problem.Gap: changefeed.CodeTargetGap, problem.Superseded: changefeed.CodeFenced,
		problem.NeedsSync: changefeed.CodeNeedsSync, problem.Clock: changefeed.CodeClock, problem.Refused: changefeed.CodeTargetRefused,
		problem.Elsewhere: changefeed.CodeTargetDown, problem.Waits: changefeed.CodeTargetWaits, problem.Overload: changefeed.CodeTargetOverload, problem.Outcome: changefeed.CodeTargetDown,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			target := newTarget(t, 1, 1, "crc16")
			s := newSource(0, 1)
			sink := openSink(t, target, s, "")
			w, meter := begun(t, target, sink, s, 1<<20)
			var refuse atomic.Bool
			refuse.Store(true)
			target.fault = func(call string, _, _ uint32) fault {
				if call == "apply" && refuse.Load() {
					return fault{err: &problem.Error{Kind: kind, What: "no: it is refused", Offset: time.Minute}}
				}
				return fault{}
			}
			s.set("k", "v")
			if err := s.give(t.Context(), w, 1); err != nil {
				t.Fatal(err)
			}
			if judge(&problem.Error{Kind: kind}).again {
				eventually(t, "it is told", func() bool { e := meter.Trying.Load(); return e != nil && e.Code == code })
				refuse.Store(false)
				eventually(t, "it arrives", func() bool { return w.Durable().Position == s.stamps[1].Position })
				eventually(t, "nothing is told", func() bool { return meter.Trying.Load() == nil })
				return
			}
			<-w.Failed()
			if e, ok := w.Err().(*changefeed.Error); !ok || e.Code != code || e.Final {
				t.Errorf("%v, want code %s", w.Err(), code)
			}
			if st := sink.Stats().Partitions[0].Targets[0]; st.LastError == "" {
				t.Errorf("the figures don't tell: %+v", st)
			}
		})
	}
}

// A target partition that doesn't answer holds back the source partition that has something for it when its share is used up, and no other one.
func TestSlowPartition(t *testing.T) {
	target := newTarget(t, 1, 2, "murmur3")
	slow, fast := newSource(0, 2), newSource(1, 2)
	sink := openSink(t, target, slow, "")
	const budget = 128 << 10
	w, meter := begun(t, target, sink, slow, budget)
	other, _ := begun(t, target, sink, fast, budget)
	open := make(chan struct{})
	target.fault = func(call string, partition, sender uint32) fault {
		if call == "apply" && partition == 0 && sender == 0 {
			<-open
		}
		return fault{}
	}
	stuck, free := target.keyOf(slow, 0), target.keyOf(slow, 1)
	for n := range 400 {
		slow.set(stuck, string(bytes.Repeat([]byte{byte(n)}, 1<<10)))
		slow.set(free, fmt.Sprint(n))
		fast.set(target.keyOf(fast, 0), fmt.Sprint(n))
	}
	var given atomic.Bool
	var work sync.WaitGroup
	work.Go(func() {
		if err := slow.give(t.Context(), w, 1); err != nil {
			t.Error(err)
		}
		given.Store(true)
	})
	if err := fast.give(t.Context(), other, 1); err != nil {
		t.Error(err)
	}
	eventually(t, "the other source partition has everything there", func() bool { return other.Durable().Position == fast.stamps[400].Position })
	eventually(t, "the share is used up", func() bool { return meter.WaitSink.Load() > 0 })
	if given.Load() {
		t.Error("everything was taken, though nothing of it is gone")
	}
	if held := meter.Buffered.Load(); held > budget {
		t.Errorf("%d bytes are held, of a budget of %d", held, budget)
	}
	eventually(t, "what has another lane went on", func() bool {
		r := target.partitions[1]
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.state[free] != nil && r.state[free].fields[""] != "0"
	})
	close(open)
	work.Wait()
	eventually(t, "all of it arrives", func() bool { return w.Durable().Position == slow.stamps[800].Position })
	target.check(slow, fast)
}

// The source knows of its peer before the target does of the sender, and later up to which time it has everything.
func TestConfirm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	target := newTarget(t, 1, 3, "crc16")
	s := newSource(0, 1)
	s.write(r, 2)
	target.fault = func(call string, _, _ uint32) fault {
		s.mu.Lock()
		defer s.mu.Unlock()
		if call == "open" && (len(s.confirmed) == 0 || s.confirmed[0] != 0) {
			t.Errorf("opened when the source knew %v", s.confirmed)
		}
		return fault{}
	}
	sink := openSink(t, target, s, "")
	w, _ := begun(t, target, sink, s, 1<<20)
	s.write(r, 3)
	want := s.events[1].Time + 2
	open := make(chan struct{})
	var waits atomic.Bool
	target.fault = func(call string, partition, _ uint32) fault {
		if call == "apply" && partition == 2 {
			waits.Store(true)
			<-open
		}
		return fault{}
	}
	if err := s.give(t.Context(), w, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one partition lags", func() bool { return waits.Load() && sink.Stats().Partitions[0].Targets[0].Time == want })
	<-time.After(5 * quickPace.confirm)
	s.mu.Lock()
	if early := s.confirmed[len(s.confirmed)-1]; early >= want {
		t.Errorf("confirmed %d, though a partition lags", early)
	}
	s.mu.Unlock()
	close(open)
	eventually(t, "the source is told", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.confirmed[len(s.confirmed)-1] == want
	})
	if got := sink.Stats().Partitions[0].Confirmed; got != want {
		t.Errorf("the figures say %d, want %d", got, want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.confirmed {
		if at > want {
			t.Errorf("confirmed %d, made was up to %d", at, want)
		}
	}
}

// A bookmark's clock is that of a replica, of which the leader may be ahead by any number of changes: what the target has of the source goes by the clock that
// the source's log has, and only once everything up to there came. Else a watermark would pass what is still to come, which is then too old to be decided, and a full
// sync the other way would delete it where it was made.
func TestTimeIsTheLogs(t *testing.T) {
	target := newTarget(t, 1, 3, "crc16")
	s := newSource(0, 1)
	sink := openSink(t, target, s, "")
	sink.config.Idle, sink.pace.confirm, sink.pace.look = 20*time.Millisecond, 20*time.Millisecond, 5*time.Millisecond
	w, _ := begun(t, target, sink, s, 1<<20)
	s.set(target.keyOf(s, 2), "v")
	if err := s.give(t.Context(), w, 1); err != nil {
		t.Fatal(err)
	}
	at, made := s.stamps[1].Position, s.events[1].Time
	told := Moment{Position: event.Position{Term: at.Term, Index: at.Index + 7}, Time: made + 1e9}
	s.mu.Lock()
	s.moment = told
	s.mu.Unlock()
	times := func(want int64) bool {
		for _, one := range sink.Stats().Partitions[0].Targets {
			if one.Time > want {
				t.Fatalf("partition %d has the time %d, beyond %d", one.Partition, one.Time, want)
			} else if one.Time < want {
				return false
			}
		}
		return true
	}
	short := event.Position{Term: at.Term, Index: at.Index + 6}
	if err := w.Heartbeat(t.Context(), short, &s.stamps[1], time.Now().UnixNano()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the heartbeat is there", func() bool { return w.Durable().Position == short })
	s.mu.Lock()
	calls := len(s.confirmed)
	s.mu.Unlock()
	eventually(t, "the source told its clock again", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.confirmed) > calls+1 })
	eventually(t, "everything up to the event", func() bool { return times(made) })
	if err := w.Heartbeat(t.Context(), told.Position, &s.stamps[1], time.Now().UnixNano()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the clock of a source at rest", func() bool { return times(told.Time) })
	eventually(t, "the source knows", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.confirmed[len(s.confirmed)-1] == told.Time })
}

// Lanes that get nothing are told how far the stream is, and of the time, once.
func TestPlacesMove(t *testing.T) {
	target := newTarget(t, 1, 4, "crc16")
	s := newSource(0, 1)
	sink := openSink(t, target, s, "")
	sink.config.Idle = 30 * time.Millisecond
	w, _ := begun(t, target, sink, s, 1<<20)
	s.set(target.keyOf(s, 2), "v")
	if err := s.give(t.Context(), w, 1); err != nil {
		t.Fatal(err)
	}
	at := s.stamps[1].Position
	eventually(t, "all places are there", func() bool { return w.Durable().Position == at })
	if got := w.Durable(); got.Chain != s.stamps[1].Chain || got.Time != s.events[1].Time {
		t.Errorf("durable is %+v", got)
	}
	later := event.Position{Term: at.Term, Index: at.Index + 5}
	clock := time.Now().UnixNano()
	if err := w.Heartbeat(t.Context(), later, &s.stamps[1], clock); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the heartbeat is there", func() bool { return w.Durable().Position == later })
	if got := w.Durable(); got.Chain != s.stamps[1].Chain || got.Time != clock {
		t.Errorf("durable is %+v", got)
	}
	calls := func() (n int) {
		target.mu.Lock()
		defer target.mu.Unlock()
		for _, applied := range target.applies {
			n += applied
		}
		return n
	}
	before := calls()
	<-time.After(100 * time.Millisecond)
	if after := calls(); after != before {
		t.Errorf("%d calls, although nothing changed", after-before)
	}
}

// An event that is larger than the share passes, in parts, and nothing is held behind it.
func TestLargeEvent(t *testing.T) {
	target := newTarget(t, 1, 2, "crc16")
	s := newSource(0, 1)
	sink := openSink(t, target, s, "?compression=none")
	w, meter := begun(t, target, sink, s, 256<<10)
	large := make([]byte, 3<<20)
	for i := range large {
		large[i] = byte(i * 7)
	}
	for n := range 3 {
		s.set(target.keyOf(s, 0), string(large[n:]))
		s.set(target.keyOf(s, 1), "small")
	}
	if err := s.give(t.Context(), w, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all of it arrives", func() bool { return w.Durable().Position == s.stamps[6].Position })
	target.check(s)
	eventually(t, "nothing is held", func() bool { return meter.Buffered.Load() == 0 && w.target.Budget.Used() == 0 })
	if st := sink.Stats(); st.BytesSent < 9<<20 || st.BytesPlain != st.BytesSent || st.Target != "dst" {
		t.Errorf("figures: %+v", st)
	}
}

// What doesn't join on to what the target has isn't taken.
func TestGapInTheLog(t *testing.T) {
	target := newTarget(t, 1, 1, "crc16")
	s := newSource(0, 1)
	w, _ := begun(t, target, openSink(t, target, s, ""), s, 1<<20)
	s.set("a", "1")
	s.set("b", "2")
	err := w.Event(t.Context(), &s.stamps[2], &s.events[2], s.names)
	if e, ok := err.(*changefeed.Error); !ok || e.Code != changefeed.CodeTargetGap {
		t.Errorf("%v, want %s", err, changefeed.CodeTargetGap)
	}
}

// A target that hangs is asked again after the deadline.
func TestHungTarget(t *testing.T) {
	target := newTarget(t, 1, 1, "crc16")
	s := newSource(0, 1)
	sink := openSink(t, target, s, "")
	sink.pace.apply = 50 * time.Millisecond
	w, meter := begun(t, target, sink, s, 1<<20)
	hang := make(chan struct{})
	var once atomic.Bool
	target.fault = func(call string, _, _ uint32) fault {
		if call == "apply" && !once.Swap(true) {
			<-hang
		}
		return fault{}
	}
	s.set("a", "1")
	if err := s.give(t.Context(), w, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it arrives", func() bool { return w.Durable().Position == s.stamps[1].Position })
	if meter.Retries.Load() == 0 {
		t.Error("it wasn't repeated")
	}
	close(hang)
}

// Many writers to one target partition send some at a time; one that is closed while it waits doesn't wait for the others.
func TestGate(t *testing.T) {
	const writers = gateSlots + 10
	target := newTarget(t, 1, 1, "crc16")
	var sources []*source
	for n := range uint32(writers) {
		sources = append(sources, newSource(n, writers))
	}
	sink := openSink(t, target, sources[0], "")
	var all []*Writer
	for _, s := range sources {
		w, _ := begun(t, target, sink, s, 1<<20)
		all = append(all, w)
	}
	open := make(chan struct{})
	var under, most atomic.Int64
	target.fault = func(call string, _, _ uint32) fault {
		if call == "apply" {
			most.Store(max(most.Load(), under.Add(1)))
			<-open
			under.Add(-1)
		}
		return fault{}
	}
	for n, s := range sources {
		s.set(target.keyOf(s, 0), "v")
		if err := s.give(t.Context(), all[n], 1); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the gate is full", func() bool { return under.Load() == gateSlots })
	waiting := func(w *Writer) bool {
		sink.gates.mu.Lock()
		defer sink.gates.mu.Unlock()
		return w.mu.lanes[0].waits
	}
	closed := 0
	for n, w := range all {
		if waiting(w) && n%2 == 0 {
			begin := time.Now()
			w.Close()
			if took := time.Since(begin); took > sink.pace.apply/2 {
				t.Errorf("closing one that waits took %s", took)
			}
			closed++
		}
	}
	if closed == 0 || most.Load() != gateSlots {
		t.Errorf("%d waited and were closed, %d sent at once", closed, most.Load())
	}
	close(open)
	for n, w := range all {
		if w.Err() == nil {
			eventually(t, "those that wait get their turn", func() bool { return w.Durable().Position == sources[n].stamps[1].Position })
		}
	}
}

// Close breaks off what is under way, and leaves nothing behind.
func TestCloseBreaksOff(t *testing.T) {
	target := newTarget(t, 1, 2, "crc16")
	s := newSource(0, 1)
	sink := openSink(t, target, s, "")
	w, meter := begun(t, target, sink, s, 1<<20)
	before := runtime.NumGoroutine()
	hang := make(chan struct{})
	var hung atomic.Int64
	target.fault = func(call string, _, _ uint32) fault {
		if call == "apply" {
			hung.Add(1)
			<-hang
		}
		return fault{}
	}
	for n := range uint32(2) {
		s.set(target.keyOf(s, n), "v")
	}
	if err := s.give(t.Context(), w, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are under way", func() bool { return hung.Load() == 2 })
	w.Close()
	if held := meter.Buffered.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
	if err := w.Event(t.Context(), &s.stamps[1], &s.events[1], s.names); err == nil {
		t.Error("a closed writer takes events")
	}
	close(hang)
	eventually(t, "nothing runs", func() bool { return runtime.NumGoroutine() <= before })
}

func TestLimiter(t *testing.T) {
	l := limiter{rate: 1000}
	now := time.Unix(100, 0)
	if d := l.delay(500, now); d != 0 {
		t.Errorf("the first waits %s", d)
	}
	if d := l.delay(500, now); d != limiterAhead {
		t.Errorf("the second waits %s", d)
	}
	if d := l.delay(1, now.Add(2*time.Second)); d != 0 {
		t.Errorf("after a pause it waits %s", d)
	}
	if d := (&limiter{}).delay(1<<40, now); d != 0 {
		t.Errorf("without a bound it waits %s", d)
	}
}
