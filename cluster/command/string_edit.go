package command

import "math"

func runAppend(c *Context) error {
	key, tail := c.Args[1], c.Args[2]
	r, ok, err := c.lookString(key)
	if !ok {
		return err
	}
	if !r.live {
		c.Reply.Int(int64(len(tail)))
		c.emitValue(key, tail, r)
		return nil
	}
	if len(r.Value)+len(tail) > c.limits().Value {
		c.Reply.Error(ErrTooLong)
		return nil
	}
	c.Reply.Int(int64(len(r.Value) + len(tail)))
	if len(tail) > 0 {
		c.text = append(append(c.text[:0], r.Value...), tail...)
		c.emitValue(key, c.text, r)
	}
	return nil
}

func runSetRange(c *Context) error {
	key, part := c.Args[1], c.Args[3]
	offset, ok := c.intArg(2)
	if !ok {
		return nil
	}
	if offset < 0 {
		c.Reply.Error(ErrOffset)
		return nil
	}
	r, ok, err := c.lookString(key)
	if !ok {
		return err
	}
	var old []byte
	if r.live {
		old = r.Value
	}
	switch {
	case len(part) == 0:
		c.Reply.Int(int64(len(old)))
	case offset > math.MaxInt64-int64(len(part)) || offset+int64(len(part)) > int64(c.limits().Value):
		c.Reply.Error(ErrTooLong)
	default:
		c.text = overwrite(c.text[:0], old, int(offset), part)
		c.Reply.Int(int64(len(c.text)))
		c.emitValue(key, c.text, r)
	}
	return nil
}

// overwrite appends to dst what old becomes with part written over it at offset, zero bytes filling a gap.
func overwrite(dst, old []byte, offset int, part []byte) []byte {
	dst = append(dst, old[:min(offset, len(old))]...)
	for gap := offset - len(old); gap > 0; {
		n := min(gap, len(zeros))
		dst = append(dst, zeros[:n]...)
		gap -= n
	}
	dst = append(dst, part...)
	if end := offset + len(part); end < len(old) {
		dst = append(dst, old[end:]...)
	}
	return dst
}

var zeros [4096]byte
