package command

import (
	"math"
	"strconv"
)

// counters are the commands that take a string for a number.
var counters = []*Spec{
	{Name: "incr", Arity: 2, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runIncr,
		KeyAccess: "RW access update", Summary: "Adds one to a string's integer.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "decr", Arity: 2, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runDecr,
		KeyAccess: "RW access update", Summary: "Takes one from a string's integer.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "incrby", Arity: 3, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runIncrBy,
		KeyAccess: "RW access update", Summary: "Adds to a string's integer.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "decrby", Arity: 3, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runDecrBy,
		KeyAccess: "RW access update", Summary: "Takes from a string's integer.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "incrbyfloat", Arity: 3, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runIncrByFloat,
		KeyAccess: "RW access update", Summary: "Adds to a string's number, fractions included.", Since: "2.6.0", Group: "string", Complexity: "O(1)"},
}

func runIncr(c *Context) error { return c.add(1) }
func runDecr(c *Context) error { return c.add(-1) }

func runIncrBy(c *Context) error {
	n, ok := c.intArg(2)
	if !ok {
		return nil
	}
	return c.add(n)
}

func runDecrBy(c *Context) error {
	n, ok := c.intArg(2)
	if !ok {
		return nil
	}
	if n == math.MinInt64 {
		c.Reply.Error(ErrDecrement)
		return nil
	}
	return c.add(-n)
}

// add adds n to the integer at Args[1].
func (c *Context) add(n int64) error {
	key := c.Args[1]
	r, ok, err := c.lookString(key)
	if !ok {
		return err
	}
	if c.increase(r.Value, r.live, n, ErrNotInteger) {
		c.emitValue(key, c.text, r)
	}
	return nil
}

// increase adds n to the integer that old is, 0 if none is there, replies the sum and leaves its digits in c.text. False: it replied an error.
func (c *Context) increase(old []byte, there bool, n int64, notInteger string) bool {
	value, ok := int64(0), true
	if there {
		value, ok = parseInt(old)
	}
	if !ok {
		c.Reply.Error(notInteger)
		return false
	}
	sum, ok := addInt(value, n)
	if !ok {
		c.Reply.Error(ErrOverflow)
		return false
	}
	c.Reply.Int(sum)
	c.text = strconv.AppendInt(c.text[:0], sum, 10)
	return true
}

func runIncrByFloat(c *Context) error {
	key := c.Args[1]
	r, ok, err := c.lookString(key)
	if !ok {
		return err
	}
	var old longDouble
	if r.live {
		if old, ok = parseLongDouble(r.Value); !ok {
			c.Reply.Error(ErrNotFloat)
			return nil
		}
	}
	n, ok := parseLongDouble(c.Args[2])
	if !ok {
		c.Reply.Error(ErrNotFloat)
		return nil
	}
	sum, ok := old.add(n)
	if !ok {
		c.Reply.Error(ErrNaN)
		return nil
	}
	c.text = sum.appendText(c.text[:0])
	c.Reply.Bulk(c.text)
	c.emitValue(key, c.text, r)
	return nil
}
