package worker

import (
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// sample is what a meter showed at one moment.
type sample struct {
	at            time.Time
	events, bytes uint64
	retries       uint64
	waits         [5]int64
	calls, nanos  int64
}

// window is the last ten seconds or so of a meter.
type window struct {
	samples [11]sample
	n       int // how many were taken in all
}

// take adds a sample. source is how long the wait for the feed that is going on has lasted.
func (w *window) take(now time.Time, m *changefeed.Meter, source time.Duration) {
	w.samples[w.n%len(w.samples)] = sample{
		at: now, events: m.Events.Load(), bytes: m.Bytes.Load(), retries: m.Retries.Load(),
		waits: [5]int64{m.WaitSource.Load() + int64(source), m.Encoding.Load(), m.WaitQuota.Load(), m.WaitSink.Load(), m.Throttled.Load()},
		calls: m.SinkCalls.Load(), nanos: m.SinkNanos.Load(),
	}
	w.n++
}

// rates fills in what is of the window.
func (w *window) rates(f *changefeed.Figures) (call time.Duration, retries uint64) {
	newest, oldest := w.ends()
	elapsed := newest.at.Sub(oldest.at)
	if elapsed <= 0 {
		return 0, 0
	}
	f.EventsPerSecond = float64(newest.events-oldest.events) / elapsed.Seconds()
	f.BytesPerSecond = float64(newest.bytes-oldest.bytes) / elapsed.Seconds()
	for i, share := range []*float64{&f.WaitSource, &f.Encoding, &f.WaitQuota, &f.WaitSink, &f.Throttled} {
		*share = min(max(float64(newest.waits[i]-oldest.waits[i])/float64(elapsed), 0), 1)
	}
	if calls := newest.calls - oldest.calls; calls > 0 {
		call = time.Duration((newest.nanos - oldest.nanos) / calls)
	}
	return call, newest.retries - oldest.retries
}

func (w *window) ends() (newest, oldest *sample) {
	if w.n == 0 {
		return &w.samples[0], &w.samples[0]
	}
	newest = &w.samples[(w.n-1)%len(w.samples)]
	oldest = &w.samples[0]
	if w.n > len(w.samples) {
		oldest = &w.samples[w.n%len(w.samples)]
	}
	return newest, oldest
}

// trend is how the lag went over the last answers of how far the log reaches.
type trend struct {
	points [6]struct {
		at      time.Time
		entries uint64
		bytes   float64
	}
	n int
}

func (t *trend) take(now time.Time, entries uint64, bytes float64) {
	p := &t.points[t.n%len(t.points)]
	p.at, p.entries, p.bytes = now, entries, bytes
	t.n++
}

// growth is by how many entries and bytes a second the lag grows; negative: it shrinks.
func (t *trend) growth() (entries, bytes float64) {
	if t.n < 2 {
		return 0, 0
	}
	newest, oldest := &t.points[(t.n-1)%len(t.points)], &t.points[0]
	if t.n > len(t.points) {
		oldest = &t.points[t.n%len(t.points)]
	}
	elapsed := newest.at.Sub(oldest.at).Seconds()
	if elapsed <= 0 {
		return 0, 0
	}
	return (float64(newest.entries) - float64(oldest.entries)) / elapsed, (newest.bytes - oldest.bytes) / elapsed
}

// eta is in how many seconds a lag will be gone: 0 if there is none, -1 if it doesn't shrink.
func eta(entries uint64, growth float64) float64 {
	switch {
	case entries == 0:
		return 0
	case growth >= 0:
		return -1
	}
	return float64(entries) / -growth
}

func counts(f *changefeed.Figures, m *changefeed.Meter) {
	f.Events, f.Mutations, f.Filtered = m.Events.Load(), m.Mutations.Load(), m.Filtered.Load()
	f.Messages, f.Bytes, f.Retries = m.Messages.Load(), m.Bytes.Load(), m.Retries.Load()
	f.Snapshots, f.Buffered = m.Snapshots.Load(), m.Buffered.Load()
}
