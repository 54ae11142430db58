package partition

import (
	"errors"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
)

// stateView reads applied state for one read command: row by row as it is at that moment, or through a snapshot.
type stateView struct {
	store *store.Store
	snap  *store.Snapshot
	buf   []byte
}

// errTorn is what a stateView without a snapshot answers when rows that don't belong together may have been read: the command has to be
// evaluated again, on a snapshot.
var errTorn = errors.New("partition: the key changed while it was read")

// Meta implements command.View.
func (v *stateView) Meta(key []byte) (m event.Meta, ok bool, err error) {
	if v.snap != nil {
		m, v.buf, ok, err = v.snap.Meta(v.buf[:0], key)
	} else {
		m, v.buf, ok, err = v.store.Meta(v.buf[:0], key)
	}
	return m, ok, err
}

// Keys implements command.View.
func (v *stateView) Keys(from []byte, visit func([]byte, *event.Meta) bool) error {
	if v.snap == nil {
		return errTorn
	}
	return v.snap.Keys(from, visit)
}

// KeysReverse implements command.View.
func (v *stateView) KeysReverse(before []byte, visit func([]byte, *event.Meta) bool) error {
	return v.snap.KeysReverse(before, visit)
}

// Len implements command.View.
func (v *stateView) Len() int64 { return v.store.State().Keys }

// Element implements command.View. Without a snapshot: an element that is found was there when m was read or later, in the same life of
// the key, and never after that life's end. One that isn't may have been cleaned up after the key was removed or replaced; but if the
// key still has the generation that it had, then it had it when the element was looked for, and the element was absent.
func (v *stateView) Element(key []byte, m *event.Meta, sub []byte) (e command.Element, ok bool, err error) {
	if v.snap != nil {
		e, v.buf, ok, err = v.snap.Element(v.buf[:0], key, m, sub)
		return e, ok, err
	}
	e, v.buf, ok, err = v.store.Element(v.buf[:0], key, m, sub)
	if err != nil || ok || m.Generation == 0 {
		return e, ok, err
	}
	now, buf, there, err := v.store.Meta(v.buf[:0], key)
	v.buf = buf
	if err == nil && (!there || now.Generation != m.Generation) {
		err = errTorn
	}
	return e, false, err
}

// Elements implements command.View.
func (v *stateView) Elements(key []byte, m *event.Meta, in command.Range, visit func([]byte, *command.Element) bool) error {
	if v.snap == nil {
		return errTorn
	}
	return v.snap.Elements(key, m, in, visit)
}

// Scores implements command.View.
func (v *stateView) Scores(key []byte, m *event.Meta, in command.ScoreRange, visit func(float64, []byte) bool) error {
	if v.snap == nil {
		return errTorn
	}
	return v.snap.Scores(key, m, in, visit)
}

// CountScores implements command.View.
func (v *stateView) CountScores(key []byte, m *event.Meta, in command.ScoreRange) (int64, error) {
	if v.snap == nil {
		return 0, errTorn
	}
	return v.snap.CountScores(key, m, in)
}

// needsSnapshot says whether a command reads more of a key than one row and one element, or keys that only it knows: that takes one
// consistent state from the beginning.
func needsSnapshot(s *command.Spec) bool {
	return s.Scope != command.ScopeKeys || s.Flags&(command.ManyRows|command.MovableKeys) != 0
}

// severalKeys says whether a command reads several keys. They are looked at one by one, which the cache makes quick; if something was
// committed meanwhile, they are read again, from a snapshot.
func severalKeys(s *command.Spec, args int) bool {
	last := s.LastKey
	if last < 0 {
		last += args
	}
	return last > s.FirstKey
}
