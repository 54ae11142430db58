// Package commandtest evaluates commands against a state in memory: a command.View and command.Tx over a map, and an
// executor with a clock of its own. It folds what commands emit as a partition would, and checks on the way that every
// mutation says of the state before it what the state was (command's invariants 4 and 5). It is for tests: one goroutine.
package commandtest

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"sort"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// Store is a partition's state in memory.
type Store struct {
	rows  map[string]event.Meta
	tombs map[string]event.Meta
	// elements are those of each key's present life, dead the tombstones of elements.
	elements map[string]map[string]command.Element
	dead     map[string]map[string]event.Version
	sorted   []string // the keys of rows
	clock    int64
	// Emitted are the mutations since it was last cleared.
	Emitted []event.Mutation
	// Fail is told what is wrong with a mutation.
	Fail func(problem string)
	// ReadError, if set, is what reads answer.
	ReadError error
}

// NewStore makes an empty store.
func NewStore(fail func(string)) *Store {
	return &Store{
		rows: map[string]event.Meta{}, tombs: map[string]event.Meta{},
		elements: map[string]map[string]command.Element{}, dead: map[string]map[string]event.Version{}, clock: 1000, Fail: fail,
	}
}

// Meta implements command.View. A deleted key's tombstone is reported as a Meta of TypeNone.
func (s *Store) Meta(key []byte) (event.Meta, bool, error) {
	if s.ReadError != nil {
		return event.Meta{}, false, s.ReadError
	}
	if m, ok := s.rows[string(key)]; ok {
		return m, true, nil
	}
	m, ok := s.tombs[string(key)]
	return m, ok, nil
}

// Keys implements command.View.
func (s *Store) Keys(from []byte, visit func(key []byte, m *event.Meta) bool) error {
	if s.ReadError != nil {
		return s.ReadError
	}
	for i := sort.SearchStrings(s.sorted, string(from)); i < len(s.sorted); i++ {
		m := s.rows[s.sorted[i]]
		if !visit([]byte(s.sorted[i]), &m) {
			break
		}
	}
	return nil
}

// KeysReverse implements command.View.
func (s *Store) KeysReverse(before []byte, visit func(key []byte, m *event.Meta) bool) error {
	if s.ReadError != nil {
		return s.ReadError
	}
	end := len(s.sorted)
	if len(before) > 0 {
		end = sort.SearchStrings(s.sorted, string(before))
	}
	for i := end - 1; i >= 0; i-- {
		m := s.rows[s.sorted[i]]
		if !visit([]byte(s.sorted[i]), &m) {
			break
		}
	}
	return nil
}

// Len implements command.View.
func (s *Store) Len() int64 { return int64(len(s.rows)) }

// Put writes a row, for states that no command makes yet.
func (s *Store) Put(key string, m event.Meta) {
	if _, ok := s.rows[key]; !ok {
		i := sort.SearchStrings(s.sorted, key)
		s.sorted = slices.Insert(s.sorted, i, key)
	}
	delete(s.tombs, key)
	s.rows[key] = m
}

func (s *Store) drop(key string) {
	if _, ok := s.rows[key]; ok {
		i := sort.SearchStrings(s.sorted, key)
		s.sorted = slices.Delete(s.sorted, i, i+1)
		delete(s.rows, key)
		delete(s.elements, key)
	}
}

// Rows is a copy of the state.
func (s *Store) Rows() map[string]event.Meta {
	rows := make(map[string]event.Meta, len(s.rows))
	for k, m := range s.rows {
		rows[k] = m
	}
	return rows
}

// Emit implements command.Tx.
func (s *Store) Emit(borrowed *event.Mutation) {
	m := *borrowed
	m.Key, m.Value, m.Before.Value = bytes.Clone(m.Key), bytes.Clone(m.Value), bytes.Clone(m.Before.Value)
	m.Elements = slices.Clone(m.Elements)
	for i := range m.Elements {
		e := &m.Elements[i]
		e.Sub, e.Value = bytes.Clone(e.Sub), bytes.Clone(e.Value)
	}
	s.check(&m)
	s.clock++
	command.Stamp(&m, event.Version{Time: s.clock, Cluster: 1})
	s.Emitted = append(s.Emitted, m)
	s.fold(&m)
}

// fold applies a stamped mutation: what a projection makes of it, less elements.
func (s *Store) fold(m *event.Mutation) {
	key := string(m.Key)
	row := s.rows[key]
	switch {
	case m.Op == event.OpSet, m.Op == event.OpValue:
		delete(s.elements, key)
		s.Put(key, event.Meta{Type: event.TypeString, Version: m.Version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion, Value: m.Value})
	case m.Op == event.OpDel, m.Op == event.OpExpire:
		s.drop(key)
		if m.Tombstone {
			s.tombs[key] = event.Meta{Version: m.Version, Floor: m.Floor, ExpireAt: m.ExpireAt, ExpiryVersion: m.ExpiryVersion}
		}
	case m.Op == event.OpExpireAt, m.Op == event.OpPersist:
		row.ExpireAt, row.ExpiryVersion = m.ExpireAt, m.ExpiryVersion
		s.Put(key, row)
	case m.Op == event.OpRange:
		for _, k := range slices.Clone(s.sorted) {
			if k >= key && (len(m.Value) == 0 || k < string(m.Value)) {
				s.drop(k)
			}
		}
	case m.Op.OnElements():
		s.foldElements(m)
	default:
		s.Fail(fmt.Sprintf("mutation of %q: unknown op %d", m.Key, m.Op))
	}
}

func (s *Store) expiring() (n uint64) {
	for _, m := range s.rows {
		if m.ExpireAt != 0 {
			n++
		}
	}
	return n
}

// check compares an emitted mutation with the state that it is about to change.
func (s *Store) check(m *event.Mutation) {
	fail := func(what string, got, want any) {
		s.Fail(fmt.Sprintf("op %d of %q: %s is %+v, want %+v", m.Op, m.Key, what, got, want))
	}
	if m.Op == event.OpRange {
		if m.Count != uint64(len(s.rows)) {
			fail("count", m.Count, len(s.rows))
		}
		if expiring := s.expiring(); m.Before.Expiring != expiring {
			fail("expiring", m.Before.Expiring, expiring)
		}
		return
	}
	row, stored := s.rows[string(m.Key)]
	known := row
	if !stored {
		known = s.tombs[string(m.Key)]
	}
	prev := known.Version
	if m.Op.OnElements() {
		s.checkElements(m)
	}
	before := event.Before{Exists: stored, Type: row.Type, ExpireAt: row.ExpireAt, Generation: row.Generation}
	if m.Op == event.OpExpireAt || m.Op == event.OpPersist {
		if prev = known.ExpiryVersion; prev.Cluster == 0 {
			prev = event.Version{}
		}
		before.Version, before.Value = row.Version, row.Value
	}
	if m.Prev != prev {
		fail("prev", m.Prev, prev)
	}
	if !reflect.DeepEqual(m.Before, before) {
		fail("before", m.Before, before)
	}
	floor := known.Floor
	if m.Op == event.OpSet || m.Op == event.OpDel || m.Whole {
		floor = command.Assigned
	}
	if m.Floor != floor {
		fail("floor", m.Floor, floor)
	}
	creates := m.Op == event.OpSet || m.Op == event.OpValue || m.Op.OnElements() && !m.Op.Removes()
	if !creates && !stored {
		fail("row", "absent", "present")
	}
}
