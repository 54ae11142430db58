package message

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// Options are what a Writer is made of.
type Options struct {
	Target changefeed.Target
	// Appender is the writer's from then on, which closes it.
	Appender Appender
	// Tail is what stands last in the stream. If Target.Rewind is set it only says what Resume reports, and may be anything.
	Tail Tail
	// Tombstones asks for one after each change that removes a key.
	Tombstones bool
	// BatchBytes is the most that Batch.Bytes is, but for one message that is larger; 0: 1 MiB.
	BatchBytes int
	// Linger is the least time between the beginnings of two appends, where the later batch isn't full: many small appends cost the sink, and this
	// process, more than what is in them. What comes after a pause goes at once. 0: none.
	Linger time.Duration
}

// DefaultLinger is a good Options.Linger of sinks that sync or answer over a network.
const DefaultLinger = 10 * time.Millisecond

// mostDigests bounds how many digests one message has, digestBytes is what each takes.
const (
	mostDigests = 1000
	digestBytes = 67
)

// DefaultBatchBytes is Options.BatchBytes if nothing is said.
const DefaultBatchBytes = 1 << 20

// Writer is the changefeed.Writer of sinks of messages.
//
// What it holds. Of the Budget's divided half it has a Share; batches stay within that: one that is being written, one that is ready, one that is
// filled, each of at most half of the share and Options.BatchBytes. So it never waits for another writer, only for its own sink. A value
// larger than the share waits for room in the common half, with everything before it handed over; one that is larger than that half passes
// alone there. Arenas grow as they fill, so a batch takes up to a quarter more than is counted.
//
// Two goroutines: who calls fills, the sender appends. They meet in queue, under mu.
type Writer struct {
	target     changefeed.Target
	meter      *changefeed.Meter
	share      *changefeed.Share
	appender   Appender
	matcher    *Matcher
	debezium   bool
	digests    bool
	tombstones bool
	maxBytes   int
	batchBytes int
	resume     changefeed.Resume

	// The filler's: the stream so far.
	end     end
	started bool // something came since the writer was opened
	reached changefeed.Reached
	chain   bool // reached.Chain is known
	snap    snapshotState
	run     []event.Digest // of the mutations that are being left out
	cur     *batch
	// fixed is what a line takes at most apart from what a user named and its elements, elementBytes what each of these takes more.
	fixed, elementBytes int
	digestsPerLine      int
	scratch             event.Scratch
	counts              counts

	mu struct {
		sync.Mutex
		queue    []*batch // ready, oldest first
		busy     bool     // a batch is being appended
		durable  changefeed.Reached
		trailing *changefeed.Reached // reached without messages, after the batch being appended
		err      error
		closed   bool
	}
	limit    limiter
	lingers  time.Duration
	began    time.Time     // the sender's: when it took the last batch
	wake     chan struct{} // to the sender: look at the queue
	progress chan struct{} // to the filler: the sender took a batch, or is done with one
	failed   chan struct{}
	ended    atomic.Bool // failed, or closed
	stop     context.CancelFunc
	done     chan struct{}
}

// NewWriter opens a writer of a partition's stream whose end is known. Its error is a *changefeed.Error; the Appender is closed then.
func NewWriter(ctx context.Context, o Options) (*Writer, error) {
	w, err := newWriter(o)
	if err != nil {
		return nil, errors.Join(err, o.Appender.Close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop = stop
	go w.send(running)
	return w, nil
}

func newWriter(o Options) (*Writer, error) {
	spec := o.Target.Spec
	matcher, err := Compile(spec.Filter, o.Target.Cluster)
	if err != nil {
		return nil, &changefeed.Error{Stage: changefeed.StageDecode, Code: changefeed.CodeSinkConfig, Final: true,
			What: "the changefeed's filter can't be used", Action: "update the changefeed's filter", Err: err}
	}
	at, err := o.Tail.read(o.Tombstones)
	if err != nil && !o.Target.Rewind {
		return nil, err
	}
	w := &Writer{target: o.Target, appender: o.Appender, matcher: matcher, debezium: spec.Format == changefeed.Debezium, digests: spec.Digests,
		tombstones: o.Tombstones, maxBytes: max(o.Appender.MaxBytes(), MinMaxBytes), batchBytes: o.BatchBytes, resume: at.resume, end: at,
		wake: make(chan struct{}, 1), progress: make(chan struct{}, 1), failed: make(chan struct{}), done: make(chan struct{})}
	w.chain = at.resume.ChainKnown
	w.reached = changefeed.Reached{Position: at.resume.After, Chain: at.resume.Chain, Time: at.resume.Time}
	if o.Target.Rewind {
		w.end, w.chain, w.reached = end{}, false, changefeed.Reached{}
	}
	w.mu.durable = w.reached
	w.setDefaults()
	w.share = w.target.Budget.Join()
	w.limit, w.lingers = limiter{rate: spec.BandwidthBytes}, o.Linger
	w.elementBytes = 60 + 6*len(o.Target.Cluster)
	w.fixed = 900 + 6*(4*len(o.Target.Cluster)+len(spec.Namespace))
	w.digestsPerLine = min(max((w.maxBytes-w.fixed)/digestBytes, 1), mostDigests)
	return w, nil
}

func (w *Writer) setDefaults() {
	if w.batchBytes <= 0 {
		w.batchBytes = DefaultBatchBytes
	}
	if w.target.Budget == nil {
		w.target.Budget = changefeed.NewBudget(64 << 20)
	}
	if w.meter = w.target.Meter; w.meter == nil {
		w.meter = new(changefeed.Meter)
	}
}

// Resume says where the stream ended when the writer was opened.
func (w *Writer) Resume() changefeed.Resume { return w.resume }

// Durable is how far the sink has everything, durably.
func (w *Writer) Durable() changefeed.Reached {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.durable
}

// Failed is closed at the first failure.
func (w *Writer) Failed() <-chan struct{} { return w.failed }

// Err is the first failure, a *changefeed.Error; nil if there is none.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.err
}

// fail keeps the first failure.
func (w *Writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err != nil {
		return w.mu.err
	}
	var failure *changefeed.Error
	if !errors.As(err, &failure) {
		failure = &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeInternal, What: "the sink failed", Err: err,
			Action: "it is tried again; if that goes on report it with the log"}
	}
	w.mu.err = failure
	w.ended.Store(true)
	close(w.failed)
	return failure
}

// Close ends the writer; what wasn't written is dropped. It waits for the batch that is being written to be broken off, and closes the Appender.
func (w *Writer) Close() error {
	w.mu.Lock()
	again := w.mu.closed
	w.mu.closed = true
	w.ended.Store(true)
	if w.mu.err == nil {
		w.mu.err = &changefeed.Error{Stage: changefeed.StageNone, Code: changefeed.CodeInternal, What: "the writer was closed", Action: "open another one"}
	}
	w.mu.Unlock()
	if again {
		<-w.done
		return nil
	}
	w.stop()
	<-w.done
	w.dropAll()
	w.share.Leave()
	w.counts.publish(w.meter)
	if err := w.appender.Close(); err != nil {
		return fmt.Errorf("changefeed %s, partition %d: close the sink's stream: %w", w.target.Spec.ID, w.target.Partition, err)
	}
	return nil
}

// dropAll gives up what wasn't written.
func (w *Writer) dropAll() {
	w.mu.Lock()
	queue := w.mu.queue
	w.mu.queue = nil
	w.mu.Unlock()
	if w.cur != nil {
		queue = append(queue, w.cur)
		w.cur = nil
	}
	for _, b := range queue {
		w.release(b)
	}
}

// Flush has what was taken written without waiting for more.
func (w *Writer) Flush(ctx context.Context) error {
	if err := w.usable(); err != nil {
		return err
	}
	w.counts.publish(w.meter)
	if w.cur != nil && len(w.cur.Messages) > 0 {
		w.cur.flushed = true
		w.handOver()
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	reached := w.reached
	switch n := len(w.mu.queue); {
	case n > 0:
		w.mu.queue[n-1].Last = reached
	case w.mu.busy:
		w.mu.trailing = &reached
	default:
		w.mu.durable = reached
	}
	return nil
}
