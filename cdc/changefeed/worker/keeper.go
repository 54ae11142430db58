package worker

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// keeper is what the goroutine that saves needs between its rounds.
type keeper struct {
	window  window
	trying  time.Time // since when the sink repeats a request; zero if it doesn't
	trend   trend
	headAt  time.Time // of the head that the trend took last
	saved   changefeed.Progress
	savedAt time.Time
}

// keep measures every second, and saves what changed.
func (w *worker) keep(ctx context.Context) {
	ticker := time.NewTicker(observeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-w.kick:
		}
		now := time.Now()
		p := w.observe(now)
		if !w.saveDue(p, now) {
			continue
		}
		call, cancel := context.WithTimeout(ctx, callTimeout)
		w.save(call, p)
		cancel()
	}
}

// saveDue: at once when the state changed or something else is in the way, soon when events moved the checkpoint, else as a sign of life.
func (w *worker) saveDue(p *changefeed.Progress, now time.Time) bool {
	k := &w.keeper
	since := now.Sub(k.savedAt)
	switch {
	case k.savedAt.IsZero(), p.State != k.saved.State, p.State == changefeed.Warning && p.Trouble.Code != k.saved.Trouble.Code, p.Forced != k.saved.Forced,
		p.Began != k.saved.Began:
		return true
	case p.Chain != k.saved.Chain, p.Figures.LagEntries > 0 && p.Figures.LagSeconds > 0:
		return since >= w.o.SaveEvery
	}
	return since >= w.o.RestEvery
}

// save saves, unless the claim is known to be lost.
func (w *worker) save(ctx context.Context, p *changefeed.Progress) error {
	select {
	case <-w.claim.Lost():
		return changefeed.ErrFenced
	default:
	}
	err := w.claim.Save(ctx, *p)
	w.mu.Lock()
	w.mu.health.registry = err
	if err == nil {
		w.mu.saved, w.mu.savedChain, w.mu.savedBegan = p.Position, p.Chain, p.Began
	}
	w.mu.Unlock()
	switch {
	case err == nil:
		w.keeper.saved, w.keeper.savedAt = *p, time.Now()
	case errors.Is(err, changefeed.ErrFenced), errors.Is(err, changefeed.ErrNotFound):
		w.kill(errLost)
	default:
		w.log.Warn("a changefeed's checkpoint can't be saved", "err", err)
	}
	return err
}

// durableLocked is what a writer has durably of what it was given.
func (w *worker) durableLocked(writer changefeed.Writer) changefeed.Reached {
	d := writer.Durable()
	if d == w.mu.stale {
		return changefeed.Reached{}
	}
	w.mu.stale = changefeed.Reached{}
	return d
}

func (w *worker) hasDurably(writer changefeed.Writer, p event.Position) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.durableLocked(writer).Position.Compare(p) >= 0
}

// takeDurableLocked takes over how far the sink is, if that is further than before and this worker gave it.
func (w *worker) takeDurableLocked() {
	if w.mu.writer == nil {
		return
	}
	p := &w.mu.progress
	d, mine := w.track.bounded(w.durableLocked(w.mu.writer))
	if !mine || d.Position.Compare(p.Position) <= 0 {
		return
	}
	p.Position, p.Chain, p.Time, p.Forced, p.Began = d.Position, d.Chain, d.Time, false, ""
	w.mu.health.recover()
}

// observe measures and diagnoses, and shows what it found.
func (w *worker) observe(now time.Time) *changefeed.Progress {
	w.mu.Lock()
	w.takeDurableLocked()
	p := w.mu.progress
	h := &w.mu.health
	l := w.track.lag(p.Position)
	if w.mu.writer != nil && l.settled && now.Sub(w.mu.opened) >= warnAfter {
		h.recover() // nothing is left that could have moved the checkpoint
	}
	h.caughtUp(p.Position, now)
	health, head, headAt := *h, w.mu.head, w.mu.headAt
	w.mu.Unlock()

	signs := Signs{Changefeed: w.spec.ID, Scheme: schemeOf(w.spec.SinkURI), Bandwidth: w.spec.BandwidthBytes, BudgetUsed: w.o.Budget.Used(), BudgetTotal: w.o.Budget.Total(),
		Failure: health.warned(now), Tries: health.tries, Lost: health.lost, FullSync: health.full, Behind: health.behind, Registry: health.registry}
	signs.Trying, signs.TryingFor = w.trying(now)
	w.measure(now, &l, &head, headAt, &signs)
	p.Figures = signs.Figures
	p.State, p.Trouble = Diagnose(&signs)
	w.date(&p, &health, now)
	p.Owner, p.Epoch, p.Generation, p.Updated = w.o.Process, w.claim.Epoch(), w.spec.Generation, now.UnixNano()
	w.live.Store(&p)
	return &p
}

// trying is what the sink repeats a request after, and for how long it has done so.
func (w *worker) trying(now time.Time) (*changefeed.Error, time.Duration) {
	e, since := w.meter.Trying.Load(), &w.keeper.trying
	if e == nil {
		*since = time.Time{}
		return nil, 0
	}
	if since.IsZero() {
		*since = now
	}
	return e, now.Sub(*since)
}

// date says since when a trouble lasts.
func (w *worker) date(p *changefeed.Progress, h *health, now time.Time) {
	if p.Trouble == nil {
		return
	}
	before := w.live.Load()
	switch {
	case h.failure != nil && h.warned(now) == h.failure:
		p.Trouble.Since = h.since.UnixNano()
	case before.Trouble != nil && before.Trouble.Code == p.Trouble.Code:
		p.Trouble.Since = before.Trouble.Since
	default:
		p.Trouble.Since = now.UnixNano()
	}
}

// quiet is within what time a feed that has nothing says so at the latest. Entries that it said nothing of for so long may be no events.
const quiet = 3 * time.Second

// measure fills in the figures.
func (w *worker) measure(now time.Time, l *lag, head *changefeed.Head, headAt time.Time, s *Signs) {
	f, k := &s.Figures, &w.keeper
	counts(f, &w.meter)
	var waited time.Duration
	if since := w.waiting.Load(); since != 0 {
		waited = now.Sub(time.Unix(0, since))
	}
	k.window.take(now, &w.meter, waited)
	s.SinkCall, s.Retried = k.window.rates(f)
	f.HeadroomBytes = -1
	if !headAt.IsZero() {
		f.OldestRetained, f.HeadroomBytes = head.Oldest.String(), headroom(head, w.spec.ID)
	}
	s.Held = head.Held[changefeed.ConsumerID(w.spec.ID)]
	if head.Applied.Index > l.position.Index {
		f.LagEntries = head.Applied.Index - l.position.Index
	}
	if l.pending {
		f.LagEntries = max(f.LagEntries, 1)
	}
	bytes := float64(f.LagEntries) * head.BytesPerEntry
	f.LagBytes = uint64(bytes)
	f.LagSeconds = l.seconds(now, f.LagEntries)
	if headAt.After(k.headAt) {
		k.headAt = headAt
		k.trend.take(now, f.LagEntries, bytes)
	}
	growth, bytesGrowth := k.trend.growth()
	f.ETASeconds, s.LagGrowth = eta(f.LagEntries, growth), bytesGrowth
}

// seconds is how old the oldest change is that the sink lacks, 0 if there is none.
func (l *lag) seconds(now time.Time, entries uint64) float64 {
	behind := now.Sub(time.Unix(0, l.since))
	switch {
	case l.since == 0, !l.pending && (entries == 0 || behind < quiet), behind < 0:
		return 0
	}
	return behind.Seconds()
}

func headroom(h *changefeed.Head, id string) int64 {
	if own, ok := h.Headroom[changefeed.ConsumerID(id)]; ok {
		return max(own, 0)
	}
	return h.HeadroomBytes
}

func schemeOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Scheme
}
