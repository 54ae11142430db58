package command

import (
	"encoding/binary"

	"github.com/zankv/zankv/cdc/event"
)

// bitOp is an operation of BITOP.
type bitOp uint8

const (
	bitAnd bitOp = iota + 1
	bitOr
	bitXor
	bitNot
)

func parseBitOp(arg []byte) (bitOp, bool) {
	switch {
	case equalFold(arg, "and"):
		return bitAnd, true
	case equalFold(arg, "or"):
		return bitOr, true
	case equalFold(arg, "xor"):
		return bitXor, true
	case equalFold(arg, "not"):
		return bitNot, true
	}
	return 0, false
}

// plainResult is up to which length BITOP's result is a plain string. Above that it is a bitmap, so that what is zero in it costs nothing.
const plainResult = 64 << 10

func runBitOp(c *Context) error {
	op, ok := parseBitOp(c.Args[1])
	switch {
	case !ok:
		c.Reply.Error(ErrSyntax)
		return nil
	case op == bitNot && len(c.Args) != 4:
		c.Reply.Error(ErrBitOpNot)
		return nil
	}
	dest, sources := c.Args[2], c.Args[3:]
	size, ok, err := c.longest(sources)
	if !ok {
		return err
	}
	result := make([]byte, size)
	for i, key := range sources {
		if err := c.combine(op, result, key, i == 0); err != nil {
			return err
		}
	}
	r, err := c.look(dest)
	if err != nil {
		return err
	}
	c.Reply.Int(size)
	c.storeBits(dest, r, result)
	return nil
}

// longest gives the length of the longest of some strings; ok is false, and WRONGTYPE replied, when one isn't a string.
func (c *Context) longest(keys [][]byte) (size int64, ok bool, err error) {
	for _, key := range keys {
		r, ok, err := c.lookText(key)
		if !ok {
			return 0, false, err
		}
		if r.live {
			size = max(size, r.size())
		}
	}
	return size, true, nil
}

// combine brings one more string into a result: each is read once, in its segments, and none is kept.
func (c *Context) combine(op bitOp, result, key []byte, first bool) error {
	r, err := c.look(key)
	if err != nil {
		return err
	}
	done := int64(0)
	if r.live {
		err = c.visitContent(key, r, 0, r.size(), func(at int64, part []byte) bool {
			if op == bitAnd && !first {
				clear(result[done:at])
			}
			done = at + int64(len(part))
			op.into(result[at:done], part, first)
			return true
		})
	}
	if op == bitAnd && !first {
		clear(result[done:])
	}
	if op == bitNot {
		invert(result)
	}
	return err
}

// into combines part with what is in dst; the first string is copied.
func (op bitOp) into(dst, part []byte, first bool) {
	if first {
		copy(dst, part)
		return
	}
	for len(part) >= 8 && len(dst) >= 8 {
		a, b := binary.LittleEndian.Uint64(dst), binary.LittleEndian.Uint64(part)
		binary.LittleEndian.PutUint64(dst, op.words(a, b))
		dst, part = dst[8:], part[8:]
	}
	for i, b := range part {
		dst[i] = byte(op.words(uint64(dst[i]), uint64(b)))
	}
}

func (op bitOp) words(a, b uint64) uint64 {
	switch op {
	case bitAnd:
		return a & b
	case bitOr:
		return a | b
	}
	return a ^ b
}

func invert(p []byte) {
	for i := range p {
		p[i] = ^p[i]
	}
}

// storeBits writes key as a whole; nothing means that it is removed.
func (c *Context) storeBits(key []byte, r *row, value []byte) {
	switch {
	case len(value) == 0 && !r.live:
	case len(value) == 0:
		c.emitDel(key, r)
	case len(value) <= plainResult:
		c.emitSet(key, value, r, 0)
	default:
		m := c.replaceBits(key, r, int64(len(value)))
		for n, at := int64(0), 0; at < len(value); n, at = n+1, at+event.SegmentBytes {
			c.appendSegment(m, n, value[at:min(at+event.SegmentBytes, len(value))])
		}
		c.emitBits(m)
	}
}
