package command

import "math"

const errMPopMany = "ERR count should be greater than 0"

// mpop is what LMPOP and BLMPOP ask for.
type mpop struct {
	keys  [][]byte
	left  bool
	count int64
}

// mpop reads the arguments of LMPOP and BLMPOP from the number of keys on.
func (c *Context) mpop(at int) (p mpop, ok bool) {
	n, ok := c.rangeArg(at, 1, math.MaxInt64, ErrNumKeys)
	if !ok {
		return p, false
	}
	if n >= int64(len(c.Args)-at-1) {
		c.Reply.Error(ErrSyntax)
		return p, false
	}
	where := at + 1 + int(n)
	p.keys, p.count = c.Args[at+1:where], 1
	if p.left, ok = c.side(where); !ok {
		return p, false
	}
	switch rest := c.Args[where+1:]; {
	case len(rest) == 0:
		return p, true
	case len(rest) == 1 || !equalFold(rest[0], "count"):
		c.Reply.Error(ErrSyntax)
		return p, false
	}
	if p.count, ok = c.rangeArg(where+2, 1, math.MaxInt64, errMPopMany); !ok {
		return p, false
	}
	if len(c.Args) > where+3 {
		c.Reply.Error(ErrSyntax)
		return p, false
	}
	return p, true
}

func runLMPop(c *Context) error {
	p, ok := c.mpop(1)
	if !ok {
		return nil
	}
	done, err := c.popFirst(p.keys, func(l *list) error { return c.popWithKey(l, &p) })
	if err == nil && !done {
		c.Reply.NullArray()
	}
	return err
}

// popFirst calls pop for the first of some lists that is there. done is false if none is; a key of another type, if met first, gets its error.
func (c *Context) popFirst(keys [][]byte, pop func(*list) error) (done bool, err error) {
	for _, key := range keys {
		l, ok, err := c.lookList(key)
		switch {
		case !ok:
			return true, err
		case l.live:
			return true, pop(&l)
		}
	}
	return false, nil
}

// popWithKey replies the key and what was popped from it.
func (c *Context) popWithKey(l *list, p *mpop) error {
	n := min(p.count, l.length())
	c.Reply.Array(2)
	c.Reply.Bulk(l.key)
	c.Reply.Array(int(n))
	return c.popMany(l, p.left, n)
}
