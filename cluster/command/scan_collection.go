package command

import (
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/glob"
)

// scans are the scans of one key's elements. Their cursors are texts: the last field or member seen, after which the next page
// goes on, and "" at both ends, as ZanKV's users know them. Where clients expect Redis's numbers, the front end keeps the texts and hands
// out numbers for them.
var scans = elementScans()

func elementScans() (specs []*Spec) {
	for _, f := range []struct {
		letter, group, noun, what, since string
		t                                event.Type
	}{
		{"h", "hash", "hash", "fields", "2.8.0", event.TypeHash},
		{"s", "set", "set", "members", "2.8.0", event.TypeSet},
		{"z", "sorted-set", "sorted set", "members", "2.8.0", event.TypeZSet},
	} {
		spec := Spec{
			Arity: -3, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys,
			Tips: []string{"nondeterministic_output"}, KeyAccess: "RO access", Group: f.group, Since: f.since, Complexity: "O(N), N being COUNT",
		}
		forward, backward := spec, spec
		forward.Name, forward.Run = f.letter+"scan", func(c *Context) error { return c.scanElements(f.t, false) }
		forward.Summary = "Iterates over the " + f.what + " of a " + f.noun + ", a page a call."
		backward.Name, backward.Run = f.letter+"revscan", func(c *Context) error { return c.scanElements(f.t, true) }
		backward.Summary = "Iterates over the " + f.what + " of a " + f.noun + " from the last, a page a call. A command of ZanKV's own."
		specs = append(specs, &forward, &backward)
	}
	return specs
}

// NumericScan says whether a command is a scan of elements whose cursor Redis's clients expect to be a number: its argument 2, and the
// first part of its reply.
func (s *Spec) NumericScan() bool { return s.Name == "hscan" || s.Name == "sscan" || s.Name == "zscan" }

// scanPart is a visited element, held.
type scanPart struct {
	sub, value []byte
	score      float64
}

// scanElements is HSCAN and its kin. A page ends when COUNT elements were looked at, or many bytes were found, but never behind an
// empty name, which would be taken for the end. An element that is there during the whole of a scan is seen exactly once.
func (c *Context) scanElements(t event.Type, reverse bool) error {
	key := c.Args[1]
	r, ok, err := c.lookType(key, t)
	if !ok {
		return err
	}
	if !r.live {
		c.replyScan(nil, t, nil)
		return nil
	}
	q, problem := ParseScan(c.Args[3:])
	if problem != "" || q.Type != nil {
		if problem == "" {
			problem = ErrSyntax // TYPE is for SCAN alone
		}
		c.Reply.Error(problem)
		return nil
	}
	meta, in := r.Meta, Range{Reverse: reverse}
	if cursor := c.Args[2]; len(cursor) > 0 {
		if reverse {
			in.To = cursor
		} else {
			in.From = append(c.hold(cursor), 0)
		}
	}
	var found []scanPart
	var last []byte
	left, size, more := min(q.Count, int64(c.limits().ScanCount)), 0, false
	err = c.View.Elements(key, &meta, in, func(sub []byte, e *Element) bool {
		if (left <= 0 || size > scanPageBytes) && len(last) > 0 {
			more = true
			return false
		}
		left--
		last = append(last[:0], sub...)
		if q.Pattern == nil || glob.Match(q.Pattern, sub) {
			found = append(found, scanPart{sub: c.hold(sub), value: c.hold(e.Value), score: e.Score})
			size += len(sub) + len(e.Value)
		}
		return true
	})
	if err != nil {
		return err
	}
	if !more {
		last = nil
	}
	c.replyScan(last, t, found)
	return nil
}

func (c *Context) replyScan(cursor []byte, t event.Type, found []scanPart) {
	c.Reply.Array(2)
	c.Reply.Bulk(cursor)
	if t == event.TypeSet {
		c.Reply.Array(len(found))
	} else {
		c.Reply.Array(2 * len(found))
	}
	for i := range found {
		c.Reply.Bulk(found[i].sub)
		switch t {
		case event.TypeHash:
			c.Reply.Bulk(found[i].value)
		case event.TypeZSet:
			c.Reply.Bulk(appendDouble(nil, found[i].score))
		}
	}
}
