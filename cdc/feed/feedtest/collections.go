package feedtest

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/event"
)

// step is one op on elements of the lives of five keys, and how many elements the key has after it.
type step struct {
	op       event.Op
	count    uint64
	elements []event.Element
}

func members(names ...string) (elements []event.Element) {
	for _, name := range names {
		elements = append(elements, event.Element{Sub: []byte(name)})
	}
	return elements
}

func fields(names ...string) []event.Element {
	elements := members(names...)
	for i := range elements {
		elements[i].Value = fmt.Appendf(nil, "of %s", elements[i].Sub)
	}
	return elements
}

func scores(names ...string) []event.Element {
	elements := members(names...)
	for i := range elements {
		elements[i].Score = float64(i) - 0.5
	}
	return elements
}

func items(at int64, values ...string) (elements []event.Element) {
	for i, v := range values {
		elements = append(elements, event.Element{Value: []byte(v), Index: at + int64(i)})
	}
	return elements
}

// steps have every op on elements. What they leave: a hash of one field, a set of a member that isn't UTF-8, a sorted set, a bitmap, and the
// list of "first" and "between".
var steps = []step{
	{event.OpHSet, 2, fields("age", "name")},
	{event.OpHDel, 1, members("age")},
	{event.OpSAdd, 2, members("a", "\xff")},
	{event.OpSRem, 1, members("a")},
	{event.OpZAdd, 3, scores("one", "two", "three")},
	{event.OpZRem, 2, members("two")},
	{event.OpRPush, 2, items(0, "second", "third")},
	{event.OpLPush, 4, items(0, "first", "zeroth")},
	{event.OpLPop, 3, items(0, "")},
	{event.OpRPop, 2, items(0, "")},
	{event.OpLInsert, 3, items(1, "between")},
	{event.OpLSet, 3, items(2, "last")},
	{event.OpLRem, 2, items(2, "")},
	{event.OpBits, 1000, []event.Element{{Sub: binary.BigEndian.AppendUint32(nil, 1), Value: []byte{0, 1}}}},
}

// FillCollections appends n events of ops on elements: each op in turn, on keys of each type that are new in each round.
func (h *History) FillCollections(term uint64, n int) {
	for i := range n {
		s := steps[i%len(steps)]
		h.mu.Lock()
		t := StartTime + int64(len(h.mu.entries)+1)*int64(time.Second)
		h.mu.Unlock()
		v := event.Version{Time: t, Cluster: 1}
		h.Append(term, &event.Event{Time: t, Term: term, Mutations: []event.Mutation{{
			Op: s.op, Type: s.op.ElementType(), Key: fmt.Appendf(nil, "%s:%d", s.op.ElementType(), i/len(steps)), Elements: s.elements,
			Version: v, KeyVersion: v, Generation: uint64(1 + i/len(steps)), Count: s.count, Command: s.op.String(),
		}}})
	}
}
