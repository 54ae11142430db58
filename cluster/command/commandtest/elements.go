package commandtest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// Element implements command.View.
func (s *Store) Element(key []byte, m *event.Meta, sub []byte) (command.Element, bool, error) {
	if s.ReadError != nil {
		return command.Element{}, false, s.ReadError
	}
	s.checkRead(key, m)
	if e, ok := s.elements[string(key)][string(sub)]; ok && m.Generation != 0 {
		return e, true, nil
	}
	return command.Element{Version: s.dead[string(key)][string(sub)]}, false, nil
}

// checkRead: a command reads the elements of what Meta showed.
func (s *Store) checkRead(key []byte, m *event.Meta) {
	if row := s.rows[string(key)]; m.Generation != 0 && row.Generation != m.Generation {
		s.Fail(fmt.Sprintf("elements of %q are read under generation %d, which has %d", key, m.Generation, row.Generation))
	}
}

// Elements implements command.View.
func (s *Store) Elements(key []byte, m *event.Meta, in command.Range, visit func(sub []byte, e *command.Element) bool) error {
	if s.ReadError != nil {
		return s.ReadError
	}
	s.checkRead(key, m)
	all := s.elements[string(key)]
	subs := slices.Sorted(maps.Keys(all))
	if in.Reverse {
		slices.Reverse(subs)
	}
	for _, sub := range subs {
		if in.From != nil && sub < string(in.From) || in.To != nil && sub >= string(in.To) {
			continue
		}
		if in.Skip > 0 {
			in.Skip--
			continue
		}
		e := all[sub]
		if !visit([]byte(sub), &e) {
			break
		}
	}
	return nil
}

// Scores implements command.View.
func (s *Store) Scores(key []byte, m *event.Meta, in command.ScoreRange, visit func(score float64, member []byte) bool) error {
	if s.ReadError != nil {
		return s.ReadError
	}
	s.checkRead(key, m)
	for _, k := range s.scores(string(key), &in) {
		if !visit(k.Score, k.Member) {
			break
		}
	}
	return nil
}

// CountScores implements command.View.
func (s *Store) CountScores(key []byte, m *event.Meta, in command.ScoreRange) (int64, error) {
	s.checkRead(key, m)
	return int64(len(s.scores(string(key), &in))), s.ReadError
}

func (s *Store) scores(key string, in *command.ScoreRange) []command.ScoreKey {
	var all []command.ScoreKey
	for member, e := range s.elements[key] {
		k := command.ScoreKey{Score: e.Score, Member: []byte(member)}
		if (in.From == nil || compareScores(k, *in.From) >= 0) && (in.To == nil || compareScores(k, *in.To) < 0) {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, compareScores)
	if in.Reverse {
		slices.Reverse(all)
	}
	return all[min(max(in.Skip, 0), int64(len(all))):]
}

func compareScores(a, b command.ScoreKey) int {
	switch {
	case a.Score < b.Score:
		return -1
	case a.Score > b.Score:
		return 1
	}
	return strings.Compare(string(a.Member), string(b.Member))
}

// foldElements applies an op on elements.
func (s *Store) foldElements(m *event.Mutation) {
	key := string(m.Key)
	if s.rows[key].Generation != m.Generation {
		delete(s.elements, key)
	}
	all := s.elements[key]
	if all == nil {
		all = map[string]command.Element{}
	}
	for i := range m.Elements {
		e := &m.Elements[i]
		delete(s.dead[key], string(e.Sub))
		if !m.Op.Removes() && !(m.Op == event.OpBits && len(e.Value) == 0) {
			all[string(e.Sub)] = command.Element{Version: m.Version, Value: e.Value, Score: e.Score}
			continue
		}
		delete(all, string(e.Sub))
		if m.ElementTombstones {
			if s.dead[key] == nil {
				s.dead[key] = map[string]event.Version{}
			}
			s.dead[key][string(e.Sub)] = m.Version
		}
	}
	s.elements[key] = all
	if m.Count == 0 {
		s.drop(key)
		if m.Tombstone {
			s.tombs[key] = event.Meta{Version: m.KeyVersion, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion}
		}
		return
	}
	s.Put(key, event.Meta{
		Type: m.Type, Version: m.KeyVersion, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion,
		Generation: m.Generation, Count: m.Count, Value: m.Value,
	})
}

// checkElements compares an op on elements with the elements that it is about to change.
func (s *Store) checkElements(m *event.Mutation) {
	fail := func(e *event.Element, what string, got, want any) {
		s.Fail(fmt.Sprintf("op %s of %q, element %q: %s is %v, want %v", m.Op, m.Key, e.Sub, what, got, want))
	}
	all := s.elements[string(m.Key)]
	if m.Generation == command.NewGeneration {
		all = nil
	} else if row := s.rows[string(m.Key)]; row.Generation != m.Generation || row.Type != m.Type {
		s.Fail(fmt.Sprintf("op %s of %q: generation %d of type %s, the row has %d of %s", m.Op, m.Key, m.Generation, m.Type, row.Generation, row.Type))
	}
	count := len(all)
	seen := map[string]bool{}
	for i := range m.Elements {
		e := &m.Elements[i]
		if seen[string(e.Sub)] {
			fail(e, "times", "2", "1")
		}
		seen[string(e.Sub)] = true
		is, ok := all[string(e.Sub)]
		prev := is.Version
		if !ok {
			prev = s.dead[string(m.Key)][string(e.Sub)]
		}
		switch {
		case m.Type == event.TypeList, m.Whole:
			prev, ok = event.Version{}, e.Exists
		case ok != e.Exists:
			fail(e, "exists", e.Exists, ok)
		}
		if e.Prev != prev {
			fail(e, "prev", e.Prev, prev)
		}
		if m.Type == event.TypeZSet && ok && e.Was != is.Score {
			fail(e, "was", e.Was, is.Score)
		}
		if math.IsNaN(e.Score) {
			fail(e, "score", e.Score, "a number")
		}
		count += s.grows(m, e, all)
	}
	if m.Type != event.TypeBitmap && count != int(m.Count) {
		s.Fail(fmt.Sprintf("op %s of %q: count is %d, want %d", m.Op, m.Key, m.Count, count))
	}
}

// grows is what an element adds to the number of elements.
func (s *Store) grows(m *event.Mutation, e *event.Element, all map[string]command.Element) int {
	_, there := all[string(e.Sub)]
	switch {
	case m.Op.Removes() && there:
		return -1
	case m.Op.Removes():
		s.Fail(fmt.Sprintf("op %s of %q: element %q isn't there", m.Op, m.Key, e.Sub))
	case !there:
		return 1
	}
	return 0
}

// Collection is a copy of a key's elements by subkey.
func (s *Store) Collection(key string) map[string]command.Element { return maps.Clone(s.elements[key]) }
