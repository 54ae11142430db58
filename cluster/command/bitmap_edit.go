package command

import (
	"bytes"
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

// bitString is a string whose bits are read and written. It loads the segments that are touched, each once, and save emits what became
// of them. No other command work may come between openBits and save: it uses the context's row and memory.
type bitString struct {
	c   *Context
	key []byte
	r   *row
	// size is the string's length in bytes after the change.
	size    int64
	touched []segment // in the order of their numbers
}

// segment is one that was loaded: its SegmentBytes bytes begin at place in Context.text.
type segment struct {
	number  int64
	place   int
	prev    event.Version
	exists  bool
	changed bool
}

// openBits looks key up for work on its bits; it is to have at least size bytes afterwards. ok is false, and WRONGTYPE replied, when it
// isn't a string.
func (c *Context) openBits(key []byte, size int64) (b bitString, ok bool, err error) {
	r, ok, err := c.lookText(key)
	if !ok {
		return bitString{}, false, err
	}
	c.text = c.text[:0]
	b = bitString{c: c, key: key, r: r, size: size}
	if r.live {
		b.size = max(size, r.size())
	}
	return b, true, nil
}

// plain says whether the string isn't a bitmap before the change.
func (b *bitString) plain() bool { return b.r.live && b.r.Type == event.TypeString }

// load gives a touched segment, by its index in touched.
func (b *bitString) load(number int64) (int, error) {
	i, found := slices.BinarySearchFunc(b.touched, number, func(s segment, n int64) int { return int(s.number - n) })
	if found {
		return i, nil
	}
	s := segment{number: number, place: len(b.c.text)}
	var content []byte
	switch {
	case b.plain():
		v := b.r.Value
		content = v[min(int64(len(v)), number*event.SegmentBytes):min(int64(len(v)), (number+1)*event.SegmentBytes)]
	default:
		var sub [4]byte
		e, ok, err := b.c.element(b.key, b.r, segmentSub(sub[:0], number))
		if err != nil {
			return 0, err
		}
		s.prev, s.exists = e.Version, ok
		content = e.Value[:min(len(e.Value), event.SegmentBytes)]
	}
	b.c.text = append(b.c.text, content...)
	b.c.text = append(b.c.text, zeros[:event.SegmentBytes-len(content)]...)
	b.touched = slices.Insert(b.touched, i, s)
	return i, nil
}

func (b *bitString) bytes(s *segment) []byte {
	return b.c.text[s.place : s.place+event.SegmentBytes]
}

// at reads one byte; beyond the end all are zero.
func (b *bitString) at(n int64) (byte, error) {
	if n >= b.size {
		return 0, nil
	}
	i, err := b.load(n / event.SegmentBytes)
	if err != nil {
		return 0, err
	}
	return b.bytes(&b.touched[i])[n%event.SegmentBytes], nil
}

// put writes the bits of mask in one byte within size.
func (b *bitString) put(n int64, value, mask byte) error {
	i, err := b.load(n / event.SegmentBytes)
	if err != nil {
		return err
	}
	s := &b.touched[i]
	p := &b.bytes(s)[n%event.SegmentBytes]
	if is := *p&^mask | value&mask; is != *p {
		*p, s.changed = is, true
	}
	return nil
}

// field reads width bits, at most 64, from offset on: the first is the highest.
func (b *bitString) field(offset int64, width int) (value uint64, err error) {
	for width > 0 {
		one, err := b.at(offset / 8)
		if err != nil {
			return 0, err
		}
		n := min(width, 8-int(offset%8)) // bits of this byte
		part := one >> (8 - int(offset%8) - n) & (1<<n - 1)
		value = value<<n | uint64(part)
		offset, width = offset+int64(n), width-n
	}
	return value, nil
}

// setField writes the lowest width bits of value, at most 64, from offset on.
func (b *bitString) setField(offset int64, width int, value uint64) error {
	for width > 0 {
		n := min(width, 8-int(offset%8))
		shift := 8 - int(offset%8) - n
		part := byte(value>>(width-n)) & (1<<n - 1)
		if err := b.put(offset/8, part<<shift, (1<<n-1)<<shift); err != nil {
			return err
		}
		offset, width = offset+int64(n), width-n
	}
	return nil
}

// save emits the change, if there is one.
func (b *bitString) save() error {
	grown := !b.r.live || b.size > b.r.size()
	changed := slices.ContainsFunc(b.touched, func(s segment) bool { return s.changed })
	if !grown && !changed {
		return nil
	}
	if b.size <= event.SegmentBytes && (b.plain() || !b.r.live) {
		i, err := b.load(0)
		if err == nil {
			b.c.emitValue(b.key, b.bytes(&b.touched[i])[:b.size], b.r)
		}
		return err
	}
	if grown { // some segment has to say so: the one that holds the new end
		i, err := b.load((b.size - 1) / event.SegmentBytes)
		if err != nil {
			return err
		}
		b.touched[i].changed = true
	}
	if b.plain() {
		b.convert()
	} else {
		b.emit()
	}
	return nil
}

// emit emits the segments of a bitmap that have changed.
func (b *bitString) emit() {
	m := b.c.change(event.OpBits, b.key, b.r)
	m.Count = uint64(b.size)
	for i := range b.touched {
		if s := &b.touched[i]; s.changed {
			m.Elements = append(m.Elements, event.Element{
				Sub: b.c.segmentSub(s.number), Value: trimZeros(b.bytes(s)), Prev: s.prev, Exists: s.exists,
			})
		}
	}
	b.c.emitChange(m)
}

// convert emits a plain string, with what has changed, as a bitmap.
func (b *bitString) convert() {
	m := b.c.replaceBits(b.key, b.r, b.size)
	m.ExpireAt, m.ExpiryVersion = b.r.ExpireAt, b.r.ExpiryVersion
	value, touched := b.r.Value, b.touched
	for n, at := int64(0), 0; at < len(value) || len(touched) > 0; n, at = n+1, at+event.SegmentBytes {
		part := value[min(at, len(value)):min(at+event.SegmentBytes, len(value))]
		if len(part) == 0 {
			n = touched[0].number // nothing is before it
		}
		if len(touched) > 0 && touched[0].number == n {
			part, touched = b.bytes(&touched[0]), touched[1:]
		}
		b.c.appendSegment(m, n, part)
	}
	b.c.emitBits(m)
}

// replaceBits begins a write of key as a whole by a bitmap of so many bytes: appendSegment, then emitBits.
func (c *Context) replaceBits(key []byte, r *row, size int64) *event.Mutation {
	m := c.replace(event.OpBits, key, r)
	m.Count = uint64(size)
	return m
}

// appendSegment adds a segment to a bitmap that is written as a whole, unless it is all zero.
func (c *Context) appendSegment(m *event.Mutation, number int64, part []byte) {
	if part = trimZeros(part); len(part) > 0 {
		m.Elements = append(m.Elements, event.Element{Sub: c.segmentSub(number), Value: part})
	}
}

// emitBits emits what replaceBits began. A mutation needs an element: of a bitmap without any bit set it is the last segment, empty.
func (c *Context) emitBits(m *event.Mutation) {
	if len(m.Elements) == 0 {
		m.Elements = append(m.Elements, event.Element{Sub: c.segmentSub((int64(m.Count) - 1) / event.SegmentBytes)})
	}
	c.emitChange(m)
}

// segmentSub gives the subkey of a segment in memory that stays.
func (c *Context) segmentSub(number int64) []byte {
	var sub [4]byte
	return c.hold(segmentSub(sub[:0], number))
}

func trimZeros(p []byte) []byte { return bytes.TrimRight(p, "\x00") }
