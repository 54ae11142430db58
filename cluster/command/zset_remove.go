package command

import "github.com/zankv/zankv/cdc/event"

const zremComplexity = "O(log(N)+M), N being the size of the sorted set and M the number of members removed"

// zsetRemoves are the commands that remove a range.
var zsetRemoves = []*Spec{
	{Name: "zremrangebyrank", Arity: 4, Flags: Write, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRemRangeByRank,
		KeyAccess: "RW delete", Summary: "Removes members of a sorted set by rank.", Since: "2.0.0", Group: "sorted-set", Complexity: zremComplexity},
	{Name: "zremrangebyscore", Arity: 4, Flags: Write, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRemRangeByScore,
		KeyAccess: "RW delete", Summary: "Removes members of a sorted set by score.", Since: "1.2.0", Group: "sorted-set", Complexity: zremComplexity},
	{Name: "zremrangebylex", Arity: 4, Flags: Write, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRemRangeByLex,
		KeyAccess: "RW delete", Summary: "Removes members of a sorted set by text, where all have the same score.", Since: "2.8.9", Group: "sorted-set", Complexity: zremComplexity},
}

func runZRemRangeByRank(c *Context) error { return c.zremRange(&zquery{by: byRank, limit: -1}) }

func runZRemRangeByScore(c *Context) error { return c.zremRange(&zquery{by: byScore, limit: -1}) }

func runZRemRangeByLex(c *Context) error { return c.zremRange(&zquery{by: byLex, limit: -1}) }

// zremRange removes the range with the ends Args[2] and Args[3].
func (c *Context) zremRange(q *zquery) error {
	r, run, ok, err := c.replyCounted(q)
	if !ok {
		return err
	}
	return c.zsetRemove(c.Args[1], r, &run, func(float64, []byte) {})
}

// zsetRemove removes the members of a run that is exact, each after showing it. It emits one mutation for so many members as a command may
// bring, so that what is kept in memory is bounded. If they are more than that and all that there are, the key is deleted instead: that costs nothing
// per member. (Below it they go one by one, also when none is left: what another cluster adds at the same time stays, then.)
func (c *Context) zsetRemove(key []byte, r *row, run *zrun, show func(score float64, member []byte)) error {
	page := int64(c.limits().Batch)
	if run.limit > page && run.limit == int64(r.Count) {
		err := c.visitRun(key, r, run, func(score float64, member []byte) bool {
			show(score, member)
			return true
		})
		if err == nil {
			c.emitDel(key, r)
		}
		return err
	}
	for left := run.limit; left > 0; left -= page {
		some := *run
		some.limit = min(left, page)
		if err := c.removePage(key, r, &some, show); err != nil {
			return err
		}
		if left > page {
			var err error
			if r, err = c.look(key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Context) removePage(key []byte, r *row, run *zrun, show func(score float64, member []byte)) error {
	m := c.change(event.OpZRem, key, r)
	err := c.visitRun(key, r, run, func(score float64, member []byte) bool {
		show(score, member)
		m.Elements = append(m.Elements, event.Element{Sub: c.hold(member), Exists: true, Was: score})
		return true
	})
	if err != nil {
		return err
	}
	for i := range m.Elements {
		e, _, err := c.element(key, r, m.Elements[i].Sub)
		if err != nil {
			return err
		}
		m.Elements[i].Prev = e.Version
	}
	m.Count -= uint64(len(m.Elements))
	c.emitChange(m)
	return nil
}
