package command

import "bytes"

// side reads an argument that must be LEFT or RIGHT; it replies the error when it isn't.
func (c *Context) side(i int) (left, ok bool) {
	switch {
	case equalFold(c.Args[i], "left"):
		return true, true
	case equalFold(c.Args[i], "right"):
		return false, true
	}
	c.Reply.Error(ErrSyntax)
	return false, false
}

func runLMove(c *Context) error {
	from, ok := c.side(3)
	if !ok {
		return nil
	}
	to, ok := c.side(4)
	if !ok {
		return nil
	}
	l, ok, err := c.lookList(c.Args[1])
	if !ok {
		return err
	}
	return c.moveOrNull(&l, from, to)
}

func runRPopLPush(c *Context) error {
	l, ok, err := c.lookList(c.Args[1])
	if !ok {
		return err
	}
	return c.moveOrNull(&l, false, true)
}

func (c *Context) moveOrNull(l *list, from, to bool) error {
	if !l.live {
		c.Reply.Null()
		return nil
	}
	return c.move(l, from, to)
}

// move takes an item off the list of Args[1], as l shows it, puts it to the list of Args[2] and replies it. from and to say whether that is
// on the left.
func (c *Context) move(l *list, from, to bool) error {
	place, item, err := c.endItem(l, from)
	if err != nil {
		return err
	}
	if bytes.Equal(c.Args[1], c.Args[2]) {
		return c.rotate(l, from, to, place, c.hold(item))
	}
	item, place = c.hold(item), bytes.Clone(place) // lookList uses places' memory again
	source, sourceRow := *l, *l.row
	source.row = &sourceRow
	target, ok, err := c.lookList(c.Args[2])
	if !ok {
		return err
	}
	if !target.room(1) {
		c.Reply.Error(errListFull)
		return nil
	}
	c.Reply.Bulk(item)
	c.emitPop(&source, from, place)
	c.push(&target, to, item)
	return nil
}

// rotate is move within one list. From an end to the same one, or of the only item, is no change.
func (c *Context) rotate(l *list, from, to bool, place, item []byte) error {
	if !l.room(1) {
		c.Reply.Error(errListFull)
		return nil
	}
	c.Reply.Bulk(item)
	if from == to || l.length() == 1 {
		return nil
	}
	c.emitPop(l, from, place)
	again, _, err := c.lookList(c.Args[2])
	if err == nil {
		c.push(&again, to, item)
	}
	return err
}
