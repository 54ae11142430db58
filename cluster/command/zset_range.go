package command

import (
	"math"

	"github.com/zankv/zankv/cdc/event"
)

const (
	errScoreBounds    = "ERR min or max is not a float"
	errLexBounds      = "ERR min or max not valid string range item"
	errZLimit         = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
	errZLexScores     = "ERR syntax error, WITHSCORES not supported in combination with BYLEX"
	zrangeComplexity  = "O(log(N)+M), N being the size of the sorted set and M the number of members returned; by rank also the ranks up to the nearer end"
	zrangeDeprecation = "6.2.0"
)

// zsetRanges are the commands that return a run of the order.
var zsetRanges = []*Spec{
	{Name: "zrange", Arity: -4, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRange,
		KeyAccess: "RO access", Summary: "Returns members of a sorted set by rank, score or text.", Since: "1.2.0", Group: "sorted-set", Complexity: zrangeComplexity},
	{Name: "zrevrange", Arity: -4, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRevRange,
		KeyAccess: "RO access", Summary: "Returns members of a sorted set by rank from the highest score on.", Since: "1.2.0", Group: "sorted-set", Complexity: zrangeComplexity,
		DeprecatedSince: zrangeDeprecation, ReplacedBy: "`ZRANGE` with the `REV` argument"},
	{Name: "zrangebyscore", Arity: -4, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRangeByScore,
		KeyAccess: "RO access", Summary: "Returns members of a sorted set by score.", Since: "1.0.5", Group: "sorted-set", Complexity: zrangeComplexity,
		DeprecatedSince: zrangeDeprecation, ReplacedBy: "`ZRANGE` with the `BYSCORE` argument"},
	{Name: "zrevrangebyscore", Arity: -4, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRevRangeByScore,
		KeyAccess: "RO access", Summary: "Returns members of a sorted set by score, the highest first.", Since: "2.2.0", Group: "sorted-set", Complexity: zrangeComplexity,
		DeprecatedSince: zrangeDeprecation, ReplacedBy: "`ZRANGE` with the `REV` and `BYSCORE` arguments"},
	{Name: "zrangebylex", Arity: -4, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRangeByLex,
		KeyAccess: "RO access", Summary: "Returns members of a sorted set by text, where all have the same score.", Since: "2.8.9", Group: "sorted-set", Complexity: zrangeComplexity,
		DeprecatedSince: zrangeDeprecation, ReplacedBy: "`ZRANGE` with the `BYLEX` argument"},
	{Name: "zrevrangebylex", Arity: -4, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRevRangeByLex,
		KeyAccess: "RO access", Summary: "Returns members of a sorted set by text from the last on, where all have the same score.", Since: "2.8.9", Group: "sorted-set", Complexity: zrangeComplexity,
		DeprecatedSince: zrangeDeprecation, ReplacedBy: "`ZRANGE` with the `REV` and `BYLEX` arguments"},
	{Name: "zrangestore", Arity: -5, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 2, KeyStep: 1, Scope: ScopeKeys, Run: runZRangeStore,
		KeyAccess: "OW update", Summary: "Stores members of a sorted set, by rank, score or text, as another.", Since: "6.2.0", Group: "sorted-set", Complexity: zrangeComplexity},
}

// zorder says what a range's ends are.
type zorder uint8

const (
	byRank zorder = iota
	byScore
	byLex
)

// zquery is a range as a command line gives it.
type zquery struct {
	by      zorder
	reverse bool
	// unified: BYSCORE, BYLEX and REV may say so.
	unified    bool
	withScores bool
	// start and end are ranks, both included.
	start, end int64
	scores     scoreBounds
	lex        lexBounds
	// offset and limit are LIMIT's; limit is negative for none.
	offset, limit int64
}

func runZRange(c *Context) error           { return c.zrange(&zquery{unified: true}) }
func runZRevRange(c *Context) error        { return c.zrange(&zquery{reverse: true}) }
func runZRangeByScore(c *Context) error    { return c.zrange(&zquery{by: byScore}) }
func runZRevRangeByScore(c *Context) error { return c.zrange(&zquery{by: byScore, reverse: true}) }
func runZRangeByLex(c *Context) error      { return c.zrange(&zquery{by: byLex}) }
func runZRevRangeByLex(c *Context) error   { return c.zrange(&zquery{by: byLex, reverse: true}) }

func (c *Context) zrange(q *zquery) error {
	key := c.Args[1]
	if !c.parseZRange(q, 2, true) {
		return nil
	}
	r, ok, err := c.lookType(key, event.TypeZSet)
	if !ok {
		return err
	}
	run, err := c.zfind(key, r, q)
	if err != nil {
		return err
	}
	return c.replyRun(key, r, &run, q.withScores)
}

// parseZRange reads the two ends, at Args[first], and the options behind them; it replies an error when something is wrong.
func (c *Context) parseZRange(q *zquery, first int, mayShowScores bool) bool {
	fixed := q.by != byRank // so that BYSCORE BYLEX is an error, as either again is
	q.limit = -1
	for i := first + 2; i < len(c.Args); i++ {
		switch arg := c.Args[i]; {
		case mayShowScores && equalFold(arg, "withscores"):
			q.withScores = true
		case equalFold(arg, "limit") && i+2 < len(c.Args):
			if !c.limitArgs(q, i+1) {
				return false
			}
			i += 2
		case q.unified && !q.reverse && equalFold(arg, "rev"):
			q.reverse = true
		case q.unified && !fixed && equalFold(arg, "bylex"):
			q.by, fixed = byLex, true
		case q.unified && !fixed && equalFold(arg, "byscore"):
			q.by, fixed = byScore, true
		default:
			c.Reply.Error(ErrSyntax)
			return false
		}
	}
	if problem := c.zrangeBounds(q, first); problem != "" {
		c.Reply.Error(problem)
		return false
	}
	return true
}

func (c *Context) limitArgs(q *zquery, i int) (ok bool) {
	if q.offset, ok = c.intArg(i); ok {
		q.limit, ok = c.intArg(i + 1)
	}
	return ok
}

// zrangeBounds reads the ends and says what is wrong with them or with the options.
func (c *Context) zrangeBounds(q *zquery, first int) (problem string) {
	low, high := c.Args[first], c.Args[first+1]
	if q.reverse && q.by != byRank {
		low, high = high, low
	}
	ok := true
	switch {
	case q.limit != -1 && q.by == byRank:
		return errZLimit
	case q.withScores && q.by == byLex:
		return errZLexScores
	case q.by == byRank:
		if q.start, ok = parseInt(low); ok {
			q.end, ok = parseInt(high)
		}
		problem = ErrNotInteger
	case q.by == byScore:
		q.scores, ok = parseScoreBounds(low, high)
		problem = errScoreBounds
	case q.by == byLex:
		q.lex, ok = parseLexBounds(low, high)
		problem = errLexBounds
	}
	if ok {
		return ""
	}
	return problem
}

// zrun is a run of a sorted set's order.
type zrun struct {
	in ScoreRange
	// limit is the most members to take, negative for all in the range.
	limit int64
	// exact: it is known that there are limit members.
	exact bool
}

var emptyRun = zrun{exact: true}

// zfind gives the run that q asks for.
func (c *Context) zfind(key []byte, r *row, q *zquery) (run zrun, err error) {
	if !r.live {
		return emptyRun, nil
	}
	switch q.by {
	case byRank:
		return c.rankRun(key, r, q.start, q.end, q.reverse)
	case byScore:
		run = q.scores.run()
	case byLex:
		run, err = c.lexRun(key, r, &q.lex, q.reverse)
	}
	if run.exact || q.offset < 0 || q.limit == 0 {
		return emptyRun, err
	}
	run.in.Reverse, run.in.Skip, run.limit = q.reverse, q.offset, q.limit
	return run, err
}

// clampRanks brings ranks of n members, negative ones counted from the end, into [0, n); ok is false when none is between them.
func clampRanks(start, end, n int64) (from, to int64, ok bool) {
	if start < 0 {
		start = max(start+n, 0)
	}
	if end < 0 {
		end += n
	}
	return start, min(end, n-1), start <= end && start < n
}

// rankRun gives the members of rank start to end, both included. A start that is nearer to the far end is found from there.
func (c *Context) rankRun(key []byte, r *row, start, end int64, reverse bool) (zrun, error) {
	n := int64(r.Count)
	start, end, ok := clampRanks(start, end, n)
	if !ok {
		return emptyRun, nil
	}
	run := zrun{in: ScoreRange{Reverse: reverse, Skip: start}, limit: end - start + 1, exact: true}
	if start <= n/2 {
		return run, nil
	}
	at, err := c.zsetAt(key, r, ScoreRange{Reverse: !reverse, Skip: n - 1 - start})
	if err != nil || at == nil {
		return emptyRun, err
	}
	run.in.Skip = 0
	run.begin(at)
	return run, nil
}

// begin lets the run begin at a member, in its direction.
func (z *zrun) begin(at *ScoreKey) {
	if z.in.Reverse {
		z.in.To = after(at)
		return
	}
	z.in.From = at
}

// after is the place just behind a member's.
func after(at *ScoreKey) *ScoreKey {
	return &ScoreKey{Score: at.Score, Member: append(at.Member[:len(at.Member):len(at.Member)], 0)}
}

// zsetAt gives the first place of a range, nil if there is none. It is the caller's.
func (c *Context) zsetAt(key []byte, r *row, in ScoreRange) (at *ScoreKey, err error) {
	err = c.View.Scores(key, &r.Meta, in, func(score float64, member []byte) bool {
		at = &ScoreKey{Score: score, Member: append([]byte(nil), member...)}
		return false
	})
	return at, err
}

// scoreBounds are the ends of a range of scores: min ≤ score ≤ max, less the ends that are excluded.
type scoreBounds struct {
	min, max     float64
	minEx, maxEx bool
}

func parseScoreBounds(low, high []byte) (b scoreBounds, ok bool) {
	if b.min, b.minEx, ok = parseScoreBound(low); ok {
		b.max, b.maxEx, ok = parseScoreBound(high)
	}
	return b, ok
}

// run gives all members in the bounds.
func (b *scoreBounds) run() zrun {
	if b.min > b.max || b.min == b.max && (b.minEx || b.maxEx) {
		return emptyRun
	}
	run := zrun{limit: -1}
	switch {
	case b.minEx:
		run.in.From = &ScoreKey{Score: math.Nextafter(b.min, math.Inf(1))}
	case !math.IsInf(b.min, -1):
		run.in.From = &ScoreKey{Score: b.min}
	}
	switch {
	case b.maxEx:
		run.in.To = &ScoreKey{Score: b.max}
	case !math.IsInf(b.max, 1):
		run.in.To = &ScoreKey{Score: math.Nextafter(b.max, math.Inf(1))}
	}
	return run
}
