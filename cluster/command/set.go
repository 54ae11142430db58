package command

import (
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

// sets are the commands on sets.
var sets = slices.Concat(plainSets, randomSets, combinedSets)

// plainSets are those on one set that choose nothing at random, and SMOVE.
var plainSets = []*Spec{
	{Name: "sadd", Arity: -3, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSAdd,
		KeyAccess: "RW insert", Summary: "Adds members to a set.", Since: "1.0.0", Group: "set", Complexity: "O(N), N being the number of members"},
	{Name: "srem", Arity: -3, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.removeElements(event.OpSRem) },
		KeyAccess: "RW delete", Summary: "Removes members of a set, and the key with the last of them.", Since: "1.0.0", Group: "set", Complexity: "O(N), N being the number of members"},
	{Name: "smove", Arity: 4, Flags: Write | Fast, FirstKey: 1, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: runSMove,
		KeyAccess: "RW access delete", Summary: "Moves a member from one set to another.", Since: "1.0.0", Group: "set", Complexity: "O(1)"},
	{Name: "smembers", Arity: 2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSMembers,
		Tips: []string{"nondeterministic_output_order"}, KeyAccess: "RO access",
		Summary: "Returns all members of a set.", Since: "1.0.0", Group: "set", Complexity: "O(N), N being the size of the set"},
	{Name: "sismember", Arity: 3, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.replyExists(event.TypeSet) },
		KeyAccess: "RO", Summary: "Says whether a set has a member.", Since: "1.0.0", Group: "set", Complexity: "O(1)"},
	{Name: "smismember", Arity: -3, Flags: ReadOnly | Fast | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSMIsMember,
		KeyAccess: "RO access", Summary: "Says of each of several members whether a set has it.", Since: "6.2.0", Group: "set", Complexity: "O(N), N being the number of members"},
	{Name: "scard", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.replyCount(event.TypeSet) },
		KeyAccess: "RO", Summary: "Returns how many members a set has.", Since: "1.0.0", Group: "set", Complexity: "O(1)"},
}

func runSAdd(c *Context) error {
	if !c.batchFits(len(c.Args)-2) || !c.subKeysFit(2, 1) {
		return nil
	}
	key := c.Args[1]
	r, ok, err := c.lookType(key, event.TypeSet)
	if !ok {
		return err
	}
	m := c.change(event.OpSAdd, key, r)
	again := findRepeats(c.Args, 2, 1)
	for i := 2; i < len(c.Args); i++ {
		if again.behind(i) {
			continue
		}
		e, ok, err := c.element(key, r, c.Args[i])
		if err != nil {
			return err
		}
		if !ok {
			m.Elements = append(m.Elements, event.Element{Sub: c.Args[i], Prev: e.Version})
			m.Count++
		}
	}
	c.Reply.Int(int64(len(m.Elements)))
	c.emitChange(m)
	return nil
}

func runSMembers(c *Context) error {
	r, ok, err := c.lookType(c.Args[1], event.TypeSet)
	if !ok {
		return err
	}
	c.Reply.Set(r.elements())
	return c.eachElement(r, func(member []byte, _ *Element) { c.Reply.Bulk(member) })
}

func runSMIsMember(c *Context) error {
	if !c.batchFits(len(c.Args) - 2) {
		return nil
	}
	key := c.Args[1]
	r, ok, err := c.lookType(key, event.TypeSet)
	if !ok {
		return err
	}
	c.Reply.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		found := false
		if r.live {
			if _, found, err = c.View.Element(key, &r.Meta, member); err != nil {
				return err
			}
		}
		c.replyBool(found)
	}
	return nil
}

// runSMove is two mutations, one of each set. What of the destination is absent or of another type counts only when there is something
// to move, as in Redis.
func runSMove(c *Context) error {
	from, to, member := c.Args[1], c.Args[2], c.Args[3]
	if len(member) > c.limits().SubKey {
		c.Reply.Error(ErrSubKeySize)
		return nil
	}
	r, ok, err := c.lookType(from, event.TypeSet)
	if !ok {
		return err
	}
	if !r.live {
		c.Reply.Int(0)
		return nil
	}
	source := *r
	e, found, err := c.element(from, &source, member)
	if err != nil {
		return err
	}
	target, ok, err := c.lookType(to, event.TypeSet)
	if !ok {
		return err
	}
	c.replyBool(found)
	if !found || string(from) == string(to) {
		return nil
	}
	there, present, err := c.element(to, target, member)
	if err != nil {
		return err
	}
	m := c.change(event.OpSRem, from, &source)
	m.Elements = append(m.Elements, event.Element{Sub: member, Prev: e.Version, Exists: true})
	m.Count--
	c.emitChange(m)
	if present {
		return nil
	}
	m = c.change(event.OpSAdd, to, target)
	m.Elements = append(m.Elements, event.Element{Sub: member, Prev: there.Version})
	m.Count++
	c.emitChange(m)
	return nil
}
