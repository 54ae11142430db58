package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// plan compares what should run with what does.
func (m *Manager) plan(ctx context.Context) {
	m.stale, m.planned = false, time.Now()
	wanted := map[slotKey]*changefeed.Feed{}
	for id, f := range m.view.Feeds {
		for n := range m.partitionsOf(ctx, f.Spec.Namespace) {
			key := slotKey{id, n}
			if s := m.slots[key]; s != nil && s.taken {
				s.stop.update(f)
				continue
			}
			if _, owned := f.Owners[n]; !owned && m.o.mine(&f.Spec) && runs(&f.Spec, f.Progress[n]) {
				wanted[key] = f
			}
		}
	}
	m.haltRemoved()
	m.schedule(wanted)
}

// mine says whether a changefeed is one for this process.
func (o *Options) mine(spec *changefeed.Spec) bool {
	return spec.Runner == o.Runner && (o.Takes == nil || o.Takes(spec))
}

// runs says whether a partition should run, that nobody runs.
func runs(spec *changefeed.Spec, p changefeed.Progress) bool {
	over := p.State == changefeed.Failed || p.State == changefeed.Finished
	return !spec.Paused && (!over || p.Generation < spec.Generation)
}

func (m *Manager) haltRemoved() {
	for key, s := range m.slots {
		if s.taken && m.view.Feeds[key.feed] == nil {
			s.stop.halt(stopRemoved)
		}
	}
}

// Times of claims.
const (
	lot = 200 * time.Millisecond
	// A process is stepMost later for each partition that it has or has in view, but stepsAll later at most for all of them.
	stepMost = 20 * time.Millisecond
	stepsAll = 2 * time.Second
	// again is how long a partition that couldn't be claimed, or whose claim was over, is left to others.
	again = time.Second
)

// schedule has slots for what is wanted and for nothing else that isn't taken.
func (m *Manager) schedule(wanted map[slotKey]*changefeed.Feed) {
	ahead := 0
	for key, s := range m.slots {
		if !s.taken && wanted[key] == nil {
			delete(m.slots, key)
			continue
		}
		ahead++
	}
	step := min(stepMost, stepsAll/time.Duration(ahead+len(wanted)+1))
	now := time.Now()
	for key, f := range wanted { // in no order, so that each process has another one
		if m.slots[key] != nil {
			continue
		}
		delay := m.o.Source.Preference(f.Spec.Namespace, key.partition) + rand.N(lot) + time.Duration(ahead)*step
		m.slots[key] = &slot{due: now.Add(delay)}
		ahead++
	}
}

// startDue claims what is due, and says when it has to look again.
func (m *Manager) startDue(ctx context.Context) time.Duration {
	now := time.Now()
	next := now.Add(time.Hour)
	for key, s := range m.slots {
		switch {
		case s.taken:
		case s.due.After(now):
			next = earlier(next, s.due)
		default:
			m.start(ctx, key, s)
		}
	}
	for _, n := range m.partitions {
		if !n.asking {
			next = earlier(next, n.askAgain)
		}
	}
	return next.Sub(now)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// start runs a partition in a goroutine of its own, if it can be claimed.
func (m *Manager) start(ctx context.Context, key slotKey, s *slot) {
	f := m.view.Feeds[key.feed]
	if f == nil {
		delete(m.slots, key)
		return
	}
	spec := f.Spec
	s.taken, s.stop = true, newHalter(&spec)
	m.group.Go(func() {
		m.claimAndRun(ctx, key, &spec, s.stop)
		m.done <- key
	})
}

// claimAndRun returns when the claim is over. What couldn't be claimed, or went to another process, it leaves alone for a while.
func (m *Manager) claimAndRun(ctx context.Context, key slotKey, spec *changefeed.Spec, stop *halter) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	claim, err := m.o.Registry.Claim(call, key.feed, key.partition, m.o.Process)
	cancel()
	if err != nil {
		if !errors.Is(err, changefeed.ErrTaken) && !errors.Is(err, changefeed.ErrNotFound) && ctx.Err() == nil {
			m.o.Logger.Warn("a changefeed's partition can't be claimed", "changefeed", key.feed, "partition", key.partition, "err", err)
		}
		stop.rest(again)
		return
	}
	w := newWorker(ctx, &m.o, m.sinks, spec, key.partition, claim)
	if !runs(spec, claim.Progress()) { // the view was of before that
		w.release()
		stop.rest(again)
		return
	}
	m.mu.Lock()
	m.mu.workers[key] = w
	m.mu.Unlock()
	stop.bind(w)
	w.run()
	m.mu.Lock()
	delete(m.mu.workers, key)
	m.mu.Unlock()
	if !stop.halted() {
		stop.rest(again)
	}
}
