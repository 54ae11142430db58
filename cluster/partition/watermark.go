package partition

import (
	"time"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/conflict"
)

// replication tells an evaluation what the namespace's replication asks of it.
func (r *Replica) replication(c *command.Context) {
	c.Replicates, c.MemberTombstones, c.Watermark = r.replicates, false, 0
	if r.replicates {
		c.MemberTombstones = r.opts.Replication.Policy == conflict.PolicyElement
		c.Watermark = r.store.Watermark()
	}
}

// over is the time (ms) such that what has expired by then is removed; wall is the clock. What expired is absent to everybody from its end on, but in a
// namespace that replicates its row stays until the watermark has passed the end, and by as much as clocks may be apart: an EXPIRE that was given to it
// elsewhere before the end and that comes late prolongs it there, and has to find its content here.
func (r *Replica) over(wall int64) int64 {
	if !r.replicates {
		return wall
	}
	passed := time.Duration(r.store.Watermark()) - r.opts.Replication.MaxClockOffset
	return min(wall, passed.Milliseconds())
}
