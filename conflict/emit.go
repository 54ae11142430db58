package conflict

import "github.com/zankv/zankv/cdc/event"

// What is emitted. Version and origin are those of what came in; all else is the target's own: what it had before, and what it has after.

// emit begins a mutation. The key has this version and floor, and the decided expiry, after it.
func (r *decider) emit(op event.Op, t event.Type, floor event.Version) *event.Mutation {
	st, m := &r.st, r.m
	r.d.Emit = append(r.d.Emit, event.Mutation{
		Op: op, Type: t, Key: m.Key, Version: m.Version, Prev: st.Version, Floor: floor,
		ExpireAt: r.expireAt, ExpiryVersion: r.expiryVersion, Group: m.Group, Command: m.Command, Origin: &r.d.origin,
	})
	out := &r.d.Emit[len(r.d.Emit)-1]
	if st.Exists {
		out.Before = event.Before{Exists: true, Type: st.Type, ExpireAt: st.ExpireAt, Generation: st.Generation}
	}
	return out
}

// settle brings the key under a floor, and to its decided expiry, where nothing of the mutation's content is written. It returns how many elements
// that removes, and emits nothing if nothing changes.
func (r *decider) settle(floor event.Version) (removed int) {
	gone := []int(nil)
	if r.st.Exists && r.st.Type == event.TypeString {
		floor = r.st.Floor
	}
	if floor != r.st.Floor {
		gone = r.below(floor)
	}
	switch st := &r.st; {
	case floor == st.Floor && !r.expiryChanged:
	case !st.Exists, len(gone) > 0 && len(gone) == len(st.All):
		r.emitRemoval(st.Version, floor)
	case len(gone) > 0:
		r.emitGone(gone, floor)
	default:
		r.emitKept(floor)
	}
	return len(gone)
}

// emitRemoval removes the key, or writes its tombstone again: with a version, which is later than the mutation's own where an element was removed after
// it, with a floor, and with the expiry that the key will have if something later makes it again.
func (r *decider) emitRemoval(version, floor event.Version) {
	t := r.st.Type
	if t == event.TypeNone {
		t = r.m.Type
	}
	out := r.emit(event.OpDel, t, floor)
	out.Tombstone = true
	if version != floor {
		out.KeyVersion = version
	}
	if floor != r.m.Version {
		out.Prev = author(r.st.ExpiryVersion) // nothing but the expiry is written
	}
}

// emitKept writes the meta row again with another floor or expiry.
func (r *decider) emitKept(floor event.Version) {
	st := &r.st
	op := event.OpExpireAt
	if r.expireAt == 0 {
		op = event.OpPersist
	}
	out := r.emit(op, st.Type, floor)
	out.Prev = author(st.ExpiryVersion)
	out.Generation, out.Count = st.Generation, st.Count
	out.Before.Version, out.Before.Value = st.Version, st.Value
}

// splitExpiry writes the expiry by a mutation of its own before an op on elements that go on in the life of a key. Outside, an op that shows another
// expiry than the key had says that the key is made anew.
func (r *decider) splitExpiry() {
	if r.expireAt == r.st.ExpireAt {
		return
	}
	r.emitKept(r.st.Floor)
	r.st.ExpireAt, r.st.ExpiryVersion, r.expiryChanged = r.expireAt, r.expiryVersion, false
}

// emitText writes a string, over whatever is there.
func (r *decider) emitText() {
	floor := r.st.Floor
	if whole(r.m) {
		floor = r.m.Version
	}
	r.emit(r.m.Op, event.TypeString, floor).Value = r.m.Value
}

// emitWhole writes a collection as a whole.
func (r *decider) emitWhole(elements []event.Element, count uint64, version event.Version) {
	m := r.m
	out := r.emit(m.Op, m.Type, m.Version)
	out.Whole, out.Elements, out.Count, out.Value = true, elements, count, m.Value
	out.KeyVersion, out.Generation = version, r.env.Generation
}

// ownCount is how many elements a whole-key write leaves by itself, of a bitmap how many bytes.
func ownCount(m *event.Mutation) uint64 {
	if m.Whole || m.Type == event.TypeBitmap {
		return m.Count
	}
	return uint64(len(m.Elements))
}

// emitElements writes or removes elements. A key that isn't there, or is a string, becomes a collection of them.
func (r *decider) emitElements(won []event.Element, floor event.Version) {
	m, st := r.m, &r.st
	lives := st.Exists && st.Type == m.Type
	if lives {
		r.splitExpiry()
	}
	out := r.emit(m.Op, m.Type, floor)
	out.Elements = won
	out.KeyVersion = r.env.later(st.Version, m.Version)
	out.Generation = r.env.Generation
	if lives {
		out.Generation, out.Count = st.Generation, st.Count
	}
	switch {
	case m.Op == event.OpBits:
		out.Count = max(out.Count, m.Count)
	case m.Op.Removes():
		out.Count -= countOf(won, true)
	default:
		out.Count += countOf(won, false)
	}
	if m.Op.Removes() {
		out.ElementTombstones = r.env.Policy.Governs(m.Type)
		out.Tombstone = out.Count == 0
	}
}

// countOf counts the elements that were there, or weren't.
func countOf(elements []event.Element, there bool) (n uint64) {
	for i := range elements {
		if elements[i].Exists == there {
			n++
		}
	}
	return n
}

// emitAmong emits a whole-key write among elements that stay: the removal of those that are older, unless they are written, then its own.
func (r *decider) emitAmong(won []event.Element, gone []int) {
	v := r.m.Version
	named := make(map[string]bool, len(r.m.Elements))
	for i := range r.m.Elements {
		named[string(r.m.Elements[i].Sub)] = true
	}
	removed := gone[:0:0]
	for _, i := range gone {
		if !named[string(r.st.All[i].Sub)] {
			removed = append(removed, i)
		}
	}
	if len(removed) > 0 {
		r.emitGone(removed, v)
		out := &r.d.Emit[len(r.d.Emit)-1]
		r.st.Count, r.st.Floor, r.st.ExpireAt, r.st.ExpiryVersion = out.Count, v, r.expireAt, r.expiryVersion
	}
	if len(won) > 0 {
		r.emitElements(won, v)
		return
	}
	if len(removed) == 0 {
		r.emitKept(v)
	}
}

// emitGone removes elements for a floor. They need no tombstones: the floor is above them.
func (r *decider) emitGone(gone []int, floor event.Version) {
	st := &r.st
	r.splitExpiry()
	out := r.emit(removeOps[st.Type], st.Type, floor)
	out.KeyVersion, out.Generation, out.Count = st.Version, st.Generation, st.Count-uint64(len(gone))
	for _, i := range gone {
		e := &st.All[i]
		out.Elements = append(out.Elements, event.Element{Sub: e.Sub, Prev: e.Version, Exists: true, Was: e.Score})
	}
}

// removeOps are the ops that remove elements of the types that the timestamp rule may hold for.
var removeOps = map[event.Type]event.Op{event.TypeHash: event.OpHDel, event.TypeSet: event.OpSRem, event.TypeZSet: event.OpZRem}

// emitList applies an op on a list.
func (r *decider) emitList() {
	m, st := r.m, &r.st
	r.takeExpiry(!st.Exists)
	if st.Exists {
		r.splitExpiry()
	}
	out := r.emit(m.Op, m.Type, st.Floor)
	out.Elements, out.Value, out.Count = m.Elements, m.Value, m.Count
	out.KeyVersion, out.Generation = m.Version, r.env.Generation
	if st.Exists {
		out.Generation = st.Generation
	}
	out.Tombstone = m.Op.Removes() && m.Count == 0
}

// memory is room for n elements to emit, in the decision.
func (r *decider) memory(n int) []event.Element {
	if cap(r.d.elements) < n {
		r.d.elements = make([]event.Element, 0, n)
	}
	return r.d.elements[:0]
}

// written is the mutation's element i, as it is written over what is stored of it.
func (r *decider) written(i int, e *Element) event.Element {
	out := r.m.Elements[i]
	out.Prev, out.Exists, out.Was = e.Version, e.Exists, 0
	if e.Exists {
		out.Was = e.Score
	}
	return out
}
