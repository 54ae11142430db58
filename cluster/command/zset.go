package command

import (
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

// zsets are the commands on sorted sets, all in files that begin with zset.
var zsets = slices.Concat(zsetMembers, zsetCounts, zsetRanges, zsetRemoves, zsetPops, zsetCombines)

// zsetMembers are those that name members.
var zsetMembers = []*Spec{
	{Name: "zadd", Arity: -4, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZAdd,
		KeyAccess: "RW update", Summary: "Gives members of a sorted set their scores, adding those that aren't in it.", Since: "1.2.0", Group: "sorted-set",
		Complexity: "O(log(N)) for each member, N being the size of the sorted set"},
	{Name: "zincrby", Arity: 4, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZIncrBy,
		KeyAccess: "RW access update", Summary: "Adds to the score of a member of a sorted set.", Since: "1.2.0", Group: "sorted-set",
		Complexity: "O(log(N)), N being the size of the sorted set"},
	{Name: "zrem", Arity: -3, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRem,
		KeyAccess: "RW delete", Summary: "Removes members of a sorted set and returns how many there were.", Since: "1.2.0", Group: "sorted-set",
		Complexity: "O(M*log(N)), N being the size of the sorted set and M the number of members"},
	{Name: "zscore", Arity: 3, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZScore,
		KeyAccess: "RO access", Summary: "Returns the score of a member of a sorted set.", Since: "1.2.0", Group: "sorted-set", Complexity: "O(1)"},
	{Name: "zmscore", Arity: -3, Flags: ReadOnly | Fast | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZMScore,
		KeyAccess: "RO access", Summary: "Returns the scores of several members of a sorted set.", Since: "6.2.0", Group: "sorted-set",
		Complexity: "O(N), N being the number of members asked for"},
	{Name: "zcard", Arity: 2, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZCard,
		KeyAccess: "RO", Summary: "Returns the number of members of a sorted set.", Since: "1.2.0", Group: "sorted-set", Complexity: "O(1)"},
}

func runZAdd(c *Context) error { return c.zadd(0) }

func runZIncrBy(c *Context) error { return c.zadd(zaddIncr) }

func runZRem(c *Context) error {
	key, members := c.Args[1], c.Args[2:]
	r, ok, err := c.lookType(key, event.TypeZSet)
	if !ok || !c.batchFits(len(members)) {
		return err
	}
	if !r.live {
		c.Reply.Int(0)
		return nil
	}
	m := c.change(event.OpZRem, key, r)
	seen := newMemberIndex(len(members))
	for _, member := range members {
		if seen.find(m.Elements, member) >= 0 {
			continue
		}
		e, ok, err := c.element(key, r, member)
		if err != nil {
			return err
		}
		if ok {
			seen.add(member, len(m.Elements))
			m.Elements = append(m.Elements, event.Element{Sub: member, Prev: e.Version, Exists: true, Was: e.Score})
			m.Count--
		}
	}
	c.Reply.Int(int64(len(m.Elements)))
	c.emitChange(m)
	return nil
}

func runZScore(c *Context) error {
	r, ok, err := c.lookType(c.Args[1], event.TypeZSet)
	if !ok {
		return err
	}
	return c.replyScore(c.Args[1], r, c.Args[2])
}

// replyScore replies a member's score, or null.
func (c *Context) replyScore(key []byte, r *row, member []byte) error {
	if !r.live {
		c.Reply.Null()
		return nil
	}
	e, ok, err := c.element(key, r, member)
	switch {
	case err != nil:
	case ok:
		c.Reply.Double(e.Score)
	default:
		c.Reply.Null()
	}
	return err
}

func runZMScore(c *Context) error {
	key, members := c.Args[1], c.Args[2:]
	r, ok, err := c.lookType(key, event.TypeZSet)
	if !ok || !c.batchFits(len(members)) {
		return err
	}
	c.Reply.Array(len(members))
	for _, member := range members {
		if err := c.replyScore(key, r, member); err != nil {
			return err
		}
	}
	return nil
}

func runZCard(c *Context) error {
	r, ok, err := c.lookType(c.Args[1], event.TypeZSet)
	switch {
	case !ok:
	case r.live:
		c.Reply.Int(int64(r.Count))
	default:
		c.Reply.Int(0)
	}
	return err
}
