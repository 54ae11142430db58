package command

import (
	"bytes"
	"slices"

	"github.com/tidwall/redcon"
)

// countBytes is how much of a reply is made before its elements are counted: shorter ones count themselves.
const countBytes = 32 << 10

// scoredHead starts an array of n members, with their scores or not: pairs in RESP3, all in one row in RESP2.
func (c *Context) scoredHead(n int64, withScores bool) {
	c.Reply.Array(c.scoredLen(n, withScores))
}

func (c *Context) scoredLen(n int64, withScores bool) int {
	if withScores && !c.Reply.RESP3 {
		n *= 2
	}
	return int(n)
}

// replyScored replies one member of such an array.
func (c *Context) replyScored(score float64, member []byte, withScores bool) {
	if withScores && c.Reply.RESP3 {
		c.Reply.Array(2)
	}
	c.Reply.Bulk(member)
	if withScores {
		c.Reply.Double(score)
	}
}

// replyRun replies the members of a run. What doesn't fit into the beginning of the reply is counted, then streamed.
func (c *Context) replyRun(key []byte, r *row, run *zrun, withScores bool) error {
	if run.exact {
		c.scoredHead(run.limit, withScores)
		return c.streamRun(key, r, run, withScores)
	}
	start := len(c.Reply.Buf)
	var n int64
	var rest *ScoreKey
	err := c.visitRun(key, r, run, func(score float64, member []byte) bool {
		if len(c.Reply.Buf)-start >= countBytes {
			rest = &ScoreKey{Score: score, Member: bytes.Clone(member)}
			return false
		}
		c.replyScored(score, member, withScores)
		n++
		return true
	})
	if err != nil {
		return err
	}
	if rest != nil {
		run.in.Skip, run.limit = 0, max(run.limit-n, -1)
		run.begin(rest)
		if err := c.countRun(key, r, run); err != nil {
			return err
		}
	}
	var head [24]byte
	total := n
	if rest != nil {
		total += run.limit
	}
	c.Reply.Buf = slices.Insert(c.Reply.Buf, start, redcon.AppendArray(head[:0], c.scoredLen(total, withScores))...)
	if rest == nil {
		return nil
	}
	return c.streamRun(key, r, run, withScores)
}

// countRun makes the run exact.
func (c *Context) countRun(key []byte, r *row, run *zrun) error {
	if run.exact {
		return nil
	}
	run.exact = true
	if run.limit > 0 { // are there as many? Then what is behind them needn't be counted
		probe := run.in
		probe.Skip += run.limit - 1
		if at, err := c.zsetAt(key, r, probe); err != nil || at != nil {
			return err
		}
	}
	n := int64(r.Count)
	if run.in.From != nil || run.in.To != nil {
		in := run.in
		in.Reverse, in.Skip = false, 0
		var err error
		if n, err = c.View.CountScores(key, &r.Meta, in); err != nil {
			return err
		}
	}
	n = max(n-run.in.Skip, 0)
	if run.limit < 0 || n < run.limit {
		run.limit = n
	}
	return nil
}

// visitRun visits the members of a run, at most its limit.
func (c *Context) visitRun(key []byte, r *row, run *zrun, visit func(score float64, member []byte) bool) error {
	if run.limit == 0 || !r.live {
		return nil
	}
	left := run.limit
	return c.View.Scores(key, &r.Meta, run.in, func(score float64, member []byte) bool {
		left--
		return visit(score, member) && left != 0
	})
}

// streamRun replies the members of a run whose head is written.
func (c *Context) streamRun(key []byte, r *row, run *zrun, withScores bool) error {
	var gone error
	err := c.visitRun(key, r, run, func(score float64, member []byte) bool {
		c.replyScored(score, member, withScores)
		gone = c.Reply.Part()
		return gone == nil
	})
	if err != nil {
		return err
	}
	return gone
}
