package worker

import (
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// health is what a worker ran into.
type health struct {
	// failure is the last of tries in a row, the first of which was at since; nil: none.
	failure *changefeed.Error
	tries   int
	since   time.Time
	// beyond is that the log ends before the place to go on; nil: it doesn't, or not for long.
	beyond *changefeed.Error
	// lost says what is being done about a lost place in the log.
	lost string
	// full says that lost is a full sync, which the sink asked for.
	full bool
	// behind says what the sink lost: up to behindTo, found at behindAt.
	behind   string
	behindTo event.Position
	behindAt time.Time
	// registry is why the last save failed.
	registry error
}

func (h *health) fail(e *changefeed.Error, now time.Time) {
	if h.failure == nil {
		h.since, h.tries = now, 0
	}
	h.failure = e
	h.tries++
}

func (h *health) recover() { h.failure, h.tries, h.since = nil, 0, time.Time{} }

// warned is the failure, if people are to be told of it.
func (h *health) warned(now time.Time) *changefeed.Error {
	if h.failure != nil && (h.tries >= warnFailures || now.Sub(h.since) >= warnAfter) {
		return h.failure
	}
	return h.beyond
}

// behindFor is how long at least it is told that a sink lost something.
const behindFor = time.Minute

// caughtUp forgets what the sink lost, when it has it again and people had time to see it.
func (h *health) caughtUp(durable event.Position, now time.Time) {
	if h.behind != "" && durable.Compare(h.behindTo) >= 0 && now.Sub(h.behindAt) >= behindFor {
		h.behind = ""
	}
}
