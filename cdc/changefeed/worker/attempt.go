package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// attempt is one writer's life. It is for one goroutine.
type attempt struct {
	w      *worker
	writer changefeed.Writer
	// read ends when the worker has to stop, the claim is lost or the writer failed.
	read context.Context
	// write ends when the claim is lost, the writer failed, or stopping took too long.
	write context.Context
	// at is where reading goes on: after the last thing that the writer took.
	at   changefeed.Place
	last event.Stamp // of the last event
	time int64       // and its time
	to   until

	broken error     // what the source ran into last
	dirty  bool      // something was given since the last flush
	count  int       // events since the clock was looked at
	beat   time.Time // when the last heartbeat was given
	log    bool      // what is read is the log
}

// attempt opens the sink and goes on until something ends it.
func (w *worker) attempt() error {
	read, cancel := context.WithCancelCause(w.reading)
	defer cancel(nil)
	write, refuse := context.WithCancelCause(w.work)
	defer refuse(nil)
	to, err := parseUntil(w.spec, w.partition)
	if err != nil {
		return err
	}
	sink, release, err := w.sinks.acquire(w.spec)
	defer w.releaseSink(release)
	if err != nil {
		return err
	}
	partitions, err := w.o.Source.Partitions(read, w.spec.Namespace)
	if err != nil {
		return ended(read, w.sourceError(err))
	}
	if err := w.settleBegin(read); err != nil {
		return err
	}
	before := w.checkpoint()
	writer, err := sink.Open(read, changefeed.Target{
		Spec: w.spec, Cluster: w.o.Source.Cluster(), Partition: w.partition, Partitions: partitions, Epoch: w.claim.Epoch(),
		Rewind: before.Forced, Budget: w.o.Budget, Meter: &w.meter,
	})
	if err != nil {
		return ended(read, asError(err))
	}
	a := &attempt{w: w, writer: writer, read: read, write: write, to: to}
	defer a.close()
	select {
	case w.watched <- watched{writer, func(err error) { cancel(err); refuse(err) }}:
	case <-read.Done():
		return context.Cause(read)
	}
	return a.run(&before)
}

func (w *worker) releaseSink(release func() error) {
	if err := w.guard("closing the sink", release); err != nil {
		w.log.Warn("a sink didn't close well", "err", err)
	}
}

// run finds the place to begin, and reads.
func (a *attempt) run(before *changefeed.Progress) error {
	r := a.writer.Resume()
	s, err := startOf(a.w.spec, a.w.partition, before, r)
	if err != nil {
		return err
	}
	if !r.Known && !s.rewind && s.began == "" && !s.durable.Position.IsZero() {
		a.w.log.Warn("a changefeed's sink has nothing of a partition any more, though it had; it goes on after the checkpoint", "checkpoint", s.durable.Position.String())
	}
	if r.Decides && !r.After.IsZero() && !s.at.ChainKnown {
		if err := a.w.sameHistory(a.read, before); err != nil {
			return err
		}
	}
	a.at = s.at
	a.w.begin(&s, a.writer, before.Position)
	if s.snapshot {
		if r.Decides {
			a.w.setFullSync()
		} else {
			a.w.setLost("the sink ends within a snapshot of the state: it is written anew")
		}
		if err := a.snapshot(); err != nil {
			return a.end(err)
		}
	}
	return a.end(a.follow())
}

// begin lets the keeper look at a new writer.
func (w *worker) begin(s *start, writer changefeed.Writer, before event.Position) {
	w.track.restart(s.durable.Position, s.durable.Time)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.writer, w.mu.opened, w.mu.stale = writer, time.Now(), changefeed.Reached{}
	if s.rewind {
		w.mu.stale = writer.Durable()
	}
	p, h := &w.mu.progress, &w.mu.health
	if (s.rewind || s.durable.Position.Compare(before) < 0) && s.durable.Position != w.mu.held {
		w.mu.held, w.mu.saved, w.mu.back = event.Position{}, event.Position{}, true
	}
	p.Position, p.Chain, p.Time, p.Began = s.durable.Position, s.durable.Chain, s.durable.Time, s.began
	if s.behind != "" {
		h.behind, h.behindTo, h.behindAt = s.behind, before, time.Now()
		w.log.Warn("a changefeed's sink lost something", "reason", s.behind)
	}
	w.wake()
}

// close takes over what the writer has, and ends it.
func (a *attempt) close() {
	w := a.w
	w.mu.Lock()
	w.takeDurableLocked()
	w.mu.writer = nil
	w.mu.Unlock()
	if err := w.guard("closing the writer", a.writer.Close); err != nil {
		w.log.Warn("a writer didn't close well", "err", err)
	}
}

// end waits for what was given, where that is what the worker's end asks for.
func (a *attempt) end(err error) error {
	switch err {
	case errFinished:
		err = a.finish()
		if err != errStop {
			return err
		}
		fallthrough
	case errStop:
		if err := a.flush(); err != nil {
			return err
		}
		if err := a.wait(a.write, a.w.track.lastEvent()); err != nil {
			return err
		}
		return errStop
	}
	return err
}

// finish waits for as long as it takes until the sink has all events, and for a while for the heartbeat after them: a sink may leave that out.
func (a *attempt) finish() error {
	if err := a.flush(); err != nil {
		return err
	}
	if err := a.wait(a.read, a.w.track.lastEvent()); err != nil {
		return err
	}
	read, cancel := context.WithTimeout(a.read, a.w.o.StopWithin)
	defer cancel()
	if err := a.wait(read, a.w.track.last()); err != nil && err != context.DeadlineExceeded {
		return err
	}
	return errFinished
}

func (a *attempt) flush() error {
	a.dirty = false
	if err := a.writer.Flush(a.write); err != nil {
		return ended(a.write, asError(err))
	}
	return nil
}

// wait returns when the sink has everything up to a position, or ctx or the writer ends.
func (a *attempt) wait(ctx context.Context, upTo event.Position) error {
	return await(ctx, a.writer, func() bool { return a.w.hasDurably(a.writer, upTo) })
}

// await asks again and again until ok, or until ctx or the writer, if it isn't nil, ends.
func await(ctx context.Context, writer changefeed.Writer, ok func() bool) error {
	var failed <-chan struct{}
	if writer != nil {
		failed = writer.Failed()
	}
	const most = 50 * time.Millisecond
	for pause := time.Millisecond; !ok(); pause = min(2*pause, most) {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-failed:
			timer.Stop()
			return asError(writer.Err())
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
	return nil
}

// setFullSync says that the sink asked for the state, or the rest of it: nothing was lost.
func (w *worker) setFullSync() {
	w.mu.Lock()
	w.mu.health.lost, w.mu.health.full = "the target needs the state, or the rest of it: a full sync carries it", true
	w.mu.Unlock()
	w.log.Info("a full sync of a changefeed's target has begun")
	w.wake()
}

// setLost says what is being done about a lost place; "" that it has one again.
func (w *worker) setLost(what string) {
	w.mu.Lock()
	changed, full := w.mu.health.lost != what, w.mu.health.full
	w.mu.health.lost, w.mu.health.full = what, false
	w.mu.Unlock()
	if full && what == "" {
		w.log.Info("a full sync of a changefeed's target is done; the stream goes on")
	}
	if changed && what != "" {
		w.log.Warn("a changefeed lost its place", "reason", what)
	}
	if changed {
		w.wake()
	}
}

func (w *worker) checkpoint() changefeed.Progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.progress
}

// joins is that an event goes on where the one before ended.
func (a *attempt) joins(st *event.Stamp) error {
	if !a.at.ChainKnown || st.PrevChain == a.at.Chain {
		return nil
	}
	if a.at.After.IsZero() { // it was to be the first one of all: what the log has left begins later
		return fmt.Errorf("%w: its first event is %s, after %s", errCompacted, st.Position, st.Prev)
	}
	return &changefeed.Error{
		Stage: changefeed.StageLogRead, Code: changefeed.CodeHistory, Final: true,
		What: fmt.Sprintf("event %s of %s-%d doesn't join on to %s: it goes on from chain %s, before it came %s", st.Position, a.w.spec.Namespace, a.w.partition,
			a.at.After, st.PrevChain, a.at.Chain),
	}
}
