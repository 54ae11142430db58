package command

import "github.com/zankv/zankv/cdc/event"

func runZRangeStore(c *Context) error {
	source := c.Args[2]
	q := &zquery{unified: true}
	if !c.parseZRange(q, 3, false) {
		return nil
	}
	r, ok, err := c.lookType(source, event.TypeZSet)
	if !ok {
		return err
	}
	run, err := c.zfind(source, r, q)
	if err != nil {
		return err
	}
	var all []scored
	err = c.visitRun(source, r, &run, func(score float64, member []byte) bool {
		all = append(all, scored{member: c.hold(member), score: score})
		return true
	})
	if err != nil {
		return err
	}
	return c.zsetStore(c.Args[1], all)
}

// zsetStore makes members all that key holds, whatever it held before, and replies how many they are. Without any the key is removed. The
// members must be different from each other and stay unchanged.
func (c *Context) zsetStore(key []byte, members []scored) error {
	r, err := c.look(key)
	if err != nil {
		return err
	}
	c.Reply.Int(int64(len(members)))
	if len(members) == 0 {
		if r.live {
			c.emitDel(key, r)
		}
		return nil
	}
	m := c.replace(event.OpZAdd, key, r)
	for i := range members {
		m.Elements = append(m.Elements, event.Element{Sub: members[i].member, Score: members[i].score + 0})
	}
	m.Count = uint64(len(members))
	c.emitChange(m)
	if len(members) > c.limits().Batch {
		c.elements = nil // other commands bring fewer: so much isn't kept for them
	}
	return nil
}
