package event

import (
	"bytes"
	"slices"
)

// applyElements applies an op on elements. A key of another type, of another life or written as a whole loses what it had. An expiry other
// than the key's shows another life too, where there is no generation to show it: see AppendJSON.
func (f *Fold) applyElements(m *Mutation) {
	k := f.keys[string(m.Key)]
	if k == nil || m.Whole || k.meta.Type != m.Type || k.meta.Generation != m.Generation || k.meta.ExpireAt != m.ExpireAt {
		k = &folded{}
		f.keys[string(m.Key)] = k
	}
	k.meta = metaAfter(m)
	if m.Op.ElementType() == TypeList {
		f.applyToList(k, m)
	} else {
		f.applyToMap(k, m)
	}
	count := uint64(len(k.elements) + len(k.list.items()))
	switch {
	case m.Type == TypeBitmap:
		count = m.Count
	case m.Generation == 0: // read from a line, which has no count
		k.meta.Count = count
	case m.Count != count:
		f.contradicts(m, "it counts %d elements, there are %d", m.Count, count)
	}
	if count == 0 {
		delete(f.keys, string(m.Key))
	}
}

func (f *Fold) applyToMap(k *folded, m *Mutation) {
	if k.elements == nil {
		k.elements = make(map[string]Folded, len(m.Elements))
	}
	for i := range m.Elements {
		e := &m.Elements[i]
		if m.Op == OpBits && len(e.Value) == 0 {
			delete(k.elements, string(e.Sub))
			continue
		}
		if !m.Op.Removes() {
			k.elements[string(e.Sub)] = foldedFrom(e, m)
			continue
		}
		// A removal made in another cluster may meet one here: its Exists, which lines don't show, says that nothing was there.
		if _, ok := k.elements[string(e.Sub)]; !ok && e.Exists {
			f.contradicts(m, "element %q isn't there", e.Sub)
		}
		delete(k.elements, string(e.Sub))
	}
}

func foldedFrom(e *Element, m *Mutation) Folded {
	version := m.Version
	if m.Row && m.versionsElements() {
		version = e.Prev
	}
	return Folded{Sub: bytes.Clone(e.Sub), Value: bytes.Clone(e.Value), Score: e.Score, Version: version}
}

func (f *Fold) applyToList(k *folded, m *Mutation) {
	switch m.Op {
	case OpLPop, OpRPop:
		f.pop(k, m)
	case OpLRem:
		f.removeItems(k, m)
	default:
		for i := range m.Elements {
			f.putItem(k, m, &m.Elements[i])
		}
	}
}

func (f *Fold) putItem(k *folded, m *Mutation, e *Element) {
	n := len(k.list.items())
	switch {
	case m.Op == OpLPush:
		k.list.pushFront(foldedFrom(e, m))
	case m.Op == OpRPush:
		k.list.pushBack(foldedFrom(e, m))
	case m.Op == OpLSet && e.Index < int64(n):
		k.list.items()[e.Index] = foldedFrom(e, m)
	case m.Op == OpLInsert && e.Index <= int64(n):
		k.list.all = slices.Insert(k.list.all, k.list.front+int(e.Index), foldedFrom(e, m))
	default:
		f.contradicts(m, "index %d in a list of %d items", e.Index, n)
	}
}

func (f *Fold) pop(k *folded, m *Mutation) {
	items := k.list.items()
	n := m.popped()
	if n > uint64(len(items)) {
		f.contradicts(m, "%d items off a list of %d", n, len(items))
		n = uint64(len(items))
	}
	for i := range min(len(m.Elements), len(items)) {
		at := i
		if m.Op == OpRPop {
			at = len(items) - 1 - i
		}
		f.samePlace(m, &m.Elements[i], &items[at])
	}
	if m.Op == OpLPop {
		clear(items[:n])
		k.list.front += int(n)
		return
	}
	clear(items[len(items)-int(n):])
	k.list.all = k.list.all[:len(k.list.all)-int(n)]
}

// samePlace checks that an item is the one that a mutation means, where both say which it is.
func (f *Fold) samePlace(m *Mutation, e *Element, item *Folded) {
	if len(e.Sub) > 0 && len(item.Sub) > 0 && !bytes.Equal(e.Sub, item.Sub) {
		f.contradicts(m, "the item at place %x is removed, but %x stands there", e.Sub, item.Sub)
	}
}

// removeItems removes the items at the mutation's indexes, which grow, in one pass.
func (f *Fold) removeItems(k *folded, m *Mutation) {
	items := k.list.items()
	kept := items[:0]
	next := 0
	for i := range items {
		if next < len(m.Elements) && m.Elements[next].Index == int64(i) {
			f.samePlace(m, &m.Elements[next], &items[i])
			next++
			continue
		}
		kept = append(kept, items[i])
	}
	if next < len(m.Elements) {
		f.contradicts(m, "index %d in a list of %d items", m.Elements[next].Index, len(items))
	}
	clear(items[len(kept):])
	k.list.all = k.list.all[:k.list.front+len(kept)]
}

// foldedList is a list's items with room in front, so that pushing there costs no more than at the end.
type foldedList struct {
	all   []Folded // the items are those from front on
	front int
}

func (l *foldedList) items() []Folded { return l.all[l.front:] }

func (l *foldedList) pushFront(item Folded) {
	if l.front == 0 {
		room := len(l.all) + 4
		l.all = append(make([]Folded, room, 2*room), l.all...)
		l.front = room
	}
	l.front--
	l.all[l.front] = item
}

// pushBack uses the room that pops left in front before it takes more memory, so that a queue needs no more than its items.
func (l *foldedList) pushBack(item Folded) {
	if len(l.all) == cap(l.all) && l.front > len(l.all)/2 {
		n := copy(l.all, l.items())
		clear(l.all[n:])
		l.all, l.front = l.all[:n], 0
	}
	l.all = append(l.all, item)
}
