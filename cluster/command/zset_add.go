package command

import (
	"bytes"
	"math"

	"github.com/zankv/zankv/cdc/event"
)

const (
	errScoreNaN = "ERR resulting score is not a number (NaN)"
	errZAddNXXX = "ERR XX and NX options at the same time are not compatible"
	errZAddGTLT = "ERR GT, LT, and/or NX options at the same time are not compatible"
	errZAddIncr = "ERR INCR option supports a single increment-element pair"
)

// zaddFlags are the conditions under which a pair takes effect, and how.
type zaddFlags uint8

const (
	// zaddNX leaves members that are there, zaddXX those that aren't.
	zaddNX zaddFlags = 1 << iota
	zaddXX
	// zaddGT leaves members whose score wouldn't grow, zaddLT those whose score wouldn't shrink; they add what isn't there.
	zaddGT
	zaddLT
	// zaddIncr adds to the score instead of setting it.
	zaddIncr
)

// scored is a member with its score.
type scored struct {
	member []byte
	score  float64
}

// zaddResult is what became of the pairs.
type zaddResult struct {
	added, updated int64
	// score is the last pair's resulting score; taken says that its conditions held, be it that the score is the old one.
	score float64
	taken bool
	// nan: an increment gave no number. Nothing was emitted.
	nan bool
}

// zadd is ZADD, or with zaddIncr ZINCRBY, which Redis parses in the same way.
func (c *Context) zadd(flags zaddFlags) error {
	first, ch, flags := c.zaddOptions(2, flags)
	n := len(c.Args) - first
	if problem := flags.problem(n); problem != "" {
		c.Reply.Error(problem)
		return nil
	}
	if !c.batchFits(n/2) || !c.subKeysFit(first+1, 2) {
		return nil
	}
	var few [4]scored
	pairs, ok := c.zaddPairs(few[:0], first)
	if !ok {
		return nil
	}
	key := c.Args[1]
	r, ok, err := c.lookType(key, event.TypeZSet)
	if !ok {
		return err
	}
	result, err := c.zsetAdd(key, r, flags, pairs)
	if err == nil {
		c.replyAdded(&result, flags, ch)
	}
	return err
}

// zaddOptions reads options from Args[i] on; first is where the pairs begin.
func (c *Context) zaddOptions(i int, flags zaddFlags) (first int, ch bool, all zaddFlags) {
	for ; i < len(c.Args); i++ {
		switch arg := c.Args[i]; {
		case equalFold(arg, "nx"):
			flags |= zaddNX
		case equalFold(arg, "xx"):
			flags |= zaddXX
		case equalFold(arg, "gt"):
			flags |= zaddGT
		case equalFold(arg, "lt"):
			flags |= zaddLT
		case equalFold(arg, "incr"):
			flags |= zaddIncr
		case equalFold(arg, "ch"):
			ch = true
		default:
			return i, ch, flags
		}
	}
	return i, ch, flags
}

// problem is what is wrong with the flags before n arguments of pairs.
func (f zaddFlags) problem(n int) string {
	switch {
	case n == 0 || n%2 != 0:
		return ErrSyntax
	case f&zaddNX != 0 && f&zaddXX != 0:
		return errZAddNXXX
	case f&zaddNX != 0 && f&(zaddGT|zaddLT) != 0, f&zaddGT != 0 && f&zaddLT != 0:
		return errZAddGTLT
	case f&zaddIncr != 0 && n > 2:
		return errZAddIncr
	}
	return ""
}

// zaddPairs appends the pairs from Args[first] on; it replies an error when a score is none.
func (c *Context) zaddPairs(dst []scored, first int) (pairs []scored, ok bool) {
	if n := (len(c.Args) - first) / 2; n > cap(dst) {
		dst = make([]scored, 0, n)
	}
	for i := first; i < len(c.Args); i += 2 {
		score, ok := parseDouble(c.Args[i])
		if !ok {
			c.Reply.Error(ErrNotFloat)
			return nil, false
		}
		dst = append(dst, scored{member: c.Args[i+1], score: score})
	}
	return dst, true
}

func (c *Context) replyAdded(result *zaddResult, flags zaddFlags, ch bool) {
	switch {
	case result.nan:
		c.Reply.Error(errScoreNaN)
	case flags&zaddIncr != 0 && result.taken:
		c.Reply.Double(result.score)
	case flags&zaddIncr != 0:
		c.Reply.Null()
	case ch:
		c.Reply.Int(result.added + result.updated)
	default:
		c.Reply.Int(result.added)
	}
}

// zsetAdd gives members of the sorted set at key, which r shows, their scores, one pair after the other: a pair sees what those before it
// did. It emits one mutation, if anything changes. The members must stay unchanged until it returns. It replies nothing.
func (c *Context) zsetAdd(key []byte, r *row, flags zaddFlags, pairs []scored) (result zaddResult, err error) {
	if flags&zaddXX != 0 && !r.live {
		return result, nil
	}
	m := c.change(event.OpZAdd, key, r)
	index := newMemberIndex(len(pairs))
	again := false
	for i := range pairs {
		p := &pairs[i]
		at := index.find(m.Elements, p.member)
		var e event.Element
		if at >= 0 {
			e, again = m.Elements[at], true
		} else if e, err = c.zsetElement(key, r, p.member); err != nil {
			return result, err
		}
		there := e.Exists || at >= 0
		result.judge(flags, there, e.Score, p.score)
		switch {
		case result.nan:
			return result, nil
		case !result.taken, there && result.score == e.Score:
		case at >= 0:
			m.Elements[at].Score = result.score
		default:
			e.Score = result.score
			index.add(p.member, len(m.Elements))
			m.Elements = append(m.Elements, e)
			if !e.Exists {
				m.Count++
			}
		}
	}
	if again {
		m.Elements = changed(m.Elements)
	}
	c.emitChange(m)
	return result, nil
}

// zsetElement begins a member's element from what is there: its Score is the old one.
func (c *Context) zsetElement(key []byte, r *row, member []byte) (event.Element, error) {
	e, ok, err := c.element(key, r, member)
	if err != nil {
		return event.Element{}, err
	}
	if !ok {
		return event.Element{Sub: member, Prev: e.Version}, nil
	}
	return event.Element{Sub: member, Score: e.Score, Prev: e.Version, Exists: true, Was: e.Score}, nil
}

// judge decides about one pair: there says that the member is in the set with the score old.
func (z *zaddResult) judge(flags zaddFlags, there bool, old, score float64) {
	z.taken, z.score = false, score
	if !there {
		if flags&zaddXX == 0 {
			z.taken = true
			z.added++
		}
		return
	}
	if flags&zaddNX != 0 {
		return
	}
	if flags&zaddIncr != 0 {
		z.score += old
		if z.nan = math.IsNaN(z.score); z.nan {
			return
		}
	}
	if flags&zaddGT != 0 && z.score <= old || flags&zaddLT != 0 && z.score >= old {
		return
	}
	z.taken = true
	if z.score != old {
		z.updated++
	}
}

// changed drops elements that ended with the score they had.
func changed(elements []event.Element) []event.Element {
	kept := elements[:0]
	for i := range elements {
		if e := &elements[i]; !e.Exists || e.Score != e.Was {
			kept = append(kept, *e)
		}
	}
	return kept
}

// fewMembers is up to how many members are found by looking at each.
const fewMembers = 8

// memberIndex finds members among the elements of a mutation: a command may name one twice, a mutation mustn't. nil for a few.
type memberIndex map[string]int

// newMemberIndex makes one for at most n members.
func newMemberIndex(n int) memberIndex {
	if n <= fewMembers {
		return nil
	}
	return make(memberIndex, n)
}

// find gives a member's place among the elements, or -1.
func (x memberIndex) find(elements []event.Element, member []byte) int {
	if x == nil {
		for i := range elements {
			if bytes.Equal(elements[i].Sub, member) {
				return i
			}
		}
		return -1
	}
	if i, ok := x[string(member)]; ok {
		return i
	}
	return -1
}

func (x memberIndex) add(member []byte, at int) {
	if x != nil {
		x[string(member)] = at
	}
}
