package command

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// How a list lies in rows. An item's place in the order is the subkey of its element row: one to eight words of 8 bytes,
// big-endian, so that bytes sort as places do. Between two places there is always room for another.
//
//	offset  size
//	0       8     sequence number: signed, its sign bit turned round
//	8       8·n   fraction, n from 0 to 7: only of items that were inserted in the middle. Its last word isn't 0
//
// A list's first item gets the number 0 (pushed from the right) or -1 (from the left). A push to the left takes the number below
// the first, a push to the right the one above the last; a number whose item was popped is used again.
//
// The list's ends are the Value of its meta row, little-endian:
//
//	offset  size
//	0       8     first: no item's number is below
//	8       8     last: no item's number is above
//	16      1     flags. 01: an item may have a fraction
//
// If there are as many items as numbers from first to last, and no fractions, then the list is dense: item i is at first+i, and nothing has to be
// searched for. That is so until something is removed from or inserted into the middle of a list. Then a bare fraction is for ever (until the key is made
// anew), while a gap that was popped out of the list is forgotten.
const (
	wordBytes = 8
	// maxPlace is the longest place. A list in which a new item would need a longer one is numbered anew from there to the nearer end.
	maxPlace = 8 * wordBytes

	endsBytes     = 17
	flagFractions = 0x01
)

// list is a list as the view shows it. An absent one has no items.
type list struct {
	*row
	key         []byte
	first, last int64
	fractions   bool
}

// lookList is look for commands on lists: ok is false, and WRONGTYPE replied, when the key holds something else. What it returns is valid
// until the next look.
func (c *Context) lookList(key []byte) (l list, ok bool, err error) {
	r, ok, err := c.lookType(key, event.TypeList)
	if !ok {
		return l, false, err
	}
	c.text = c.text[:0]
	l = list{row: r, key: key, first: 0, last: -1}
	if !r.live {
		return l, true, nil
	}
	if len(r.Value) != endsBytes {
		return l, false, fmt.Errorf("command: list %q: ends of %d bytes, want %d", key, len(r.Value), endsBytes)
	}
	l.first = int64(binary.LittleEndian.Uint64(r.Value))
	l.last = int64(binary.LittleEndian.Uint64(r.Value[8:]))
	l.fractions = r.Value[16]&flagFractions != 0
	return l, true, nil
}

// length is the number of items.
func (l *list) length() int64 {
	if !l.live {
		return 0
	}
	return int64(l.Count)
}

// dense says whether item i is at first+i.
func (l *list) dense() bool {
	return !l.fractions && uint64(l.last)-uint64(l.first)+1 == uint64(l.length())
}

// index makes an index that counts from the end, if negative, one that counts from the front.
func (l *list) index(i int64) int64 {
	if i < 0 {
		return i + l.length()
	}
	return i
}

// setEnds puts l's ends into m, in memory as place's.
func (c *Context) setEnds(m *event.Mutation, l *list) {
	at := len(c.text)
	p := binary.LittleEndian.AppendUint64(c.text, uint64(l.first))
	p = binary.LittleEndian.AppendUint64(p, uint64(l.last))
	flags := byte(0)
	if l.fractions {
		flags |= flagFractions
	}
	c.text = append(p, flags)
	m.Value = c.text[at:len(c.text):len(c.text)]
}

// place makes the place of a sequence number, in memory that stays as it is until the next lookList.
func (c *Context) place(n int64) []byte {
	at := len(c.text)
	c.text = appendPlace(c.text, n)
	return c.text[at:len(c.text):len(c.text)]
}

// holdPlace copies a place that is borrowed from the view into memory as place's.
func (c *Context) holdPlace(p []byte) []byte {
	at := len(c.text)
	c.text = append(c.text, p...)
	return c.text[at:len(c.text):len(c.text)]
}

// within are the bounds of all items. What was popped lies outside: its rows, gone but not yet compacted away, aren't walked over.
func (c *Context) within(l *list) Range {
	return Range{From: c.place(l.first), To: c.place(l.last + 1)}
}

// appendPlace appends the place of a sequence number.
func appendPlace(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n)^1<<63)
}

// sequence is the number in a place.
func sequence(place []byte) int64 { return int64(binary.BigEndian.Uint64(place) ^ 1<<63) }

// nearStep is how far from a neighbour an insertion goes: so many follow each other at one spot before places grow longer.
const nearStep = 1 << 32

// placeBetween appends a place above left and below right, two neighbours. Whoever inserts before an item again and again inserts next
// between this place and right, whoever inserts behind one between left and this place: behind says which room to leave.
func placeBetween(dst, left, right []byte, behind bool) []byte {
	open := false // right is no bound any more: a word before was below its
	for at := 0; ; at += wordBytes {
		low, high := wordAt(left, at), uint64(math.MaxUint64)
		if !open {
			high = wordAt(right, at)
		}
		if high-low >= 2 {
			return binary.BigEndian.AppendUint64(dst, wordBetween(low, high, behind))
		}
		open = open || high > low
		dst = binary.BigEndian.AppendUint64(dst, low)
	}
}

// wordAt is the word at an offset of a place, 0 behind its end.
func wordAt(place []byte, at int) uint64 {
	if at >= len(place) {
		return 0
	}
	return binary.BigEndian.Uint64(place[at:])
}

// wordBetween is a word above low and below high, between which there is one.
func wordBetween(low, high uint64, behind bool) uint64 {
	half := (high - low) / 2
	switch {
	case low == 0 && high == math.MaxUint64:
		return half
	case behind:
		return high - min(half, nearStep)
	}
	return low + min(half, nearStep)
}
