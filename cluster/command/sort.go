package command

import (
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// sorts are SORT and its kin. SORT is a barrier: the keys that BY and GET form aren't known before it runs, so that nothing at all may be
// in flight. Who doesn't store uses SORT_RO.
var sorts = []*Spec{
	{Name: "sort", Arity: -2, Flags: Write | DenyOOM | ManyRows | MovableKeys | Barrier, FirstKey: 1, LastKey: 1, KeyStep: 1, MoreKeys: sortKeys, Scope: ScopeKeys, Run: runSort,
		Categories: []string{"set", "sortedset", "list", "dangerous"}, KeyAccess: "RO access",
		Summary: "Returns the elements of a list, set or sorted set in an order that may come from other keys, or stores them.",
		Since:   "1.0.0", Group: "generic", Complexity: "O(N+M*log(M)), N being the number of elements and M that of those returned"},
	{Name: "sort_ro", Arity: -2, Flags: ReadOnly | ManyRows | MovableKeys, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSort,
		Categories: []string{"set", "sortedset", "list", "dangerous"}, KeyAccess: "RO access",
		Summary: "SORT without STORE.",
		Since:   "7.0.0", Group: "generic", Complexity: "O(N+M*log(M)), N being the number of elements and M that of those returned"},
}

const (
	errSortBy     = "ERR BY option of SORT denied in cluster mode when keys formed by the pattern may be in different slots."
	errSortGet    = "ERR GET option of SORT denied in cluster mode when keys formed by the pattern may be in different slots."
	errSortScores = "ERR One or more scores can't be converted into double"
)

// sortOptions are SORT's.
type sortOptions struct {
	desc, alpha bool
	// unsorted: the elements stay in their own order, as BY had a pattern that forms no key.
	unsorted     bool
	by           []byte // nil: by the elements themselves
	start, count int64  // count is negative for all
	gets         [][]byte
	store        []byte // nil: not to be stored
}

// sortWords is how many arguments follow an option of SORT, and itself. 0: there is no such option.
func sortWords(opt []byte) int {
	switch {
	case equalFold(opt, "asc"), equalFold(opt, "desc"), equalFold(opt, "alpha"):
		return 1
	case equalFold(opt, "by"), equalFold(opt, "get"), equalFold(opt, "store"):
		return 2
	case equalFold(opt, "limit"):
		return 3
	}
	return 0
}

// sortKeys finds the key behind STORE; if there are several, the last counts.
func sortKeys(dst []int, args [][]byte) []int {
	store := 0
	for i := 2; i < len(args); i += max(1, sortWords(args[i])) {
		if equalFold(args[i], "store") && i+1 < len(args) {
			store = i + 1
		}
	}
	if store > 0 {
		dst = append(dst, store)
	}
	return dst
}

// sortOptions reads the options of SORT and SORT_RO.
func (c *Context) sortOptions() (o sortOptions, ok bool) {
	o.count = -1
	for i := 2; i < len(c.Args); {
		opt := c.Args[i]
		n := sortWords(opt)
		if n == 0 || i+n > len(c.Args) || c.Spec.Flags&ReadOnly != 0 && equalFold(opt, "store") {
			c.Reply.Error(ErrSyntax)
			return o, false
		}
		if !c.sortOption(&o, i) {
			return o, false
		}
		i += n
	}
	return o, true
}

// sortOption reads the option at Args[i], which has its arguments.
func (c *Context) sortOption(o *sortOptions, i int) (ok bool) {
	switch opt := c.Args[i]; {
	case equalFold(opt, "asc"):
		o.desc = false
	case equalFold(opt, "desc"):
		o.desc = true
	case equalFold(opt, "alpha"):
		o.alpha = true
	case equalFold(opt, "store"):
		o.store = c.Args[i+1]
	case equalFold(opt, "limit"):
		if o.start, ok = c.intArg(i + 1); !ok {
			return false
		}
		o.count, ok = c.intArg(i + 2)
		return ok
	case equalFold(opt, "by"):
		o.by = c.Args[i+1]
		o.unsorted = o.unsorted || !isPattern(o.by)
		return c.together(o.by, errSortBy)
	case equalFold(opt, "get"):
		o.gets = append(o.gets, c.Args[i+1])
		return c.together(c.Args[i+1], errSortGet)
	}
	return true
}

func runSort(c *Context) error {
	o, ok := c.sortOptions()
	if !ok {
		return nil
	}
	r, err := c.look(c.Args[1])
	if err != nil {
		return err
	}
	if r.live && r.Type != event.TypeList && r.Type != event.TypeSet && r.Type != event.TypeZSet {
		c.Reply.Error(ErrWrongType)
		return nil
	}
	if o.unsorted && o.store != nil && r.live && r.Type == event.TypeSet {
		o.unsorted, o.by, o.alpha = false, nil, true // a set has no order of its own that would be worth storing
	}
	var sorted []sortItem
	if r.live {
		if sorted, ok, err = c.sorted(r, &o); !ok || err != nil {
			return err
		}
	}
	if o.store != nil {
		return c.storeSorted(&o, sorted)
	}
	return c.replySorted(&o, sorted)
}

// limit is which of n elements LIMIT asks for: count from start on.
func (o *sortOptions) limit(n int64) (start, count int64) {
	start = min(max(o.start, 0), n)
	count = n - start
	if o.count >= 0 {
		count = min(count, o.count)
	}
	return start, count
}

func (c *Context) replySorted(o *sortOptions, sorted []sortItem) error {
	c.Reply.Array(len(sorted) * max(1, len(o.gets)))
	for i := range sorted {
		if len(o.gets) == 0 {
			c.Reply.Bulk(sorted[i].text)
		}
		for _, pattern := range o.gets {
			value, ok, err := c.lookPattern(pattern, sorted[i].text)
			switch {
			case err != nil:
				return err
			case ok:
				c.Reply.Bulk(value)
			default:
				c.Reply.Null()
			}
		}
		if err := c.Reply.Part(); err != nil {
			return err
		}
	}
	return nil
}

// storeSorted makes a list of what would have been replied, "" standing for what isn't there.
func (c *Context) storeSorted(o *sortOptions, sorted []sortItem) error {
	var items [][]byte
	for i := range sorted {
		if len(o.gets) == 0 {
			items = append(items, sorted[i].text)
		}
		for _, pattern := range o.gets {
			value, _, err := c.lookPattern(pattern, sorted[i].text)
			if err != nil {
				return err
			}
			items = append(items, c.hold(value))
		}
	}
	r, err := c.look(o.store)
	if err != nil {
		return err
	}
	c.Reply.Int(int64(len(items)))
	if len(items) > 0 {
		c.replaceList(o.store, r, items)
	} else if r.live {
		c.emitDel(o.store, r)
	}
	return nil
}

// weigh gives an element the number that it is sorted by. No text at all is 0, as in C.
func (i *sortItem) weigh(text []byte) (ok bool) {
	s := []byte(cString(text))
	if len(s) == 0 {
		return true
	}
	var fits bool
	i.score, fits, ok = strtod(trimSpace(s))
	return ok && fits && !math.IsNaN(i.score)
}
