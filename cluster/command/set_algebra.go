package command

import (
	"bytes"
	"cmp"
	"container/heap"
	"math"
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

// combinedSets are the commands that combine sets.
var combinedSets = []*Spec{
	{Name: "sinter", Arity: -2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.replyCombined(interSets) },
		Tips: []string{"nondeterministic_output_order"}, KeyAccess: "RO access",
		Summary: "Returns the members that several sets have in common.", Since: "1.0.0", Group: "set",
		Complexity: "O(N*M), N being the size of the smallest set and M the number of sets"},
	{Name: "sintercard", Arity: -3, Flags: ReadOnly | ManyRows | MovableKeys, NumKeys: 1, Scope: ScopeKeys, Run: runSInterCard,
		KeyAccess: "RO access", Summary: "Returns how many members several sets have in common, up to a limit.", Since: "7.0.0", Group: "set",
		Complexity: "O(N*M), N being the size of the smallest set and M the number of sets"},
	{Name: "sinterstore", Arity: -3, Flags: Write | DenyOOM, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.storeCombined(interSets) },
		KeyAccess: "RW update", Summary: "Stores the members that several sets have in common under a key.", Since: "1.0.0", Group: "set",
		Complexity: "O(N*M), N being the size of the smallest set and M the number of sets"},
	{Name: "sunion", Arity: -2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.replyCombined(uniteSets) },
		Tips: []string{"nondeterministic_output_order"}, KeyAccess: "RO access",
		Summary: "Returns the members that any of several sets has.", Since: "1.0.0", Group: "set",
		Complexity: "O(N*log(M)), N being the number of members of all sets and M the number of sets"},
	{Name: "sunionstore", Arity: -3, Flags: Write | DenyOOM, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.storeCombined(uniteSets) },
		KeyAccess: "OW update", Summary: "Stores the members that any of several sets has under a key.", Since: "1.0.0", Group: "set",
		Complexity: "O(N*log(M)), N being the number of members of all sets and M the number of sets"},
	{Name: "sdiff", Arity: -2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.replyCombined(subtractSets) },
		Tips: []string{"nondeterministic_output_order"}, KeyAccess: "RO access",
		Summary: "Returns the members that the first of several sets has and none of the others.", Since: "1.0.0", Group: "set",
		Complexity: "O(N), N being the number of members of all sets"},
	{Name: "sdiffstore", Arity: -3, Flags: Write | DenyOOM, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Run: func(c *Context) error { return c.storeCombined(subtractSets) },
		KeyAccess: "OW update", Summary: "Stores the members that the first of several sets has and none of the others under a key.", Since: "1.0.0", Group: "set",
		Complexity: "O(N), N being the number of members of all sets"},
}

const (
	ErrNumKeysArgs   = "ERR Number of keys can't be greater than number of args"
	ErrNegativeLimit = "ERR LIMIT can't be negative"
)

// combination shows what is made of sets, in byte order, until show returns false. What it shows is valid during the call, and show must
// not call the view. It holds a page of each set and no more.
type combination func(c *Context, sets []operand, show func(member []byte) bool) error

// interSets: the smallest set is walked over, the others filter.
func interSets(c *Context, sets []operand, show func(member []byte) bool) error {
	sets = slices.Clone(sets)
	slices.SortFunc(sets, func(a, b operand) int { return cmp.Compare(a.size, b.size) })
	if sets[0].size == 0 {
		return nil
	}
	return filterSet(c, sets, true, show)
}

// subtractSets: the first set is walked over, the others filter.
func subtractSets(c *Context, sets []operand, show func(member []byte) bool) error {
	if sets[0].size == 0 {
		return nil
	}
	return filterSet(c, sets, false, show)
}

// filterSet shows those members of the first set that all others have, or that none of them has.
func filterSet(c *Context, sets []operand, wanted bool, show func(member []byte) bool) error {
	filters, err := c.newFilters(sets[1:], sets[0].size)
	if err != nil {
		return err
	}
	base, err := c.newCursor(&sets[0], len(sets))
	for ; err == nil; err = base.next() {
		m, ok := base.member()
		if !ok {
			return nil
		}
		passes := true
		for i := 0; i < len(filters) && passes; i++ {
			has, err := filters[i].has(m)
			if err != nil {
				return err
			}
			passes = has == wanted
		}
		if passes && !show(m) {
			return nil
		}
	}
	return err
}

// cursors are a heap: the one with the least member is first.
type cursors []*cursor

func (h cursors) Len() int { return len(h) }
func (h cursors) Less(i, j int) bool {
	a, _ := h[i].member()
	b, _ := h[j].member()
	return bytes.Compare(a, b) < 0
}
func (h cursors) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *cursors) Push(x any)   { *h = append(*h, x.(*cursor)) }
func (h *cursors) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// uniteSets merges the sets.
func uniteSets(c *Context, sets []operand, show func(member []byte) bool) error {
	var h cursors
	for i := range sets {
		if sets[i].size == 0 {
			continue
		}
		p, err := c.newCursor(&sets[i], len(sets))
		if err != nil {
			return err
		}
		if _, ok := p.member(); ok {
			h = append(h, p)
		}
	}
	heap.Init(&h)
	var shown []byte // the last one
	for first := true; len(h) > 0; {
		m, _ := h[0].member()
		if first || !bytes.Equal(m, shown) {
			first, shown = false, append(shown[:0], m...)
			if !show(m) {
				return nil
			}
		}
		if err := h[0].next(); err != nil {
			return err
		}
		if _, ok := h[0].member(); ok {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return nil
}

// gatheredReply is how large a reply is gathered while its members are counted; a larger one is made in a second pass.
const gatheredReply = 1 << 20

// replyCombined replies what is made of the sets Args[1:]. Its size comes first, so it is counted first.
func (c *Context) replyCombined(combine combination) error {
	sets, ok, err := c.operands(c.Args[1:])
	if !ok {
		return err
	}
	count, gathered := 0, Reply{}
	err = combine(c, sets, func(member []byte) bool {
		count++
		if len(gathered.Buf) < gatheredReply {
			gathered.Bulk(member)
		}
		return true
	})
	if err != nil {
		return err
	}
	c.Reply.Set(count)
	if len(gathered.Buf) < gatheredReply {
		c.Reply.Buf = append(c.Reply.Buf, gathered.Buf...)
		return nil
	}
	var gone error
	err = combine(c, sets, func(member []byte) bool {
		c.Reply.Bulk(member)
		gone = c.Reply.Part()
		return gone == nil
	})
	if err != nil {
		return err
	}
	return gone
}

// storeCombined writes what is made of the sets Args[2:] under Args[1], as a whole. Nothing is no set: the key is removed.
func (c *Context) storeCombined(combine combination) error {
	sets, ok, err := c.operands(c.Args[2:])
	if !ok {
		return err
	}
	key := c.Args[1]
	r, err := c.look(key)
	if err != nil {
		return err
	}
	m := c.replace(event.OpSAdd, key, r)
	err = combine(c, sets, func(member []byte) bool {
		m.Elements = append(m.Elements, event.Element{Sub: c.hold(member)})
		return true
	})
	if err != nil {
		return err
	}
	m.Count = uint64(len(m.Elements))
	c.Reply.Int(int64(m.Count))
	if m.Count == 0 && r.live {
		c.emitDel(key, r)
		return nil
	}
	c.emitChange(m)
	return nil
}

func runSInterCard(c *Context) error {
	keys, limit, ok := c.parseInterCard()
	if !ok {
		return nil
	}
	sets, ok, err := c.operands(keys)
	if !ok {
		return err
	}
	count := uint64(0)
	err = interSets(c, sets, func([]byte) bool {
		count++
		return count < limit
	})
	if err == nil {
		c.Reply.Int(int64(count))
	}
	return err
}

// parseInterCard reads the keys and LIMIT; ok is false when an error was replied.
func (c *Context) parseInterCard() (keys [][]byte, limit uint64, ok bool) {
	n, isInt := parseInt(c.Args[1])
	switch {
	case !isInt || n < 1:
		c.Reply.Error(ErrNumKeys)
		return nil, 0, false
	case n > int64(len(c.Args)-2):
		c.Reply.Error(ErrNumKeysArgs)
		return nil, 0, false
	}
	keys, limit = c.Args[2:2+n], math.MaxUint64
	for rest := c.Args[2+n:]; len(rest) > 0; rest = rest[2:] {
		if len(rest) < 2 || !equalFold(rest[0], "limit") {
			c.Reply.Error(ErrSyntax)
			return nil, 0, false
		}
		most, isInt := parseInt(rest[1])
		if !isInt || most < 0 {
			c.Reply.Error(ErrNegativeLimit)
			return nil, 0, false
		}
		if limit = uint64(most); most == 0 {
			limit = math.MaxUint64
		}
	}
	return keys, limit, true
}
