package command

import (
	"github.com/zankv/zankv/cdc/event"
)

// addOps are the ops that write elements of each type.
var addOps = map[event.Type]event.Op{
	event.TypeHash: event.OpHSet, event.TypeList: event.OpRPush, event.TypeSet: event.OpSAdd, event.TypeZSet: event.OpZAdd, event.TypeBitmap: event.OpBits,
}

// elementOverhead is about what an element takes in an event besides its content.
const elementOverhead = 48

// whole is the content of a key, held in memory of its own.
type whole struct {
	event.Meta
	elements []event.Element
	items    [][]byte // of a list that has no places yet, in the place of elements
}

// readWhole reads all of the live key that r shows. ok is false, and an error replied, if it is more than one event can carry.
func (c *Context) readWhole(key []byte, r *row) (w whole, ok bool, err error) {
	w.Meta = r.Meta
	w.Value = append([]byte(nil), r.Value...)
	if r.Type == event.TypeString {
		return w, true, nil
	}
	left := c.limits().Event
	err = c.View.Elements(key, &w.Meta, Range{}, func(sub []byte, e *Element) bool {
		left -= len(sub) + len(e.Value) + elementOverhead
		w.elements = append(w.elements, event.Element{Sub: c.hold(sub), Value: c.hold(e.Value), Score: e.Score})
		return left >= 0
	})
	if err == nil && left < 0 {
		c.Reply.Error(ErrTooLarge)
		return w, false, nil
	}
	return w, err == nil, err
}

// emitWhole writes key, as r shows it, to be what w says, with the expiry given (ms since 1970, 0 for none).
func (c *Context) emitWhole(key []byte, r *row, w *whole, expireAt int64) {
	if w.Type == event.TypeString {
		c.emitSet(key, w.Value, r, expireAt)
		return
	}
	m := c.replace(addOps[w.Type], key, r)
	m.ExpireAt = expireAt
	if w.items != nil {
		c.text = c.text[:0]
		c.fill(m, &list{row: r, key: key, first: 0, last: -1}, w.items)
	} else {
		m.Elements = append(m.Elements, w.elements...)
		m.Count, m.Value = w.Count, w.Value
	}
	if w.Type == event.TypeBitmap {
		c.emitBits(m)
		return
	}
	c.emitChange(m)
}
