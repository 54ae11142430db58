package partition

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// ErrMalformed: what was sent contradicts itself, or is nothing that an event can hold; nothing was changed. A bug of the sender's, or damage.
var ErrMalformed = errors.New("partition: malformed replay")

// checkRange says what is wrong with a range, whatever stands here, and gives the highest version in it.
func checkRange(rng *Range) (highest int64, err error) {
	if rng.From.Compare(rng.To) > 0 {
		return 0, fmt.Errorf("%w: a range from %s to %s", ErrMalformed, rng.From, rng.To)
	}
	if err := checkNames(rng.Names); err != nil {
		return 0, err
	}
	last := rng.From
	for i := range rng.Slices {
		s := &rng.Slices[i]
		if s.Event == nil || len(s.Numbers) > 0 && len(s.Numbers) != len(s.Event.Mutations) {
			return 0, fmt.Errorf("%w: slice at %s has %d numbers for its mutations", ErrMalformed, s.Position, len(s.Numbers))
		}
		for j := range s.Event.Mutations {
			at := store.Cursor{Position: s.Position, Done: s.number(j)}
			if after := (store.Cursor{Position: at.Position, Done: at.Done + 1}); at.Done >= store.AllDone-1 || at.Compare(last) < 0 || after.Compare(rng.To) > 0 {
				return 0, fmt.Errorf("%w: mutation %d of %s comes after %s, in a range up to %s", ErrMalformed, at.Done, at.Position, last, rng.To)
			}
			last = store.Cursor{Position: at.Position, Done: at.Done + 1}
			m := &s.Event.Mutations[j]
			if err := checkMutation(m, len(rng.Names)); err != nil {
				return 0, fmt.Errorf("%w: mutation %d of %s: %w", ErrMalformed, at.Done, at.Position, err)
			}
			highest = max(highest, newest(m))
		}
	}
	return highest, nil
}

// number is that of the slice's j-th mutation in its event.
func (s *Slice) number(j int) uint32 {
	if len(s.Numbers) > 0 {
		return s.Numbers[j]
	}
	return uint32(j)
}

func checkNames(names event.Names) error {
	if len(names) > maxClusterNames {
		return fmt.Errorf("%w: %d cluster ids, want at most %d", ErrMalformed, len(names), maxClusterNames)
	}
	for _, id := range names {
		if len(id) > maxClusterID || !utf8.ValidString(id) {
			return fmt.Errorf("%w: cluster id %q", ErrMalformed, id[:min(len(id), maxClusterID)])
		}
	}
	return nil
}

// maxClusterID bounds a cluster's id.
const maxClusterID = 256

// newest is the latest time that a mutation brings into rows.
func newest(m *event.Mutation) int64 {
	return max(m.Version.Time, m.KeyVersion.Time, m.Floor.Time, m.ExpiryVersion.Time)
}

// checkMutation says what the projection, which can refuse nothing, relies on, and that all its versions can be read here.
func checkMutation(m *event.Mutation, names int) error {
	for _, v := range [...]*event.Version{&m.Version, &m.Prev, &m.KeyVersion, &m.Floor, &m.ExpiryVersion, &m.Before.Version} {
		if int(v.Cluster) >= names && v.Cluster != 0 {
			return fmt.Errorf("cluster number %d has no id", v.Cluster)
		}
	}
	switch {
	case m.Version.Cluster == 0 && m.Op != event.OpExpire, m.Version.Time < 0:
		return fmt.Errorf("%s without a version", m.Op)
	case m.Origin != nil && (m.Origin.Cluster == 0 || int(m.Origin.Cluster) >= names):
		return fmt.Errorf("origin's cluster number %d has no id", m.Origin.Cluster)
	case m.Type > event.TypeBitmap:
		return fmt.Errorf("type %d: the sender runs a newer program", m.Type)
	case m.Op.OnElements() && m.Type != m.Op.ElementType():
		return fmt.Errorf("%s of type %s", m.Op, m.Type)
	case m.Op.OnElements() && m.Type == event.TypeList && m.Count > 0 && len(m.Value) != listEnds:
		return fmt.Errorf("a list's ends of %d bytes, want %d", len(m.Value), listEnds)
	case !utf8.ValidString(m.Command):
		return errors.New("command's name isn't UTF-8")
	}
	for i := range m.Elements {
		e := &m.Elements[i]
		switch {
		case int(e.Prev.Cluster) >= names && e.Prev.Cluster != 0:
			return fmt.Errorf("cluster number %d has no id", e.Prev.Cluster)
		case math.IsNaN(e.Score):
			return fmt.Errorf("member %q has NaN for a score", clipKey(e.Sub))
		case m.Type == event.TypeList && (len(e.Sub) == 0 || len(e.Sub)%listWord != 0 || len(e.Sub) > listPlace):
			return fmt.Errorf("an item's place of %d bytes", len(e.Sub))
		case m.Type == event.TypeBitmap && len(e.Sub) != segmentNumber:
			return fmt.Errorf("segment number % x: want %d bytes", clipKey(e.Sub), segmentNumber)
		}
	}
	return nil
}

// What commands on these types rely on (cluster/command, list.go): the length of a bitmap segment's Sub, of a list's ends, and of an item's place, which is
// made of words.
const (
	segmentNumber = 4
	listEnds      = 17
	listWord      = 8
	listPlace     = 64
)
