package command

import "github.com/zankv/zankv/cdc/event"

// generics are the commands on keys of any type, but for expiry.
var generics = []*Spec{
	{Name: "del", Arity: -2, Flags: Write, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Gather: GatherSum, Run: runDel,
		Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"}, KeyAccess: "RM delete",
		Summary: "Deletes keys and returns how many there were.", Since: "1.0.0", Group: "generic", Complexity: "O(N), N being the number of keys"},
	{Name: "unlink", Arity: -2, Flags: Write | Fast, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Gather: GatherSum, Run: runDel,
		Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"}, KeyAccess: "RM delete",
		Summary: "Deletes keys; here the same as DEL.", Since: "4.0.0", Group: "generic", Complexity: "O(N), N being the number of keys"},
	{Name: "exists", Arity: -2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Gather: GatherSum, Run: runExists,
		Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"}, KeyAccess: "RO",
		Summary: "Counts the keys that exist, repeats each time.", Since: "1.0.0", Group: "generic", Complexity: "O(N), N being the number of keys"},
	{Name: "touch", Arity: -2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Gather: GatherSum, Run: runExists,
		Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"}, KeyAccess: "RO",
		Summary: "Counts the keys that exist.", Since: "3.2.1", Group: "generic", Complexity: "O(N), N being the number of keys"},
	{Name: "type", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runType,
		KeyAccess: "RO", Summary: "Returns a key's type.", Since: "1.0.0", Group: "generic", Complexity: "O(1)"},
}

func runDel(c *Context) error {
	var n int64
	for _, key := range c.Args[1:] {
		r, err := c.look(key)
		if err != nil {
			return err
		}
		if r.live {
			c.emitDel(key, r)
			n++
		}
	}
	c.Reply.Int(n)
	return nil
}

// runExists is EXISTS and TOUCH: no access times are kept, so the one does what the other does.
func runExists(c *Context) error {
	var n int64
	for _, key := range c.Args[1:] {
		r, err := c.look(key)
		if err != nil {
			return err
		}
		if r.live {
			n++
		}
	}
	c.Reply.Int(n)
	return nil
}

func runType(c *Context) error {
	r, err := c.look(c.Args[1])
	if err != nil {
		return err
	}
	if !r.live {
		c.Reply.Status(TypeName(event.TypeNone))
		return nil
	}
	c.Reply.Status(TypeName(r.Type))
	return nil
}

// TypeName is what TYPE calls a type. A bitmap is a string, as it is to Redis.
func TypeName(t event.Type) string {
	switch t {
	case event.TypeString, event.TypeBitmap:
		return "string"
	case event.TypeHash:
		return "hash"
	case event.TypeList:
		return "list"
	case event.TypeSet:
		return "set"
	case event.TypeZSet:
		return "zset"
	}
	return "none"
}
