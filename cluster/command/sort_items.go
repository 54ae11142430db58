package command

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

// sortItem is an element that SORT sorts: by score, or by weight with ALPHA, of which weighed says whether there is any.
type sortItem struct {
	text    []byte
	weight  []byte
	weighed bool
	score   float64
}

// sorted gives the elements of the key that r shows, in order, those only that LIMIT asks for. ok is false, and an error replied, when a
// weight isn't a number.
func (c *Context) sorted(r *row, o *sortOptions) (items []sortItem, ok bool, err error) {
	start, n := o.limit(int64(r.Count))
	if o.unsorted {
		if n == 0 {
			return nil, true, nil
		}
		items, err = c.loadItems(r, o, start, n)
		return items, true, err
	}
	if items, err = c.loadItems(r, o, 0, int64(r.Count)); err != nil {
		return nil, false, err
	}
	ok = true
	for i := range items {
		fits, err := c.weighItem(&items[i], o)
		if err != nil {
			return nil, false, err
		}
		ok = ok && fits
	}
	if !ok {
		c.Reply.Error(errSortScores)
		return nil, false, nil
	}
	slices.SortStableFunc(items, o.compare())
	return items[start : start+n], true, nil
}

// loadItems copies n elements from the start-th on: of lists and sorted sets in their own order, or with DESC in the reverse of it.
func (c *Context) loadItems(r *row, o *sortOptions, start, n int64) (items []sortItem, err error) {
	if r.Type == event.TypeZSet && o.unsorted {
		err = c.View.Scores(c.Args[1], &r.Meta, ScoreRange{Reverse: o.desc, Skip: start}, func(_ float64, member []byte) bool {
			items = append(items, sortItem{text: c.hold(member)})
			return int64(len(items)) < n
		})
		return items, err
	}
	in := Range{Skip: start, Reverse: o.unsorted && o.desc && r.Type == event.TypeList}
	err = c.View.Elements(c.Args[1], &r.Meta, in, func(sub []byte, e *Element) bool {
		if r.Type == event.TypeList {
			sub = e.Value
		}
		items = append(items, sortItem{text: c.hold(sub)})
		return int64(len(items)) < n
	})
	return items, err
}

// weighItem finds what an element is sorted by; ok is false if that should be a number and isn't one.
func (c *Context) weighItem(item *sortItem, o *sortOptions) (ok bool, err error) {
	weight, there := item.text, true
	if o.by != nil {
		if weight, there, err = c.lookPattern(o.by, item.text); err != nil {
			return false, err
		}
	}
	switch {
	case !there:
		return true, nil
	case !o.alpha:
		return item.weigh(weight), nil
	case o.by != nil:
		weight = c.hold(weight)
	}
	item.weight, item.weighed = weight, true
	return true, nil
}

// compare is the order that the options ask for. Elements with the same score are in the order of their bytes; those with the same text to be sorted
// by stay as they were.
func (o *sortOptions) compare() func(a, b sortItem) int {
	compare := func(a, b sortItem) int {
		return cmp.Or(cmp.Compare(a.score, b.score), bytes.Compare(a.text, b.text))
	}
	if o.alpha {
		compare = compareWeights
	}
	if o.desc {
		return func(a, b sortItem) int { return -compare(a, b) }
	}
	return compare
}

// compareWeights compares as ALPHA does: by bytes, what isn't there first.
func compareWeights(a, b sortItem) int {
	switch {
	case a.weighed && b.weighed:
		return bytes.Compare(a.weight, b.weight)
	case a.weighed:
		return 1
	case b.weighed:
		return -1
	}
	return 0
}
