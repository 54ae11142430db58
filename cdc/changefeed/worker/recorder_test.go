package worker

import (
	"context"
	"sync"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// record is one thing that a sink has.
type record struct {
	kind    string // event, beat, begin, rows, end
	epoch   uint64
	stamp   event.Stamp
	reached changefeed.Reached
}

// recorder is a sink that keeps what it is given. Batches become durable some time after they were flushed, and only those of the highest epoch
// that opened the partition.
type recorder struct {
	mu      sync.Mutex
	streams map[uint32]*recorded
	opened  int
	closed  int

	// forgetful sinks can't say where they end.
	forgetful bool
	// decides has the sink decide where to go on, without a chain.
	decides bool
	// boastful sinks say of what they are given anew that they have it already.
	boastful bool
	delay    time.Duration
	batch    int
	// failing is asked before each opening (what "open") and each batch (what "write"), and may wait.
	failing func(partition uint32, epoch uint64, what string) error
}

type recorded struct {
	epoch   uint64
	records []record
	opens   int
}

func newRecorder() *recorder {
	return &recorder{streams: map[uint32]*recorded{}, delay: 10 * time.Millisecond, batch: 8}
}

func (r *recorder) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *recorder) open(*changefeed.Spec) (changefeed.Sink, error) {
	r.set(func() { r.opened++ })
	return r, nil
}

func (r *recorder) opens() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened
}

// opensOf is how many writers a partition had.
func (r *recorder) opensOf(partition uint32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stream(partition).opens
}

func (r *recorder) closes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

func (r *recorder) Close() error {
	r.set(func() { r.closed++ })
	return nil
}

func (r *recorder) stream(partition uint32) *recorded {
	if r.streams[partition] == nil {
		r.streams[partition] = &recorded{}
	}
	return r.streams[partition]
}

// stamps are those of the events that came, less what a rewind repeated.
func (r *recorder) stamps(partition uint32) (all []event.Stamp) {
	for _, rec := range r.records(partition) {
		if rec.kind == "event" {
			all = append(all, rec.stamp)
		}
	}
	return all
}

func (r *recorder) records(partition uint32) []record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]record(nil), r.stream(partition).records...)
}

func (r *recorder) resumeOf(partition uint32) changefeed.Resume {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stream(partition).resume()
}

func (r *recorder) count(partition uint32, kind string) (n int) {
	for _, rec := range r.records(partition) {
		if rec.kind == kind {
			n++
		}
	}
	return n
}

func (r *recorder) fail(partition uint32, epoch uint64, what string) error {
	r.mu.Lock()
	failing := r.failing
	r.mu.Unlock()
	if failing == nil {
		return nil
	}
	return failing(partition, epoch, what)
}

func (r *recorder) Open(ctx context.Context, t changefeed.Target) (changefeed.Writer, error) {
	if err := r.fail(t.Partition, t.Epoch, "open"); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stream(t.Partition)
	s.opens++
	if t.Epoch < s.epoch {
		return nil, fenced
	}
	s.epoch = t.Epoch
	w := &recordWriter{r: r, t: t, failed: make(chan struct{}), batches: make(chan []record), closed: make(chan struct{}), over: make(chan struct{})}
	w.resume = s.resume()
	if r.decides {
		w.resume.Decides, w.resume.Chain, w.resume.ChainKnown = true, event.Chain{}, false
	}
	if r.forgetful {
		w.resume = changefeed.Resume{}
	}
	if !t.Rewind || r.boastful {
		w.durable = changefeed.Reached{Position: w.resume.After, Chain: w.resume.Chain}
	}
	if !t.Rewind {
		w.end = w.resume.After
	}
	go w.write()
	return w, nil
}

var fenced = &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeFenced, What: "another owner writes"}

func (s *recorded) resume() changefeed.Resume {
	if len(s.records) == 0 {
		return changefeed.Resume{}
	}
	r := changefeed.Resume{Known: true}
	for _, rec := range s.records {
		switch rec.kind {
		case "begin":
			r.InSnapshot = true
		case "end":
			r.InSnapshot = false
		}
		if !rec.reached.Position.IsZero() {
			r.After, r.Chain, r.ChainKnown, r.Time = rec.reached.Position, rec.reached.Chain, true, rec.reached.Time
		}
	}
	return r
}

type recordWriter struct {
	r       *recorder
	t       changefeed.Target
	resume  changefeed.Resume
	end     event.Position // what lies at or before it is there
	pending []record
	base    changefeed.Reached
	batches chan []record
	failed  chan struct{}
	closed  chan struct{}
	over    chan struct{}

	mu      sync.Mutex
	durable changefeed.Reached
	err     error
}

// write makes batches durable, one after the other.
func (w *recordWriter) write() {
	defer close(w.over)
	for {
		var batch []record
		select {
		case batch = <-w.batches:
		case <-w.closed:
			return
		}
		w.r.mu.Lock()
		delay := w.r.delay
		w.r.mu.Unlock()
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-w.closed:
			return
		}
		if err := w.append(batch); err != nil {
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
			close(w.failed)
			<-w.closed
			return
		}
	}
}

// torn is a write that fails after it did a part of what it was to do.
type torn struct {
	error
	done int
}

func (w *recordWriter) append(batch []record) error {
	err := w.r.fail(w.t.Partition, w.t.Epoch, "write")
	if part, ok := err.(*torn); ok {
		batch = batch[:min(part.done, len(batch))]
	} else if err != nil {
		return err
	}
	w.r.mu.Lock()
	s := w.r.stream(w.t.Partition)
	if s.epoch != w.t.Epoch {
		w.r.mu.Unlock()
		return fenced
	}
	s.records = append(s.records, batch...)
	w.r.mu.Unlock()
	if err != nil {
		return err // what was done isn't known
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rec := range batch {
		if !rec.reached.Position.IsZero() {
			w.durable = rec.reached
		}
	}
	return nil
}

func (w *recordWriter) Resume() changefeed.Resume { return w.resume }

func (w *recordWriter) take(ctx context.Context, rec record) error {
	if err := w.Err(); err != nil {
		return err
	}
	rec.epoch = w.t.Epoch
	w.pending = append(w.pending, rec)
	if len(w.pending) >= w.r.batch {
		return w.Flush(ctx)
	}
	return nil
}

func (w *recordWriter) Event(ctx context.Context, st *event.Stamp, ev *event.Event, _ event.Names) error {
	if st.Position.Compare(w.end) <= 0 {
		return nil
	}
	w.t.Meter.Events.Add(1)
	return w.take(ctx, record{kind: "event", stamp: *st, reached: changefeed.Reached{Position: st.Position, Chain: st.Chain, Time: ev.Time}})
}

func (w *recordWriter) Heartbeat(ctx context.Context, p event.Position, last *event.Stamp, t int64) error {
	return w.take(ctx, record{kind: "beat", reached: changefeed.Reached{Position: p, Chain: last.Chain, Time: t}})
}

func (w *recordWriter) BeginSnapshot(ctx context.Context, base *changefeed.Base) error {
	w.base = changefeed.Reached{Position: base.Stamp.Position, Chain: base.Stamp.Chain, Time: base.Time}
	return w.take(ctx, record{kind: "begin"})
}

func (w *recordWriter) Rows(ctx context.Context, _ *event.Event, _ event.Names) error {
	return w.take(ctx, record{kind: "rows"})
}

func (w *recordWriter) EndSnapshot(ctx context.Context) error {
	return w.take(ctx, record{kind: "end", reached: w.base})
}

func (w *recordWriter) Flush(ctx context.Context) error {
	if err := w.Err(); err != nil || len(w.pending) == 0 {
		return err
	}
	select {
	case w.batches <- w.pending:
		w.pending = nil
		return nil
	case <-w.failed:
		return w.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *recordWriter) Durable() changefeed.Reached {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.durable
}

func (w *recordWriter) Failed() <-chan struct{} { return w.failed }

func (w *recordWriter) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *recordWriter) Close() error {
	close(w.closed)
	<-w.over
	return nil
}
