package command

import (
	"math"
	"math/big"
)

const (
	errTimeoutFloat    = "ERR timeout is not a float or out of range"
	errTimeoutRange    = "ERR timeout is out of range"
	errTimeoutNegative = "ERR timeout is negative"
)

// timeoutArg reads a blocking command's timeout, seconds with a fraction, as milliseconds, 0 for ever. It replies what is wrong.
func (c *Context) timeoutArg(i int) (ms int64, ok bool) {
	d, ok := parseLongDouble(c.Args[i])
	if !ok {
		c.Reply.Error(errTimeoutFloat)
		return 0, false
	}
	ms, problem := d.timeout()
	if problem == "" && ms > math.MaxInt64-c.Now {
		problem = errTimeoutRange
	}
	if problem != "" {
		c.Reply.Error(problem)
		return 0, false
	}
	return ms, true
}

// timeout is d seconds in milliseconds, rounded up.
func (d longDouble) timeout() (ms int64, problem string) {
	switch {
	case d.inf > 0:
		return 0, errTimeoutRange
	case d.inf < 0:
		return 0, errTimeoutNegative
	case d.f == nil:
		return 0, ""
	}
	f := new(big.Float).SetPrec(longDoublePrec).Mul(d.f, big.NewFloat(1000))
	ms, accuracy := f.Int64() // towards zero
	switch {
	case accuracy == big.Below && ms == math.MaxInt64:
		return 0, errTimeoutRange
	case accuracy == big.Below:
		ms++
	}
	if ms < 0 {
		return 0, errTimeoutNegative
	}
	return ms, ""
}

// wait is what a blocking command does that found nothing, when it may wait: on it replies what comes when the time has passed, which is a null
// array for all of them. When it may not wait, now has replied.
func (c *Context) wait(ms int64, now func(*Reply)) {
	if !c.MayBlock {
		now(c.Reply)
		return
	}
	c.Reply.NullArray()
	c.Block = Block{Wanted: true, Milliseconds: ms}
}

// runBPop is BLPOP and BRPOP.
func runBPop(c *Context) error {
	last := len(c.Args) - 1
	ms, ok := c.timeoutArg(last)
	if !ok {
		return nil
	}
	done, err := c.popFirst(c.Args[1:last], func(l *list) error {
		c.Reply.Array(2)
		c.Reply.Bulk(l.key)
		return c.popItem(l, c.Spec.Name[1] == 'l')
	})
	if err == nil && !done {
		c.wait(ms, (*Reply).NullArray)
	}
	return err
}

func runBLMPop(c *Context) error {
	p, ok := c.mpop(2)
	if !ok {
		return nil
	}
	ms, ok := c.timeoutArg(1)
	if !ok {
		return nil
	}
	done, err := c.popFirst(p.keys, func(l *list) error { return c.popWithKey(l, &p) })
	if err == nil && !done {
		c.wait(ms, (*Reply).NullArray)
	}
	return err
}

func runBLMove(c *Context) error {
	from, ok := c.side(3)
	if !ok {
		return nil
	}
	to, ok := c.side(4)
	if !ok {
		return nil
	}
	return c.blockingMove(5, from, to)
}

func runBRPopLPush(c *Context) error { return c.blockingMove(3, false, true) }

// blockingMove moves an item from Args[1] to Args[2]; the timeout is Args[timeout].
func (c *Context) blockingMove(timeout int, from, to bool) error {
	ms, ok := c.timeoutArg(timeout)
	if !ok {
		return nil
	}
	l, ok, err := c.lookList(c.Args[1])
	switch {
	case !ok:
		return err
	case !l.live:
		c.wait(ms, (*Reply).Null)
		return nil
	}
	return c.move(&l, from, to)
}
