package command

import (
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// errListFull is for a list whose sequence numbers have come to their end.
const errListFull = "ERR list has no room for more items"

// runPush is LPUSH, RPUSH, LPUSHX and RPUSHX.
func runPush(c *Context) error {
	items := c.Args[2:]
	if !c.batchFits(len(items)) {
		return nil
	}
	l, ok, err := c.lookList(c.Args[1])
	if !ok {
		return err
	}
	if !l.live && len(c.Spec.Name) == len("lpushx") {
		c.Reply.Int(0)
		return nil
	}
	if !l.room(int64(len(items))) {
		c.Reply.Error(errListFull)
		return nil
	}
	c.Reply.Int(l.length() + int64(len(items)))
	c.push(&l, c.Spec.Name[0] == 'l', items...)
	return nil
}

// room says whether n items can be pushed to either end.
func (l *list) room(n int64) bool {
	return l.last < math.MaxInt64-n && l.first > math.MinInt64+n
}

// push puts items, for which there is room, at one end of a list, one after the other.
func (c *Context) push(l *list, left bool, items ...[]byte) {
	op := event.OpRPush
	if left {
		op = event.OpLPush
	}
	m := c.change(op, l.key, l.row)
	c.fill(m, l, items)
	c.emitChange(m)
}

// fill puts the items of a push, and the ends after it, into m.
func (c *Context) fill(m *event.Mutation, l *list, items [][]byte) {
	next, step := l.last+1, int64(1)
	if m.Op == event.OpLPush {
		next, step = l.first-1, -1
		l.first -= int64(len(items))
	} else {
		l.last += int64(len(items))
	}
	c.setEnds(m, l)
	for _, item := range items {
		m.Elements = append(m.Elements, event.Element{Sub: c.place(next), Value: item})
		next += step
	}
	m.Count += uint64(len(items))
}

// replaceList makes key a list of these items, of which there is one at least, whatever it held before.
func (c *Context) replaceList(key []byte, r *row, items [][]byte) {
	m := c.replace(event.OpRPush, key, r)
	c.text = c.text[:0]
	l := list{row: r, key: key, first: 0, last: -1}
	c.fill(m, &l, items)
	c.emitChange(m)
}

// replaceKept makes a list, which stays what it is otherwise, one of these items.
func (c *Context) replaceKept(l *list, items [][]byte) {
	m := c.replace(event.OpRPush, l.key, l.row)
	m.ExpireAt, m.ExpiryVersion = l.ExpireAt, l.ExpiryVersion
	c.fill(m, &list{row: l.row, key: l.key, first: 0, last: -1}, items)
	c.emitChange(m)
}
