package command

import (
	"fmt"
)

func runLLen(c *Context) error {
	l, ok, err := c.lookList(c.Args[1])
	if ok {
		c.Reply.Int(l.length())
	}
	return err
}

func runLIndex(c *Context) error {
	l, ok, err := c.lookList(c.Args[1])
	if !ok {
		return err
	}
	if !l.live {
		c.Reply.Null()
		return nil
	}
	i, ok := c.intArg(2)
	if !ok {
		return nil
	}
	if i = l.index(i); i < 0 || i >= l.length() {
		c.Reply.Null()
		return nil
	}
	_, item, err := c.item(&l, i)
	if err == nil {
		c.Reply.Bulk(item)
	}
	return err
}

func runLRange(c *Context) error {
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
	start, n := l.span(start, end)
	c.Reply.Array(int(n))
	if n == 0 {
		return nil
	}
	return c.replyItems(&l, start, n)
}

// span turns a range of LRANGE or LTRIM into the index of its first item and the number of items, 0 if there are none.
func (l *list) span(start, end int64) (first, n int64) {
	first = max(l.index(start), 0)
	last := min(l.index(end), l.length()-1)
	if last < first {
		return 0, 0
	}
	return first, last - first + 1
}

// replyItems replies n items from an index on; there are so many.
func (c *Context) replyItems(l *list, start, n int64) error {
	from, err := c.placeAt(l, start)
	if err != nil {
		return err
	}
	left := n
	var gone error
	err = c.View.Elements(l.key, &l.Meta, Range{From: from, To: c.place(l.last + 1)}, func(_ []byte, e *Element) bool {
		c.Reply.Bulk(e.Value)
		left--
		gone = c.Reply.Part()
		return left > 0 && gone == nil
	})
	if err == nil {
		err = gone
	}
	if err == nil && left > 0 {
		err = l.lacks(start + n - left)
	}
	return err
}

// lacks is the error for an item that the count promises and no row holds.
func (l *list) lacks(i int64) error {
	return fmt.Errorf("command: list %q of %d items has none at %d", l.key, l.length(), i)
}

// item reads the item at an index, which there is. Its value is borrowed until the next call on the view, its place until the next lookList.
func (c *Context) item(l *list, i int64) (place, value []byte, err error) {
	if l.dense() {
		place = c.place(l.first + i)
		e, ok, err := c.View.Element(l.key, &l.Meta, place)
		if err == nil && !ok {
			err = l.lacks(i)
		}
		return place, e.Value, err
	}
	return c.searchItem(l, i)
}

// searchItem is apart from item so that item needs no memory for a value found by searching.
func (c *Context) searchItem(l *list, i int64) (place, value []byte, err error) {
	place, err = c.search(l, i, &value)
	return place, value, err
}

// placeAt is item for who needs the place only.
func (c *Context) placeAt(l *list, i int64) (place []byte, err error) {
	if l.dense() {
		return c.place(l.first + i), nil
	}
	return c.search(l, i, nil)
}

// search finds the item at an index of a list that isn't dense, from the nearer end. It copies the item to value unless that is nil.
func (c *Context) search(l *list, i int64, value *[]byte) (place []byte, err error) {
	in := c.within(l)
	in.Skip = i
	if i > l.length()/2 {
		in.Skip, in.Reverse = l.length()-1-i, true
	}
	err = c.View.Elements(l.key, &l.Meta, in, func(sub []byte, e *Element) bool {
		place = c.holdPlace(sub)
		if value != nil {
			*value = c.hold(e.Value)
		}
		return false
	})
	if err == nil && place == nil {
		err = l.lacks(i)
	}
	return place, err
}
