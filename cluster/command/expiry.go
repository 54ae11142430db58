package command

import "math"

// expiries are the commands on keys' expiry.
var expiries = []*Spec{
	{Name: "expire", Arity: -3, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.expire(1000, c.Now) },
		KeyAccess: "RW update", Summary: "Sets a key's time to live in seconds.", Since: "1.0.0", Group: "generic", Complexity: "O(1)"},
	{Name: "pexpire", Arity: -3, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.expire(1, c.Now) },
		KeyAccess: "RW update", Summary: "Sets a key's time to live in milliseconds.", Since: "2.6.0", Group: "generic", Complexity: "O(1)"},
	{Name: "expireat", Arity: -3, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.expire(1000, 0) },
		KeyAccess: "RW update", Summary: "Sets when a key expires, in seconds since 1970.", Since: "1.2.0", Group: "generic", Complexity: "O(1)"},
	{Name: "pexpireat", Arity: -3, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.expire(1, 0) },
		KeyAccess: "RW update", Summary: "Sets when a key expires, in milliseconds since 1970.", Since: "2.6.0", Group: "generic", Complexity: "O(1)"},
	{Name: "ttl", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.ttl(1000, c.Now) },
		Tips: []string{"nondeterministic_output"}, KeyAccess: "RO access", Summary: "Returns a key's time to live in seconds.", Since: "1.0.0", Group: "generic", Complexity: "O(1)"},
	{Name: "pttl", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.ttl(1, c.Now) },
		Tips: []string{"nondeterministic_output"}, KeyAccess: "RO access", Summary: "Returns a key's time to live in milliseconds.", Since: "2.6.0", Group: "generic", Complexity: "O(1)"},
	{Name: "expiretime", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.ttl(1000, 0) },
		KeyAccess: "RO access", Summary: "Returns when a key expires, in seconds since 1970.", Since: "7.0.0", Group: "generic", Complexity: "O(1)"},
	{Name: "pexpiretime", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.ttl(1, 0) },
		KeyAccess: "RO access", Summary: "Returns when a key expires, in milliseconds since 1970.", Since: "7.0.0", Group: "generic", Complexity: "O(1)"},
	{Name: "persist", Arity: 2, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runPersist,
		KeyAccess: "RW update", Summary: "Takes a key's expiry away.", Since: "2.2.0", Group: "generic", Complexity: "O(1)"},
}

// expire is EXPIRE and its kin: the time in Args[2] is in units of unit ms, counted from base.
func (c *Context) expire(unit, base int64) error {
	cond, ok := c.expireCondition()
	if !ok {
		return nil
	}
	when, ok := c.intArg(2)
	if !ok {
		return nil
	}
	if when > math.MaxInt64/unit || when < math.MinInt64/unit || when*unit > math.MaxInt64-base {
		c.Reply.Error(expireTimeError(c.Spec.Name))
		return nil
	}
	when = when*unit + base
	key := c.Args[1]
	r, err := c.look(key)
	if err != nil {
		return err
	}
	if !r.live || !cond.allows(r.ExpireAt, when) {
		c.Reply.Int(0)
		return nil
	}
	c.Reply.Int(1)
	if when <= c.Now {
		c.emitDel(key, r)
		return nil
	}
	c.emitExpiry(key, r, when)
	return nil
}

// expireCondition are the options of EXPIRE.
type expireCondition struct{ nx, xx, gt, lt bool }

func (c *Context) expireCondition() (e expireCondition, ok bool) {
	for _, opt := range c.Args[3:] {
		switch {
		case equalFold(opt, "nx"):
			e.nx = true
		case equalFold(opt, "xx"):
			e.xx = true
		case equalFold(opt, "gt"):
			e.gt = true
		case equalFold(opt, "lt"):
			e.lt = true
		default:
			c.Reply.Error(unsupportedOption(opt))
			return e, false
		}
	}
	switch {
	case e.nx && (e.xx || e.gt || e.lt):
		c.Reply.Error(ErrExpireNX)
	case e.gt && e.lt:
		c.Reply.Error(ErrExpireGTLT)
	default:
		return e, true
	}
	return e, false
}

// allows says whether the options let current (0: none, which counts as never) become when.
func (e expireCondition) allows(current, when int64) bool {
	switch {
	case e.nx && current != 0,
		e.xx && current == 0,
		e.gt && (current == 0 || when <= current),
		e.lt && current != 0 && when >= current:
		return false
	}
	return true
}

// ttl is TTL and its kin: the expiry less base, in units of unit ms, rounded.
func (c *Context) ttl(unit, base int64) error {
	r, err := c.look(c.Args[1])
	switch {
	case err != nil:
	case !r.live:
		c.Reply.Int(-2)
	case r.ExpireAt == 0:
		c.Reply.Int(-1)
	case unit == 1:
		c.Reply.Int(r.ExpireAt - base)
	default:
		c.Reply.Int(int64((uint64(r.ExpireAt-base) + uint64(unit/2)) / uint64(unit)))
	}
	return err
}

func runPersist(c *Context) error {
	r, err := c.look(c.Args[1])
	if err != nil {
		return err
	}
	if !r.live || r.ExpireAt == 0 {
		c.Reply.Int(0)
		return nil
	}
	c.Reply.Int(1)
	c.emitExpiry(c.Args[1], r, 0)
	return nil
}
