package command

import "github.com/zankv/zankv/cdc/event"

func runLTrim(c *Context) error {
	start, ok := c.intArg(2)
	if !ok {
		return nil
	}
	end, ok := c.intArg(3)
	if !ok {
		return nil
	}
	l, ok, err := c.lookList(c.Args[1])
	if !ok {
		return err
	}
	first, n := l.span(start, end)
	c.Reply.OK()
	if !l.live {
		return nil
	}
	return c.cut(&l, first, l.length()-first-n)
}

// placeCost is roughly what an event needs for an item that it removes, and for one that it writes besides its bytes.
const placeCost = 16

// cut removes so many items from the front of a list and so many from its end.
func (c *Context) cut(l *list, left, right int64) error {
	gone := left + right
	kept := l.length() - gone
	switch {
	case gone == 0:
		return nil
	case kept == 0:
		c.emitDel(l.key, l.row)
		return nil
	case gone > int64(c.limits().Batch) && kept < gone:
		items, ok, err := c.fewItems(l, left, kept, gone*placeCost)
		if err != nil {
			return err
		}
		if ok {
			c.replaceKept(l, items)
			return nil
		}
	}
	return c.cutEnds(l, left, right)
}

// fewItems copies n items from an index on, if an event needs no more than so many bytes for them.
func (c *Context) fewItems(l *list, from, n, most int64) (items [][]byte, ok bool, err error) {
	place, err := c.placeAt(l, from)
	if err != nil {
		return nil, false, err
	}
	err = c.View.Elements(l.key, &l.Meta, Range{From: place, To: c.place(l.last + 1)}, func(_ []byte, e *Element) bool {
		if most -= int64(len(e.Value)) + placeCost; most < 0 {
			return false
		}
		items = append(items, c.hold(e.Value))
		return int64(len(items)) < n
	})
	return items, int64(len(items)) == n, err
}

// cutEnds is cut by naming what goes: the left first.
func (c *Context) cutEnds(l *list, left, right int64) error {
	if left > 0 {
		if err := c.drop(l, true, left); err != nil || right == 0 {
			return err
		}
		again, _, err := c.lookList(l.key)
		if err != nil {
			return err
		}
		l = &again
	}
	return c.drop(l, false, right)
}

// drop removes n items from one end of a list.
func (c *Context) drop(l *list, left bool, n int64) error {
	m := c.change(popOp(left), l.key, l.row)
	if l.dense() {
		c.namePlaces(m, l, n)
	} else if err := c.walk(l, left, n, func(sub []byte, _ *Element) {
		m.Elements = append(m.Elements, event.Element{Sub: c.holdPlace(sub)})
	}); err != nil {
		return err
	}
	c.emitPopped(m, l)
	return nil
}

// namePlaces puts the places of a dense list's outermost n items into m without reading them.
func (c *Context) namePlaces(m *event.Mutation, l *list, n int64) {
	next, step := l.first, int64(1)
	if m.Op == event.OpRPop {
		next, step = l.last, -1
	}
	for range n {
		m.Elements = append(m.Elements, event.Element{Sub: c.place(next)})
		next += step
	}
}
