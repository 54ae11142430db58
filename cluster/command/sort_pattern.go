package command

import (
	"bytes"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// isPattern says whether a pattern of SORT forms keys: it has a star for the element.
func isPattern(p []byte) bool { return bytes.IndexByte(p, '*') >= 0 }

// together says whether all keys that a pattern forms lie in the partition of the key that is sorted; if not, it replies problem. What the
// pattern has before its star decides where they lie if that has a hash tag, as the element comes behind it.
func (c *Context) together(pattern []byte, problem string) bool {
	star := bytes.IndexByte(pattern, '*')
	if star < 0 || c.SinglePartition {
		return true
	}
	if prefix := pattern[:star]; c.HashTags && hasTag(prefix) && store.Slot(prefix) == store.Slot(c.Args[1]) {
		return true
	}
	c.Reply.Error(problem)
	return false
}

// hasTag says whether a key that begins so has a hash tag in this beginning.
func hasTag(prefix []byte) bool {
	open := bytes.IndexByte(prefix, '{')
	return open >= 0 && bytes.IndexByte(prefix[open+1:], '}') > 0
}

// lookPattern reads what a pattern of SORT names for an element: a string, or behind an arrow the field of a hash. "#" is the element itself.
// What it returns is borrowed until the next call on the view.
func (c *Context) lookPattern(pattern, element []byte) (value []byte, ok bool, err error) {
	if len(pattern) == 1 && pattern[0] == '#' {
		return element, true, nil
	}
	before, after, ok := bytes.Cut(pattern, []byte("*"))
	if !ok {
		return nil, false, nil
	}
	rest, field, ok := bytes.Cut(after, []byte("->"))
	if !ok || len(field) == 0 {
		rest, field = after, nil
	}
	key := bytes.Join([][]byte{before, element, rest}, nil)
	r, err := c.look(key)
	switch {
	case err != nil || !r.live:
		return nil, false, err
	case field != nil && r.Type == event.TypeHash:
		e, ok, err := c.View.Element(key, &r.Meta, field)
		return e.Value, ok, err
	case field == nil && r.Type == event.TypeString:
		return r.Value, true, nil
	case field == nil && r.Type == event.TypeBitmap:
		return c.bitmapContent(key, r)
	}
	return nil, false, nil
}

// bitmapContent copies a bitmap as the string that it is to clients.
func (c *Context) bitmapContent(key []byte, r *row) (value []byte, ok bool, err error) {
	value = make([]byte, r.size())
	err = c.visitContent(key, r, 0, r.size(), func(at int64, part []byte) bool {
		copy(value[at:], part)
		return true
	})
	return value, err == nil, err
}

// trimSpace takes leading white space off, as C knows it.
func trimSpace(s []byte) []byte { return bytes.TrimLeft(s, " \t\n\v\f\r") }
