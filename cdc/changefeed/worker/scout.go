package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// scout asks how far the log reaches, and has it keep what comes after what was saved.
func (w *worker) scout(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var before event.Position
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		w.look(ctx)
		w.beyond(time.Now())
		last := w.track.lastEvent()
		if p, chain, due := w.holdDue(); due {
			w.hold(ctx, p, chain)
		}
		every := w.o.HeadEvery
		if last == before && w.live.Load().Figures.LagEntries == 0 {
			every *= restFactor
		}
		before = last
		timer.Reset(every)
	}
}

// holdDue says what the log may give up, if that is more than it was told. Telling costs an entry of the log, which a partition at rest must not get
// because of itself: so an event has to lie between, by which the chain is another one.
func (w *worker) holdDue() (event.Position, event.Chain, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	saved, chain := w.mu.saved, w.mu.savedChain
	return saved, chain, saved.Compare(w.mu.held) > 0 && (w.mu.held.IsZero() || chain != w.mu.heldChain)
}

func (w *worker) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	head, err := w.o.Source.Head(ctx, w.spec.Namespace, w.partition)
	if err != nil {
		w.log.Debug("how far the log reaches isn't known", "err", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.head, w.mu.headAt = head, time.Now()
}

// beyond notices a log that ends before the place to go on: a source may wait for what comes there, as replicas that were restarted apply again what they
// had. After a while it is a log that was restored.
func (w *worker) beyond(now time.Time) {
	since := w.waiting.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	p, applied, h := w.mu.progress.Position, w.mu.head.Applied, &w.mu.health
	waited := now.Sub(time.Unix(0, since))
	if h.beyond = nil; since == 0 || w.mu.headAt.IsZero() || p.Index <= applied.Index || waited < warnAfter {
		return
	}
	h.beyond = &changefeed.Error{
		Stage: changefeed.StageLogRead, Code: changefeed.CodeHistory, Final: waited > patience,
		What: fmt.Sprintf("the log of %s-%d ends at %s, before the place to go on, %s", w.spec.Namespace, w.partition, applied, p),
	}
	if h.beyond.Final {
		w.rest(h.beyond)
	}
}

// unheldFor is after how many failures in a row people are told that the log isn't kept: a leader that changes makes one or two.
const unheldFor = 5

// hold has the log keep what comes after a position. If that fails the next round tries again. A source takes a position before the one it has for a
// late one, and leaves it out: to go back, the hold is made anew.
func (w *worker) hold(ctx context.Context, p event.Position, chain event.Chain) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	w.mu.Lock()
	back := w.mu.back
	w.mu.Unlock()
	var err error
	tell := func(p event.Position) {
		if err == nil {
			err = w.o.Source.Hold(ctx, w.spec.Namespace, w.partition, changefeed.ConsumerID(w.spec.ID), p)
		}
	}
	if back {
		tell(event.Position{})
	}
	tell(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if w.mu.unheld++; w.mu.unheld == unheldFor {
			w.log.Warn("the log can't be told what to keep for a changefeed; it may be truncated before the sink has it", "after", p.String(), "tries", unheldFor, "err", err)
		}
		return
	}
	w.mu.unheld = 0
	if back {
		w.mu.back = false
	}
	if p.Compare(w.mu.held) > 0 {
		w.mu.held, w.mu.heldChain = p, chain
	}
}

// letGo ends what keeps the log for this changefeed.
func (w *worker) letGo() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.work), callTimeout)
	defer cancel()
	letGo(ctx, w.o, w.spec, w.partition)
}

func letGo(ctx context.Context, o *Options, spec *changefeed.Spec, partition uint32) {
	consumer := changefeed.ConsumerID(spec.ID)
	if err := o.Source.Hold(ctx, spec.Namespace, partition, consumer, event.Position{}); err != nil {
		o.Logger.Warn("the log is still kept for a changefeed that is over; remove its consumer", "namespace", spec.Namespace, "partition", partition, "consumer", consumer, "err", err)
	}
}
