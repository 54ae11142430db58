package command

import "bytes"

// runSetIfEq is setifeq key old new [ex seconds].
func runSetIfEq(c *Context) error {
	var o setOptions
	switch {
	case len(c.Args) == 6 && equalFold(c.Args[4], "ex"):
		o = setOptions{when: c.Args[5], unit: 1000, relative: true}
	case len(c.Args) != 4:
		c.Reply.Error(ErrSyntax)
		return nil
	}
	expireAt, ok := c.expireTime(&o)
	if !ok {
		return nil
	}
	r, ok, err := c.lookString(c.Args[1])
	if !ok {
		return err
	}
	if (r.live && !bytes.Equal(r.Value, c.Args[2])) || (!r.live && len(c.Args[2]) > 0) {
		c.Reply.Int(0)
		return nil
	}
	c.Reply.Int(1)
	c.emitSet(c.Args[1], c.Args[3], r, expireAt)
	return nil
}

func runDelIfEq(c *Context) error {
	r, ok, err := c.lookString(c.Args[1])
	if !ok {
		return err
	}
	if !r.live || !bytes.Equal(r.Value, c.Args[2]) {
		c.Reply.Int(0)
		return nil
	}
	c.Reply.Int(1)
	c.emitDel(c.Args[1], r)
	return nil
}
