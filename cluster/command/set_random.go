package command

import (
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// randomSets are the commands on sets that choose members at random.
var randomSets = []*Spec{
	{Name: "spop", Arity: -2, Flags: Write | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSPop,
		Tips: []string{"nondeterministic_output"}, KeyAccess: "RW access delete",
		Summary: "Removes members of a set that are chosen at random, and returns them.", Since: "1.0.0", Group: "set", Complexity: "O(N), N being the size of the set"},
	{Name: "srandmember", Arity: -2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSRandMember,
		Tips: []string{"nondeterministic_output"}, KeyAccess: "RO access",
		Summary: "Returns members of a set that are chosen at random.", Since: "1.0.0", Group: "set", Complexity: "O(N), N being the size of the set"},
}

const (
	// ErrCountDoubled is what a count gets of which there can't be twice as many.
	ErrCountDoubled = "ERR value is out of range"
)

// countArg is an argument that says how many elements to choose, negative with repeats; it replies the error when it isn't one.
func (c *Context) countArg(i int) (int64, bool) {
	n, ok := c.intArg(i)
	if ok && n == math.MinInt64 {
		c.Reply.Error(ErrCountRange)
		return 0, false
	}
	return n, ok
}

// runSPop without a count replies one member or null, with one a set.
func runSPop(c *Context) error {
	n, counted := int64(1), len(c.Args) == 3
	switch ok := true; {
	case len(c.Args) > 3:
		c.Reply.Error(ErrSyntax)
		return nil
	case counted:
		if n, ok = parseInt(c.Args[2]); !ok || n < 0 {
			c.Reply.Error(ErrNotPositive)
			return nil
		}
	}
	r, ok, err := c.lookType(c.Args[1], event.TypeSet)
	switch {
	case !ok:
		return err
	case counted:
		c.Reply.Set(int(min(n, int64(r.elements()))))
	case !r.live:
		c.Reply.Null()
	}
	if !r.live || n == 0 {
		return nil
	}
	return c.pop(r, uint64(n))
}

// pop removes n members, chosen at random, and replies each. All of them go as the key.
func (c *Context) pop(r *row, n uint64) error {
	key := c.Args[1]
	if n >= r.Count {
		err := c.View.Elements(key, &r.Meta, Range{}, func(member []byte, _ *Element) bool {
			c.Reply.Bulk(member)
			return true
		})
		if err == nil {
			c.emitDel(key, r)
		}
		return err
	}
	m := c.change(event.OpSRem, key, r)
	err := c.visitSome(r, n, func(member []byte, e *Element) bool {
		c.Reply.Bulk(member)
		m.Elements = append(m.Elements, event.Element{Sub: c.hold(member), Prev: e.Version, Exists: true})
		m.Count--
		return true
	})
	if err == nil {
		c.emitChange(m)
	}
	return err
}

func runSRandMember(c *Context) error {
	n, counted := int64(1), len(c.Args) == 3
	switch ok := true; {
	case len(c.Args) > 3:
		c.Reply.Error(ErrSyntax)
		return nil
	case counted:
		if n, ok = c.countArg(2); !ok {
			return nil
		}
	}
	r, ok, err := c.lookType(c.Args[1], event.TypeSet)
	if !ok {
		return err
	}
	if !counted {
		return c.replyOne(r)
	}
	return c.replyChosen(r, n, 1, false, func(member, _ []byte) { c.Reply.Bulk(member) })
}

// replyOne replies one element's subkey, chosen at random, or null if there is none.
func (c *Context) replyOne(r *row) error {
	if !r.live {
		c.Reply.Null()
		return nil
	}
	return c.visitOne(r, func(sub []byte, _ *Element) { c.Reply.Bulk(sub) })
}

// replyChosen replies an array of up to n elements, chosen at random, or -n with repeats. show replies one, and per says of how many parts
// of the array it is; values, whether it looks at values.
func (c *Context) replyChosen(r *row, n int64, per int, values bool, show func(sub, value []byte)) error {
	switch {
	case !r.live || n == 0:
		c.Reply.Array(0)
		return nil
	case n < 0:
		c.Reply.Array(per * int(-n))
		return c.visitRepeatedly(r, uint64(-n), values, show)
	}
	n = min(n, int64(r.Count))
	c.Reply.Array(per * int(n))
	var gone error
	err := c.visitSome(r, uint64(n), func(sub []byte, e *Element) bool {
		show(sub, e.Value)
		gone = c.Reply.Part()
		return gone == nil
	})
	if err != nil {
		return err
	}
	return gone
}
