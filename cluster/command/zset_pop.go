package command

import "github.com/zankv/zankv/cdc/event"

const (
	zpopComplexity     = "O(log(N)*M), N being the size of the sorted set and M the number of members popped"
	zpopMoreComplexity = "O(K)+O(log(N)*M), K being the number of keys, N the size of the sorted set and M the number of members popped"
)

// zsetPops are the commands that take members from an end.
var zsetPops = []*Spec{
	{Name: "zpopmin", Arity: -2, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZPopMin,
		KeyAccess: "RW access delete", Summary: "Removes the members with the lowest scores from a sorted set and returns them.", Since: "5.0.0", Group: "sorted-set", Complexity: zpopComplexity},
	{Name: "zpopmax", Arity: -2, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZPopMax,
		KeyAccess: "RW access delete", Summary: "Removes the members with the highest scores from a sorted set and returns them.", Since: "5.0.0", Group: "sorted-set", Complexity: zpopComplexity},
	{Name: "zmpop", Arity: -4, Flags: Write | MovableKeys, NumKeys: 1, Scope: ScopeKeys, Run: runZMPop,
		KeyAccess: "RW access delete", Summary: "Removes members from an end of the first of several sorted sets that has any, and returns them.", Since: "7.0.0", Group: "sorted-set",
		Complexity: zpopMoreComplexity},
	{Name: "bzpopmin", Arity: -3, Flags: Write | NoScript | Blocking | Fast, FirstKey: 1, LastKey: -2, KeyStep: 1, Scope: ScopeKeys, Run: runBZPopMin,
		KeyAccess: "RW access delete", Summary: "Removes the member with the lowest score from the first of several sorted sets that has any, and returns it. Waits until one has.", Since: "5.0.0", Group: "sorted-set",
		Complexity: "O(log(N)), N being the size of the sorted set"},
	{Name: "bzpopmax", Arity: -3, Flags: Write | NoScript | Blocking | Fast, FirstKey: 1, LastKey: -2, KeyStep: 1, Scope: ScopeKeys, Run: runBZPopMax,
		KeyAccess: "RW access delete", Summary: "Removes the member with the highest score from the first of several sorted sets that has any, and returns it. Waits until one has.", Since: "5.0.0", Group: "sorted-set",
		Complexity: "O(log(N)), N being the size of the sorted set"},
	{Name: "bzmpop", Arity: -5, Flags: Write | Blocking | MovableKeys, NumKeys: 2, Scope: ScopeKeys, Run: runBZMPop,
		KeyAccess: "RW access delete", Summary: "Removes members from an end of the first of several sorted sets that has any, and returns them. Waits until one has.", Since: "7.0.0", Group: "sorted-set",
		Complexity: zpopMoreComplexity},
}

func runZPopMin(c *Context) error { return c.zpop(false) }
func runZPopMax(c *Context) error { return c.zpop(true) }

// zpop pops from Args[1]; a count, if one is given, is Args[2].
func (c *Context) zpop(highest bool) error {
	key, count := c.Args[1], int64(1)
	counted := len(c.Args) == 3
	if len(c.Args) > 3 {
		c.Reply.Error(ErrSyntax)
		return nil
	}
	if counted {
		var ok bool
		if count, ok = parseInt(c.Args[2]); !ok || count < 0 {
			c.Reply.Error(ErrNotPositive)
			return nil
		}
	}
	r, ok, err := c.lookType(key, event.TypeZSet)
	if !ok {
		return err
	}
	run, err := c.zpopRun(key, r, highest, count)
	if err != nil {
		return err
	}
	if counted {
		c.scoredHead(run.limit, true)
	} else {
		c.Reply.Array(2 * int(run.limit))
	}
	return c.zsetRemove(key, r, &run, func(score float64, member []byte) {
		if counted {
			c.replyScored(score, member, true)
			return
		}
		c.Reply.Bulk(member)
		c.Reply.Double(score)
	})
}

// zpopRun gives up to count members from one end.
func (c *Context) zpopRun(key []byte, r *row, highest bool, count int64) (zrun, error) {
	if !r.live || count == 0 {
		return emptyRun, nil
	}
	return c.rankRun(key, r, 0, count-1, highest)
}

// zpops is what ZMPOP and BZMPOP ask for.
type zpops struct {
	keys    [][]byte
	highest bool
	count   int64
}

// zmpopArgs reads them, Args[i] being the number of keys; it replies what is wrong.
func (c *Context) zmpopArgs(i int) (p zpops, ok bool) {
	n, ok := parseInt(c.Args[i])
	if !ok || n <= 0 {
		c.Reply.Error(ErrNumKeys)
		return p, false
	}
	rest := c.Args[i+1:]
	if n >= int64(len(rest)) {
		c.Reply.Error(ErrSyntax)
		return p, false
	}
	p.keys, rest = rest[:n], rest[n:]
	p.highest = equalFold(rest[0], "max")
	p.count = 1
	switch {
	case !p.highest && !equalFold(rest[0], "min"):
	case len(rest) == 1:
		return p, true
	case len(rest) == 2 || !equalFold(rest[1], "count"):
	default:
		if p.count, ok = parseInt(rest[2]); !ok || p.count <= 0 {
			c.Reply.Error(errMPopMany)
			return p, false
		}
		if len(rest) == 3 {
			return p, true
		}
	}
	c.Reply.Error(ErrSyntax)
	return p, false
}

func runZMPop(c *Context) error {
	p, ok := c.zmpopArgs(1)
	if !ok {
		return nil
	}
	done, err := c.zmpop(&p)
	if err == nil && !done {
		c.Reply.NullArray()
	}
	return err
}

func runBZMPop(c *Context) error {
	p, ok := c.zmpopArgs(2)
	if !ok {
		return nil
	}
	ms, ok := c.timeoutArg(1)
	if !ok {
		return nil
	}
	done, err := c.zmpop(&p)
	if err == nil && !done {
		c.wait(ms, (*Reply).NullArray)
	}
	return err
}

// zmpop pops from the first key that has members and replies it and them in pairs; done is false when none has, and nothing is replied.
func (c *Context) zmpop(p *zpops) (done bool, err error) {
	return c.zpopFirst(p.keys, func(key []byte, r *row) error {
		run, err := c.zpopRun(key, r, p.highest, p.count)
		if err != nil {
			return err
		}
		c.Reply.Array(2)
		c.Reply.Bulk(key)
		c.Reply.Array(int(run.limit))
		return c.zsetRemove(key, r, &run, func(score float64, member []byte) {
			c.Reply.Array(2)
			c.Reply.Bulk(member)
			c.Reply.Double(score)
		})
	})
}

// zpopFirst runs pop for the first key that is there. A key of another type before it is an error, and replied.
func (c *Context) zpopFirst(keys [][]byte, pop func(key []byte, r *row) error) (done bool, err error) {
	for _, key := range keys {
		r, ok, err := c.lookType(key, event.TypeZSet)
		if !ok {
			return true, err
		}
		if r.live {
			return true, pop(key, r)
		}
	}
	return false, nil
}

func runBZPopMin(c *Context) error { return c.bzpop(false) }
func runBZPopMax(c *Context) error { return c.bzpop(true) }

// bzpop pops one member from the first of the keys, behind which the timeout stands.
func (c *Context) bzpop(highest bool) error {
	last := len(c.Args) - 1
	ms, ok := c.timeoutArg(last)
	if !ok {
		return nil
	}
	done, err := c.zpopFirst(c.Args[1:last], func(key []byte, r *row) error {
		run, err := c.zpopRun(key, r, highest, 1)
		if err != nil {
			return err
		}
		c.Reply.Array(3)
		c.Reply.Bulk(key)
		return c.zsetRemove(key, r, &run, func(score float64, member []byte) {
			c.Reply.Bulk(member)
			c.Reply.Double(score)
		})
	})
	if err == nil && !done {
		c.wait(ms, (*Reply).NullArray)
	}
	return err
}
