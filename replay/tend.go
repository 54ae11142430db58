package replay

import (
	"context"
	"time"
)

// pace is when what no event brings about is done.
type pace struct {
	// look is how often a writer looks at what is due.
	look time.Duration
	// quiet is after which pause of the stream all lanes are told how far it came, busy how long they wait at least while it goes on.
	quiet, busy time.Duration
	// confirm is how often the source is told what the target has.
	confirm time.Duration
	// apply is what a call that carries changes takes at most, besides what its bytes take.
	apply time.Duration
}

var usualPace = pace{look: 250 * time.Millisecond, quiet: time.Second, busy: time.Second, confirm: 10 * time.Second, apply: 30 * time.Second}

const (
	// movesPerSecond is how many places all pairs of partitions are to move without changes, while the source is busy; each is an entry of the target's logs.
	movesPerSecond = 500
	// moveBytes is how many bytes of events have lanes be told that got nothing of them.
	moveBytes = 64 << 20
	// confirmWithin is how long telling the source may take.
	confirmWithin = 5 * time.Second
)

// tending is what tend knows of the time.
type tending struct {
	events    uint64
	settled   uint64    // events, when all lanes had been told of them
	quiet     time.Time // when it was seen that an event came
	moved     time.Time // when lanes were told of events, and when of anything
	told      time.Time
	confirmed time.Time
	failing   bool
}

// tend looks after what no event brings about, until the writer ends.
func (w *Writer) tend() {
	defer w.work.Done()
	ticker := time.NewTicker(w.sink.pace.look)
	defer ticker.Stop()
	now := time.Now()
	t := tending{quiet: now, moved: now, told: now, confirmed: now}
	for {
		select {
		case <-w.ctx.Done():
			return
		case now := <-ticker.C:
			w.moves(&t, now)
			if now.Sub(t.confirmed) >= w.sink.pace.confirm {
				t.confirmed = now
				w.confirm(&t)
			}
		}
	}
}

// moves has lanes told how far the stream is, where they got nothing of it.
func (w *Writer) moves(t *tending, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.events != t.events {
		t.events, t.quiet = w.mu.events, now
	}
	all := w.mu.clocked || now.Sub(t.told) >= w.sink.config.Idle
	quiet := now.Sub(t.quiet) >= w.sink.pace.quiet
	if !all && (t.settled == t.events || !quiet && now.Sub(t.moved) < w.interval && w.mu.bytes < moveBytes) {
		return
	}
	if t.moved = now; all {
		t.told = now
	}
	w.mu.bytes, w.mu.clocked, t.settled = 0, false, t.events
	for i := range w.mu.lanes {
		l := &w.mu.lanes[i]
		behind := l.place.Position.Compare(w.mu.last) < 0
		if behind {
			t.settled = t.events - 1 // look again
		}
		if behind || all {
			l.moveLocked()
		}
	}
}

// confirm tells the source up to which time all of the target has what was made there, and hears how far its clock is: of a partition at rest nothing else says so.
func (w *Writer) confirm(t *tending) {
	w.mu.Lock()
	least := w.mu.lanes[0].time
	for i := range w.mu.lanes {
		l := &w.mu.lanes[i]
		if l.needs || l.syncing {
			least = 0
		}
		least = min(least, l.time)
	}
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(w.ctx, confirmWithin)
	at, err := w.sink.confirm.Confirm(ctx, w.target.Spec.Namespace, w.target.Partition, w.peer, least)
	cancel()
	if w.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.confirmedLocked(t, least, err)
	if err == nil {
		w.mu.moment = at
		w.momentLocked()
	}
}

func (w *Writer) confirmedLocked(t *tending, least int64, err error) {
	switch {
	case err == nil:
		w.mu.confirmed = max(w.mu.confirmed, least)
		if t.failing {
			t.failing = false
			w.easeLocked()
		}
	default:
		w.meter.Trying.Store(unconfirmed(err, w.target, w.peer))
		if !t.failing {
			t.failing = true
			w.mu.trying++
			w.sink.log.Warn("replay: the source isn't told what the target has: it keeps tombstones for longer", "sender", w.id.String(), "peer", w.peer, "err", err)
		}
	}
}

// easeLocked notes that one less repeats a call.
func (w *Writer) easeLocked() {
	if w.mu.trying--; w.mu.trying == 0 {
		w.meter.Trying.Store(nil)
	}
}
