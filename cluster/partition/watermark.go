package partition

import (
	"math"
	"time"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

const (
	// watermarkEvery is how often the leader looks whether the watermark can rise.
	watermarkEvery = 10 * time.Second
	// watermarkStep is what it has to gain: each rise is an entry.
	watermarkStep = 10 * time.Second
	// watermarkAlone is how far the watermark stays behind when nobody takes changes or brings any, any more: who comes next begins with a full sync, and its
	// clock may be behind.
	watermarkAlone = time.Hour
)

// sinking is what of the partition the watermark has still to pass.
type sinking struct {
	next time.Time // when it is looked at again
	// events is how many events there were when it was last looked at, until (ns) a time after all versions of theirs.
	events uint64
	until  int64
}

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

// raiseWatermark proposes a higher watermark when there is one and something is to be forgotten under it.
func (r *Replica) raiseWatermark(now time.Time) error {
	if !r.replicates || !r.servingNow() || r.barrier || r.flights >= flightBatches || r.waitsForAll || now.Before(r.sinking.next) {
		return nil
	}
	r.sinking.next = now.Add(watermarkEvery)
	if !r.remembers(now) {
		return nil
	}
	at, err := r.confirmedTime(now)
	if err != nil || at-r.store.Watermark() < int64(watermarkStep) {
		return err
	}
	r.takeBackOffer()
	b := r.openBatch()
	// Whatever is written here from now on is later than the event, also where another cluster's clock, by which a sender's time goes, is ahead.
	b.ev.Own = append(b.ev.Own, store.Watermark(min(at, b.ev.Time-1)))
	r.offerBatch()
	return nil
}

// remembers says whether anything may be left that the watermark hasn't passed: an idle partition writes no entries for it.
func (r *Replica) remembers(now time.Time) bool {
	st := r.store.State()
	s := &r.sinking
	if st.Events != s.events {
		s.events, s.until = st.Events, max(now.UnixNano(), st.Clock)
	}
	return st.Expiring > 0 || st.Watermark < s.until
}

// confirmedTime is up to when (ns) the watermark may rise: every peer has what was made here up to then, and what every sender of keys that can be here made
// up to then is here. Who is further behind than the time for which tombstones are kept needs a full sync.
func (r *Replica) confirmedTime(now time.Time) (int64, error) {
	oldest := now.Add(-r.opts.Replication.TombstoneTTL).UnixNano()
	least, met := int64(math.MaxInt64), false
	take := func(at int64) bool {
		least, met = min(least, at), true
		return least > oldest
	}
	err := r.store.Peers(func(_ string, p store.Peer) bool { return take(p.Confirmed) })
	if err == nil {
		err = r.store.Senders(func(id store.SenderID, s store.Sender) bool { return !r.shares(id, &s) || take(s.Time) })
	}
	if !met {
		least = now.Add(-watermarkAlone).UnixNano()
	}
	return max(oldest, least), err
}
