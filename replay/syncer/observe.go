package syncer

import (
	"context"
	"sync"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/replay"
	"github.com/zankv/zankv/replay/writestats"
)

// sinks are those that this process has open, with what is seen of them.
type sinks struct {
	// received counts how old events are when they come, written how old when the target has them.
	received, written writestats.Latency
	// pending says that something was taken that the target doesn't have.
	pending chan struct{}
	mu      struct {
		sync.Mutex
		open map[*sink]bool
	}
}

func (s *sinks) init() {
	s.pending = make(chan struct{}, 1)
	s.mu.open = map[*sink]bool{}
}

// sink is a replay.Sink that is watched.
type sink struct {
	*replay.Sink
	id   string // the changefeed's
	all  *sinks
	mu   sync.Mutex
	open map[uint32]*writer // by partition
}

func (s *sinks) watch(spec *changefeed.Spec, opened *replay.Sink) *sink {
	one := &sink{Sink: opened, id: spec.ID, all: s, open: map[uint32]*writer{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.open[one] = true
	return one
}

// each visits the open ones.
func (s *sinks) each(visit func(*sink)) {
	s.mu.Lock()
	all := make([]*sink, 0, len(s.mu.open))
	for one := range s.mu.open {
		all = append(all, one)
	}
	s.mu.Unlock()
	for _, one := range all {
		visit(one)
	}
}

// Close is changefeed.Sink's.
func (s *sink) Close() error {
	s.all.mu.Lock()
	delete(s.all.mu.open, s)
	s.all.mu.Unlock()
	return s.Sink.Close()
}

// Open is changefeed.Sink's.
func (s *sink) Open(ctx context.Context, t changefeed.Target) (changefeed.Writer, error) {
	w, err := s.Sink.Open(ctx, t)
	if err != nil {
		return nil, err
	}
	one := &writer{Writer: w, sink: s, partition: t.Partition}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[t.Partition] = one
	return one, nil
}

func (s *sink) writers() []*writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*writer, 0, len(s.open))
	for _, w := range s.open {
		all = append(all, w)
	}
	return all
}

// maxSamples is how many events of a partition are timed at once: of more than that, the first.
const maxSamples = 64

// writer is a changefeed.Writer of a cluster that is watched.
type writer struct {
	changefeed.Writer
	sink      *sink
	partition uint32

	mu struct {
		sync.Mutex
		samples []sample
		full    *FullSync
	}
}

// sample is an event's position and time.
type sample struct {
	position event.Position
	time     int64
}

// FullSync is how far one is: the state of a partition on its way to the target.
type FullSync struct {
	Position event.Position `json:"position"` // what it is the state of
	Since    time.Time      `json:"since"`
	Keys     uint64         `json:"keys"` // read so far
	// TotalKeys is about how many there are; 0 when it goes on with what an earlier owner began.
	TotalKeys uint64 `json:"total_keys"`
	Bytes     uint64 `json:"bytes"` // of keys and values, read so far
	// BytesPerSecond is since it began; ETASeconds is -1 when that isn't known.
	BytesPerSecond float64 `json:"bytes_per_second"`
	ETASeconds     float64 `json:"eta_seconds"`
}

// Wants and GoOn are changefeed.StateWriter's.
func (w *writer) Wants() changefeed.Want {
	if s, ok := w.Writer.(changefeed.StateWriter); ok {
		return s.Wants()
	}
	return changefeed.Want{}
}

// GoOn is changefeed.StateWriter's.
func (w *writer) GoOn(base event.Position) event.Position {
	if s, ok := w.Writer.(changefeed.StateWriter); ok {
		return s.GoOn(base)
	}
	return base
}

// Event is changefeed.Writer's.
func (w *writer) Event(ctx context.Context, st *event.Stamp, ev *event.Event, names event.Names) error {
	at := sample{st.Position, ev.Time}
	w.sink.all.received.Observe(time.Since(time.Unix(0, at.time)))
	if err := w.Writer.Event(ctx, st, ev, names); err != nil {
		return err
	}
	w.mu.Lock()
	first := len(w.mu.samples) == 0
	if len(w.mu.samples) < maxSamples {
		w.mu.samples = append(w.mu.samples, at)
	}
	w.mu.Unlock()
	if first {
		select {
		case w.sink.all.pending <- struct{}{}:
		default:
		}
	}
	return nil
}

// BeginSnapshot is changefeed.Writer's.
func (w *writer) BeginSnapshot(ctx context.Context, base *changefeed.Base) error {
	full := &FullSync{Position: base.Stamp.Position, Since: time.Now(), TotalKeys: base.Keys}
	if len(w.Wants().AfterKey) > 0 {
		full.TotalKeys = 0
	}
	w.mu.Lock()
	w.mu.full = full
	w.mu.Unlock()
	return w.Writer.BeginSnapshot(ctx, base)
}

// Rows is changefeed.Writer's.
func (w *writer) Rows(ctx context.Context, ev *event.Event, names event.Names) error {
	keys, bytes := 0, 0
	for i := range ev.Mutations {
		m := &ev.Mutations[i]
		if m.Whole || m.Op == event.OpSet || m.Op == event.OpDel {
			keys++
			bytes += len(m.Key)
		}
		bytes += len(m.Value)
		for j := range m.Elements {
			bytes += len(m.Elements[j].Sub) + len(m.Elements[j].Value)
		}
	}
	w.mu.Lock()
	if f := w.mu.full; f != nil {
		f.Keys += uint64(keys)
		f.Bytes += uint64(bytes)
	}
	w.mu.Unlock()
	return w.Writer.Rows(ctx, ev, names)
}

// EndSnapshot is changefeed.Writer's.
func (w *writer) EndSnapshot(ctx context.Context) error {
	err := w.Writer.EndSnapshot(ctx)
	w.mu.Lock()
	w.mu.full = nil
	w.mu.Unlock()
	return err
}

// Close is changefeed.Writer's.
func (w *writer) Close() error {
	w.sink.mu.Lock()
	if w.sink.open[w.partition] == w {
		delete(w.sink.open, w.partition)
	}
	w.sink.mu.Unlock()
	return w.Writer.Close()
}

// fullSync is how far one is at a time; nil if there is none.
func (w *writer) fullSync(now time.Time) *FullSync {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.full == nil {
		return nil
	}
	f := *w.mu.full
	elapsed := now.Sub(f.Since).Seconds()
	f.ETASeconds = -1
	if elapsed > 0 {
		f.BytesPerSecond = float64(f.Bytes) / elapsed
		if f.TotalKeys > 0 && f.Keys > 0 {
			f.ETASeconds = elapsed / float64(f.Keys) * float64(f.TotalKeys-min(f.Keys, f.TotalKeys))
		}
	}
	return &f
}

// measureEvery is how exactly it is known when the target has something.
const measureEvery = 5 * time.Millisecond

// measure times events until ctx is done.
func (s *sinks) measure(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.pending:
		case <-ctx.Done():
			return
		}
		for s.settle(time.Now()) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// settle counts what the target has by now, and says whether there is more to come.
func (s *sinks) settle(now time.Time) (more bool) {
	s.each(func(one *sink) {
		for _, w := range one.writers() {
			more = w.settle(now, &s.written) || more
		}
	})
	return more
}

func (w *writer) settle(now time.Time, written *writestats.Latency) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.mu.samples) == 0 {
		return false
	}
	reached, n := w.Durable().Position, 0
	for n < len(w.mu.samples) && w.mu.samples[n].position.Compare(reached) <= 0 {
		written.Observe(now.Sub(time.Unix(0, w.mu.samples[n].time)))
		n++
	}
	w.mu.samples = append(w.mu.samples[:0], w.mu.samples[n:]...)
	return len(w.mu.samples) > 0
}
