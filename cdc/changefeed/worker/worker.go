package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// stopReason is why a worker has to stop.
type stopReason int32

const (
	stopShutdown stopReason = 1 // the process ends
	stopPaused   stopReason = 2
	stopRemoved  stopReason = 3
	stopChanged  stopReason = 4 // the definition was
)

// worker is the life of one claim.
type worker struct {
	o         *Options
	sinks     *sinks
	spec      *changefeed.Spec
	partition uint32
	claim     changefeed.Claim
	log       *slog.Logger
	began     time.Time

	meter changefeed.Meter
	track track
	live  atomic.Pointer[changefeed.Progress] // as it would be saved now
	// waiting is since when the feed is waited for, in ns; 0 when it isn't.
	waiting atomic.Int64

	// work ends when the claim is lost or stopping takes too long: nothing more is written then. reading, its child, ends when the worker has to
	// stop as well.
	work    context.Context
	kill    context.CancelCauseFunc
	reading context.Context
	rest    context.CancelCauseFunc

	stop     chan struct{}
	stopOnce sync.Once
	reason   atomic.Int32
	watched  chan watched
	kick     chan struct{}

	mu struct {
		sync.Mutex
		writer   changefeed.Writer   // nil between attempts
		progress changefeed.Progress // the checkpoint, and whether it was set by hand
		health   health
		head     changefeed.Head
		headAt   time.Time // zero: not known
		opened   time.Time // since when an attempt has gone well
		// saved is the position that was saved last, held what the log was told to keep after, each with the chain there.
		saved, held           event.Position
		savedChain, heldChain event.Chain
		savedBegan            string // Progress.Began, as it was saved last
		// back says that the log may have been told to keep less than is needed from now on.
		back   bool
		unheld int // how often in a row telling the log failed
		// stale is what a writer said to have durably when it was to begin anew before that: of what it is given that is no news.
		stale changefeed.Reached
	}
	keeper keeper
}

// watched is a writer with what ends its attempt.
type watched struct {
	writer changefeed.Writer
	cancel context.CancelCauseFunc
}

// newWorker makes the worker of a claim. Of ctx it takes the values alone: it ends when halt was called, or by itself.
func newWorker(ctx context.Context, o *Options, s *sinks, spec *changefeed.Spec, partition uint32, claim changefeed.Claim) *worker {
	w := &worker{
		o: o, sinks: s, spec: spec, partition: partition, claim: claim, began: time.Now(),
		log:  o.Logger.With("changefeed", spec.ID, "namespace", spec.Namespace, "partition", partition, "epoch", claim.Epoch()),
		stop: make(chan struct{}), watched: make(chan watched), kick: make(chan struct{}, 1),
	}
	w.work, w.kill = context.WithCancelCause(context.WithoutCancel(ctx))
	w.reading, w.rest = context.WithCancelCause(w.work)
	p := claim.Progress()
	w.mu.progress = changefeed.Progress{Position: p.Position, Chain: p.Chain, Time: p.Time, Forced: p.Forced, Began: p.Began}
	w.mu.savedBegan = p.Began
	w.live.Store(&changefeed.Progress{Position: p.Position, Chain: p.Chain, Time: p.Time, Forced: p.Forced, Began: p.Began, State: changefeed.Normal,
		Owner: o.Process, Epoch: claim.Epoch(), Generation: spec.Generation, Figures: changefeed.Figures{HeadroomBytes: -1}})
	return w
}

// halt has the worker stop: what it took is flushed and saved. The first reason counts. It doesn't wait.
func (w *worker) halt(reason stopReason) {
	w.stopOnce.Do(func() {
		w.reason.Store(int32(reason))
		close(w.stop)
	})
}

// run is the whole life, the claim's release included.
func (w *worker) run() {
	w.log.Info("a changefeed's partition was taken over", "position", w.mu.progress.Position.String())
	var group sync.WaitGroup
	others, end := context.WithCancel(w.work)
	for what, f := range map[string]func(context.Context){"watcher": w.watch, "keeper": w.keep, "scout": w.scout} {
		group.Go(func() {
			if err := w.guard("the "+what, func() error { f(others); return nil }); err != nil {
				w.rest(err)
			}
		})
	}
	err := w.attempts()
	end()
	group.Wait()
	w.settle(err)
	w.kill(errStop)
	w.release()
}

// watch ends what goes on when it has to end.
func (w *worker) watch(ctx context.Context) {
	stop := w.stop
	var late <-chan time.Time
	var current watched
	var failed <-chan struct{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.claim.Lost():
			w.kill(errLost)
			return
		case <-stop:
			w.rest(errStop)
			stop = nil
			timer := time.NewTimer(w.o.StopWithin)
			defer timer.Stop()
			late = timer.C
		case <-late:
			w.kill(errLate)
			return
		case current = <-w.watched:
			failed = current.writer.Failed()
		case <-failed:
			current.cancel(ended(w.reading, asError(current.writer.Err())))
			failed = nil
		}
	}
}

// attempts goes on until something ends the worker, and says what.
func (w *worker) attempts() error {
	for {
		err := w.guard("the worker", w.attempt)
		if end := w.judge(err); end != nil {
			return end
		}
		if err := w.pause(w.reading); err != nil {
			return err
		}
	}
}

// judge says what an attempt's end means for the worker: nil for another one.
func (w *worker) judge(err error) error {
	if w.work.Err() != nil {
		return context.Cause(w.work)
	}
	if errors.Is(err, errFinished) {
		return errFinished
	}
	e := asError(err)
	if e.Final && e.Code != changefeed.CodeFenced {
		return e
	}
	if w.reading.Err() != nil {
		return context.Cause(w.reading)
	}
	if e.Code == changefeed.CodeFenced {
		return e
	}
	w.failed(e)
	return nil
}

// failed notes a failure that is worth another attempt.
func (w *worker) failed(e *changefeed.Error) {
	w.meter.Retries.Add(1)
	w.mu.Lock()
	h := &w.mu.health
	h.fail(e, time.Now())
	w.mu.opened = time.Now()
	tries := h.tries
	w.mu.Unlock()
	if tries == 1 || tries == warnFailures {
		w.log.Warn("a changefeed ran into something", "stage", string(e.Stage), "code", string(e.Code), "tries", tries, "err", e)
	}
	w.wake()
}

func (w *worker) failingFor() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.health.failure == nil {
		return 0
	}
	return time.Since(w.mu.health.since)
}

// pause waits before another attempt, longer with each failure in a row.
func (w *worker) pause(ctx context.Context) error {
	w.mu.Lock()
	d := backoff(w.mu.health.tries)
	w.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// backoff doubles with each failure in a row; half of it is drawn by lot, so that those who failed together don't come back together.
func backoff(tries int) time.Duration {
	d := min(backoffLeast<<min(max(tries-1, 0), 10), backoffMost)
	return d/2 + rand.N(d/2)
}

// wake has the keeper look at once.
func (w *worker) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// settle saves how it ended.
func (w *worker) settle(err error) {
	p := w.observe(time.Now())
	var cause *changefeed.Error
	switch {
	case errors.Is(err, errLost):
		w.log.Info("a changefeed's partition went to another process")
		return
	case errors.As(err, &cause) && cause.Code == changefeed.CodeFenced:
		w.log.Info("a changefeed's sink is another process's", "err", err)
		return
	case errors.Is(err, errFinished):
		p.State, p.Trouble = changefeed.Finished, nil
	case cause != nil:
		p.State, p.Trouble = changefeed.Failed, troubleOf(w.spec.ID, cause)
		p.Trouble.Since = time.Now().UnixNano()
		w.log.Error("a changefeed's partition failed", "stage", string(cause.Stage), "code", string(cause.Code), "err", cause, "action", p.Trouble.Action)
	case stopReason(w.reason.Load()) == stopPaused:
		p.State, p.Trouble = changefeed.Paused, nil
	}
	w.live.Store(p)
	w.saveLast(p)
	if p.State == changefeed.Finished {
		w.letGo()
	}
	w.log.Info("a changefeed's partition was given up", "state", string(p.State), "position", p.Position.String(), "because", err)
}

// saveLast saves for as long as the claim lasts, but not for ever: another owner finds out by itself.
func (w *worker) saveLast(p *changefeed.Progress) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.work), 2*callTimeout)
	defer cancel()
	for tries := 1; ; tries++ {
		err := w.save(ctx, p)
		if err == nil || errors.Is(err, changefeed.ErrFenced) || errors.Is(err, changefeed.ErrNotFound) {
			return
		}
		timer := time.NewTimer(backoff(tries))
		select {
		case <-timer.C:
			continue
		case <-w.claim.Lost():
		case <-ctx.Done():
		}
		timer.Stop()
		w.log.Warn("a changefeed's last checkpoint wasn't saved; its next owner goes on from the one before", "err", err)
		return
	}
}

func (w *worker) release() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.work), callTimeout)
	defer cancel()
	if err := w.claim.Release(ctx); err != nil {
		w.log.Warn("a claim wasn't released; another process takes over when its time has run out", "err", err)
	}
}
