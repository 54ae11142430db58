package store

import (
	"fmt"
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// collection projects an op on elements: the rows of the elements, then the key's meta row, or its removal when nothing is left.
func (a *Apply) collection(pos event.Position, i int, m *event.Mutation) error {
	if m.Generation == 0 || m.Type != m.Op.ElementType() {
		return eventf("at %s.%d: %s of %q, type %s, generation %d: want type %s and a generation",
			pos, i, m.Op, clip(m.Key), m.Type, m.Generation, m.Op.ElementType())
	}
	if problem := a.elements(m); problem != "" {
		return eventf("at %s.%d: %s of %q: %s", pos, i, m.Op, clip(m.Key), problem)
	}
	if m.Count == 0 {
		a.emptied(m)
		return nil
	}
	meta := event.Meta{
		Type: m.Type, Version: m.KeyVersion, Floor: m.Floor,
		ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion,
		Generation: m.Generation, Count: m.Count, Value: m.Value,
	}
	a.putMeta(m.Key, &meta)
	a.replace(m, m.Generation)
	a.index(m, m.ExpireAt)
	return nil
}

// emptied takes away a key whose last element went. Its elements are those of the mutation, so that nothing is left for the
// clean-up; but a bitmap's segments may be there without the mutation naming them, and a former life's elements are.
func (a *Apply) emptied(m *event.Mutation) {
	if m.Before.Exists {
		a.state.Keys--
		a.deleteMeta(m.Key)
		a.index(m, 0)
		if m.Type == event.TypeBitmap || m.Before.Generation != m.Generation {
			a.bury(m)
		}
	}
	a.entomb(m)
}

// elements writes and removes the rows of a mutation's elements. It says what is wrong with one that has no place in the rows.
func (p *projector) elements(m *event.Mutation) (problem string) {
	// In a generation that begins with this mutation nothing was there before.
	continues := m.Before.Exists && m.Before.Generation == m.Generation
	p.sub = appendElementsKey(p.sub[:0], famElement, m.Key, m.Generation)
	for i := range m.Elements {
		e := &m.Elements[i]
		if m.Type == event.TypeBitmap && len(e.Sub) != segmentSize {
			return fmt.Sprintf("segment number % x: want 4 bytes", clip(e.Sub))
		}
		if m.Type == event.TypeZSet {
			if math.IsNaN(e.Score) || math.IsNaN(e.Was) {
				return fmt.Sprintf("member %q has NaN for a score", clip(e.Sub))
			}
			p.score(m, e, continues && e.Exists)
		}
		p.element(m, e)
	}
	return ""
}

// element writes or removes one element's row, and the tombstone that it leaves or takes the place of. p.sub is what the row's key starts
// with, up to the subkey.
func (p *projector) element(m *event.Mutation, e *event.Element) {
	p.key = append(append(p.key[:0], p.sub...), e.Sub...)
	removed := m.Op.Removes() || m.Op == event.OpBits && len(e.Value) == 0
	if removed {
		p.batch.Delete(p.key)
		p.touched = append(p.touched, p.lastRemoved())
	} else {
		p.row = appendElement(p.row[:0], &element{kind: m.Type, version: m.Version})
		if m.Type == event.TypeZSet {
			p.row = appendScore(p.row, e.Score)
		} else {
			p.row = append(p.row, e.Value...)
		}
		p.batch.Put(p.key, p.row)
		if e.Exists && m.Type != event.TypeList {
			p.touched = append(p.touched, p.lastRow())
		}
	}
	keep := removed && m.ElementTombstones
	if !keep && (e.Exists || e.Prev.IsZero()) {
		return
	}
	p.key = appendElementTombstoneKey(p.key[:0], m.Key, e.Sub)
	if !keep {
		p.batch.Delete(p.key)
		return
	}
	p.row = appendElement(p.row[:0], &element{version: m.Version})
	p.batch.Put(p.key, p.row)
}

// score brings the order of a sorted set from the score that a member had, if it was there, to the one that it gets. A score that stays
// has its row already.
func (p *projector) score(m *event.Mutation, e *event.Element, there bool) {
	removed := m.Op.Removes()
	if there && !removed && e.Was == e.Score {
		return
	}
	if there {
		p.key = appendScoreKey(p.key[:0], m.Key, m.Generation, e.Was, e.Sub)
		p.batch.Delete(p.key)
	}
	if !removed {
		p.key = appendScoreKey(p.key[:0], m.Key, m.Generation, e.Score, e.Sub)
		p.batch.Put(p.key, nil)
	}
}
