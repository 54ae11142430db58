package event

import (
	"math"
	"slices"
)

// elementsKept bounds how many elements' memory an Event that is decoded into holds on to after a large collection.
const elementsKept = 1 << 15

// collection is what a mutation's fields say of its elements, before they are read: that is done once all other fields are, because what
// their marks spare follows from those.
type collection struct {
	age   uint64
	count int
	from  []byte // from the first of them to the end of the mutation
}

func (r *reader) countElement(c *collection) {
	if c.count == 0 {
		c.from = r.b
	}
	c.count++
	r.bytes()
}

// elements reads those that c counted into the memory that all of an event's mutations share. Growing that leaves what other mutations got of it
// where it was.
func (r *reader) elements(ev *Event, m *Mutation, c *collection) {
	start := len(ev.elements)
	ev.elements = slices.Grow(ev.elements, c.count)
	body := reader{b: c.from}
	for body.element(ev, m); len(body.b) > 0; {
		if tag := body.tag(); tag == tagElement {
			body.element(ev, m)
		} else {
			body.skip(tag)
		}
	}
	end := len(ev.elements)
	m.Elements = ev.elements[start:end:end]
	r.adopt(&body)
}

func (r *reader) element(ev *Event, m *Mutation) {
	n := len(ev.elements)
	ev.elements = append(ev.elements, Element{})
	e := &ev.elements[n]
	var marks uint64
	body := r.message()
	for len(body.b) > 0 {
		switch tag := body.tag(); tag {
		case tagSub:
			e.Sub = body.bytes()
		case tagElementValue:
			e.Value = body.bytes()
		case tagScore:
			e.Score = body.score()
		case tagIndex:
			e.Index = body.index()
		case tagElementMarks:
			marks = body.varint()
		case tagElementCluster:
			e.Prev.Cluster = ClusterNumber(body.varint())
		case tagElementTime:
			e.Prev.Time = body.fixed()
		case tagWas:
			e.Was = body.score()
		default:
			body.skip(tag)
		}
	}
	e.resolve(marks, m)
	if m.Op == OpBits && len(e.Sub) != segmentNumberBytes {
		body.fail("a segment without a number")
	}
	r.adopt(&body)
}

func (e *Element) resolve(marks uint64, m *Mutation) {
	e.Exists = marks&markExists != 0
	if marks&markKeyPrev != 0 {
		e.Prev = m.Prev
	}
	if marks&markElementCluster != 0 {
		e.Prev.Cluster = m.Version.Cluster
	}
}

func (r *reader) score() float64 {
	v := math.Float64frombits(uint64(r.fixed()))
	if math.IsNaN(v) {
		r.fail("a score that is no number")
		return 0
	}
	return v
}

func (r *reader) index() int64 {
	v := r.varint()
	if v > math.MaxInt64 {
		r.fail("an index below 0")
		return 0
	}
	return int64(v)
}
