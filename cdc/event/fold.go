package event

import (
	"bytes"
	"maps"
	"slices"
)

// Fold is the state that a partition's mutations give when they are applied in order: the meta row of every key. It is the
// feed's own reading of what happened, made to be compared with a store's. From mutations of the logged form it is exact; from lines of
// the JSON it has what they show: no generation and no count, and of the floor only what set and del raise.
type Fold struct {
	keys map[string]Meta
}

// Apply applies one mutation. It copies what it keeps.
func (f *Fold) Apply(m *Mutation) {
	if f.keys == nil {
		f.keys = make(map[string]Meta)
	}
	switch m.Op {
	case OpDel, OpExpire:
		delete(f.keys, string(m.Key))
	case OpRange:
		f.deleteRange(m.Key, m.Value)
	case OpExpireAt, OpPersist:
		if old, ok := f.keys[string(m.Key)]; ok {
			old.ExpireAt, old.ExpiryVersion = m.ExpireAt, m.ExpiryVersion
			f.keys[string(m.Key)] = old
		}
	default:
		f.keys[string(m.Key)] = Meta{Type: m.Type, Version: m.Version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion,
			Generation: m.Generation, Count: m.Count, Value: bytes.Clone(m.Value)}
	}
}

// Event applies an event's mutations.
func (f *Fold) Event(ev *Event) {
	for i := range ev.Mutations {
		f.Apply(&ev.Mutations[i])
	}
}

func (f *Fold) deleteRange(start, end []byte) {
	for key := range f.keys {
		if key >= string(start) && (len(end) == 0 || key < string(end)) {
			delete(f.keys, key)
		}
	}
}

// Get is a key's meta row. An expired key is there until its removal was applied.
func (f *Fold) Get(key []byte) (Meta, bool) {
	m, ok := f.keys[string(key)]
	return m, ok
}

// Keys are all keys, in byte order.
func (f *Fold) Keys() []string { return slices.Sorted(maps.Keys(f.keys)) }

// Len is how many keys there are.
func (f *Fold) Len() int { return len(f.keys) }
