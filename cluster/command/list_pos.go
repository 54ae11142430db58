package command

import (
	"bytes"
	"math"
)

const (
	errRankZero = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"
	errPosCount = "ERR COUNT can't be negative"
	errMaxLen   = "ERR MAXLEN can't be negative"
)

// posOptions are LPOS's.
type posOptions struct {
	rank    int64 // of the first match that counts, from 1
	reverse bool
	counted bool
	count   int64 // of matches wanted, 0 for all
	maxLen  int64 // of items looked at, 0 for all
}

// posOptions reads the options of LPOS.
func (c *Context) posOptions() (o posOptions, ok bool) {
	o = posOptions{rank: 1, count: 1}
	for i := 3; i < len(c.Args); i += 2 {
		opt := c.Args[i]
		switch {
		case i+1 == len(c.Args):
			c.Reply.Error(ErrSyntax)
			return o, false
		case equalFold(opt, "rank"):
			ok = c.rank(&o, i+1)
		case equalFold(opt, "count"):
			o.counted = true
			o.count, ok = c.rangeArg(i+1, 0, math.MaxInt64, errPosCount)
		case equalFold(opt, "maxlen"):
			o.maxLen, ok = c.rangeArg(i+1, 0, math.MaxInt64, errMaxLen)
		default:
			c.Reply.Error(ErrSyntax)
			return o, false
		}
		if !ok {
			return o, false
		}
	}
	return o, true
}

func (c *Context) rank(o *posOptions, i int) bool {
	n, ok := c.intArg(i)
	switch {
	case !ok:
		return false
	case n == math.MinInt64:
		c.Reply.Error(ErrCountRange)
		return false
	case n == 0:
		c.Reply.Error(errRankZero)
		return false
	}
	o.rank, o.reverse = max(n, -n), n < 0
	return true
}

func runLPos(c *Context) error {
	o, ok := c.posOptions()
	if !ok {
		return nil
	}
	l, ok, err := c.lookList(c.Args[1])
	if !ok {
		return err
	}
	var found []int64
	if l.live {
		if found, err = c.positions(&l, c.Args[2], &o); err != nil {
			return err
		}
	}
	return c.replyPositions(&o, found)
}

func (c *Context) replyPositions(o *posOptions, found []int64) error {
	switch {
	case o.counted:
		c.Reply.Array(len(found))
	case len(found) == 0:
		c.Reply.Null()
	}
	for _, i := range found {
		c.Reply.Int(i)
		if err := c.Reply.Part(); err != nil {
			return err
		}
	}
	return nil
}

// positions finds the indexes of the items that equal one.
func (c *Context) positions(l *list, item []byte, o *posOptions) (found []int64, err error) {
	in := c.within(l)
	in.Reverse = o.reverse
	seen, matches := int64(0), int64(0)
	err = c.View.Elements(l.key, &l.Meta, in, func(_ []byte, e *Element) bool {
		if bytes.Equal(e.Value, item) {
			if matches++; matches >= o.rank {
				found = append(found, l.fromFront(seen, o.reverse))
			}
		}
		seen++
		return seen != o.maxLen && (o.count == 0 || int64(len(found)) < o.count)
	})
	return found, err
}

// fromFront is the index of the item that an iteration met as its i-th.
func (l *list) fromFront(i int64, reverse bool) int64 {
	if reverse {
		return l.length() - 1 - i
	}
	return i
}
