package command

import (
	"bytes"
	"math"
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

func runLRem(c *Context) error {
	count, ok := c.intArg(2)
	if !ok {
		return nil
	}
	l, ok, err := c.lookList(c.Args[1])
	if !ok {
		return err
	}
	if !l.live {
		c.Reply.Int(0)
		return nil
	}
	m := c.change(event.OpLRem, l.key, l.row)
	if err := c.findEqual(m, &l, c.Args[3], count); err != nil {
		return err
	}
	c.Reply.Int(int64(len(m.Elements)))
	if len(m.Elements) > c.limits().Batch && len(m.Elements) == int(l.Count) {
		c.emitDel(l.key, l.row)
		return nil
	}
	l.removed(m.Elements)
	m.Count -= uint64(len(m.Elements))
	c.setEnds(m, &l)
	c.emitChange(m)
	return nil
}

// findEqual puts into m the items that equal one: count of them from the front, -count from the end, or all if count is 0.
func (c *Context) findEqual(m *event.Mutation, l *list, item []byte, count int64) error {
	in := c.within(l)
	i, step, most := int64(0), int64(1), count
	if count < 0 {
		in.Reverse = true
		i, step, most = l.length()-1, -1, -max(count, -math.MaxInt64)
	}
	err := c.View.Elements(l.key, &l.Meta, in, func(sub []byte, e *Element) bool {
		if bytes.Equal(e.Value, item) {
			m.Elements = append(m.Elements, event.Element{Sub: c.holdPlace(sub), Index: i})
		}
		i += step
		return most == 0 || int64(len(m.Elements)) < most
	})
	if in.Reverse {
		slices.Reverse(m.Elements)
	}
	return err
}

// removed moves the ends of a list over what was removed at them, so that a dense list that has lost only such items stays dense. The
// items are in order.
func (l *list) removed(items []event.Element) {
	n := int64(len(items))
	front := int64(0)
	for front < n && items[front].Index == front {
		front++
	}
	back := int64(0)
	for back < n-front && items[n-1-back].Index == l.length()-1-back {
		back++
	}
	if front > 0 {
		l.popped(true, items[front-1].Sub)
	}
	if back > 0 {
		l.popped(false, items[n-back].Sub)
	}
}
