package command

import (
	"bytes"

	"github.com/zankv/zankv/cdc/event"
)

// operand is one of the sets that a command combines.
type operand struct {
	key  []byte
	meta event.Meta
	size uint64 // 0 of a key that is absent
}

// operands looks at the sets under keys; ok is false, and WRONGTYPE replied, when one of them is something else.
func (c *Context) operands(keys [][]byte) (sets []operand, ok bool, err error) {
	sets = make([]operand, len(keys))
	for i, key := range keys {
		r, ok, err := c.lookType(key, event.TypeSet)
		if !ok {
			return nil, false, err
		}
		sets[i].key = key
		if r.live {
			sets[i].meta, sets[i].size = r.Meta, r.Count
		}
	}
	return sets, true, nil
}

const (
	// pageMembers and pageBytes bound a cursor's page, cursorBytes about the pages of all cursors of a command.
	pageMembers = 256
	pageBytes   = 64 << 10
	cursorBytes = 16 << 20
)

// cursor walks over a set's members in byte order. It reads them in pages, which it holds: what a view lends ends with the call, and
// several sets are read in turn.
type cursor struct {
	view  View
	set   *operand
	most  int    // bytes of a page, but for its last member
	buf   []byte // the members of the page
	ends  []int  // in buf
	at    int    // the present one
	from  []byte // where the next page begins
	ended bool   // there is no next page
}

// newCursor stands on the first member. n is how many cursors the command has.
func (c *Context) newCursor(set *operand, n int) (*cursor, error) {
	p := &cursor{view: c.View, set: set, most: min(pageBytes, cursorBytes/n), ended: set.size == 0}
	return p, p.turn()
}

// turn reads the next page.
func (p *cursor) turn() error {
	p.buf, p.ends, p.at = p.buf[:0], p.ends[:0], 0
	if p.ended {
		return nil
	}
	p.ended = true
	err := p.view.Elements(p.set.key, &p.set.meta, Range{From: p.from}, func(member []byte, _ *Element) bool {
		if len(p.ends) == pageMembers || len(p.buf) >= p.most {
			p.ended = false
			p.from = append(p.from[:0], member...)
			return false
		}
		p.buf = append(p.buf, member...)
		p.ends = append(p.ends, len(p.buf))
		return true
	})
	return err
}

// member is the one that the cursor stands on, valid until it moves; ok is false behind the last.
func (p *cursor) member() (m []byte, ok bool) {
	if p.at >= len(p.ends) {
		return nil, false
	}
	start := 0
	if p.at > 0 {
		start = p.ends[p.at-1]
	}
	return p.buf[start:p.ends[p.at]], true
}

// next goes on to the next member.
func (p *cursor) next() error {
	if p.at++; p.at == len(p.ends) {
		return p.turn()
	}
	return nil
}

// seek goes on to the first member that isn't less than m.
func (p *cursor) seek(m []byte) error {
	for {
		is, ok := p.member()
		if !ok || bytes.Compare(is, m) >= 0 {
			return nil
		}
		if p.at++; p.at < len(p.ends) {
			continue
		}
		if !p.ended && bytes.Compare(p.from, m) < 0 {
			p.from = append(p.from[:0], m...)
		}
		if err := p.turn(); err != nil {
			return err
		}
	}
}

// probeRatio is by how much a set has to be larger than another for looking each member of the other up in it to be cheaper than walking
// over both: a look-up costs about as much as so many steps.
const probeRatio = 8

// filter says of members, which come in byte order, whether a set has them.
type filter struct {
	view   View
	set    *operand
	cursor *cursor // nil: each is looked up
}

// newFilters make one for each set; base is how many members come, at the most.
func (c *Context) newFilters(sets []operand, base uint64) (all []filter, err error) {
	all = make([]filter, len(sets))
	for i := range sets {
		all[i] = filter{view: c.View, set: &sets[i]}
		if sets[i].size/probeRatio <= base {
			if all[i].cursor, err = c.newCursor(&sets[i], len(sets)+1); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// has says whether the set has m.
func (f *filter) has(m []byte) (ok bool, err error) {
	if f.cursor == nil {
		_, ok, err = f.view.Element(f.set.key, &f.set.meta, m)
		return ok, err
	}
	if err = f.cursor.seek(m); err != nil {
		return false, err
	}
	is, ok := f.cursor.member()
	return ok && bytes.Equal(is, m), nil
}
