package command

import (
	"encoding/binary"

	"github.com/zankv/zankv/cdc/event"
)

// isString says whether clients take the key's type for a string.
func (r *row) isString() bool { return r.Type == event.TypeString || r.Type == event.TypeBitmap }

// size is the length of a live string in bytes.
func (r *row) size() int64 {
	if r.Type == event.TypeBitmap {
		return int64(r.Count)
	}
	return int64(len(r.Value))
}

// lookText is lookString for commands that don't need the value of a bitmap as a whole: they use size, visitContent and replyContent.
func (c *Context) lookText(key []byte) (r *row, ok bool, err error) {
	r, err = c.look(key)
	if err != nil {
		return nil, false, err
	}
	if r.wrongType() {
		c.Reply.Error(ErrWrongType)
		return nil, false, nil
	}
	return r, true, nil
}

// loadContent makes a live bitmap's Value what clients take for it; ok is false, and an error replied, when it is longer than a value
// may be. A string has it already.
func (c *Context) loadContent(key []byte, r *row) (ok bool, err error) {
	if !r.live || r.Type != event.TypeBitmap {
		return true, nil
	}
	if r.Count > uint64(c.limits().Value) {
		c.Reply.Error(ErrTooLong)
		return false, nil
	}
	value := make([]byte, r.Count)
	err = c.visitContent(key, r, 0, r.size(), func(at int64, part []byte) bool {
		copy(value[at:], part)
		return true
	})
	r.Value = value
	return err == nil, err
}

// visitContent visits the bytes [from, to) of a live string, of a bitmap only segments that are there: what lies between is zero. The
// parts are in order, lie within the string, are never empty, and are borrowed. visit must not call the view.
func (c *Context) visitContent(key []byte, r *row, from, to int64, visit func(at int64, part []byte) bool) error {
	to = min(to, r.size())
	if from >= to {
		return nil
	}
	if r.Type != event.TypeBitmap {
		visit(from, r.Value[from:to])
		return nil
	}
	in := Range{From: segmentSub(nil, from/event.SegmentBytes), To: segmentSub(nil, (to-1)/event.SegmentBytes+1)}
	return c.View.Elements(key, &r.Meta, in, func(sub []byte, e *Element) bool {
		at, part := int64(binary.BigEndian.Uint32(sub))*event.SegmentBytes, e.Value
		if at < from {
			part = part[min(from-at, int64(len(part))):]
			at = from
		}
		part = part[:max(0, min(to-at, int64(len(part))))]
		return len(part) == 0 || visit(at, part)
	})
}

// segmentSub appends the subkey of segment n.
func segmentSub(dst []byte, n int64) []byte { return binary.BigEndian.AppendUint32(dst, uint32(n)) }

// replyContent replies the bytes [from, to) of a live string; a long one of a bitmap goes out in parts.
func (c *Context) replyContent(key []byte, r *row, from, to int64) error {
	if r.Type != event.TypeBitmap {
		c.Reply.Bulk(r.Value[from:to])
		return nil
	}
	c.Reply.head('$', int(to-from))
	done := from
	var problem error
	err := c.visitContent(key, r, from, to, func(at int64, part []byte) bool {
		if problem = c.replyZeros(at - done); problem != nil {
			return false
		}
		c.Reply.Buf = append(c.Reply.Buf, part...)
		done = at + int64(len(part))
		return true
	})
	if err == nil && problem == nil {
		problem = c.replyZeros(to - done)
	}
	if err != nil || problem != nil {
		return firstError(err, problem)
	}
	c.Reply.Buf = append(c.Reply.Buf, '\r', '\n')
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// replyZeros writes n zero bytes into a bulk string in the making.
func (c *Context) replyZeros(n int64) error {
	for n > 0 {
		part := min(n, int64(len(zeros)))
		c.Reply.Buf = append(c.Reply.Buf, zeros[:part]...)
		if err := c.replyPart(); err != nil {
			return err
		}
		n -= part
	}
	return c.replyPart()
}

// replyPart is Reply.Part for reads: the reply of a write goes out when it is committed, as a whole.
func (c *Context) replyPart() error {
	if c.Tx != nil {
		return nil
	}
	return c.Reply.Part()
}
