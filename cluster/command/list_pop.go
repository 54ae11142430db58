package command

import (
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// runPop is LPOP and RPOP.
func runPop(c *Context) error {
	if len(c.Args) == 2 {
		return c.popOne()
	}
	if len(c.Args) > 3 {
		c.Reply.Error(arityError(c.Spec.Name))
		return nil
	}
	count, ok := c.rangeArg(2, 0, math.MaxInt64, ErrNotPositive)
	if !ok {
		return nil
	}
	l, ok, err := c.lookList(c.Args[1])
	switch {
	case !ok:
		return err
	case !l.live:
		c.Reply.NullArray()
		return nil
	}
	n := min(count, l.length())
	c.Reply.Array(int(n))
	return c.popMany(&l, c.Spec.Name[0] == 'l', n)
}

// rangeArg reads an argument that must be an integer in [low, high]; it replies problem when it isn't.
func (c *Context) rangeArg(i int, low, high int64, problem string) (int64, bool) {
	n, ok := parseInt(c.Args[i])
	if !ok || n < low || n > high {
		c.Reply.Error(problem)
		return 0, false
	}
	return n, true
}

func (c *Context) popOne() error {
	l, ok, err := c.lookList(c.Args[1])
	switch {
	case !ok:
		return err
	case !l.live:
		c.Reply.Null()
		return nil
	}
	return c.popItem(&l, c.Spec.Name[0] == 'l')
}

// popItem replies the item at one end of a list and removes it.
func (c *Context) popItem(l *list, left bool) error {
	place, item, err := c.endItem(l, left)
	if err != nil {
		return err
	}
	c.Reply.Bulk(item)
	c.emitPop(l, left, place)
	return nil
}

// endItem is item for one end of a list.
func (c *Context) endItem(l *list, left bool) (place, item []byte, err error) {
	if left {
		return c.item(l, 0)
	}
	return c.item(l, l.length()-1)
}

// emitPop removes the item at one end, which has this place.
func (c *Context) emitPop(l *list, left bool, place []byte) {
	m := c.change(popOp(left), l.key, l.row)
	m.Elements = append(m.Elements, event.Element{Sub: place})
	c.emitPopped(m, l)
}

func popOp(left bool) event.Op {
	if left {
		return event.OpLPop
	}
	return event.OpRPop
}

// emitPopped emits a pop that has its elements.
func (c *Context) emitPopped(m *event.Mutation, l *list) {
	l.popped(m.Op == event.OpLPop, m.Elements[len(m.Elements)-1].Sub)
	c.setEnds(m, l)
	m.Count -= uint64(len(m.Elements))
	c.emitChange(m)
}

// popped moves an end to where the item popped last was. Where there are fractions, the others of its number may still be there: fractions lie
// behind their number's own place.
func (l *list) popped(left bool, place []byte) {
	n := sequence(place)
	switch {
	case left && l.fractions:
		l.first = n
	case left:
		l.first = n + 1
	case len(place) > wordBytes:
		l.last = n
	default:
		l.last = n - 1
	}
}

// popMany replies n items from one end of a list, the outermost first, and removes them. The array has been started.
func (c *Context) popMany(l *list, left bool, n int64) error {
	if n == 0 {
		return nil
	}
	if n > int64(c.limits().Batch) {
		return c.popVery(l, left, n)
	}
	m := c.change(popOp(left), l.key, l.row)
	err := c.walk(l, left, n, func(sub []byte, e *Element) {
		c.Reply.Bulk(e.Value)
		m.Elements = append(m.Elements, event.Element{Sub: c.holdPlace(sub)})
	})
	if err == nil {
		c.emitPopped(m, l)
	}
	return err
}

// popVery is popMany of so many items that the event has to be thought of.
func (c *Context) popVery(l *list, left bool, n int64) error {
	err := c.walk(l, left, n, func(_ []byte, e *Element) { c.Reply.Bulk(e.Value) })
	switch {
	case err != nil:
		return err
	case left:
		return c.cut(l, n, 0)
	}
	return c.cut(l, 0, n)
}

// walk visits n items from one end of a list; there are so many.
func (c *Context) walk(l *list, left bool, n int64, visit func(sub []byte, e *Element)) error {
	in := c.within(l)
	in.Reverse = !left
	seen := int64(0)
	err := c.View.Elements(l.key, &l.Meta, in, func(sub []byte, e *Element) bool {
		visit(sub, e)
		seen++
		return seen < n
	})
	if err == nil && seen < n {
		err = l.lacks(seen)
	}
	return err
}
