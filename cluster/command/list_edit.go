package command

import (
	"bytes"

	"github.com/zankv/zankv/cdc/event"
)

const (
	errIndex = "ERR index out of range"
)

func runLSet(c *Context) error {
	l, ok, err := c.lookList(c.Args[1])
	if !ok {
		return err
	}
	if !l.live {
		c.Reply.Error(ErrNoKey)
		return nil
	}
	i, ok := c.intArg(2)
	if !ok {
		return nil
	}
	if i = l.index(i); i < 0 || i >= l.length() {
		c.Reply.Error(errIndex)
		return nil
	}
	place, old, err := c.item(&l, i)
	if err != nil {
		return err
	}
	c.Reply.OK()
	if bytes.Equal(old, c.Args[3]) {
		return nil
	}
	m := c.change(event.OpLSet, l.key, l.row)
	m.Elements = append(m.Elements, event.Element{Sub: place, Index: i, Value: c.Args[3]})
	c.setEnds(m, &l)
	c.emitChange(m)
	return nil
}

func runLInsert(c *Context) error {
	behind := equalFold(c.Args[2], "after")
	if !behind && !equalFold(c.Args[2], "before") {
		c.Reply.Error(ErrSyntax)
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
	g, err := c.findGap(&l, c.Args[3], behind)
	switch {
	case err != nil:
		return err
	case !g.found:
		c.Reply.Int(-1)
		return nil
	case !l.room(1):
		c.Reply.Error(errListFull)
		return nil
	}
	c.Reply.Int(l.length() + 1)
	return c.insert(&l, &g, c.Args[4], behind)
}

// gap is a place in a list between two neighbours: their places, nil where there is none.
type gap struct {
	found       bool
	index       int64 // that an item has which comes here
	left, right []byte
}

// findGap finds the gap before or behind the first item that equals pivot.
func (c *Context) findGap(l *list, pivot []byte, behind bool) (g gap, err error) {
	var last [maxPlace]byte
	before := last[:0]
	err = c.View.Elements(l.key, &l.Meta, c.within(l), func(sub []byte, e *Element) bool {
		if g.found { // behind the pivot
			g.right = c.holdPlace(sub)
			return false
		}
		if g.found = bytes.Equal(e.Value, pivot); !g.found {
			before = append(before[:0], sub...)
			g.index++
			return true
		}
		if behind {
			g.index, g.left = g.index+1, c.holdPlace(sub)
			return true
		}
		g.right = c.holdPlace(sub)
		return false
	})
	if !behind && len(before) > 0 {
		g.left = before
	}
	return g, err
}

// insert puts an item into a gap.
func (c *Context) insert(l *list, g *gap, item []byte, behind bool) error {
	var place []byte
	switch {
	case g.left == nil:
		l.first--
		place = c.place(l.first)
	case g.right == nil:
		l.last++
		place = c.place(l.last)
	default:
		at := len(c.text)
		c.text = placeBetween(c.text, g.left, g.right, behind)
		place = c.text[at:len(c.text):len(c.text)]
		if len(place) > maxPlace {
			return c.renumber(l, g.index, item)
		}
		l.fractions = l.fractions || len(place) > wordBytes
	}
	m := c.change(event.OpLInsert, l.key, l.row)
	m.Elements = append(m.Elements, event.Element{Sub: place, Index: g.index, Value: item})
	m.Count++
	c.setEnds(m, l)
	c.emitChange(m)
	return nil
}

// renumber puts an item into a list at an index by taking off the items from there to the nearer end and pushing them again
// behind it. So their places are short again.
func (c *Context) renumber(l *list, index int64, item []byte) error {
	left := index < l.length()-index
	n := l.length() - index
	if left {
		n = index
	}
	items := make([][]byte, 0, n+1)
	m := c.change(popOp(left), l.key, l.row)
	err := c.walk(l, left, n, func(sub []byte, e *Element) {
		items = append(items, c.hold(e.Value))
		m.Elements = append(m.Elements, event.Element{Sub: c.holdPlace(sub)})
	})
	if err != nil {
		return err
	}
	c.emitPopped(m, l)
	again, _, err := c.lookList(l.key)
	if err != nil {
		return err
	}
	items = append(items, item)
	reverse(items)
	c.push(&again, left, items...)
	return nil
}

func reverse(items [][]byte) {
	for i, j := 0, len(items)-1; i < j; i, j = i+1, j-1 {
		items[i], items[j] = items[j], items[i]
	}
}
