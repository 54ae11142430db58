package archive

import (
	"fmt"
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

// assembly puts events together from their lines. It holds one event.
type assembly struct {
	parser  event.Parser
	scratch event.Scratch
	line    event.Line // the last one
	stamp   event.Stamp
	event   event.Event
	of      uint32
	bytes   []byte
	trusted bool
}

// add takes a line. It says whether that was whole: an event, or a line that stands alone. stamp and event are valid until the next add.
func (a *assembly) add(line []byte) (whole bool, err error) {
	if err := a.parser.Parse(line, &a.line); err != nil {
		return false, err
	}
	l := &a.line
	if have := len(a.event.Mutations); l.Kind != event.LineChange {
		if a.open() {
			return false, fmt.Errorf("event %s stops after %d of its mutations", a.stamp.Position, have)
		}
		return true, nil
	}
	if !a.open() {
		a.begin(l)
	}
	switch have := len(a.event.Mutations); {
	case l.Stamp != a.stamp || l.Of != a.of || l.Time != a.event.Time:
		return false, fmt.Errorf("event %s: mutation %d gives it another header or chain than those before it", l.Stamp.Position, l.Seq)
	case int(l.Seq) != have:
		return false, fmt.Errorf("event %s: mutation %d came where %d was due", l.Stamp.Position, l.Seq, have)
	}
	a.event.Mutations = append(a.event.Mutations, a.keep(&l.Mutation))
	return !a.open(), nil
}

// open says whether an event is begun and not whole.
func (a *assembly) open() bool {
	n := len(a.event.Mutations)
	return n > 0 && n < int(a.of)
}

func (a *assembly) begin(l *event.Line) {
	clear(a.event.Mutations)
	a.stamp, a.of = l.Stamp, l.Of
	a.event = event.Event{Time: l.Time, Term: l.Stamp.Position.Term, Mutations: a.event.Mutations[:0]}
	if cap(a.bytes) > 1<<20 {
		a.bytes = nil
	}
	a.bytes = a.bytes[:0]
}

// keep copies a mutation out of the parser's memory.
func (a *assembly) keep(m *event.Mutation) event.Mutation {
	out := *m
	out.Key, out.Value = a.copy(m.Key), a.copy(m.Value)
	out.Elements = slices.Clone(m.Elements)
	for i := range out.Elements {
		e := &out.Elements[i]
		e.Sub, e.Value = a.copy(e.Sub), a.copy(e.Value)
	}
	if m.Origin != nil {
		origin := *m.Origin
		out.Origin = &origin
	}
	return out
}

// copy puts bytes where they stay until the next event begins.
func (a *assembly) copy(b []byte) []byte {
	if b == nil {
		return nil
	}
	n := len(a.bytes)
	a.bytes = append(a.bytes, b...)
	return a.bytes[n:len(a.bytes):len(a.bytes)]
}

// trust has the next close take the event at its word.
func (a *assembly) trust() { a.trusted = true }

// close says whether the event, after a chain, gives the chain that it names.
func (a *assembly) close(prev event.Chain) bool {
	a.stamp.PrevChain = prev
	if a.trusted {
		a.trusted = false
		return true
	}
	return event.NextChain(prev, &a.stamp, &a.event, a.parser.Names, &a.scratch) == a.stamp.Chain
}
