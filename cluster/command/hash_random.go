package command

import (
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// randomHashes are the commands on hashes that choose fields at random.
var randomHashes = []*Spec{
	{Name: "hrandfield", Arity: -2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runHRandField,
		Tips: []string{"nondeterministic_output"}, KeyAccess: "RO access",
		Summary: "Returns fields of a hash that are chosen at random.", Since: "6.2.0", Group: "hash", Complexity: "O(N), N being the size of the hash"},
}

func runHRandField(c *Context) error {
	n, withValues, ok := c.parseHRandField()
	if !ok {
		return nil
	}
	r, ok, err := c.lookType(c.Args[1], event.TypeHash)
	switch {
	case !ok:
		return err
	case len(c.Args) == 2:
		return c.replyOne(r)
	case !withValues:
		return c.replyChosen(r, n, 1, false, func(field, _ []byte) { c.Reply.Bulk(field) })
	}
	per := 2
	if c.Reply.RESP3 {
		per = 1
	}
	return c.replyChosen(r, n, per, true, func(field, value []byte) {
		if per == 1 {
			c.Reply.Array(2)
		}
		c.Reply.Bulk(field)
		c.Reply.Bulk(value)
	})
}

// parseHRandField reads the count and WITHVALUES; ok is false when an error was replied.
func (c *Context) parseHRandField() (n int64, withValues, ok bool) {
	if len(c.Args) == 2 {
		return 1, false, true
	}
	if n, ok = c.countArg(2); !ok {
		return 0, false, false
	}
	withValues = len(c.Args) == 4 && equalFold(c.Args[3], "withvalues")
	switch {
	case len(c.Args) > 3 && !withValues:
		c.Reply.Error(ErrSyntax)
	case withValues && (n < -math.MaxInt64/2 || n > math.MaxInt64/2):
		c.Reply.Error(ErrCountDoubled)
	default:
		return n, withValues, true
	}
	return 0, false, false
}
