package datanode

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// recorder is a sink in memory, durable at once, that says where its streams end and refuses earlier owners.
type recorder struct {
	mu      sync.Mutex
	streams map[uint32]*recorded
	changed chan struct{}
}

type recorded struct {
	epoch   uint64
	owners  int
	events  []event.Stamp
	reached changefeed.Reached
}

func newRecorder() *recorder {
	return &recorder{streams: map[uint32]*recorded{}, changed: make(chan struct{})}
}

func (r *recorder) Close() error { return nil }

func (r *recorder) Open(_ context.Context, t changefeed.Target) (changefeed.Writer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.streams[t.Partition]
	if s == nil {
		s = &recorded{}
		r.streams[t.Partition] = s
	}
	s.epoch = t.Epoch
	s.owners++
	return &recordWriter{recorder: r, stream: s, target: t, resume: changefeed.Resume{
		Known: len(s.events) > 0, After: s.reached.Position, Chain: s.reached.Chain, ChainKnown: true, Time: s.reached.Time,
	}, failed: make(chan struct{})}, nil
}

func (r *recorder) changedLocked() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// until waits for a state of a partition's stream.
func (r *recorder) until(t *testing.T, what string, partition uint32, ok func(*recorded) bool) recorded {
	t.Helper()
	timeout := time.After(limit)
	for {
		r.mu.Lock()
		s, changed := r.streams[partition], r.changed
		if s != nil && ok(s) {
			c := *s
			r.mu.Unlock()
			return c
		}
		r.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("partition %d: never %s; it is %+v", partition, what, s)
		}
	}
}

type recordWriter struct {
	recorder *recorder
	stream   *recorded
	target   changefeed.Target
	resume   changefeed.Resume
	failed   chan struct{}
}

var errFenced = &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeFenced, What: "another owner writes"}

func (w *recordWriter) take(change func(*recorded)) error {
	w.recorder.mu.Lock()
	defer w.recorder.mu.Unlock()
	if w.stream.epoch != w.target.Epoch {
		return errFenced
	}
	change(w.stream)
	w.recorder.changedLocked()
	return nil
}

func (w *recordWriter) Resume() changefeed.Resume { return w.resume }

func (w *recordWriter) Event(_ context.Context, st *event.Stamp, ev *event.Event, _ event.Names) error {
	w.target.Meter.Events.Add(1)
	return w.take(func(s *recorded) {
		s.events = append(s.events, *st)
		s.reached = changefeed.Reached{Position: st.Position, Chain: st.Chain, Time: ev.Time}
	})
}

func (w *recordWriter) Heartbeat(_ context.Context, at event.Position, last *event.Stamp, time int64) error {
	return w.take(func(s *recorded) { s.reached = changefeed.Reached{Position: at, Chain: last.Chain, Time: time} })
}

func (w *recordWriter) BeginSnapshot(context.Context, *changefeed.Base) error { return nil }

func (w *recordWriter) Rows(context.Context, *event.Event, event.Names) error { return nil }

func (w *recordWriter) EndSnapshot(context.Context) error { return nil }

func (w *recordWriter) Flush(context.Context) error { return nil }

func (w *recordWriter) Durable() changefeed.Reached {
	w.recorder.mu.Lock()
	defer w.recorder.mu.Unlock()
	return w.stream.reached
}

func (w *recordWriter) Failed() <-chan struct{} { return w.failed }

func (w *recordWriter) Err() error { return nil }

func (w *recordWriter) Close() error { return nil }

// gapless says whether every event names the one before it as the one before it, from the first on.
func gapless(t *testing.T, s recorded) {
	t.Helper()
	for i := range s.events {
		e := &s.events[i]
		if i == 0 && !e.Prev.IsZero() || i > 0 && (e.Prev != s.events[i-1].Position || e.PrevChain != s.events[i-1].Chain) {
			t.Fatalf("event %d at %s follows %s, but comes after %v", i, e.Position, e.Prev, s.events[:i])
		}
	}
}
