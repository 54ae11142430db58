package partition

import (
	"bytes"
	"cmp"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// ends are bounds of where the members of sorted sets stand, as the goroutine's reads have found them: nothing is before low and nothing at
// or after high, in applied state and the open batch together.
//
// A set that serves as a queue is popped at one end, and what was popped leaves remains in the engine (and removed rows in the overlay) that a
// read from the very end walks over, each time, until they are compacted away: without this a pop takes time in proportion to the pops before it.
//
// Bounds hold as long as every change passes noteEmitted: in one term of this leader. What takes a change back (a rollback, a batch that
// didn't happen) forgets them all. They aren't used for keys that another batch has in flight: applied state still has what that batch
// removes.
type ends struct {
	term uint64
	keys map[string]*keyEnds
}

type keyEnds struct {
	generation uint64
	low, high  *command.ScoreKey
}

// maxEnds bounds the keys whose ends are known.
const maxEnds = 4096

func (e *ends) forget() { clear(e.keys) }

// of are the ends known of a key in the life that m shows, made if there are none.
func (e *ends) of(key []byte, m *event.Meta, term uint64) *keyEnds {
	if e.term != term || len(e.keys) >= maxEnds {
		e.forget()
		e.term = term
	}
	k := e.keys[string(key)]
	if k == nil || k.generation != m.Generation {
		k = &keyEnds{generation: m.Generation}
		if e.keys == nil {
			e.keys = make(map[string]*keyEnds)
		}
		e.keys[string(key)] = k
	}
	return k
}

// noteEmitted widens the ends by what a mutation adds.
func (e *ends) noteEmitted(m *event.Mutation) {
	if m.Op != event.OpZAdd || len(e.keys) == 0 {
		return
	}
	k := e.keys[string(m.Key)]
	if k == nil {
		return
	}
	for i := range m.Elements {
		at := command.ScoreKey{Score: m.Elements[i].Score, Member: m.Elements[i].Sub}
		if k.low != nil && compareScores(&at, k.low) < 0 {
			k.low = nil
		}
		if k.high != nil && compareScores(&at, k.high) >= 0 {
			k.high = nil
		}
	}
}

// narrow cuts a range to the ends, and says whether the range's beginning, in its direction, is the set's.
func (k *keyEnds) narrow(in *command.ScoreRange) (fromEnd bool) {
	low := in.From == nil || k.low != nil && compareScores(in.From, k.low) <= 0
	if low && k.low != nil {
		in.From = k.low
	}
	high := in.To == nil || k.high != nil && compareScores(in.To, k.high) >= 0
	if high && k.high != nil {
		in.To = k.high
	}
	if in.Reverse {
		return high
	}
	return low
}

// found notes the member that a read from the set's end found first.
func (k *keyEnds) found(reverse bool, score float64, member []byte) {
	if reverse { // behind it, so with the next possible member
		k.high = &command.ScoreKey{Score: score, Member: append(bytes.Clone(member), 0)}
		return
	}
	if k.low == nil || k.low.Score != score || !bytes.Equal(k.low.Member, member) {
		k.low = &command.ScoreKey{Score: score, Member: bytes.Clone(member)}
	}
}

func compareScores(a, b *command.ScoreKey) int {
	return cmp.Or(cmp.Compare(a.Score, b.Score), bytes.Compare(a.Member, b.Member))
}

// Scores implements command.View.
func (v *flightView) Scores(key []byte, m *event.Meta, in command.ScoreRange, visit func(float64, []byte) bool) error {
	at, flying := v.r.inflight[string(key)]
	if flying && at.batch != v.r.open || in.Skip > 0 || m.Generation == 0 {
		return v.elements(key).Scores(key, m, in, visit)
	}
	k := v.ends.of(key, m, v.r.term)
	if !k.narrow(&in) {
		return v.elements(key).Scores(key, m, in, visit)
	}
	first := true
	return v.elements(key).Scores(key, m, in, func(score float64, member []byte) bool {
		if first {
			first = false
			k.found(in.Reverse, score, member)
		}
		return visit(score, member)
	})
}

// CountScores implements command.View.
func (v *flightView) CountScores(key []byte, m *event.Meta, in command.ScoreRange) (int64, error) {
	return v.elements(key).CountScores(key, m, in)
}
