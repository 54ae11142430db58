package worker

import (
	"sync"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// track is how far a partition's stream is: what the writer was given, and when that was made which isn't durable yet. One goroutine adds, any reads.
type track struct {
	mu sync.Mutex
	// given is the last event or heartbeat that the writer took, event the last event.
	given event.Position
	event event.Position
	// seen is up to where the source gave everything, a bookmark included, and seenTime a time before which nothing is still to come.
	seen     event.Position
	seenTime int64
	// asked says that the writer took something since restart or doubt.
	asked   bool
	samples samples
}

// samples are positions with their times, some of those that aren't durable: as many as there is room for, and evenly spread.
type samples struct {
	n     int
	every int64 // how far apart they are at least, in ns
	mark  [64]struct {
		at   event.Position
		time int64
	}
}

// sampleEvery is how far apart samples are, in ns, when there is room.
const sampleEvery = int64(10e6)

func (s *samples) add(at event.Position, time int64) {
	if s.n == 0 {
		s.every = sampleEvery
	} else if time-s.mark[s.n-1].time < s.every {
		return
	}
	if s.n == len(s.mark) {
		s.thin()
	}
	s.mark[s.n].at, s.mark[s.n].time = at, time
	s.n++
}

// thin keeps every other one. The first stays: it is the oldest. What comes is spaced as what is there then.
func (s *samples) thin() {
	s.every = max(2*s.every, 2*(s.mark[s.n-1].time-s.mark[0].time)/int64(s.n))
	for i := range len(s.mark) / 2 {
		s.mark[i] = s.mark[2*i]
	}
	s.n = len(s.mark) / 2
}

// drop forgets the samples that lie before all that isn't durable: those that are followed by a durable one.
func (s *samples) drop(durable event.Position) {
	i := 0
	for i+1 < s.n && s.mark[i+1].at.Compare(durable) <= 0 {
		i++
	}
	copy(s.mark[:], s.mark[i:s.n])
	s.n -= i
	if s.n < len(s.mark)/4 {
		s.every = max(s.every/2, sampleEvery)
	}
}

// restart begins anew at a place up to which the sink has everything.
func (t *track) restart(at event.Position, time int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.given, t.event, t.seen, t.seenTime = at, at, at, time
	t.samples.n, t.asked = 0, false
}

// doubt forgets that the writer took something.
func (t *track) doubt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = false
}

// gave notes an event that the writer took, or what a snapshot led to.
func (t *track) gave(at event.Position, time int64) {
	t.mu.Lock()
	t.given, t.event, t.seen, t.seenTime = at, at, at, time
	t.asked = true
	t.samples.add(at, time)
	t.mu.Unlock()
}

// passed notes a bookmark, and whether the writer took it as a heartbeat.
func (t *track) passed(at event.Position, time int64, given bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen, t.seenTime = at, time
	if given {
		t.given, t.asked = at, true
	}
}

func (t *track) last() event.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.given
}

func (t *track) lastEvent() event.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.event
}

// lag is what a track knows of how far the sink is behind.
type lag struct {
	// position is up to where nothing is missing in the sink, bookmarks that it wasn't told of included.
	position event.Position
	// since is the time before which nothing is missing; pending says that the sink has yet to get what the writer was given.
	since   int64
	pending bool
	// settled says that the writer took something, and that the sink has it all.
	settled bool
}

// lag compares with what is durable.
func (t *track) lag(durable event.Position) lag {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.samples.drop(durable)
	l := lag{position: durable, since: t.seenTime, settled: t.asked && durable.Compare(t.given) >= 0}
	if durable.Compare(t.event) >= 0 {
		if t.seen.Compare(durable) > 0 {
			l.position = t.seen
		}
		return l
	}
	l.pending = true
	if t.samples.n > 0 {
		l.since = t.samples.mark[0].time
	}
	return l
}

// bounded is d if the writer was given everything up to it: what a sink says to have beyond that is of somebody else.
func (t *track) bounded(d changefeed.Reached) (changefeed.Reached, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return d, !d.Position.IsZero() && d.Position.Compare(t.given) <= 0
}
