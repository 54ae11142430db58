package event

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// named is a version that prev gives by the name of its element.
type named struct {
	name []byte
	prev Version
}

// elementFields are the fields of the line that each op on elements has.
var elementFields = [...]uint64{
	OpHSet: hasFields, OpHDel: hasFields | hasFieldNames, OpSAdd: hasMembers, OpSRem: hasMembers, OpZAdd: hasScores, OpZRem: hasMembers,
	OpLPush: hasItems, OpRPush: hasItems, OpLPop: hasCount, OpRPop: hasCount, OpLSet: hasIndexes | hasItems, OpLInsert: hasIndexes | hasItems,
	OpLRem: hasIndexes, OpBits: hasSegments | hasLength,
}

// reset forgets the line before, and memory beyond what one keeps.
func (p *Parser) reset() {
	p.buf = p.buf[:0]
	if cap(p.elements) > elementsKept || cap(p.named) > elementsKept || cap(p.sorted) > elementsKept {
		p.elements, p.named, p.sorted = nil, nil, nil
	}
	if cap(p.digests) > elementsKept {
		p.digests = nil
	}
	p.elements, p.named, p.digests = p.elements[:0], p.named[:0], p.digests[:0]
}

// collection takes a field that shows elements. Which ones belong together is checked when all have come.
func (p *Parser) collection(s *lineScanner, bit uint64, m *Mutation, c *content) (err error) {
	switch bit {
	case hasWhole:
		m.Whole = true
		return s.truth()
	case hasCount:
		m.Popped, err = s.uint64()
		return err
	case hasLength:
		m.Count, err = s.uint64()
		return err
	case hasIndexes:
		return s.array(func() error { return p.index(s, c) })
	case hasItems:
		return s.array(func() error { return p.item(s, c) })
	case hasSegments:
		return s.members(&p.buf, func(name []byte) error { return p.segment(s, name) })
	case hasScores:
		return s.members(&p.buf, func(name []byte) error { return p.score(s, name) })
	}
	if bit == hasMembers || s.next('[') {
		if bit == hasFields {
			c.forms |= hasFieldNames
		}
		return s.array(func() error {
			sub, err := s.string(&p.buf)
			p.elements = append(p.elements, Element{Sub: sub})
			return err
		})
	}
	return s.members(&p.buf, func(name []byte) error {
		value, err := s.string(&p.buf)
		p.elements = append(p.elements, Element{Sub: name, Value: value})
		return err
	})
}

// at is element n of the line, which is the next one or was there before.
func (p *Parser) at(n int) *Element {
	if n == len(p.elements) {
		p.elements = append(p.elements, Element{})
	}
	return &p.elements[n]
}

func (p *Parser) index(s *lineScanner, c *content) (err error) {
	e := p.at(c.indexes)
	c.indexes++
	if e.Index, err = s.int64(); err == nil && e.Index < 0 {
		err = fmt.Errorf("index %d", e.Index)
	}
	return err
}

func (p *Parser) item(s *lineScanner, c *content) (err error) {
	e := p.at(c.items)
	c.items++
	e.Value, err = s.string(&p.buf)
	return err
}

func (p *Parser) score(s *lineScanner, member []byte) error {
	text, err := s.string(&p.buf)
	if err != nil {
		return err
	}
	score, err := strconv.ParseFloat(string(text), 64)
	var canonical [32]byte
	if err != nil || math.IsNaN(score) || !bytes.Equal(appendScore(canonical[:0], score), text) {
		return fmt.Errorf("score %q, want the shortest form of a number", text)
	}
	p.elements = append(p.elements, Element{Sub: member, Score: score})
	return nil
}

func (p *Parser) segment(s *lineScanner, name []byte) error {
	sub, err := segmentSub(name)
	if err != nil {
		return err
	}
	text, err := s.string(&p.buf)
	if err != nil {
		return err
	}
	n, err := base64.StdEncoding.Strict().Decode(text, text)
	p.elements = append(p.elements, Element{Sub: sub, Value: text[:n:n]})
	return err
}

// segmentSub puts a segment's Sub in the place of its number in decimal.
func segmentSub(name []byte) ([]byte, error) {
	n, err := strconv.ParseUint(string(name), 10, 32)
	var canonical [10]byte
	if err != nil || !bytes.Equal(strconv.AppendUint(canonical[:0], n, 10), name) {
		return nil, fmt.Errorf("segment %q, want a number", name)
	}
	return binary.BigEndian.AppendUint32(nil, uint32(n)), nil
}

func (p *Parser) prevs(s *lineScanner) error {
	return s.members(&p.buf, func(name []byte) error {
		text, err := s.string(&p.buf)
		if err != nil {
			return err
		}
		prev, err := p.version(text)
		p.named = append(p.named, named{name, prev})
		return err
	})
}

// finishElements decodes elements, gives each its prev, and refuses what no op has: one element twice, an index that has no item.
func (p *Parser) finishElements(m *Mutation, c *content) error {
	m.Elements = p.elements
	if m.Op.ElementType() == TypeList {
		return p.finishList(m, c)
	}
	for i := range m.Elements {
		e := &m.Elements[i]
		if m.Op == OpBits {
			continue
		}
		if err := errors.Join(c.decode(&e.Sub), c.decode(&e.Value)); err != nil {
			return err
		}
	}
	if p.repeats() {
		return errors.New("an element is there twice")
	}
	if !m.versionsElements() {
		return nil
	}
	if len(p.named) != len(m.Elements) {
		return fmt.Errorf("%d elements, but prev has %d", len(m.Elements), len(p.named))
	}
	for i := range p.named {
		if err := p.named[i].give(&m.Elements[i], m.Op, c); err != nil {
			return err
		}
	}
	return nil
}

// give sets the version before of the element that it names.
func (n *named) give(e *Element, op Op, c *content) (err error) {
	if op == OpBits {
		n.name, err = segmentSub(n.name)
	} else {
		err = c.decode(&n.name)
	}
	if err == nil && !bytes.Equal(n.name, e.Sub) {
		err = fmt.Errorf("prev names %q where %q is due", n.name, e.Sub)
	}
	e.Prev = n.prev
	return err
}

// repeats says whether two elements have one Sub.
func (p *Parser) repeats() bool {
	if len(p.elements) < 2 {
		return false
	}
	p.sorted = p.sorted[:0]
	for i := range p.elements {
		p.sorted = append(p.sorted, p.elements[i].Sub)
	}
	slices.SortFunc(p.sorted, bytes.Compare)
	for i := 1; i < len(p.sorted); i++ {
		if bytes.Equal(p.sorted[i-1], p.sorted[i]) {
			return true
		}
	}
	return false
}

func (p *Parser) finishList(m *Mutation, c *content) error {
	if m.Op == OpLInsert && c.items != 1 {
		return fmt.Errorf("%d items, but linsert has one", c.items)
	}
	if (m.Op == OpLSet || m.Op == OpLInsert) && c.indexes != c.items {
		return fmt.Errorf("%d indexes for %d items", c.indexes, c.items)
	}
	for i := range m.Elements {
		if err := c.decode(&m.Elements[i].Value); err != nil {
			return err
		}
	}
	return checkIndexes(m)
}

// checkIndexes refuses an index that is there twice, and those of lrem in another order than the growing one.
func checkIndexes(m *Mutation) error {
	if m.Op != OpLSet && m.Op != OpLRem {
		return nil
	}
	indexes := make([]int64, len(m.Elements))
	for i := range m.Elements {
		indexes[i] = m.Elements[i].Index
	}
	if m.Op == OpLSet {
		slices.Sort(indexes)
	}
	for i := 1; i < len(indexes); i++ {
		if indexes[i] <= indexes[i-1] {
			return fmt.Errorf("index %d after %d", indexes[i], indexes[i-1])
		}
	}
	return nil
}
