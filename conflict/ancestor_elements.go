package conflict

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

// What is taken over of the elements of a collection.

// write is an element as it is written, or removed, at a version.
type write struct {
	event.Element
	version event.Version
}

// span takes elements over, and removes the others here in the same interval.
func (t *Takeover) span(m *event.Mutation, elements []event.Element, stored []Element) {
	own, ok := t.meets(m)
	if !ok {
		return
	}
	t.meetExpiry()
	t.measure(m)
	under := 0 // elements that a later floor here keeps out
	i := 0
	for j := range elements {
		e := &elements[j]
		first := i
		for i < len(stored) && bytes.Compare(stored[i].Sub, e.Sub) < 0 {
			i++
		}
		t.sweepBetween(stored[first:i])
		here := Element{Sub: e.Sub}
		if i < len(stored) && bytes.Equal(stored[i].Sub, e.Sub) {
			here = stored[i]
			i++
		}
		if !t.element(m, e, &here, own) {
			under++
		}
	}
	t.sweepBetween(stored[i:])
	t.finish(m, own, under)
}

// meets says whether the elements of a row can be taken over one by one, and what version they have to be above of those who know nothing of the snapshot.
func (t *Takeover) meets(m *event.Mutation) (own event.Version, ok bool) {
	st, governed := t.st, t.Env.Policy.Governs(m.Type)
	switch {
	case st.Exists && st.Type == event.TypeString && governed:
		ok = t.overText(m)
		return t.own, ok
	case st.Exists && st.Type != m.Type:
		t.diverge(TypesClash, *m)
	case !governed && !t.own.IsZero(), !governed && !st.Exists && !t.others(st.Version, t.head.Version).IsZero():
		t.diverge(NotPrev, *m)
	default:
		return t.own, true
	}
	return own, false
}

// overText decides a string, no ancestor, under a collection: which of them shows is the one that was changed last, were it by a removal.
func (t *Takeover) overText(m *event.Mutation) (ok bool) {
	st := t.st
	if t.Env.Compare(t.head.Version, st.Version) < 0 {
		t.note(Outcome{Register: RegisterKey, Action: Ignore, Reason: Older, Rule: RuleTimestamp, Stored: st.Version}, *m, nil)
		t.settle()
		t.stuck = true
		return false
	}
	t.note(Outcome{Register: RegisterKey, Action: Overwrite, Reason: Later, Rule: RuleTimestamp, Stored: st.Version}, *m, nil)
	t.own = t.Env.later(t.own, st.Version)
	t.floor = t.Env.later(t.floor, t.own)
	t.drop()
	return true
}

// measure sets how long a bitmap is to be: as long as the snapshot's, and as what stays of somebody else's.
func (t *Takeover) measure(m *event.Mutation) {
	if t.spans++; m.Type != event.TypeBitmap || t.spans > 1 {
		return
	}
	t.bytes = t.head.Count
	if t.st.Exists && (!m.Whole || t.resumed || !t.Ancestor(t.st.Version)) {
		t.bytes = max(t.bytes, t.st.Count)
	}
}

// element decides one that the snapshot has; false: a floor here is later.
func (t *Takeover) element(m *event.Mutation, e *event.Element, here *Element, own event.Version) bool {
	version := e.Prev
	if version.IsZero() { // of a bitmap without a segment, which is here as one, or is made
		if t.st.Exists && t.st.Type == m.Type {
			t.sweepBetween([]Element{*here})
			return true
		}
		version = t.head.Version
	}
	if here.Exists && here.Version == version {
		return true
	}
	theirs := t.others(here.Version, version)
	if theirs.IsZero() && !own.IsZero() && t.Env.Compare(version, own) < 0 {
		return false
	}
	removed := here.Version.IsZero() && t.removedHere(m.Type, version)
	if !theirs.IsZero() || removed {
		o := Outcome{Action: Overwrite, Reason: Later, Rule: RuleTimestamp}
		switch {
		case !t.Env.Policy.Governs(m.Type):
			o = Outcome{Action: Diverge, Reason: NotPrev, Rule: RuleStrict}
		case t.Env.Compare(version, t.Env.later(theirs, own)) < 0:
			o = Outcome{Action: Ignore, Reason: Older, Rule: RuleTimestamp}
		}
		t.noteElement(o, event.Mutation{Op: m.Op, Type: m.Type, Version: version, Elements: []event.Element{*e}}, here)
		if o.Action != Overwrite {
			t.staying(here)
			return true
		}
	}
	out := *e
	out.Prev, out.Exists, out.Was = here.Version, here.Exists, 0
	if here.Exists {
		out.Was = here.Score
	}
	t.writes = append(t.writes, write{out, version})
	return true
}

// removedHere says whether an element that isn't here, without a trace, must have been removed by somebody whom the snapshot hasn't heard of.
func (t *Takeover) removedHere(kind event.Type, version event.Version) bool {
	if !t.touched || t.st.Type != kind {
		return false
	}
	return version.Cluster == t.Env.Self || int64(version.Cluster) < int64(len(t.Known)) && version.Time <= t.Known[version.Cluster]
}

// staying takes account of an element of somebody else's that stays. The key's version is above it: it is the latest here, or known to the snapshot.
func (t *Takeover) staying(e *Element) {
	if t.st.Type == event.TypeBitmap && len(e.Sub) == segmentNumberBytes && e.Exists {
		t.bytes = max(t.bytes, endOf(e))
	}
}

const segmentNumberBytes = 4

// endOf is how long a bitmap is that a segment is in.
func endOf(e *Element) uint64 {
	n := uint64(e.Sub[0])<<24 | uint64(e.Sub[1])<<16 | uint64(e.Sub[2])<<8 | uint64(e.Sub[3])
	return n*event.SegmentBytes + uint64(len(e.Value))
}

// sweepBetween decides what is here between the snapshot's elements.
func (t *Takeover) sweepBetween(stored []Element) {
	if t.st.Exists && t.st.Type == t.head.Type {
		t.sweep(stored, t.limit())
	}
}

// sweep notes which of the elements, none of which the snapshot has, go: ancestors, and what the snapshot took away later.
func (t *Takeover) sweep(stored []Element, limit event.Version) {
	for i := range stored {
		e := &stored[i]
		if !e.Exists {
			continue
		}
		if !t.Ancestor(e.Version) {
			if t.Env.Compare(e.Version, limit) > 0 {
				t.keep(e)
				continue
			}
			m := event.Mutation{Op: event.OpDel, Type: t.st.Type, Version: limit, Floor: limit, Elements: []event.Element{{Sub: e.Sub}}}
			if op, ok := removeOps[t.st.Type]; ok {
				m.Op = op
			}
			t.noteElement(Outcome{Action: Overwrite, Reason: Later, Rule: RuleTimestamp}, m, e)
		}
		t.gone = append(t.gone, event.Element{Sub: e.Sub, Prev: e.Version, Exists: true, Was: e.Score})
	}
}

// keep notes an element that only this cluster has.
func (t *Takeover) keep(e *Element) {
	t.kept = true
	t.staying(e)
	if len(t.only) < onlyShown {
		t.only = append(t.only, Element{Sub: bytes.Clone(e.Sub), Value: bytes.Clone(e.Value), Score: e.Score, Version: e.Version, Exists: true})
	}
}

// onlyShown is how many of the elements that are only here a record shows.
const onlyShown = 16

// finish emits what a span came to.
func (t *Takeover) finish(m *event.Mutation, own event.Version, under int) {
	if under > 0 {
		o := Outcome{Register: RegisterKey, Action: Ignore, Reason: Older, Rule: RuleTimestamp, Stored: own}
		t.note(o, *m, nil)
	}
	t.put(rowOps[m.Type], m.Type)
	t.remove()
}

// put writes the elements, a change for each of their versions.
func (t *Takeover) put(op event.Op, kind event.Type) {
	t.byVersion(func(v event.Version, parts []event.Element) {
		out := t.emit(op, kind, v)
		t.continues(out)
		out.Elements = parts
		if kind == event.TypeBitmap {
			out.Count = t.bytes
		} else {
			out.Count += countOf(parts, false)
		}
		t.now(out)
	})
}

// continues says which life of the key a change goes on with: the one that it has, or a new one.
func (t *Takeover) continues(out *event.Mutation) {
	out.KeyVersion, out.Generation = t.version, t.generation()
	if st := t.st; st.Exists && st.Type == out.Type {
		out.Generation, out.Count, out.Value = st.Generation, st.Count, st.Value
	}
}

// byVersion gives the writes of each version.
func (t *Takeover) byVersion(visit func(v event.Version, parts []event.Element)) {
	slices.SortStableFunc(t.writes, func(a, b write) int {
		return cmp.Or(cmp.Compare(a.version.Time, b.version.Time), cmp.Compare(a.version.Cluster, b.version.Cluster))
	})
	first := len(t.parts)
	t.parts = slices.Grow(t.parts, len(t.writes))
	for i := range t.writes {
		w := &t.writes[i]
		t.parts = append(t.parts, w.Element)
		if i+1 == len(t.writes) || t.writes[i+1].version != w.version {
			visit(w.version, t.parts[first:len(t.parts):len(t.parts)])
			first = len(t.parts)
		}
	}
}

// remove removes the elements that go, as what the snapshot lacks.
func (t *Takeover) remove() {
	if len(t.gone) == 0 {
		return
	}
	op := event.OpBits
	if removes, ok := removeOps[t.st.Type]; ok {
		op = removes
	}
	out := t.emit(op, t.st.Type, t.Base)
	t.continues(out)
	out.Elements = t.gone
	if op == event.OpBits {
		out.Count = t.bytes
	} else {
		out.Count -= uint64(len(t.gone))
	}
	if left := t.left(); out.Count == 0 && left != none {
		t.leave(out, left)
		out.KeyVersion = left.Version
		return
	}
	t.now(out)
}

// graves takes tombstones of elements over.
func (t *Takeover) graves(m *event.Mutation, elements []event.Element, stored []Element) {
	op, kind := m.Op, m.Type
	if t.st.Exists { // tombstones of a deleted key don't tell what it was
		kind = t.st.Type
		op = removeOps[kind]
		if op != m.Op && (t.head.Type != event.TypeNone || op == 0 || !t.Env.Policy.Governs(kind)) {
			return
		}
	}
	t.meetExpiry()
	i := 0
	for j := range elements {
		e := &elements[j]
		for i < len(stored) && bytes.Compare(stored[i].Sub, e.Sub) < 0 {
			i++
		}
		here := Element{Sub: e.Sub}
		if i < len(stored) && bytes.Equal(stored[i].Sub, e.Sub) {
			here = stored[i]
		}
		t.grave(op, kind, e, &here)
	}
	t.byVersion(func(v event.Version, parts []event.Element) {
		out := t.emit(op, kind, v)
		t.continues(out)
		out.Elements, out.ElementTombstones = parts, true
		out.Count -= countOf(parts, true)
		out.Tombstone = out.Count == 0
		t.now(out)
	})
}

// grave decides one tombstone.
func (t *Takeover) grave(op event.Op, kind event.Type, e *event.Element, here *Element) {
	if !here.Exists && (here.Version == e.Prev || e.Prev.Time <= t.Env.Watermark || t.Env.Compare(e.Prev, t.floor) <= 0) {
		return
	}
	if own := t.others(here.Version, e.Prev); !own.IsZero() {
		o := Outcome{Action: Overwrite, Reason: Later, Rule: RuleTimestamp}
		switch {
		case !t.Env.Policy.Governs(kind):
			o = Outcome{Action: Diverge, Reason: NotPrev, Rule: RuleStrict}
		case t.Env.Compare(e.Prev, own) < 0:
			o = Outcome{Action: Ignore, Reason: Older, Rule: RuleTimestamp}
		}
		if here.Exists {
			t.noteElement(o, event.Mutation{Op: op, Type: kind, Version: e.Prev, Elements: []event.Element{{Sub: e.Sub}}}, here)
		}
		if o.Action != Overwrite {
			return
		}
	}
	t.writes = append(t.writes, write{event.Element{Sub: e.Sub, Prev: here.Version, Exists: here.Exists, Was: here.Score}, e.Prev})
}
