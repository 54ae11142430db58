package command

import (
	"math"
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

const (
	errRandomRange  = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
	errRandomDouble = "ERR value is out of range"
	// randomPage is how many members are drawn, with repeats, before they are read and replied.
	randomPage = 1000
	// randomMost is how many different members are drawn by rank; more, or more than one in randomDense, are chosen by walking over all.
	randomMost  = 10_000
	randomDense = 16
	// randomSparse: members drawn whose ranks are on average farther apart are each looked up.
	randomSparse = 64
)

func runZRandMember(c *Context) error {
	key := c.Args[1]
	if len(c.Args) == 2 {
		return c.oneRandom(key)
	}
	count, withScores, problem := randomArgs(c.Args[2:])
	if problem != "" {
		c.Reply.Error(problem)
		return nil
	}
	r, ok, err := c.lookType(key, event.TypeZSet)
	if !ok {
		return err
	}
	d := zdraw{c: c, key: key, r: r, random: c.Random, withScores: withScores}
	if r.live {
		d.n = int64(r.Count)
	}
	switch {
	case d.n == 0 || count == 0:
		c.Reply.Array(0)
		return nil
	case count < 0:
		return d.repeated(-count)
	case count >= d.n:
		return c.replyRun(key, r, &zrun{limit: d.n, exact: true}, withScores)
	case count > randomMost || count > d.n/randomDense:
		return d.walked(count)
	}
	return d.drawn(count)
}

// randomArgs reads a count and WITHSCORES.
func randomArgs(args [][]byte) (count int64, withScores bool, problem string) {
	count, ok := parseInt(args[0])
	switch {
	case !ok:
		return 0, false, ErrNotInteger
	case count == math.MinInt64:
		return 0, false, errRandomRange
	case len(args) == 1:
		return count, false, ""
	case len(args) > 2 || !equalFold(args[1], "withscores"):
		return 0, false, ErrSyntax
	case count < -math.MaxInt64/2 || count > math.MaxInt64/2:
		return 0, false, errRandomDouble
	}
	return count, true, ""
}

// oneRandom replies one member, each with the same chance, or null.
func (c *Context) oneRandom(key []byte) error {
	r, ok, err := c.lookType(key, event.TypeZSet)
	if !ok {
		return err
	}
	if !r.live || r.Count == 0 {
		c.Reply.Null()
		return nil
	}
	random := c.Random
	rank := below(&random, int64(r.Count))
	run, err := c.rankRun(key, r, rank, rank, false)
	if err != nil {
		return err
	}
	return c.visitRun(key, r, &run, func(_ float64, member []byte) bool {
		c.Reply.Bulk(member)
		return true
	})
}

// below draws a number in [0, n).
func below(random *uint64, n int64) int64 {
	limit := math.MaxUint64 - math.MaxUint64%uint64(n)
	for {
		if x := next(random); x < limit {
			return int64(x % uint64(n))
		}
	}
}

// zdraw draws members of a sorted set of n.
type zdraw struct {
	c          *Context
	key        []byte
	r          *row
	n          int64
	random     uint64
	withScores bool
}

// walked replies count different members, every choice with the same chance, in a walk over all: each is taken with the chance of those still wanted
// among those still to come.
func (d *zdraw) walked(count int64) error {
	d.c.scoredHead(count, d.withScores)
	left := d.n
	var gone error
	err := d.c.View.Scores(d.key, &d.r.Meta, ScoreRange{}, func(score float64, member []byte) bool {
		if below(&d.random, left) < count {
			d.c.replyScored(score, member, d.withScores)
			count--
			gone = d.c.Reply.Part()
		}
		left--
		return count > 0 && gone == nil
	})
	if err != nil {
		return err
	}
	return gone
}

// drawn replies count different members, few of many, every choice with the same chance (Floyd's way), in the order of their ranks.
func (d *zdraw) drawn(count int64) error {
	taken := make(map[int64]bool, count)
	for top := d.n - count; top < d.n; top++ {
		rank := below(&d.random, top+1)
		if taken[rank] {
			rank = top
		}
		taken[rank] = true
	}
	ranks := make([]int64, 0, count)
	for rank := range taken {
		ranks = append(ranks, rank)
	}
	slices.Sort(ranks)
	d.c.scoredHead(count, d.withScores)
	return d.fetch(ranks, func(score float64, member []byte) error {
		d.c.replyScored(score, member, d.withScores)
		return d.c.Reply.Part()
	})
}

// repeated replies count members, each drawn from all, in the order in which they were drawn.
func (d *zdraw) repeated(count int64) error {
	d.c.scoredHead(count, d.withScores)
	for count > 0 {
		page := int(min(count, randomPage))
		if err := d.repeatedPage(page); err != nil {
			return err
		}
		count -= int64(page)
	}
	return nil
}

func (d *zdraw) repeatedPage(count int) error {
	drawn := make([]int64, count)
	for i := range drawn {
		drawn[i] = below(&d.random, d.n)
	}
	ranks := slices.Clone(drawn)
	slices.Sort(ranks)
	ranks = slices.Compact(ranks)
	members := make([]scored, 0, len(ranks))
	err := d.fetch(ranks, func(score float64, member []byte) error {
		members = append(members, scored{member: append([]byte(nil), member...), score: score})
		return nil
	})
	if err != nil {
		return err
	}
	for _, rank := range drawn {
		i, _ := slices.BinarySearch(ranks, rank)
		if i < len(members) {
			d.c.replyScored(members[i].score, members[i].member, d.withScores)
		}
		if err := d.c.Reply.Part(); err != nil {
			return err
		}
	}
	return nil
}

// fetch visits the members of the given ranks, which ascend.
func (d *zdraw) fetch(ranks []int64, visit func(score float64, member []byte) error) (err error) {
	in := ScoreRange{Skip: ranks[0]}
	if d.n/int64(len(ranks)) > randomSparse {
		for i, rank := range ranks {
			if i > 0 {
				in.Skip = rank - ranks[i-1] - 1
			}
			at, err := d.c.zsetAt(d.key, d.r, in)
			if err != nil {
				return err
			}
			if at != nil {
				in.From = after(at)
				err = visit(at.Score, at.Member)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	rank, i := ranks[0], 0
	viewErr := d.c.View.Scores(d.key, &d.r.Meta, in, func(score float64, member []byte) bool {
		if rank == ranks[i] {
			err = visit(score, member)
			i++
		}
		rank++
		return err == nil && i < len(ranks)
	})
	if viewErr != nil {
		return viewErr
	}
	return err
}
