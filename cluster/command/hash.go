package command

import (
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

// hashes are the commands on hashes.
var hashes = slices.Concat(plainHashes, randomHashes)

// plainHashes are those that choose nothing at random.
var plainHashes = []*Spec{
	{Name: "hset", Arity: -4, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHSet,
		KeyAccess: "RW update", Summary: "Writes fields of a hash.", Since: "2.0.0", Group: "hash", Complexity: "O(N), N being the number of fields"},
	{Name: "hsetnx", Arity: 4, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHSetNX,
		KeyAccess: "RW insert", Summary: "Writes a field of a hash unless it exists.", Since: "2.0.0", Group: "hash", Complexity: "O(1)"},
	{Name: "hmset", Arity: -4, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHMSet,
		KeyAccess: "RW update", Summary: "Writes fields of a hash.", Since: "2.0.0", Group: "hash", Complexity: "O(N), N being the number of fields",
		DeprecatedSince: "4.0.0", ReplacedBy: "`HSET` with multiple field-value pairs"},
	{Name: "hdel", Arity: -3, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHDel,
		KeyAccess: "RW delete", Summary: "Removes fields of a hash, and the key with the last of them.", Since: "2.0.0", Group: "hash", Complexity: "O(N), N being the number of fields"},
	{Name: "hincrby", Arity: 4, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHIncrBy,
		KeyAccess: "RW access update", Summary: "Adds to a field's integer.", Since: "2.0.0", Group: "hash", Complexity: "O(1)"},
	{Name: "hincrbyfloat", Arity: 4, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHIncrByFloat,
		KeyAccess: "RW access update", Summary: "Adds to a field's number, fractions included.", Since: "2.6.0", Group: "hash", Complexity: "O(1)"},
	{Name: "hget", Arity: 3, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHGet,
		KeyAccess: "RO access", Summary: "Returns the value of a hash's field.", Since: "2.0.0", Group: "hash", Complexity: "O(1)"},
	{Name: "hmget", Arity: -3, Flags: ReadOnly | Fast | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHMGet,
		KeyAccess: "RO access", Summary: "Returns the values of several fields, null for those that don't exist.", Since: "2.0.0", Group: "hash", Complexity: "O(N), N being the number of fields"},
	{Name: "hgetall", Arity: 2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHGetAll,
		Tips: []string{"nondeterministic_output_order"}, KeyAccess: "RO access",
		Summary: "Returns all fields of a hash with their values.", Since: "2.0.0", Group: "hash", Complexity: "O(N), N being the size of the hash"},
	{Name: "hkeys", Arity: 2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHKeys,
		Tips: []string{"nondeterministic_output_order"}, KeyAccess: "RO access",
		Summary: "Returns all fields of a hash.", Since: "2.0.0", Group: "hash", Complexity: "O(N), N being the size of the hash"},
	{Name: "hvals", Arity: 2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHVals,
		Tips: []string{"nondeterministic_output_order"}, KeyAccess: "RO access",
		Summary: "Returns the values of all fields of a hash.", Since: "2.0.0", Group: "hash", Complexity: "O(N), N being the size of the hash"},
	{Name: "hlen", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.replyCount(event.TypeHash) },
		KeyAccess: "RO", Summary: "Returns how many fields a hash has.", Since: "2.0.0", Group: "hash", Complexity: "O(1)"},
	{Name: "hexists", Arity: 3, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.replyExists(event.TypeHash) },
		KeyAccess: "RO", Summary: "Says whether a hash has a field.", Since: "2.0.0", Group: "hash", Complexity: "O(1)"},
	{Name: "hstrlen", Arity: 3, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHStrlen,
		KeyAccess: "RO", Summary: "Returns the length of a field's value in bytes.", Since: "3.2.0", Group: "hash", Complexity: "O(1)"},
	{Name: "stale.hget.version", Arity: 3, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHGetVersion,
		KeyAccess: "RO", Summary: "Returns when a field was last written, in ns since 1970, 0 if it doesn't exist.", Since: "1.0.0", Group: "hash", Complexity: "O(1)"},
	{Name: "stale.hgetall.expired", Arity: 2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHGetAllExpired,
		Tips: []string{"nondeterministic_output_order"}, KeyAccess: "RO access",
		Summary: "Returns all of a hash, also when it has expired and not been removed yet.", Since: "1.0.0", Group: "hash", Complexity: "O(N), N being the size of the hash"},
	{Name: "stale.hmget.expired", Arity: -3, Flags: ReadOnly | Fast | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHMGetExpired,
		KeyAccess: "RO access", Summary: "Returns the values of several fields, also when the hash has expired and not been removed yet.", Since: "1.0.0", Group: "hash", Complexity: "O(N), N being the number of fields"},
}

// replyCount replies how many elements the collection at Args[1] has.
func (c *Context) replyCount(t event.Type) error {
	r, ok, err := c.lookType(c.Args[1], t)
	switch {
	case !ok:
	case r.live:
		c.Reply.Int(int64(r.Count))
	default:
		c.Reply.Int(0)
	}
	return err
}

// replyExists replies whether the collection at Args[1] has the element Args[2].
func (c *Context) replyExists(t event.Type) error {
	_, found, ok, err := c.lookElement(t)
	if !ok {
		return err
	}
	c.replyBool(found)
	return nil
}

func (c *Context) replyBool(yes bool) {
	if yes {
		c.Reply.Int(1)
	} else {
		c.Reply.Int(0)
	}
}

// lookElement reads the element Args[2] of the collection at Args[1] for a read; ok is false when an error was replied or returned.
func (c *Context) lookElement(t event.Type) (e Element, found, ok bool, err error) {
	r, ok, err := c.lookType(c.Args[1], t)
	if !ok || !r.live {
		return e, false, ok, err
	}
	e, found, err = c.View.Element(c.Args[1], &r.Meta, c.Args[2])
	return e, found, err == nil, err
}

// lookExpired is lookType for reads that show a key also when it has expired: r.live is r.stored then.
func (c *Context) lookExpired(key []byte, t event.Type) (r *row, ok bool, err error) {
	r, err = c.look(key)
	if err != nil {
		return nil, false, err
	}
	r.live = r.stored
	if r.live && r.Type != t {
		c.Reply.Error(ErrWrongType)
		return nil, false, nil
	}
	return r, true, nil
}

func runHGet(c *Context) error {
	e, found, ok, err := c.lookElement(event.TypeHash)
	switch {
	case !ok:
	case found:
		c.Reply.Bulk(e.Value)
	default:
		c.Reply.Null()
	}
	return err
}

func runHStrlen(c *Context) error {
	e, _, ok, err := c.lookElement(event.TypeHash)
	if ok {
		c.Reply.Int(int64(len(e.Value)))
	}
	return err
}

func runHGetVersion(c *Context) error {
	e, found, ok, err := c.lookElement(event.TypeHash)
	switch {
	case !ok:
	case found:
		c.Reply.Int(e.Version.Time)
	default:
		c.Reply.Int(0)
	}
	return err
}

func runHMGet(c *Context) error {
	r, ok, err := c.lookType(c.Args[1], event.TypeHash)
	if !ok {
		return err
	}
	return c.replyFields(r)
}

func runHMGetExpired(c *Context) error {
	r, ok, err := c.lookExpired(c.Args[1], event.TypeHash)
	if !ok {
		return err
	}
	return c.replyFields(r)
}

// replyFields replies the values of the fields Args[2:].
func (c *Context) replyFields(r *row) error {
	if !c.batchFits(len(c.Args) - 2) {
		return nil
	}
	c.Reply.Array(len(c.Args) - 2)
	for _, field := range c.Args[2:] {
		if err := c.Reply.Part(); err != nil {
			return err
		}
		if err := c.replyField(r, field); err != nil {
			return err
		}
	}
	return nil
}

func (c *Context) replyField(r *row, field []byte) error {
	if !r.live {
		c.Reply.Null()
		return nil
	}
	e, ok, err := c.View.Element(c.Args[1], &r.Meta, field)
	switch {
	case err != nil:
	case ok:
		c.Reply.Bulk(e.Value)
	default:
		c.Reply.Null()
	}
	return err
}

func runHGetAll(c *Context) error {
	r, ok, err := c.lookType(c.Args[1], event.TypeHash)
	if !ok {
		return err
	}
	return c.replyHash(r)
}

func runHGetAllExpired(c *Context) error {
	r, ok, err := c.lookExpired(c.Args[1], event.TypeHash)
	if !ok {
		return err
	}
	return c.replyHash(r)
}

func (c *Context) replyHash(r *row) error {
	c.Reply.Map(r.elements())
	return c.eachElement(r, func(field []byte, e *Element) {
		c.Reply.Bulk(field)
		c.Reply.Bulk(e.Value)
	})
}

func runHKeys(c *Context) error {
	return c.replyColumn(func(field []byte, _ *Element) { c.Reply.Bulk(field) })
}

func runHVals(c *Context) error {
	return c.replyColumn(func(_ []byte, e *Element) { c.Reply.Bulk(e.Value) })
}

// replyColumn replies an array of what show writes of each field.
func (c *Context) replyColumn(show func(field []byte, e *Element)) error {
	r, ok, err := c.lookType(c.Args[1], event.TypeHash)
	if !ok {
		return err
	}
	c.Reply.Array(r.elements())
	return c.eachElement(r, show)
}

// elements is the number of elements of a collection, 0 of an absent one.
func (r *row) elements() int {
	if !r.live {
		return 0
	}
	return int(r.Count)
}

// eachElement shows every element of the collection at Args[1], handing over the reply in parts.
func (c *Context) eachElement(r *row, show func(sub []byte, e *Element)) error {
	if !r.live {
		return nil
	}
	var gone error
	err := c.View.Elements(c.Args[1], &r.Meta, Range{}, func(sub []byte, e *Element) bool {
		show(sub, e)
		gone = c.Reply.Part()
		return gone == nil
	})
	if err != nil {
		return err
	}
	return gone
}
