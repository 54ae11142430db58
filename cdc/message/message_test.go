package message

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// history makes a partition's events as a log would have them, on few keys so that they meet.
type history struct {
	r      *rand.Rand
	names  event.Names
	stamps []event.Stamp
	events []*event.Event
	last   event.Stamp
	time   int64
	fields map[string]map[string]bool
	items  map[string]int
	s      event.Scratch
}

func newHistory(seed uint64) *history {
	return &history{r: rand.New(rand.NewPCG(seed, 1)), names: event.Names{"", "dc-a", "dc-b"}, time: 1795255200000000000,
		last: event.Stamp{Cluster: "dc-a", Namespace: "default", Partition: 3}, fields: map[string]map[string]bool{}, items: map[string]int{}}
}

// add appends an event.
func (h *history) add(ms ...event.Mutation) {
	h.time += int64(len(ms)) + h.r.Int64N(1e9)
	st := h.last
	st.Prev, st.PrevChain = h.last.Position, h.last.Chain
	st.Position = event.Position{Term: 2, Index: h.last.Position.Index + 1 + h.r.Uint64N(2)}
	ev := &event.Event{Time: h.time, Term: 2, Mutations: ms}
	for i := range ms {
		if ms[i].Version.Time == 0 {
			ms[i].Version = event.Version{Time: h.time + int64(i), Cluster: 1}
		}
	}
	st.Chain = event.NextChain(st.PrevChain, &st, ev, h.names, &h.s)
	h.stamps, h.events, h.last = append(h.stamps, st), append(h.events, ev), st
}

// fill appends n events with values of up to size bytes.
func (h *history) fill(n, size int) {
	for range n {
		var ms []event.Mutation
		for j := range 1 + h.r.IntN(5) {
			m := h.mutation(size)
			m.Group = uint32(j)
			ms = append(ms, m)
		}
		h.add(ms...)
	}
}

func (h *history) value(size int) []byte {
	v := make([]byte, h.r.IntN(size+1))
	for i := range v {
		v[i] = "abc\"\n\xc2\xa0é"[h.r.IntN(3)]
	}
	if h.r.IntN(8) == 0 {
		v = append(v, 0xff)
	}
	return v
}

func (h *history) mutation(size int) event.Mutation {
	n := h.r.IntN(4)
	switch h.r.IntN(5) {
	case 0:
		return event.Mutation{Op: event.OpDel, Type: event.TypeString, Key: fmt.Appendf(nil, "s:%d", n), Command: "del"}
	case 1:
		return h.hash(fmt.Sprintf("h:%d", n), size)
	case 2:
		return h.list(fmt.Sprintf("l:%d", n), size)
	}
	m := event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: fmt.Appendf(nil, "s:%d", n), Value: h.value(size), Command: "set"}
	if h.r.IntN(3) == 0 {
		m.Origin = &event.Origin{Cluster: 2, Partition: 1, Position: event.Position{Term: 1, Index: 7}}
	}
	return m
}

func (h *history) hash(key string, size int) event.Mutation {
	fields := h.fields[key]
	if fields == nil {
		fields = map[string]bool{}
		h.fields[key] = fields
	}
	field := fmt.Sprintf("f%d", h.r.IntN(3))
	m := event.Mutation{Op: event.OpHSet, Type: event.TypeHash, Key: []byte(key), Generation: 1, Elements: []event.Element{{Sub: []byte(field), Value: h.value(size)}}}
	if fields[field] && h.r.IntN(2) == 0 {
		m.Op, m.Elements[0].Value = event.OpHDel, nil
		delete(fields, field)
	} else {
		fields[field] = true
	}
	m.Count = uint64(len(fields))
	return m
}

func (h *history) list(key string, size int) event.Mutation {
	m := event.Mutation{Op: event.OpRPush, Type: event.TypeList, Key: []byte(key), Generation: 1}
	if h.items[key] > 0 && h.r.IntN(2) == 0 {
		m.Op, m.Popped = event.OpLPop, 1
		h.items[key]--
	} else {
		h.items[key]++
		m.Elements = []event.Element{{Value: h.value(size)}}
	}
	m.Count = uint64(h.items[key])
	return m
}

// memory is an Appender that keeps what it got.
type memory struct {
	max      int
	mu       sync.Mutex
	messages []Message
	batches  int
	largest  int
	gate     chan struct{} // if not nil, each Append takes one of these first
	err      error
	closed   bool
}

func (a *memory) Append(ctx context.Context, b *Batch) error {
	if a.gate != nil {
		select {
		case <-a.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	a.batches++
	size := 0
	for _, m := range b.Messages {
		size += len(m.Key) + len(m.Value)
		if m.Key = bytes.Clone(m.Key); m.Kind != Tombstone {
			m.Value = bytes.Clone(m.Value)
		}
		a.messages = append(a.messages, m)
	}
	if size != b.Bytes {
		return fmt.Errorf("batch says %d bytes, has %d", b.Bytes, size)
	}
	a.largest = max(a.largest, size)
	return nil
}

func (a *memory) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.batches
}

func (a *memory) MaxBytes() int { return a.max }
func (a *memory) Close() error  { a.closed = true; return nil }

func target(spec changefeed.Spec) changefeed.Target {
	spec.ID, spec.Namespace = "cf", "default"
	spec.SetDefaults()
	return changefeed.Target{Spec: &spec, Cluster: "dc-a", Partition: 3, Partitions: 4, Budget: changefeed.NewBudget(64 << 20), Meter: new(changefeed.Meter)}
}

func open(t *testing.T, o Options) *Writer {
	t.Helper()
	w, err := NewWriter(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// write gives a writer what comes after its resume, flushes and waits until all of it is durable.
func (h *history) write(t *testing.T, w *Writer) {
	t.Helper()
	after := w.Resume().After
	for i, ev := range h.events {
		if h.stamps[i].Position.Compare(after) <= 0 {
			continue
		}
		if err := w.Event(t.Context(), &h.stamps[i], ev, h.names); err != nil {
			t.Fatalf("event %s: %v", h.stamps[i].Position, err)
		}
	}
	settle(t, w, h.last.Position)
}

// settle waits until a writer has everything durably.
func settle(t *testing.T, w *Writer, at event.Position) {
	t.Helper()
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for w.Durable().Position.Compare(at) < 0 || !w.idle() {
		select {
		case <-w.Failed():
			t.Fatal(w.Err())
		case <-w.progress:
		}
	}
}

func shut(t *testing.T, w *Writer) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if used := w.target.Budget.Used(); used != 0 {
		t.Errorf("%d bytes of the budget weren't given back", used)
	}
	if held := w.meter.Buffered.Load(); held != 0 {
		t.Errorf("%d bytes are buffered after the end", held)
	}
}

// lines joins messages.
func lines(t *testing.T, messages []Message) (all [][]byte) {
	t.Helper()
	var j Joiner
	for i := range messages {
		line, err := j.Add(&messages[i])
		if err != nil {
			t.Fatalf("message %d of %d: %v", i, len(messages), err)
		}
		if line != nil {
			all = append(all, bytes.Clone(line))
		}
	}
	if err := j.End(); err != nil {
		t.Fatal(err)
	}
	return all
}

// check validates lines from the beginning of the log on, and folds them.
func check(t *testing.T, all [][]byte) (*event.Fold, *event.Validator) {
	t.Helper()
	var p event.Parser
	var l event.Line
	var fold event.Fold
	v := new(event.Validator)
	v.From(event.Position{}, event.Chain{})
	for _, line := range all {
		if err := p.Parse(line, &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if err := v.Line(&l, p.Names); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		fold.Line(&l)
	}
	if err := v.End(); err != nil {
		t.Fatal(err)
	}
	return &fold, v
}

// contents is what a fold holds, apart from what lines don't show.
func contents(f *event.Fold) map[string]string {
	all := map[string]string{}
	for _, key := range f.Keys() {
		m, _ := f.Get([]byte(key))
		text := fmt.Sprint(m.Type, m.ExpireAt, m.Version.Time)
		if m.Type == event.TypeString {
			text += string(m.Value)
		}
		for e := range f.Elements([]byte(key)) {
			text += fmt.Sprintf(" %q=%q@%d", e.Sub, e.Value, e.Version.Time)
		}
		all[key] = text
	}
	return all
}

func formats(t *testing.T, test func(t *testing.T, format changefeed.Format)) {
	for _, f := range []changefeed.Format{changefeed.JSON, changefeed.Debezium} {
		t.Run(string(f), func(t *testing.T) { test(t, f) })
	}
}

func TestWhatIsWrittenFoldsToTheSameState(t *testing.T) {
	formats(t, func(t *testing.T, format changefeed.Format) {
		for seed := range uint64(8) {
			h := newHistory(seed)
			h.fill(200, 3000)
			sink := &memory{max: 1 << 10}
			w := open(t, Options{Target: target(changefeed.Spec{Format: format}), Appender: sink, BatchBytes: 8 << 10, Tombstones: seed%2 == 0})
			h.write(t, w)
			if got := w.Durable(); got.Position != h.last.Position || got.Chain != h.last.Chain || got.Time != h.time {
				t.Fatalf("durable: %+v", got)
			}
			shut(t, w)
			for i := range sink.messages {
				if m := &sink.messages[i]; len(m.Key)+len(m.Value) > sink.max {
					t.Fatalf("a message of %d bytes", len(m.Key)+len(m.Value))
				}
			}
			if sink.largest > 8<<10 {
				t.Errorf("a batch of %d bytes", sink.largest)
			}
			got, _ := check(t, lines(t, sink.messages))
			var want event.Fold
			for _, ev := range h.events {
				want.Event(ev)
			}
			if want.Err() != nil {
				t.Fatal(want.Err())
			}
			if a, b := contents(&want), contents(got); !reflect.DeepEqual(a, b) {
				t.Fatalf("seed %d: fold %v, want %v", seed, b, a)
			}
		}
	})
}

// tail is what stands last in messages, as a sink with headers knows it.
func tail(messages []Message) Tail {
	if len(messages) == 0 {
		return Tail{}
	}
	return Tail{Last: messages[len(messages)-1]}
}

func sameMessages(a, b []Message) string {
	for i := range min(len(a), len(b)) {
		if !reflect.DeepEqual(a[i], b[i]) {
			return fmt.Sprintf("message %d: %s %s.%d +%d/%d %q, want %s %s.%d +%d/%d %q", i, a[i].Kind, a[i].Position, a[i].Seq, a[i].Offset, a[i].Total, a[i].Value,
				b[i].Kind, b[i].Position, b[i].Seq, b[i].Offset, b[i].Total, b[i].Value)
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d messages, want %d", len(a), len(b))
	}
	return ""
}

// An owner that dies after any message is followed by one that goes on so that the stream is the same as without that.
func TestCrashAtEveryMessage(t *testing.T) {
	filters := map[string]changefeed.Spec{
		"all":      {},
		"filtered": {Filter: changefeed.Filter{Tables: []string{"s"}}, Digests: true},
		"debezium": {Format: changefeed.Debezium},
	}
	for name, spec := range filters {
		t.Run(name, func(t *testing.T) {
			h := newHistory(7)
			h.fill(40, 3000)
			h.add(event.Mutation{Op: event.OpRange, Key: []byte("s:"), Value: []byte("s;")}, h.hash("h:1", 10), h.hash("h:2", 10), h.hash("h:2", 10))
			h.fill(1, 10)
			options := func(sink *memory) Options {
				return Options{Target: target(spec), Appender: sink, Tombstones: true, BatchBytes: 4 << 10, Tail: tail(sink.messages)}
			}
			whole := &memory{max: 1 << 10}
			w := open(t, options(whole))
			h.write(t, w)
			shut(t, w)
			parts := 0
			for cut := range len(whole.messages) {
				if whole.messages[cut].Total != 0 {
					parts++
				}
				sink := &memory{max: 1 << 10, messages: slices.Clone(whole.messages[:cut])}
				w := open(t, options(sink))
				if r := w.Resume(); r.Known != (cut > 0) {
					t.Fatalf("resume %+v", r)
				}
				h.write(t, w)
				shut(t, w)
				if diff := sameMessages(sink.messages, whole.messages); diff != "" {
					t.Fatalf("after a cut at message %d: %s", cut, diff)
				}
			}
			if parts == 0 {
				t.Error("no parts came")
			}
		})
	}
}

// What keys and values messages have, by their kind.
func TestKeysAndTombstones(t *testing.T) {
	h := newHistory(25)
	long := bytes.Repeat([]byte("k"), 900)
	h.add(event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("s:1"), Value: []byte("v")}, event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte{}},
		event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: long}, event.Mutation{Op: event.OpDel, Type: event.TypeString, Key: long},
		event.Mutation{Op: event.OpExpire, Type: event.TypeString, Key: []byte("s:1")}, event.Mutation{Op: event.OpRange, Key: []byte("a"), Value: []byte("b")},
		event.Mutation{Op: event.OpSAdd, Type: event.TypeSet, Key: []byte("m"), Count: 1, Elements: []event.Element{{Sub: []byte("x")}}},
		event.Mutation{Op: event.OpSRem, Type: event.TypeSet, Key: []byte("m"), Elements: []event.Element{{Sub: []byte("x")}}})
	for _, tombstones := range []bool{true, false} {
		sink := &memory{max: 1 << 10}
		w := open(t, Options{Target: target(changefeed.Spec{}), Appender: sink, Tombstones: tombstones})
		h.write(t, w)
		must(t, h.last.Position, w.Heartbeat(t.Context(), h.last.Position, &h.last, 5))
		settle(t, w, h.last.Position)
		shut(t, w)
		hash := string(ShortKey(long, 1<<10))
		if len(hash) != 7+64 || !strings.HasPrefix(hash, "sha256:") {
			t.Errorf("the key of a key that is too long: %q", hash)
		}
		var got []string
		for _, m := range sink.messages {
			if m.Offset > 0 {
				continue
			}
			key := "nil"
			if m.Key != nil {
				key = fmt.Sprintf("%q", m.Key)
			}
			if (m.Value == nil) != (m.Kind == Tombstone) {
				t.Errorf("%s: value %q", m.Kind, m.Value)
			}
			got = append(got, fmt.Sprintf("%s.%d %s", m.Kind, m.Seq, key))
		}
		want := []string{`change.0 "s:1"`, `change.1 ""`, `change.2 "` + hash + `"`, `change.3 "` + hash + `"`, `tombstone.3 "` + hash + `"`, `change.4 "s:1"`, `tombstone.4 "s:1"`,
			`change.5 nil`, `change.6 "m"`, `change.7 "m"`, `tombstone.7 "m"`, `heartbeat.0 nil`}
		if !tombstones {
			want = slices.DeleteFunc(want, func(s string) bool { return strings.HasPrefix(s, "tombstone") })
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%q, want\n%q", got, want)
		}
	}
}

// A writer refuses a stream that the events don't go on from.
func TestDiverged(t *testing.T) {
	h := newHistory(3)
	h.fill(6, 10)
	other := newHistory(4)
	other.fill(6, 10)
	sink := &memory{max: 1 << 20}
	w := open(t, Options{Target: target(changefeed.Spec{}), Appender: sink})
	h.events, h.stamps = h.events[:3], h.stamps[:3]
	h.last = h.stamps[2]
	h.write(t, w)
	shut(t, w)
	for name, st := range map[string]event.Stamp{
		"a gap":                 other.stamps[5],
		"a gap, no chain given": {Position: event.Position{Term: 2, Index: 99}, Prev: event.Position{Term: 2, Index: 98}},
		"another chain":         {Position: event.Position{Term: 2, Index: 99}, Prev: h.last.Position, PrevChain: event.Chain{1}},
	} {
		w := open(t, Options{Target: target(changefeed.Spec{}), Appender: sink, Tail: tail(sink.messages)})
		err := w.Event(t.Context(), &st, other.events[5], other.names)
		var failure *changefeed.Error
		if !errors.As(err, &failure) || failure.Code != changefeed.CodeSinkDiverged || !failure.Final || w.Err() == nil {
			t.Errorf("%s: %v", name, err)
		}
		shut(t, w)
		back := target(changefeed.Spec{})
		back.Rewind = true
		w = open(t, Options{Target: back, Appender: &memory{max: 1 << 20}, Tail: tail(sink.messages)})
		if r := w.Resume(); r.After != h.last.Position || !w.Durable().Position.IsZero() {
			t.Errorf("%s, rewound: resume %+v, durable %+v", name, r, w.Durable())
		}
		if err := w.Event(t.Context(), &st, other.events[5], other.names); err != nil {
			t.Errorf("%s, rewound: %v", name, err)
		}
		shut(t, w)
	}
}

// Whatever the sink does, a writer holds no more than its share of the budget, and its caller waits.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(5)
		h.fill(400, 2000)
		tg := target(changefeed.Spec{})
		tg.Budget = changefeed.NewBudget(256 << 10)
		sink := &memory{max: 1 << 20, gate: make(chan struct{})}
		w := open(t, Options{Target: tg, Appender: sink, BatchBytes: 64 << 10})
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.write(t, w)
		}()
		for running := true; running; {
			time.Sleep(time.Second) // until everybody waits
			if used := tg.Budget.Used(); used > 128<<10 || used != tg.Meter.Buffered.Load() {
				t.Fatalf("%d bytes are held, the meter says %d", used, tg.Meter.Buffered.Load())
			}
			select {
			case <-done:
				running = false
			case sink.gate <- struct{}{}:
			}
		}
		if tg.Meter.WaitSink.Load() < int64(time.Second) {
			t.Errorf("waited for the sink: %s", time.Duration(tg.Meter.WaitSink.Load()))
		}
		shut(t, w)
		check(t, lines(t, sink.messages))
	})
}

func TestBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(5)
		h.fill(300, 2000)
		tg := target(changefeed.Spec{BandwidthBytes: 100 << 10})
		sink := &memory{max: 1 << 20}
		w := open(t, Options{Target: tg, Appender: sink, BatchBytes: 16 << 10})
		begin := time.Now()
		h.write(t, w)
		total := 0
		for _, m := range sink.messages {
			total += len(m.Key) + len(m.Value)
		}
		took, want := time.Since(begin), time.Duration(float64(total)/float64(100<<10)*float64(time.Second))
		if took < want-time.Second || took > want+time.Second {
			t.Errorf("%d bytes took %s, want %s", total, took, want)
		}
		if waited := time.Duration(tg.Meter.WaitQuota.Load()); waited < want/2 || waited > want {
			t.Errorf("waited for the quota: %s of %s", waited, took)
		}
		shut(t, w)
	})
}

// A value that is larger than the whole budget passes, alone.
func TestAValueLargerThanTheBudget(t *testing.T) {
	h := newHistory(5)
	h.fill(3, 10)
	h.add(event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("large"), Value: bytes.Repeat([]byte("x"), 3<<20)})
	h.fill(3, 10)
	tg := target(changefeed.Spec{})
	tg.Budget = changefeed.NewBudget(1 << 20)
	sink := &memory{max: 100 << 10}
	w := open(t, Options{Target: tg, Appender: sink})
	h.write(t, w)
	shut(t, w)
	check(t, lines(t, sink.messages))
}

func TestFailure(t *testing.T) {
	h := newHistory(5)
	h.fill(3, 10)
	sink := &memory{max: 1 << 20, err: &changefeed.Error{Code: changefeed.CodeBrokerDown, What: "gone"}}
	w := open(t, Options{Target: target(changefeed.Spec{}), Appender: sink})
	for i := range h.events {
		if err := w.Event(t.Context(), &h.stamps[i], h.events[i], h.names); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-w.Failed()
	var failure *changefeed.Error
	for _, err := range []error{w.Err(), w.Flush(t.Context()), w.Event(t.Context(), &h.stamps[2], h.events[2], h.names)} {
		if !errors.As(err, &failure) || failure.Code != changefeed.CodeBrokerDown {
			t.Errorf("got %v", err)
		}
	}
	if !w.Durable().Position.IsZero() {
		t.Errorf("durable: %+v", w.Durable())
	}
	shut(t, w)
	if !sink.closed {
		t.Error("the appender wasn't closed")
	}
}
