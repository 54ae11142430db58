package command

import (
	"fmt"
	"math"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/glob"
)

// keyOperations are the commands that move keys or tell about them.
var keyOperations = []*Spec{
	{Name: "rename", Arity: 3, Flags: Write, FirstKey: 1, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.rename(true) },
		Summary: "Gives a key another name, in the place of a key that has it.", Since: "1.0.0", Group: "generic", Complexity: "O(N), N being the number of elements"},
	{Name: "renamenx", Arity: 3, Flags: Write | Fast, FirstKey: 1, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.rename(false) },
		Summary: "Gives a key another name, unless a key has it.", Since: "1.0.0", Group: "generic", Complexity: "O(N), N being the number of elements"},
	{Name: "copy", Arity: -3, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: runCopy,
		Summary: "Copies a key's value and expiry to another key.", Since: "6.2.0", Group: "generic", Complexity: "O(N), N being the number of elements"},
	{Name: "keys", Arity: 2, Flags: ReadOnly, Scope: ScopeNamespace, Gather: GatherConcat, Run: runKeys,
		Categories: []string{"keyspace", "dangerous"}, Tips: []string{"request_policy:all_shards", "nondeterministic_output_order"},
		Summary: "Returns the keys that match a pattern.", Since: "1.0.0", Group: "generic", Complexity: "O(N), N being the number of keys that begin as the pattern does"},
	{Name: "flushall", Arity: -1, Flags: Write | Barrier, Scope: ScopeNamespace, Gather: GatherOK, Run: runFlushDB,
		Categories: []string{"keyspace", "dangerous"}, Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Summary: "Removes all keys of the namespace.", Since: "1.0.0", Group: "server", Complexity: "O(1), or O(N) for N keys in a namespace that replicates"},
}

const errInt32 = "ERR value is out of range, value must between -2147483648 and 2147483647"

// rename moves a key's content. Its expiry goes with it.
func (c *Context) rename(overwrite bool) error {
	from, to := c.Args[1], c.Args[2]
	r, err := c.look(from)
	switch {
	case err != nil:
		return err
	case !r.live:
		c.Reply.Error(ErrNoKey)
		return nil
	case string(from) == string(to):
		c.renamed(overwrite, overwrite)
		return nil
	}
	w, ok, err := c.readWhole(from, r)
	if !ok {
		return err
	}
	target, err := c.look(to)
	if err != nil {
		return err
	}
	if target.live && !overwrite {
		c.renamed(overwrite, false)
		return nil
	}
	c.emitWhole(to, target, &w, w.ExpireAt)
	if r, err = c.look(from); err != nil {
		return err
	}
	c.emitDel(from, r)
	c.renamed(overwrite, true)
	return nil
}

// renamed replies to RENAME with OK, to RENAMENX with whether it was done.
func (c *Context) renamed(overwrite, done bool) {
	switch {
	case overwrite:
		c.Reply.OK()
	case done:
		c.Reply.Int(1)
	default:
		c.Reply.Int(0)
	}
}

func runCopy(c *Context) error {
	replace, ok := c.copyOptions()
	if !ok {
		return nil
	}
	from, to := c.Args[1], c.Args[2]
	if string(from) == string(to) {
		c.Reply.Error(ErrSameObject)
		return nil
	}
	r, err := c.look(from)
	if err != nil || !r.live {
		c.Reply.Int(0)
		return err
	}
	w, ok, err := c.readWhole(from, r)
	if !ok {
		return err
	}
	target, err := c.look(to)
	if err != nil {
		return err
	}
	if target.live && !replace {
		c.Reply.Int(0)
		return nil
	}
	c.emitWhole(to, target, &w, w.ExpireAt)
	c.Reply.Int(1)
	return nil
}

// copyOptions reads COPY's options. A namespace is one database, number 0.
func (c *Context) copyOptions() (replace, ok bool) {
	for i := 3; i < len(c.Args); i++ {
		switch {
		case equalFold(c.Args[i], "replace"):
			replace = true
		case equalFold(c.Args[i], "db") && i+1 < len(c.Args):
			i++
			if db, ok := c.intArg(i); !ok || db != 0 {
				text := ErrDBIndex
				if db < math.MinInt32 || db > math.MaxInt32 {
					text = errInt32
				}
				return false, c.refuse(ok, text)
			}
		default:
			c.Reply.Error(ErrSyntax)
			return false, false
		}
	}
	return replace, true
}

// runKeys replies a partition's keys that match. Those that don't begin with what the pattern begins with, up to its first special
// character, aren't looked at.
func runKeys(c *Context) error {
	pattern, limit := c.Args[1], c.limits().Keys
	prefix := literalPrefix(pattern)
	var found [][]byte
	looked, size := 0, 0
	err := c.View.Keys(prefix, func(key []byte, m *event.Meta) bool {
		if len(key) < len(prefix) || string(key[:len(prefix)]) != string(prefix) {
			return false
		}
		if looked++; looked > limit || size > c.limits().Event {
			return false
		}
		if !m.Expired(c.Now) && glob.Match(pattern, key) {
			found = append(found, c.hold(key))
			size += len(key)
		}
		return true
	})
	if err != nil {
		return err
	}
	if looked > limit || size > c.limits().Event {
		c.Reply.Error(fmt.Sprintf("ERR KEYS would look at more than %d keys of a partition (max_keys) or reply more than %d bytes: use SCAN, or a pattern with a longer beginning", limit, c.limits().Event))
		return nil
	}
	c.Reply.Array(len(found))
	for _, key := range found {
		c.Reply.Bulk(key)
	}
	return nil
}

// literalPrefix is the part of a glob-style pattern before its first special character: what all keys that match begin with.
func literalPrefix(pattern []byte) []byte {
	for i, b := range pattern {
		if b == '*' || b == '?' || b == '[' || b == '\\' {
			return pattern[:i]
		}
	}
	return pattern
}
