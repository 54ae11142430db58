package partition

import (
	"context"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
)

// rangeMutations is how many mutations of a range are decided in one go: others have their turn between.
const rangeMutations = 8192

// Replay writes what a range of a sender's log has for this partition: what comes of it, the place after it and the conflicts are one event, or several for a
// range that is large. It is evaluated in its turn, as a write is, and can be repeated: what is here already is left out, and what doesn't begin at the
// place is refused. When it returns nil, all of the range is in.
//
// The range is used up: its versions are changed to the numbers here. Nothing of it is looked at after the return.
//
// Errors are ErrNotLeader, ErrUnknownOutcome (it may take effect yet, or a part of it may have: the place tells), ErrClosed, ErrMalformed, and *ReplayError.
func (r *Replica) Replay(ctx context.Context, rng *Range) (Replayed, error) {
	highest, err := checkRange(rng)
	if err != nil {
		return Replayed{}, r.senderError(rng.Sender, err)
	}
	c := &rangeCall{r: r, rng: rng, highest: highest}
	var all Replayed
	for {
		c.errand = errand{spec: writeErrand, place: senderPlace(rng.Sender), keys: c.eachKey, run: c.run}
		if err := r.runErrand(ctx, &c.errand); err != nil {
			return all, r.senderError(rng.Sender, err)
		}
		all.Sender = c.done.Sender
		all.Applied, all.Skipped, all.Conflicts = all.Applied+c.done.Applied, all.Skipped+c.done.Skipped, all.Conflicts+c.done.Conflicts
		if all.Sender.Reached.Compare(rng.To) >= 0 {
			return all, nil
		}
	}
}

// rangeCall is a call of Replay.
type rangeCall struct {
	errand
	r       *Replica
	rng     *Range
	highest int64 // version in it
	// term is that in which its versions were changed to the numbers here; 0: they weren't.
	term uint64
	// brief: what was lost is told by size and digest alone, as it didn't fit into an event.
	brief bool
	// again: a part of it was written.
	again bool
	done  Replayed
}

func (c *rangeCall) eachKey(visit func(key []byte) bool) {
	for i := range c.rng.Slices {
		ms := c.rng.Slices[i].Event.Mutations
		for j := range ms {
			if !visit(ms[j].Key) {
				return
			}
		}
	}
}

// run evaluates what of the range isn't in.
func (c *rangeCall) run(l *lane, req *command.Request) {
	r := c.r
	c.done = Replayed{}
	held := r.places[c.place]
	if err := c.refusal(held); err != nil {
		r.refuseErrand(l, req, err)
		return
	}
	if c.term != 0 && c.term != r.term { // the numbers may be other clusters' now
		elsewhere(req, 0)
		r.resolve(answer{lane: l, req: req}, command.Elsewhere)
		return
	}
	at := &held.at
	if n := at.Reached.Compare(c.rng.To); n > 0 || n == 0 && at.Time >= c.rng.Time {
		c.done.Sender = *at
		r.answerRead(l, req)
		return
	}
	if c.highest > 0 && !r.openAbove(c.highest) {
		r.postpone(l, req)
		return
	}
	c.evaluate(l, req, r.openBatch(), at)
}

// refusal says why the range can't be taken where its sender stands; nil if it can.
func (c *rangeCall) refusal(held *placed) error {
	r := c.r
	if held == nil {
		return refusal(RefusedState, nil, "the sender isn't known here: open it first")
	}
	at := &held.at
	if why := needsSync(at, r.store.Watermark()); why != "" {
		return refusal(RefusedNeedsSync, at, "%s", why)
	}
	if c.rng.From.Compare(at.Reached) > 0 {
		return refusal(RefusedGap, at, "the range begins after %s, and what is here ends with %s", c.rng.From, at.Reached)
	}
	if c.highest > 0 && c.rng.To.Compare(at.Reached) > 0 {
		if err := r.refuseAhead(at, c.highest); err != nil {
			return err
		}
	}
	if err := r.admitNames(c.rng.Names); err != nil {
		return refusal(RefusedState, at, "%s", err)
	}
	return nil
}

// refuseAhead is the clock guard: a version that is too far ahead would drag the clock here along, and win over everything that is written until then.
func (r *Replica) refuseAhead(at *store.Sender, highest int64) error {
	ahead := highest - r.opts.Clock().UnixNano()
	if ahead <= int64(r.opts.Replication.MaxClockOffset) {
		return nil
	}
	e := refusal(RefusedClock, at, "a version is %d ms ahead of the clock here, more than max_clock_offset, %s: nothing is taken from there until the clocks agree",
		ahead/1e6, r.opts.Replication.MaxClockOffset)
	e.OffsetMS = ahead / 1e6
	return e
}

// openAbove sees to it that what is evaluated into the open batch gets versions above one that is written into it before. It returns false if there has to
// be another batch for that.
func (r *Replica) openAbove(highest int64) bool {
	b := r.openBatch()
	if highest < b.ev.Time+int64(len(b.ev.Mutations)) {
		return true
	}
	r.clock.Observe(highest)
	if !b.empty() {
		r.closeBatch()
		return false
	}
	r.recycle(b)
	r.open = nil
	return true
}

// mark is a state of the open batch that can be gone back to.
type mark struct {
	mutations, own int
	decided        int          // mutations of the range
	reached        store.Cursor // up to where
	replayed       Replayed
	counted        outcomes
}

// evaluate decides the range's mutations into a batch, in which the sender stands at a place.
func (c *rangeCall) evaluate(l *lane, req *command.Request, b *batch, at *store.Sender) {
	r, p := c.r, &c.r.replaying
	c.translate()
	p.begin(r, b, c.rng.Sender)
	if c.brief {
		p.limit = 0
	}
	start := p.mark(at.Reached, 0)
	end, full, err := c.decide(p, at, start)
	if err != nil {
		r.rollbackTo(b, &start)
		r.fails(l, req, err)
		return
	}
	if full && !c.cut(l, req, b, &start, &end) {
		return
	}
	c.move(b, at, &end)
	r.noteChanges(b, start.mutations)
	r.hangOn(l, req, b)
}

// mark is the batch's state, with everything up to reached in it.
func (p *replaying) mark(reached store.Cursor, decided int) mark {
	return mark{
		mutations: len(p.b.ev.Mutations), own: len(p.b.ev.Own), decided: decided,
		reached: reached, replayed: p.replayed, counted: p.counted,
	}
}
