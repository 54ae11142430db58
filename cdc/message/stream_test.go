package message

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// rows are what a snapshot of a fold gives: each key as writes of the whole key, large collections in pieces.
func rows(f *event.Fold) (all []event.Mutation) {
	for _, name := range f.Keys() {
		meta, _ := f.Get([]byte(name))
		m := event.Mutation{Type: meta.Type, Key: []byte(name), Version: meta.Version, KeyVersion: meta.Version, ExpireAt: meta.ExpireAt, Generation: 1}
		if meta.Type == event.TypeString {
			m.Op, m.Value, m.KeyVersion, m.Generation = event.OpSet, meta.Value, event.Version{}, 0
			all = append(all, m)
			continue
		}
		m.Op = event.OpHSet
		if meta.Type == event.TypeList {
			m.Op = event.OpRPush
		}
		m.Whole = true
		for e := range f.Elements([]byte(name)) {
			m.Elements = []event.Element{{Sub: e.Sub, Value: e.Value, Prev: e.Version, Exists: true}}
			if m.Count++; meta.Type == event.TypeList {
				m.Elements[0].Sub = nil
			}
			all = append(all, m)
			m.Whole = false
		}
	}
	return all
}

// story is what an owner of a partition does with a history: some of it is lost with the place in the log, and comes as a snapshot.
type story struct {
	*history
	lost, base int // events from lost to base come as the snapshot after base
	beats      int // a heartbeat comes after every so many events
}

// tell gives a writer all that comes after where it ends.
func (s *story) tell(t *testing.T, w *Writer) {
	t.Helper()
	after := w.Resume()
	for i, ev := range s.events {
		at := s.stamps[i].Position
		if i == s.base && (after.InSnapshot || at.Compare(after.After) > 0) {
			s.snapshot(t, w)
		}
		if i >= s.lost && i <= s.base {
			continue
		}
		must(t, at, w.Event(t.Context(), &s.stamps[i], ev, s.names))
		if s.beats > 0 && i%s.beats == 0 {
			must(t, at, w.Heartbeat(t.Context(), event.Position{Term: 2, Index: at.Index}, &s.stamps[i], ev.Time+5))
		}
	}
	settle(t, w, s.last.Position)
}

func (s *story) snapshot(t *testing.T, w *Writer) {
	t.Helper()
	var state event.Fold
	for _, ev := range s.events[:s.base+1] {
		state.Event(ev)
	}
	base := &s.stamps[s.base]
	must(t, base.Position, w.BeginSnapshot(t.Context(), &changefeed.Base{Stamp: *base, Time: s.events[s.base].Time}))
	for chunk := range slices.Chunk(rows(&state), 3) {
		must(t, base.Position, w.Rows(t.Context(), &event.Event{Mutations: chunk}, s.names))
	}
	must(t, base.Position, w.EndSnapshot(t.Context()))
}

func must(t *testing.T, at event.Position, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("at %s: %v", at, err)
	}
}

// Streams with heartbeats and snapshots go on after a crash at any message as well: what comes validates, and folds to the same state. A snapshot that wasn't whole is begun
// anew.
func TestCrashInAStreamOfAllKinds(t *testing.T) {
	formats(t, func(t *testing.T, format changefeed.Format) {
		h := newHistory(11)
		h.fill(60, 1500)
		s := &story{history: h, lost: 30, base: 45, beats: 4}
		options := func(sink *memory) Options {
			return Options{Target: target(changefeed.Spec{Format: format}), Appender: sink, Tombstones: true, BatchBytes: 4 << 10, Tail: tail(sink.messages)}
		}
		whole := &memory{max: 1 << 10}
		w := open(t, options(whole))
		s.tell(t, w)
		shut(t, w)
		fold, v := check(t, lines(t, whole.messages))
		if v.Snapshots() != 1 {
			t.Fatalf("%d snapshots", v.Snapshots())
		}
		want := contents(fold)
		kinds := map[Kind]int{}
		inside := false
		for cut := range len(whole.messages) {
			sink := &memory{max: 1 << 10, messages: slices.Clone(whole.messages[:cut])}
			w := open(t, options(sink))
			if w.Resume().InSnapshot != inside {
				t.Fatalf("resume after message %d: %+v", cut, w.Resume())
			}
			kind := whole.messages[cut].Kind
			kinds[kind]++
			if kind == SnapshotBegin || kind == SnapshotEnd {
				inside = kind == SnapshotBegin
			}
			s.tell(t, w)
			shut(t, w)
			got, _ := check(t, lines(t, sink.messages))
			if !reflect.DeepEqual(contents(got), want) {
				t.Fatalf("after a cut at message %d: another state", cut)
			}
			if diff := sameMessages(sink.messages, whole.messages); diff != "" && !w.Resume().InSnapshot {
				t.Fatalf("after a cut at message %d: %s", cut, diff)
			}
		}
		if len(kinds) != 6 {
			t.Errorf("kinds that came: %v", kinds)
		}
	})
}

// A sink of lines, as files are, knows its last line and nothing else: that is enough.
func TestCrashOfASinkOfLines(t *testing.T) {
	formats(t, func(t *testing.T, format changefeed.Format) {
		h := newHistory(24)
		h.fill(40, 50)
		s := &story{history: h, lost: 20, base: 25, beats: 3}
		spec := changefeed.Spec{Format: format, Filter: changefeed.Filter{Tables: []string{"s", "h"}}, Digests: true}
		whole := &memory{max: 1 << 30}
		w := open(t, Options{Target: target(spec), Appender: whole})
		s.tell(t, w)
		shut(t, w)
		check(t, lines(t, whole.messages))
		for cut := 1; cut < len(whole.messages); cut++ {
			sink := &memory{max: 1 << 30, messages: slices.Clone(whole.messages[:cut])}
			at, err := TailOfLine(append(slices.Clone(whole.messages[cut-1].Value), '\n'))
			if err != nil {
				t.Fatal(err)
			}
			w := open(t, Options{Target: target(spec), Appender: sink, Tail: at})
			again := w.Resume().InSnapshot && whole.messages[cut-1].Kind != SnapshotBegin
			s.tell(t, w)
			shut(t, w)
			check(t, lines(t, sink.messages))
			if diff := sameMessages(sink.messages, whole.messages); diff != "" && !again {
				t.Fatalf("after a cut at message %d: %s", cut, diff)
			}
		}
		if _, err := TailOfLine([]byte(`{"half":`)); err == nil {
			t.Error("half a line was taken")
		}
	})
}

// An event of which a part is there, and whose rest the log no longer has, is given up by a snapshot.
func TestPlaceLostWithinAnEvent(t *testing.T) {
	h := newHistory(12)
	h.fill(10, 10)
	large := event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("s:1"), Value: make([]byte, 3000)}
	h.add(h.mutation(10), large, h.mutation(10))
	h.fill(10, 10)
	full := &story{history: h, lost: 11, base: 15}
	whole := &memory{max: 1 << 10}
	w := open(t, Options{Target: target(changefeed.Spec{}), Appender: whole})
	full.tell(t, w)
	shut(t, w)
	fold, _ := check(t, lines(t, whole.messages))
	cuts := 0
	for cut, m := range whole.messages {
		if m.Position != h.stamps[10].Position || m.Seq == 0 && m.Offset == 0 {
			continue
		}
		cuts++
		sink := &memory{max: 1 << 10, messages: slices.Clone(whole.messages[:cut])}
		w := open(t, Options{Target: target(changefeed.Spec{}), Appender: sink, Tail: tail(sink.messages)})
		lost := &story{history: h, lost: 10, base: 15}
		lost.tell(t, w)
		shut(t, w)
		got, _ := check(t, lines(t, sink.messages))
		if !reflect.DeepEqual(contents(got), contents(fold)) {
			t.Fatalf("after a cut at message %d: another state", cut)
		}
	}
	if cuts < 3 {
		t.Errorf("%d cuts", cuts)
	}
}

func TestHeartbeatsThatSayNothingNewAreLeftOut(t *testing.T) {
	h := newHistory(13)
	h.fill(3, 10)
	sink := &memory{max: 1 << 20}
	w := open(t, Options{Target: target(changefeed.Spec{}), Appender: sink})
	for i := range h.events[:2] {
		must(t, h.last.Position, w.Event(t.Context(), &h.stamps[i], h.events[i], h.names))
	}
	st := &h.stamps[1]
	ahead := event.Position{Term: 2, Index: st.Position.Index}
	for _, beat := range []struct {
		at   event.Position
		last *event.Stamp
		time int64
	}{{ahead, st, 5}, {ahead, st, 5}, {ahead, st, 4}, {h.stamps[0].Position, &h.stamps[0], 9}, {ahead, st, 6}} {
		must(t, beat.at, w.Heartbeat(t.Context(), beat.at, beat.last, beat.time))
	}
	settle(t, w, ahead)
	if got := w.Durable(); got != (changefeed.Reached{Position: ahead, Chain: st.Chain, Time: 6}) {
		t.Errorf("durable: %+v", got)
	}
	beats := 0
	for _, m := range sink.messages {
		if m.Kind == Heartbeat {
			beats++
		}
	}
	if beats != 2 {
		t.Errorf("%d heartbeats, want 2", beats)
	}
	if err := w.Heartbeat(t.Context(), h.last.Position, &h.last, 9); err == nil {
		t.Error("a heartbeat after an event that didn't come was taken")
	}
	shut(t, w)
	check(t, lines(t, sink.messages))
}

// Events of which nothing passes move the checkpoint all the same.
func TestWhatIsFilteredIsDurable(t *testing.T) {
	for _, digests := range []bool{false, true} {
		h := newHistory(14)
		h.fill(50, 10)
		sink := &memory{max: 1 << 20}
		tg := target(changefeed.Spec{Filter: changefeed.Filter{Tables: []string{"nobody"}}, Digests: digests})
		w := open(t, Options{Target: tg, Appender: sink})
		h.write(t, w)
		if got := w.Durable(); got.Position != h.last.Position || got.Chain != h.last.Chain {
			t.Errorf("durable: %+v", got)
		}
		mutations := 0
		for _, ev := range h.events {
			mutations += len(ev.Mutations)
		}
		shut(t, w)
		if m := tg.Meter; m.Events.Load() != 50 || m.Mutations.Load() != uint64(mutations) || m.Filtered.Load() != uint64(mutations) {
			t.Errorf("meter: %d events, %d mutations, %d filtered", m.Events.Load(), m.Mutations.Load(), m.Filtered.Load())
		}
		want := 0
		if digests {
			want = 50
			check(t, lines(t, sink.messages))
		}
		if len(sink.messages) != want {
			t.Errorf("digests %t: %d messages, want %d", digests, len(sink.messages), want)
		}
	}
}

// What was left out while a batch is being written is durable when that is.
func TestWhatIsFilteredBehindABatchIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(26)
		h.add(event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("s:1")})
		h.add(event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("t:1")})
		sink := &memory{max: 1 << 20, gate: make(chan struct{})}
		w := open(t, Options{Target: target(changefeed.Spec{Filter: changefeed.Filter{Tables: []string{"s"}}}), Appender: sink})
		for i := range h.events {
			must(t, h.last.Position, w.Event(t.Context(), &h.stamps[i], h.events[i], h.names))
			must(t, h.last.Position, w.Flush(t.Context()))
			synctest.Wait()
			if !w.Durable().Position.IsZero() {
				t.Fatalf("durable: %+v", w.Durable())
			}
		}
		sink.gate <- struct{}{}
		synctest.Wait()
		if w.Durable().Position != h.last.Position {
			t.Errorf("durable: %+v", w.Durable())
		}
		shut(t, w)
	})
}

// While a batch is written what is flushed lingers in one batch, not in one for each Flush, and goes as soon as the sink is free.
func TestFlushWhileTheSinkIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(15)
		h.fill(30, 10)
		sink := &memory{max: 1 << 20, gate: make(chan struct{})}
		w := open(t, Options{Target: target(changefeed.Spec{}), Appender: sink})
		for i := range h.events {
			must(t, h.last.Position, w.Event(t.Context(), &h.stamps[i], h.events[i], h.names))
			must(t, h.last.Position, w.Flush(t.Context()))
			synctest.Wait()
		}
		for range 2 {
			sink.gate <- struct{}{}
		}
		synctest.Wait()
		if w.Durable().Position != h.last.Position || sink.batches != 2 {
			t.Errorf("durable %+v after %d batches, want %s after 2", w.Durable(), sink.batches, h.last.Position)
		}
		shut(t, w)
		check(t, lines(t, sink.messages))
	})
}

// With a linger small appends begin so far apart; the first one after a pause goes at once, and so does a full one.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(18)
		h.fill(60, 10)
		sink := &memory{max: 1 << 20}
		w := open(t, Options{Target: target(changefeed.Spec{}), Appender: sink, Linger: 10 * time.Millisecond, BatchBytes: 8 << 10})
		give := func(from, to int) {
			for i := from; i < to; i++ {
				must(t, h.last.Position, w.Event(t.Context(), &h.stamps[i], h.events[i], h.names))
				must(t, h.last.Position, w.Flush(t.Context()))
				synctest.Wait()
			}
		}
		want := func(when string, batches int, durable event.Position) {
			t.Helper()
			sink.mu.Lock()
			defer sink.mu.Unlock()
			if w.Durable().Position != durable || sink.batches != batches {
				t.Errorf("%s: %d batches, durable %s, want %d and %s", when, sink.batches, w.Durable().Position, batches, durable)
			}
		}
		give(0, 1)
		want("the first", 1, h.stamps[0].Position)
		give(1, 3)
		time.Sleep(9 * time.Millisecond)
		synctest.Wait()
		want("9 ms later", 1, h.stamps[0].Position)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		want("10 ms later", 2, h.stamps[2].Position)
		began := time.Now()
		give(3, len(h.events)) // more than a batch
		if n, waited := sink.count(), time.Since(began); n < 3 || waited > 0 {
			t.Errorf("a full batch waits: %d batches after %s", n, waited)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		before := sink.count()
		h2 := newHistory(19)
		h2.last = h.last
		h2.fill(1, 10)
		h2.write(t, w)
		want("after a pause", before+1, h2.last.Position)
		shut(t, w)
		check(t, lines(t, sink.messages))
	})
}

// A writer whose sink hangs keeps others from nothing: each has a share of its own, and what is larger has its half.
func TestAHangingSinkHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := changefeed.NewBudget(1 << 20)
		h := newHistory(16)
		h.fill(600, 1500)
		var hanging []*Writer
		for range 8 {
			tg := target(changefeed.Spec{})
			tg.Budget = budget
			w := open(t, Options{Target: tg, Appender: &memory{max: 1 << 20, gate: make(chan struct{})}})
			go func() {
				for i := range h.events {
					if w.Event(t.Context(), &h.stamps[i], h.events[i], h.names) != nil {
						return
					}
				}
			}()
			hanging = append(hanging, w)
		}
		synctest.Wait()
		if used := budget.Used(); used > 512<<10 || used < 256<<10 {
			t.Errorf("%d bytes are held by those that hang", used)
		}
		tg := target(changefeed.Spec{})
		tg.Budget = budget
		sink := &memory{max: 1 << 20}
		w := open(t, Options{Target: tg, Appender: sink})
		h.write(t, w)
		large := newHistory(17)
		large.last = h.last
		large.add(event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("large"), Value: make([]byte, 400<<10)})
		large.write(t, w)
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		for _, w := range hanging {
			w.fail(fmt.Errorf("the test ends"))
		}
		synctest.Wait()
		for _, w := range hanging {
			w.Close()
		}
		if used := budget.Used(); used != 0 {
			t.Errorf("%d bytes are held at the end", used)
		}
		time.Sleep(time.Second)
	})
}
