package command

// stringWrites are the commands that write strings.
var stringWrites = []*Spec{
	{Name: "set", Arity: -3, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSet,
		KeyAccess: "RW access update variable_flags", KeyNotes: "RW and ACCESS due to the optional `GET` argument",
		Summary: "Sets a string, whatever the key held before.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "setnx", Arity: 3, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSetNX,
		KeyAccess: "OW insert", Summary: "Sets a string if the key doesn't exist.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "setex", Arity: 4, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSetEX,
		KeyAccess: "OW update", Summary: "Sets a string and its time to live in seconds.", Since: "2.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "psetex", Arity: 4, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSetEX,
		KeyAccess: "OW update", Summary: "Sets a string and its time to live in milliseconds.", Since: "2.6.0", Group: "string", Complexity: "O(1)"},
	{Name: "getset", Arity: 3, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGetSet,
		KeyAccess: "RW access update", Summary: "Sets a string and returns its old value.", Since: "1.0.0", Group: "string", Complexity: "O(1)",
		DeprecatedSince: "6.2.0", ReplacedBy: "`SET` with the `!GET` argument"},
	{Name: "getdel", Arity: 2, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGetDel,
		KeyAccess: "RW access delete", Summary: "Returns a string's value and deletes the key.", Since: "6.2.0", Group: "string", Complexity: "O(1)"},
	{Name: "getex", Arity: -2, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGetEX,
		KeyAccess: "RW access update", KeyNotes: "RW and UPDATE because it changes the TTL",
		Summary: "Returns a string's value and may set or clear its expiry.", Since: "6.2.0", Group: "string", Complexity: "O(1)"},
	{Name: "append", Arity: 3, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runAppend,
		KeyAccess: "RW insert", Summary: "Appends to a string, which it makes if need be.", Since: "2.0.0", Group: "string", Complexity: "O(N), N being the resulting length"},
	{Name: "setrange", Arity: 4, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSetRange,
		KeyAccess: "RW update", Summary: "Overwrites a part of a string, filling up with zero bytes.", Since: "2.2.0", Group: "string", Complexity: "O(N), N being the resulting length"},
	{Name: "mset", Arity: -3, Flags: Write | DenyOOM, FirstKey: 1, LastKey: -1, KeyStep: 2, Scope: ScopeKeys, Gather: GatherOK, Run: runMSet,
		Tips: []string{"request_policy:multi_shard", "response_policy:all_succeeded"}, KeyAccess: "OW update",
		Summary: "Sets several strings; atomic within a partition.", Since: "1.0.1", Group: "string", Complexity: "O(N), N being the number of keys"},
	{Name: "plset", Arity: -3, Flags: Write | DenyOOM, FirstKey: 1, LastKey: -1, KeyStep: 2, Scope: ScopeKeys, Gather: GatherArray, Run: runPLSet,
		KeyAccess: "OW update", Summary: "Sets several strings and answers OK for each; atomic within a partition. A command of ZanKV's own.",
		Since: "1.0.0", Group: "string", Complexity: "O(N), N being the number of keys"},
	{Name: "msetnx", Arity: -3, Flags: Write | DenyOOM, FirstKey: 1, LastKey: -1, KeyStep: 2, Scope: ScopeKeys, Run: runMSetNX,
		Tips: []string{"request_policy:multi_shard", "response_policy:agg_min"}, KeyAccess: "OW insert",
		Summary: "Sets several strings of one partition if none of the keys exists.", Since: "1.0.1", Group: "string", Complexity: "O(N), N being the number of keys"},
	{Name: "setifeq", Arity: -4, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSetIfEq,
		KeyAccess: "RW access update", Summary: "Sets a string if it equals a given one; the empty one stands for an absent key too.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
	{Name: "delifeq", Arity: 3, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runDelIfEq,
		KeyAccess: "RW access delete", Summary: "Deletes a string if it equals a given one.", Since: "1.0.0", Group: "string", Complexity: "O(1)"},
}

func runSet(c *Context) error {
	key, value := c.Args[1], c.Args[2]
	o, ok := c.setOptions(3, forSet)
	if !ok {
		return nil
	}
	expireAt, ok := c.expireTime(&o)
	if !ok {
		return nil
	}
	r, err := c.look(key)
	if err != nil {
		return err
	}
	if o.get {
		if ok, err := c.replyOld(key, r); !ok {
			return err
		}
	}
	if (o.nx && r.live) || (o.xx && !r.live) {
		if !o.get {
			c.Reply.Null()
		}
		return nil
	}
	if !o.get {
		c.Reply.OK()
	}
	if o.keepTTL {
		c.emitSetKeepTTL(key, value, r)
	} else {
		c.emitSet(key, value, r, expireAt)
	}
	return nil
}

// replyOld replies the value of a key that must hold a string if it is there; else WRONGTYPE, and ok is false.
func (c *Context) replyOld(key []byte, r *row) (ok bool, err error) {
	if r.wrongType() {
		c.Reply.Error(ErrWrongType)
		return false, nil
	}
	err = c.replyValue(key, r)
	return err == nil, err
}

func runSetNX(c *Context) error {
	r, err := c.look(c.Args[1])
	if err != nil {
		return err
	}
	if r.live {
		c.Reply.Int(0)
		return nil
	}
	c.Reply.Int(1)
	c.emitSet(c.Args[1], c.Args[2], r, 0)
	return nil
}

// runSetEX is SETEX and PSETEX.
func runSetEX(c *Context) error {
	o := setOptions{when: c.Args[2], unit: 1000, relative: true}
	if c.Spec.Name == "psetex" {
		o.unit = 1
	}
	expireAt, ok := c.expireTime(&o)
	if !ok {
		return nil
	}
	r, err := c.look(c.Args[1])
	if err != nil {
		return err
	}
	c.Reply.OK()
	c.emitSet(c.Args[1], c.Args[3], r, expireAt)
	return nil
}

func runGetSet(c *Context) error {
	r, err := c.look(c.Args[1])
	if err != nil {
		return err
	}
	if ok, err := c.replyOld(c.Args[1], r); !ok {
		return err
	}
	c.emitSet(c.Args[1], c.Args[2], r, 0)
	return nil
}

func runGetDel(c *Context) error {
	r, err := c.look(c.Args[1])
	if err != nil {
		return err
	}
	if ok, err := c.replyOld(c.Args[1], r); !ok {
		return err
	}
	if r.live {
		c.emitDel(c.Args[1], r)
	}
	return nil
}

func runGetEX(c *Context) error {
	o, ok := c.setOptions(2, forGet)
	if !ok {
		return nil
	}
	r, ok, err := c.lookText(c.Args[1])
	if !ok {
		return err
	}
	if !r.live {
		c.Reply.Null()
		return nil
	}
	expireAt, ok := c.expireTime(&o)
	if !ok {
		return nil
	}
	if err := c.replyValue(c.Args[1], r); err != nil {
		return err
	}
	switch {
	case o.when != nil && expireAt <= c.Now:
		c.emitDel(c.Args[1], r)
	case o.when != nil:
		c.emitExpiry(c.Args[1], r, expireAt)
	case o.persist:
		c.emitExpiry(c.Args[1], r, 0)
	}
	return nil
}

func runMSet(c *Context) error {
	if err := c.setPairs(); err != nil {
		return err
	}
	c.Reply.OK()
	return nil
}

// runPLSet is MSET with an answer for each key, in one array.
func runPLSet(c *Context) error {
	if err := c.setPairs(); err != nil {
		return err
	}
	c.Reply.Array(len(c.Args) / 2)
	for i := 1; i < len(c.Args); i += 2 {
		c.Reply.OK()
	}
	return nil
}

func runMSetNX(c *Context) error {
	for i := 1; i < len(c.Args); i += 2 {
		r, err := c.look(c.Args[i])
		if err != nil {
			return err
		}
		if r.live {
			c.Reply.Int(0)
			return nil
		}
	}
	if err := c.setPairs(); err != nil {
		return err
	}
	c.Reply.Int(1)
	return nil
}

// setPairs sets the pairs of key and value that Args consist of.
func (c *Context) setPairs() error {
	for i := 1; i < len(c.Args); i += 2 {
		r, err := c.look(c.Args[i])
		if err != nil {
			return err
		}
		c.emitSet(c.Args[i], c.Args[i+1], r, 0)
	}
	return nil
}
