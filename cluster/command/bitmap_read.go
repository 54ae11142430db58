package command

import (
	"encoding/binary"
	"math/bits"
)

// bitRange is what BITCOUNT and BITPOS look at: the bits [from, to) of a string.
type bitRange struct {
	start, end int64 // as sent
	given      bool  // there is a start
	ended      bool  // there is an end
	byBit      bool
}

// bitRange reads [start [end [BYTE|BIT]]] from Args[i] on; it replies the error. BITCOUNT has no start without an end.
func (c *Context) bitRange(i int, endless bool) (q bitRange, ok bool) {
	rest := len(c.Args) - i
	if rest == 0 {
		return q, true
	}
	if rest > 3 || rest == 1 && !endless {
		c.Reply.Error(ErrSyntax)
		return q, false
	}
	q.given, q.ended = true, rest > 1
	if q.start, ok = c.intArg(i); !ok {
		return q, false
	}
	// BITPOS reads the unit before the end, BITCOUNT behind it: it shows in which error comes first.
	if endless && !c.bitUnit(i+2, &q) {
		return q, false
	}
	if q.ended {
		if q.end, ok = c.intArg(i + 1); !ok {
			return q, false
		}
	}
	return q, endless || c.bitUnit(i+2, &q)
}

// bitUnit reads Args[i], if it is there: BYTE or BIT.
func (c *Context) bitUnit(i int, q *bitRange) bool {
	switch {
	case i >= len(c.Args):
	case equalFold(c.Args[i], "bit"):
		q.byBit = true
	case !equalFold(c.Args[i], "byte"):
		c.Reply.Error(ErrSyntax)
		return false
	}
	return true
}

// within gives the range in a string of so many bytes as half open, in bits. from is not below to when nothing is in it.
func (q *bitRange) within(size int64) (from, to int64) {
	if !q.given {
		return 0, size * 8
	}
	unit, n := int64(8), size
	if q.byBit {
		unit, n = 1, size*8
	}
	start, end := q.start, n-1
	if q.ended {
		end = q.end
	}
	if start < 0 {
		start = max(n+start, 0)
	}
	if end < 0 {
		end = max(n+end, 0)
	}
	end = min(end, n-1)
	if start > end {
		return 0, 0
	}
	return start * unit, (end + 1) * unit
}

func runBitCount(c *Context) error {
	q, ok := c.bitRange(2, false)
	if !ok {
		return nil
	}
	r, ok, err := c.lookText(c.Args[1])
	if !ok {
		return err
	}
	var n int64
	if r.live && !(q.start < 0 && q.end < 0 && q.start > q.end) {
		from, to := q.within(r.size())
		err = c.visitContent(c.Args[1], r, from/8, (to+7)/8, func(at int64, part []byte) bool {
			n += countBits(part) - countOutside(at*8, part, from, to)
			return true
		})
	}
	if err == nil {
		c.Reply.Int(n)
	}
	return err
}

// countOutside counts the set bits of the first and the last byte of part that lie outside [from, to); part begins at the bit at and has
// no whole byte outside.
func countOutside(at int64, part []byte, from, to int64) (n int64) {
	if at < from {
		n += int64(bits.OnesCount8(part[0] >> (8 - (from - at))))
	}
	if over := at + int64(len(part))*8 - to; over > 0 {
		n += int64(bits.OnesCount8(part[len(part)-1] & (1<<over - 1)))
	}
	return n
}

// countBits counts the bits that are set.
func countBits(p []byte) (n int64) {
	for ; len(p) >= 8; p = p[8:] {
		n += int64(bits.OnesCount64(binary.LittleEndian.Uint64(p)))
	}
	for _, b := range p {
		n += int64(bits.OnesCount8(b))
	}
	return n
}

func runBitPos(c *Context) error {
	bit, ok := c.intArg(2)
	if !ok {
		return nil
	}
	if bit&^1 != 0 {
		c.Reply.Error(ErrBitArgument)
		return nil
	}
	q, ok := c.bitRange(3, true)
	if !ok {
		return nil
	}
	r, ok, err := c.lookText(c.Args[1])
	switch {
	case !ok:
		return err
	case !r.live:
		c.Reply.Int(-bit) // as if it were zero without an end
		return nil
	}
	from, to := q.within(r.size())
	pos, err := c.findBit(c.Args[1], r, from, to, byte(bit))
	if err != nil {
		return err
	}
	// What follows a string is zero, unless an end was given: then nothing follows.
	if pos == to && (bit == 1 || q.ended || from >= to) {
		pos = -1
	}
	c.Reply.Int(pos)
	return nil
}

// findBit finds the first bit in [from, to) that is set, or clear; to when there is none.
func (c *Context) findBit(key []byte, r *row, from, to int64, bit byte) (int64, error) {
	pos := from // no bit before it is the one
	found := false
	err := c.visitContent(key, r, from/8, (to+7)/8, func(at int64, part []byte) bool {
		switch {
		case bit == 0 && at*8 > pos:
			found = true // between the parts there are zeros
		default:
			pos, found = firstBit(at*8, part, max(pos, at*8), bit)
		}
		return !found
	})
	if !found && bit == 1 {
		pos = to
	}
	return min(pos, to), err
}

// firstBit finds a bit from pos on in part, which begins at the bit at; if there is none it gives the one behind part.
func firstBit(at int64, part []byte, pos int64, bit byte) (int64, bool) {
	var same uint64 // eight bytes without the bit
	if bit == 0 {
		same = ^same
	}
	for i := (pos - at) / 8; i < int64(len(part)); i++ {
		for pos == at+i*8 && i+8 <= int64(len(part)) && binary.LittleEndian.Uint64(part[i:]) == same {
			i, pos = i+8, pos+64
		}
		if i == int64(len(part)) {
			break
		}
		b := part[i] ^ byte(same)
		b &= 0xff >> (pos - (at + i*8))
		if b != 0 {
			return at + i*8 + int64(bits.LeadingZeros8(b)), true
		}
		pos = at + i*8 + 8
	}
	return at + int64(len(part))*8, false
}
