package tail

import (
	"time"

	"github.com/zankv/zankv/cdc/event"
)

// Until is where a partition ends, as in a changefeed's definition: with the event at a position, or before the events of a time. The zero Until
// never ends.
type Until struct {
	Position event.Position
	// Time is on the events' clock, ns since 1970.
	Time int64
}

// quiet is how long after its time an idle partition counts as complete up to there: an event is in the feed that long after it got its time, at
// the latest.
const quiet = 10 * time.Second

// past says whether an event comes after the end.
func (u Until) past(at event.Position, t int64) bool {
	return u.Position.Index != 0 && at.Index > u.Position.Index || u.Time != 0 && t >= u.Time
}

// reached says whether an event is the last one.
func (u Until) reached(at event.Position) bool {
	return u.Position.Index != 0 && at.Index >= u.Position.Index
}

// passed says whether a bookmark, made at a time by its server's clock, shows that nothing up to the end is to come any more.
func (u Until) passed(at event.Position, server int64) bool {
	return u.reached(at) || u.Time != 0 && server > u.Time+int64(quiet)
}
