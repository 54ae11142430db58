package conflict

import "github.com/zankv/zankv/cdc/event"

// The strict rule: what comes in applies to what its origin had before it, and to nothing else.

func (r *decider) decideStrictly() {
	switch m := r.m; {
	case whole(m):
		r.wholeStrictly()
	case m.Op == event.OpValue && r.st.Exists && r.st.Type == event.TypeBitmap:
		r.textStrictly()
	case r.st.Exists && r.st.Type != m.Type:
		r.key(Diverge, TypesClash)
	case m.Type == event.TypeList:
		r.listStrictly()
	default:
		r.elementsStrictly()
	}
}

func (r *decider) wholeStrictly() {
	v, st := r.m.Version, &r.st
	why, ok := r.known()
	c := r.env.Compare(v, st.Version)
	switch {
	case c == 0, v == st.Floor:
		r.key(AlreadyApplied, SameVersion)
	case c > 0 && ok:
		r.put(Apply, why)
	case c > 0 && !st.Exists:
		r.put(Overwrite, Later)
	case c > 0 && !st.Diverged.IsZero() && r.env.Compare(v, st.Diverged) > 0:
		r.put(Overwrite, Heals)
	default:
		r.key(Diverge, NotPrev)
	}
}

// textStrictly decides a string's value over a bitmap: APPEND, SETRANGE and their like make a string of one, which clients don't see.
func (r *decider) textStrictly() {
	c := r.env.Compare(r.m.Version, r.st.Version)
	switch why, ok := r.known(); {
	case c == 0:
		r.key(AlreadyApplied, SameVersion)
	case c > 0 && ok:
		r.put(Apply, why)
	default:
		r.key(Diverge, TypesClash)
	}
}

// listStrictly decides a list, which is one register. A list with the same version has the same items at the same places in every cluster.
func (r *decider) listStrictly() {
	m, st := r.m, &r.st
	c := r.env.Compare(m.Version, st.Version)
	makes := (m.Op == event.OpLPush || m.Op == event.OpRPush) && m.Count == uint64(len(m.Elements))
	switch {
	case c == 0:
		r.key(AlreadyApplied, SameVersion)
	case c > 0 && st.Exists && m.Prev == st.Version:
		r.key(Apply, Unchanged)
		r.emitList()
	case c > 0 && !st.Exists && makes:
		why, ok := r.known()
		if !ok {
			why = BothAbsent
		}
		r.key(Apply, why)
		r.emitList()
	default:
		r.key(Diverge, NotPrev)
	}
}

// elementsStrictly decides members or segments, each by itself.
func (r *decider) elementsStrictly() {
	won := r.memory(len(r.m.Elements))
	for i := range r.m.Elements {
		e := r.element(i)
		if r.elementStrictly(i, &e) {
			won = append(won, r.written(i, &e))
		}
	}
	r.finishElements(won, r.st.Floor)
}

func (r *decider) elementStrictly(i int, e *Element) bool {
	m, p := r.m, &r.m.Elements[i]
	o := Outcome{Register: RegisterElement, Element: i, Stored: r.env.later(e.Version, r.st.Floor), Prev: r.env.later(p.Prev, m.Floor)}
	switch {
	case m.Version == e.Version:
		o.Action, o.Reason = AlreadyApplied, SameVersion
	case r.old(o.Stored):
		o.Action, o.Reason = Diverge, TooOld
	case m.Op.Removes() && !e.Exists:
		o.Action, o.Reason = Ignore, BothRemoved
	case r.env.Compare(m.Version, o.Stored) < 0:
		o.Action, o.Reason = Diverge, Older
	default:
		if o.Action, o.Reason = r.elementKnown(&o, p, e); o.Action == Overwrite {
			o.Action, o.Reason = Diverge, NotPrev
		}
	}
	r.outcome(o)
	return o.Action == Apply
}
