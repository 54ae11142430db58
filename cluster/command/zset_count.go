package command

import (
	"bytes"
	"cmp"

	"github.com/zankv/zankv/cdc/event"
)

// zsetCounts are the commands that count members or draw them.
var zsetCounts = []*Spec{
	{Name: "zcount", Arity: 4, Flags: ReadOnly | Fast | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZCount,
		KeyAccess: "RO access", Summary: "Counts the members of a sorted set within a range of scores.", Since: "2.0.0", Group: "sorted-set",
		Complexity: "O(log(N)+M), N being the size of the sorted set and M the number counted"},
	{Name: "zlexcount", Arity: 4, Flags: ReadOnly | Fast | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZLexCount,
		KeyAccess: "RO access", Summary: "Counts the members of a sorted set within a range of texts, where all have the same score.", Since: "2.8.9", Group: "sorted-set",
		Complexity: "O(log(N)+M), N being the size of the sorted set and M the number counted"},
	{Name: "zrank", Arity: -3, Flags: ReadOnly | Fast | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRank,
		KeyAccess: "RO access", Summary: "Returns how many members of a sorted set come before one.", Since: "2.0.0", Group: "sorted-set",
		Complexity: "O(log(N)+M), N being the size of the sorted set and M the number of members up to the nearer end"},
	{Name: "zrevrank", Arity: -3, Flags: ReadOnly | Fast | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRank,
		KeyAccess: "RO access", Summary: "Returns how many members of a sorted set come after one.", Since: "2.0.0", Group: "sorted-set",
		Complexity: "O(log(N)+M), N being the size of the sorted set and M the number of members up to the nearer end"},
	{Name: "zrandmember", Arity: -2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runZRandMember,
		Tips: []string{"nondeterministic_output"}, KeyAccess: "RO access",
		Summary: "Returns random members of a sorted set.", Since: "6.2.0", Group: "sorted-set", Complexity: "O(N), N being the ranks up to the last member drawn"},
}

func runZCount(c *Context) error { return c.zcount(&zquery{by: byScore, limit: -1}) }

func runZLexCount(c *Context) error { return c.zcount(&zquery{by: byLex, limit: -1}) }

// zcount counts the range with the ends Args[2] and Args[3].
func (c *Context) zcount(q *zquery) error {
	_, _, _, err := c.replyCounted(q)
	return err
}

// replyCounted finds the range of Args[1] with the ends Args[2] and Args[3], and replies how many members it has. ok is false when an error was
// replied, or is returned.
func (c *Context) replyCounted(q *zquery) (r *row, run zrun, ok bool, err error) {
	key := c.Args[1]
	if problem := c.zrangeBounds(q, 2); problem != "" {
		c.Reply.Error(problem)
		return nil, run, false, nil
	}
	if r, ok, err = c.lookType(key, event.TypeZSet); !ok {
		return nil, run, false, err
	}
	if run, err = c.zfind(key, r, q); err == nil {
		err = c.countRun(key, r, &run)
	}
	if err != nil {
		return nil, run, false, err
	}
	c.Reply.Int(run.limit)
	return r, run, true, nil
}

// runZRank is ZRANK and ZREVRANK.
func runZRank(c *Context) error {
	withScore := len(c.Args) == 4 && equalFold(c.Args[3], "withscore")
	switch {
	case len(c.Args) > 4:
		c.Reply.Error(arityError(c.Spec.Name))
		return nil
	case len(c.Args) == 4 && !withScore:
		c.Reply.Error(ErrSyntax)
		return nil
	}
	key, member := c.Args[1], c.Args[2]
	r, ok, err := c.lookType(key, event.TypeZSet)
	if !ok {
		return err
	}
	var e Element
	found := false
	if r.live {
		if e, found, err = c.element(key, r, member); err != nil {
			return err
		}
	}
	switch {
	case !found && withScore:
		c.Reply.NullArray()
		return nil
	case !found:
		c.Reply.Null()
		return nil
	}
	score := e.Score
	rank, err := c.zsetRank(key, r, &ScoreKey{Score: score, Member: member})
	if err != nil {
		return err
	}
	if c.Spec.Name == "zrevrank" {
		rank = int64(r.Count) - 1 - rank
	}
	if withScore {
		c.Reply.Array(2)
	}
	c.Reply.Int(rank)
	if withScore {
		c.Reply.Double(score)
	}
	return nil
}

const (
	// rankCounted is up to how many members are simply counted. Beyond it, the walk to the one sought begins with steps of rankStep members and goes
	// on with twice as many up to rankMost; the end that is probably farther away gets one rankFar-th of each step.
	rankCounted = 512
	rankStep    = 256
	rankMost    = 16 << 10
	rankFar     = 4
)

// rankWalk is a walk over a sorted set from one of its ends towards a member.
type rankWalk struct {
	in     ScoreRange // from where it stands to the other end
	passed int64      // members behind it
}

// zsetRank counts the members before one that is there. Which end is nearer isn't known before, so it walks from both, in steps that skip over
// members without looking at them. All in all it passes less than twice the members up to the nearer end where scores are spread evenly, and
// never more than there are, but for the last step, which is counted again.
func (c *Context) zsetRank(key []byte, r *row, at *ScoreKey) (int64, error) {
	n := int64(r.Count)
	if n <= rankCounted {
		return c.View.CountScores(key, &r.Meta, ScoreRange{To: at})
	}
	low, high := &rankWalk{}, &rankWalk{in: ScoreRange{Reverse: true}}
	near, far := low, high
	lowest, err := c.zsetAt(key, r, low.in)
	if err != nil {
		return 0, err
	}
	highest, err := c.zsetAt(key, r, high.in)
	if err != nil {
		return 0, err
	}
	if lowest != nil && highest != nil && at.Score-lowest.Score > highest.Score-at.Score {
		near, far = far, near
	}
	for step := int64(rankStep); ; step = min(2*step, rankMost) {
		for _, w := range [...]*rankWalk{near, far} {
			size := step
			if w == far {
				size /= rankFar
			}
			if there, err := c.rankStep(key, r, w, at, size); err != nil || !there {
				if err != nil {
					return 0, err
				}
				continue
			}
			if w == high {
				return n - 1 - w.passed, nil
			}
			return w.passed, nil
		}
	}
}

// rankStep walks on by size members, or to at if that is nearer: there says so.
func (c *Context) rankStep(key []byte, r *row, w *rankWalk, at *ScoreKey, size int64) (there bool, err error) {
	in := w.in
	in.Skip = size
	next, err := c.zsetAt(key, r, in)
	if err != nil {
		return false, err
	}
	run := zrun{in: w.in}
	if next != nil && (compareScores(next, at) < 0) != w.in.Reverse && compareScores(next, at) != 0 {
		run.begin(next)
		w.in = run.in
		w.passed += size
		return false, nil
	}
	run.end(at)
	run.in.Reverse = false
	left, err := c.View.CountScores(key, &r.Meta, run.in)
	w.passed += left
	return true, err
}

func compareScores(a, b *ScoreKey) int {
	if order := cmp.Compare(a.Score, b.Score); order != 0 {
		return order
	}
	return bytes.Compare(a.Member, b.Member)
}
