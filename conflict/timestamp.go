package conflict

import "github.com/zankv/zankv/cdc/event"

// The timestamp rule. A key is, in every cluster, a function of the latest of each of its registers: the last whole-key write, the last value of a
// string, the last write of each element, the last expiry. Of a string and a collection under one name the later shows. A string that shows
// hides what is older of the collection, so that nothing of it needs to be kept; a string that doesn't show leaves the floor at its version. So a string
// needs no floor beside its version: whole-key writes that are older leave no trace on it.

func (r *decider) decideByTime() {
	switch m := r.m; {
	case m.Op == event.OpSet, m.Op == event.OpValue:
		r.textByTime()
	case removal(m):
		r.removalByTime()
	case whole(m) && r.st.Floor != m.Version:
		r.wholeByTime()
	case whole(m) && !remains(m), m.Whole:
		r.key(AlreadyApplied, SameVersion)
	default:
		r.elementsByTime()
	}
}

// textByTime decides a string's value.
func (r *decider) textByTime() {
	v, st := r.m.Version, &r.st
	switch c := r.env.Compare(v, st.Version); {
	case c == 0, v == st.Floor:
		r.key(AlreadyApplied, SameVersion)
	case c > 0:
		r.replace()
	default:
		r.takeExpiry(false)
		r.key(Ignore, Older).Removed = r.settle(r.env.later(st.Floor, v))
	}
}

// removalByTime decides a removal of the whole key.
func (r *decider) removalByTime() {
	v, st := r.m.Version, &r.st
	switch {
	case v == st.Floor:
		r.key(AlreadyApplied, SameVersion)
	case r.env.Compare(v, st.Version) > 0:
		r.replace()
	case !st.Exists:
		r.key(Ignore, BothRemoved)
		r.takeExpiry(false)
		r.settle(r.env.later(st.Floor, v))
	default:
		r.lessLater()
	}
}

// lessLater applies a whole-key write, as far as it can remove, under what is later and stays.
func (r *decider) lessLater() {
	r.takeExpiry(false)
	removed := r.settle(r.env.later(r.st.Floor, r.m.Version))
	if removed == 0 {
		r.key(Ignore, Older)
		return
	}
	r.key(Overwrite, Partly).Removed = removed
}

// replace lets a mutation that is later than all that is stored take its place.
func (r *decider) replace() {
	if why, ok := r.known(); ok {
		r.put(Apply, why)
	} else {
		r.put(Overwrite, Later)
	}
}

// put makes the key what the mutation says, whatever it was.
func (r *decider) put(a Action, why Reason) {
	r.key(a, why)
	r.takeExpiry(!r.st.Exists)
	if whole(r.m) {
		r.d.Heals = !r.st.Diverged.IsZero()
	}
	switch m := r.m; {
	case removal(m):
		r.emitRemoval(m.Version, m.Version)
	case m.Op == event.OpSet, m.Op == event.OpValue:
		r.emitText()
	default:
		r.emitWhole(m.Elements, ownCount(m), m.Version)
	}
}

// wholeByTime decides a collection that is written as a whole.
func (r *decider) wholeByTime() {
	v, st := r.m.Version, &r.st
	switch {
	case r.env.Compare(v, st.Version) > 0:
		r.replace()
	case r.env.Compare(v, st.Floor) < 0, st.Exists && st.Type == event.TypeString:
		r.lessLater()
	case st.Exists && st.Type != r.m.Type:
		r.key(Diverge, TypesClash)
	default:
		r.wholeAmongLater()
	}
}

// wholeAmongLater puts a collection written as a whole among elements, or tombstones of elements, of which some are later.
func (r *decider) wholeAmongLater() {
	v := r.m.Version
	r.takeExpiry(!r.st.Exists)
	won := r.memory(len(r.m.Elements))
	for i := range r.m.Elements {
		if e := r.element(i); r.env.Compare(v, e.Version) > 0 {
			won = append(won, r.written(i, &e))
		}
	}
	gone := r.below(v)
	stay := len(r.st.All) - len(gone)
	if !r.st.Exists {
		stay = 0
	}
	r.key(Overwrite, Partly).Removed = len(gone)
	switch {
	case stay > 0:
		r.emitAmong(won, gone)
	case len(won) > 0:
		for i := range won {
			won[i].Exists, won[i].Was = false, 0
		}
		r.emitWhole(won, uint64(len(won)), r.st.Version)
	default:
		r.emitRemoval(r.st.Version, v)
	}
}

// elementsByTime decides each element by itself.
func (r *decider) elementsByTime() {
	st, m := &r.st, r.m
	if st.Exists && st.Type != m.Type && st.Type != event.TypeString {
		r.key(Diverge, TypesClash)
		return
	}
	floor := st.Floor
	if st.Exists && st.Type == event.TypeString {
		if r.env.Compare(m.Version, st.Version) < 0 {
			r.takeExpiry(false)
			r.key(Ignore, Older)
			r.settle(floor)
			return
		}
		r.key(Overwrite, Later)
		floor = st.Version
	}
	won := r.memory(len(m.Elements))
	for i := range m.Elements {
		e := r.element(i)
		if r.elementByTime(i, &e, floor) {
			won = append(won, r.written(i, &e))
		}
	}
	r.finishElements(won, floor)
}

// elementByTime notes the outcome of one element, and says whether it is written.
func (r *decider) elementByTime(i int, e *Element, floor event.Version) bool {
	m, p := r.m, &r.m.Elements[i]
	o := Outcome{Register: RegisterElement, Element: i, Stored: r.env.later(e.Version, floor), Prev: p.Prev}
	if !remains(m) {
		o.Prev = r.env.later(p.Prev, m.Floor)
	}
	c := r.env.Compare(m.Version, o.Stored)
	if c == 0 && remains(m) && m.Version != e.Version {
		c = 1
	}
	switch {
	case m.Version == e.Version:
		o.Action, o.Reason = AlreadyApplied, SameVersion
	case r.old(o.Stored):
		o.Action, o.Reason = Diverge, TooOld
	case m.Op.Removes() && !e.Exists && c > 0:
		o.Action, o.Reason = Apply, BothRemoved
	case m.Op.Removes() && !e.Exists:
		o.Action, o.Reason = Ignore, BothRemoved
	case c < 0:
		o.Action, o.Reason = Ignore, Older
	default:
		o.Action, o.Reason = r.elementKnown(&o, p, e)
	}
	r.outcome(o)
	return o.Action == Apply || o.Action == Overwrite
}

// elementKnown tells a later write of an element upon what its origin knew from one upon what it didn't.
func (r *decider) elementKnown(o *Outcome, p *event.Element, e *Element) (Action, Reason) {
	switch {
	case o.Prev == o.Stored, o.Stored.IsZero() && o.Prev.Time <= r.env.Watermark:
		return Apply, Unchanged
	case !p.Exists && !e.Exists:
		return Apply, BothAbsent
	}
	return Overwrite, Later
}

// finishElements emits the elements that are written, or what else is left of the mutation.
func (r *decider) finishElements(won []event.Element, floor event.Version) {
	r.takeExpiry(!r.st.Exists && len(won) > 0)
	if len(won) == 0 {
		r.settle(r.st.Floor)
		return
	}
	r.emitElements(won, floor)
}
