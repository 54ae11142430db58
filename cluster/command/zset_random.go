package command

import (
	"math"
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

// randomPage is how many members are drawn, with repeats, before they are read and replied: so many are held at most.
const randomPage = 1000

func runZRandMember(c *Context) error {
	n, withScores, ok := c.parseZRandMember()
	if !ok {
		return nil
	}
	r, ok, err := c.lookType(c.Args[1], event.TypeZSet)
	switch {
	case !ok:
		return err
	case len(c.Args) == 2:
		return c.replyOne(r)
	case !r.live || n == 0:
		c.Reply.Array(0)
		return nil
	case n < 0:
		return c.replyRepeated(r, -n, withScores)
	}
	n = min(n, int64(r.Count))
	c.scoredHead(n, withScores)
	var gone error
	err = c.visitSome(r, uint64(n), func(member []byte, e *Element) bool {
		c.replyScored(e.Score, member, withScores)
		gone = c.Reply.Part()
		return gone == nil
	})
	if err != nil {
		return err
	}
	return gone
}

// parseZRandMember reads the count and WITHSCORES; ok is false when an error was replied.
func (c *Context) parseZRandMember() (n int64, withScores, ok bool) {
	if len(c.Args) == 2 {
		return 1, false, true
	}
	if n, ok = c.countArg(2); !ok {
		return 0, false, false
	}
	withScores = len(c.Args) == 4 && equalFold(c.Args[3], "withscores")
	switch {
	case len(c.Args) > 3 && !withScores:
		c.Reply.Error(ErrSyntax)
	case withScores && (n < -math.MaxInt64/2 || n > math.MaxInt64/2):
		c.Reply.Error(ErrCountDoubled)
	default:
		return n, withScores, true
	}
	return 0, false, false
}

// replyRepeated replies n members, each drawn from all.
func (c *Context) replyRepeated(r *row, n int64, withScores bool) error {
	c.scoredHead(n, withScores)
	d := c.drawing()
	drawn := make([]uint64, min(n, randomPage))
	for ; n > 0; n -= int64(len(drawn)) {
		drawn = drawn[:min(n, randomPage)]
		for i := range drawn {
			drawn[i] = d.below(r.Count)
		}
		if err := c.replyDrawn(r, drawn, withScores); err != nil {
			return err
		}
	}
	return nil
}

// replyDrawn replies the members at the drawn places, in the order in which they were drawn.
func (c *Context) replyDrawn(r *row, drawn []uint64, withScores bool) error {
	at := slices.Clone(drawn)
	slices.Sort(at)
	at = slices.Compact(at)
	members := make([]scored, 0, len(at))
	err := c.visitPlaces(r, sortedPlaces(at), func(member []byte, e *Element) bool {
		members = append(members, scored{member: c.hold(member), score: e.Score})
		return true
	})
	if err != nil {
		return err
	}
	for _, place := range drawn {
		i, _ := slices.BinarySearch(at, place)
		c.replyScored(members[i].score, members[i].member, withScores)
		if err := c.Reply.Part(); err != nil {
			return err
		}
	}
	return nil
}
