package event

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Fold is the state that a partition's mutations give when they are applied in order: the meta row of every key and its elements. It is the
// feed's own reading of what happened, made to be compared with a store's. From mutations of the logged form it is exact. From lines of
// the JSON it has what they show: all content, the counts that follow from it, and versions; but no generation, no Meta.Value of collections, of the
// floor only what set, del and writes of a whole key raise, and for a collection's version that of its last mutation.
type Fold struct {
	keys map[string]*folded
	err  error
}

// folded is one key.
type folded struct {
	meta     Meta
	elements map[string]Folded // of hashes, sets, sorted sets, bitmaps
	list     foldedList
}

// Folded is an element of a collection: what its row says.
type Folded struct {
	// Sub is the field, the member or the segment's number; of a list item its place, which lines of the JSON don't show.
	Sub     []byte
	Value   []byte
	Score   float64
	Version Version
}

// Apply applies one mutation. It copies what it keeps. Of a mutation that contradicts the state it applies what it can: see Err.
func (f *Fold) Apply(m *Mutation) {
	if f.keys == nil {
		f.keys = make(map[string]*folded)
	}
	switch {
	case m.Op == OpDel, m.Op == OpExpire:
		delete(f.keys, string(m.Key))
	case m.Op == OpRange:
		f.deleteRange(m.Key, m.Value)
	case m.Op == OpExpireAt, m.Op == OpPersist:
		if old, ok := f.keys[string(m.Key)]; ok {
			old.meta.ExpireAt, old.meta.ExpiryVersion = m.ExpireAt, m.ExpiryVersion
			if !m.Floor.IsZero() { // what came from another cluster may raise it; lines don't show it
				old.meta.Floor = m.Floor
			}
		}
	case m.Op.OnElements():
		f.applyElements(m)
	default:
		f.keys[string(m.Key)] = &folded{meta: metaAfter(m)}
	}
}

// metaAfter is the meta row that a mutation leaves, as far as it tells.
func metaAfter(m *Mutation) Meta {
	version := m.Version
	if !m.KeyVersion.IsZero() {
		version = m.KeyVersion
	}
	return Meta{Type: m.Type, Version: version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion,
		Generation: m.Generation, Count: m.Count, Value: bytes.Clone(m.Value)}
}

// Event applies an event's mutations.
func (f *Fold) Event(ev *Event) {
	for i := range ev.Mutations {
		f.Apply(&ev.Mutations[i])
	}
}

// Begin empties the state, as a snapshot does that follows.
func (f *Fold) Begin() { f.keys = nil }

// Line applies what a line shows: a change, or a snapshot's begin or row. Others change nothing.
func (f *Fold) Line(l *Line) {
	switch l.Kind {
	case LineSnapshotBegin:
		f.Begin()
	case LineChange, LineSnapshotRow:
		f.Apply(&l.Mutation)
	}
}

func (f *Fold) deleteRange(start, end []byte) {
	for key := range f.keys {
		if key >= string(start) && (len(end) == 0 || key < string(end)) {
			delete(f.keys, key)
		}
	}
}

// Get is a key's meta row. An expired key is there until its removal was applied. Its Value is the Fold's.
func (f *Fold) Get(key []byte) (Meta, bool) {
	k, ok := f.keys[string(key)]
	if !ok {
		return Meta{}, false
	}
	return k.meta, true
}

// Elements are the elements of a collection: of a list in its order, of others in the byte order of Sub. A key that isn't there has none. The
// slices are the Fold's; nothing may be applied meanwhile.
func (f *Fold) Elements(key []byte) iter.Seq[Folded] {
	return func(yield func(Folded) bool) {
		k, ok := f.keys[string(key)]
		if !ok {
			return
		}
		for _, item := range k.list.items() {
			if !yield(item) {
				return
			}
		}
		for _, sub := range slices.Sorted(maps.Keys(k.elements)) {
			if !yield(k.elements[sub]) {
				return
			}
		}
	}
}

// Keys are all keys, in byte order.
func (f *Fold) Keys() []string { return slices.Sorted(maps.Keys(f.keys)) }

// Len is how many keys there are.
func (f *Fold) Len() int { return len(f.keys) }

// Err says what first contradicted the state before it: an item removed that isn't there, a count that isn't the number of elements. It
// is nil as long as mutations come whole from the beginning of a log.
func (f *Fold) Err() error { return f.err }

func (f *Fold) contradicts(m *Mutation, format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("event: fold %s of %q at version %d: %s", m.Op, m.Key, m.Version.Time, fmt.Sprintf(format, args...))
	}
}
