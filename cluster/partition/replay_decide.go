package partition

import (
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// translate gives the range's versions the numbers that clusters have here.
func (c *rangeCall) translate() {
	r := c.r
	if c.term != 0 {
		return
	}
	c.term = r.term
	for i := range c.rng.Slices {
		ms := c.rng.Slices[i].Event.Mutations
		for j := range ms {
			conflict.Translate(&ms[j], c.rng.Names, &r.names)
		}
	}
}

// decide decides what isn't in, up to the end of the range or of what an event holds. Then full is true, and end the last state that is between two
// groups or, if the first group alone is too large, between two mutations.
func (c *rangeCall) decide(p *replaying, at *store.Sender, start mark) (end mark, full bool, err error) {
	groups, decided := start, 0
	for i := range c.rng.Slices {
		s := &c.rng.Slices[i]
		p.at(s.Position)
		last := -1 // the mutation decided last
		for j := range s.Event.Mutations {
			m := &s.Event.Mutations[j]
			before := store.Cursor{Position: s.Position, Done: s.number(j)}
			if before.Compare(at.Reached) < 0 {
				p.replayed.Skipped += c.first()
				continue
			}
			step := p.mark(before, decided)
			if last < 0 || s.Event.Mutations[last].Group != m.Group {
				if groups = step; decided >= rangeMutations {
					return groups, false, nil
				}
			}
			if err := c.one(p, at, s, m); err != nil {
				return start, false, err
			}
			if p.b.bytes > c.r.opts.MaxEventBytes {
				if groups.decided > 0 {
					step = groups
				}
				return step, true, nil
			}
			decided++
			last = j
		}
	}
	return p.mark(c.rng.To, decided), false, nil
}

// first is 1 as long as nothing of the range was written by this call.
func (c *rangeCall) first() uint64 {
	if c.again {
		return 0
	}
	return 1
}

// one decides one mutation, unless it is nothing that is to be written here.
func (c *rangeCall) one(p *replaying, at *store.Sender, s *Slice, m *event.Mutation) error {
	switch {
	case m.Op == event.OpRange:
		return refusal(RefusedNeedsSync, at, "%s removed a range of keys at %s, which isn't told key by key: its namespace didn't keep tombstones then", c.rng.Sender, s.Position)
	case m.Op == event.OpExpire, c.r.otherWay(c.rng.Sender, m):
		p.replayed.Skipped++
		return nil
	}
	if g, ok := at.RegionOf(m.Key); ok && s.Position.Compare(g.Base) <= 0 {
		p.replayed.Skipped++
		return nil
	}
	decided, err := p.one(m)
	if err == nil && !decided {
		err = c.r.wait(at, &p.d)
	}
	return err
}

// otherWay says whether a mutation comes here another way than by this sender: as it was made here, or by a cluster that has senders of its own here. Each
// cluster's changes come one way only, or their order would be lost.
func (r *Replica) otherWay(id store.SenderID, m *event.Mutation) bool {
	if m.Origin == nil {
		return false
	}
	if m.Origin.Cluster == r.self {
		return true
	}
	origin := r.names.ID(m.Origin.Cluster)
	return origin != id.Cluster && r.sends(origin)
}

// cut goes back to what an event holds of what was evaluated, or has all of it evaluated anew. It returns false if this evaluation is over.
func (c *rangeCall) cut(l *lane, req *command.Request, b *batch, start, end *mark) bool {
	r := c.r
	if start.mutations+start.own == 0 && end.decided > 0 {
		r.rollbackTo(b, end)
		r.replaying.replayed, r.replaying.counted = end.replayed, end.counted
		return true
	}
	r.rollbackTo(b, start)
	switch {
	case start.mutations+start.own > 0:
		r.postpone(l, req)
		r.closeBatch()
	case !c.brief:
		c.brief = true
		r.postpone(l, req)
	default:
		r.refuseErrand(l, req, refusal(RefusedState, &r.places[c.place].at,
			"the mutation after %s needs an event larger than max_event_bytes, %d: raise that", start.reached, r.opts.MaxEventBytes))
	}
	return false
}

// move puts the place into the batch that goes with what was decided.
func (c *rangeCall) move(b *batch, at *store.Sender, end *mark) {
	r := c.r
	to := *at
	to.Reached = end.reached
	if to.Reached == c.rng.To {
		to.Time = max(to.Time, c.rng.Time)
	}
	past := true
	for i := range to.Regions {
		past = past && (store.Cursor{Position: to.Regions[i].Base, Done: store.AllDone}).Compare(to.Reached) <= 0
	}
	if past {
		to.Regions = nil
	}
	r.assignNames(b)
	r.movePlace(b, move{place: c.place, to: &placed{id: c.rng.Sender, at: to}, counted: end.counted}, store.SenderChange(c.rng.Sender, &to))
	c.done, c.again = end.replayed, true
	c.done.Sender = to
}

// rollbackTo takes back what came into the batch since a mark.
func (r *Replica) rollbackTo(b *batch, m *mark) {
	r.cutOwn(b, m.own)
	r.rollback(b, m.mutations)
}
