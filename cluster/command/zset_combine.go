package command

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/zankv/zankv/cdc/event"
)

const (
	zunionComplexity = "O(N)+O(M*log(M)), N being the sum of the sizes and M the size of the result"
	zinterComplexity = "O(N*K)+O(M*log(M)), N being the size of the smallest of K sets and M the size of the result"
	zdiffComplexity  = "O(N*K)+O(M*log(M)), N being the size of the first of K sets and M the size of the result"
)

// zsetCombines are the commands on several sorted sets, or sets, whose members count as having the score 1.
var zsetCombines = []*Spec{
	{Name: "zunion", Arity: -3, Flags: ReadOnly | ManyRows | MovableKeys, NumKeys: 1, Scope: ScopeKeys, Run: runZUnion,
		KeyAccess: "RO access", Summary: "Returns the union of sorted sets.", Since: "6.2.0", Group: "sorted-set", Complexity: zunionComplexity},
	{Name: "zinter", Arity: -3, Flags: ReadOnly | ManyRows | MovableKeys, NumKeys: 1, Scope: ScopeKeys, Run: runZInter,
		KeyAccess: "RO access", Summary: "Returns the intersection of sorted sets.", Since: "6.2.0", Group: "sorted-set", Complexity: zinterComplexity},
	{Name: "zdiff", Arity: -3, Flags: ReadOnly | ManyRows | MovableKeys, NumKeys: 1, Scope: ScopeKeys, Run: runZDiff,
		KeyAccess: "RO access", Summary: "Returns what is in the first of several sorted sets and in no other.", Since: "6.2.0", Group: "sorted-set", Complexity: zdiffComplexity},
	{Name: "zintercard", Arity: -3, Flags: ReadOnly | ManyRows | MovableKeys, NumKeys: 1, Scope: ScopeKeys, Run: runZInterCard,
		KeyAccess: "RO access", Summary: "Counts the intersection of sorted sets, up to a limit.", Since: "7.0.0", Group: "sorted-set", Complexity: zinterComplexity},
	{Name: "zunionstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, FirstKey: 1, LastKey: 1, KeyStep: 1, NumKeys: 2, Scope: ScopeKeys, Run: runZUnionStore,
		KeyAccess: "OW update", Summary: "Stores the union of sorted sets.", Since: "2.0.0", Group: "sorted-set", Complexity: zunionComplexity},
	{Name: "zinterstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, FirstKey: 1, LastKey: 1, KeyStep: 1, NumKeys: 2, Scope: ScopeKeys, Run: runZInterStore,
		KeyAccess: "OW update", Summary: "Stores the intersection of sorted sets.", Since: "2.0.0", Group: "sorted-set", Complexity: zinterComplexity},
	{Name: "zdiffstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, FirstKey: 1, LastKey: 1, KeyStep: 1, NumKeys: 2, Scope: ScopeKeys, Run: runZDiffStore,
		KeyAccess: "OW update", Summary: "Stores what is in the first of several sorted sets and in no other.", Since: "6.2.0", Group: "sorted-set", Complexity: zdiffComplexity},
}

// zcombine is what such a command asks for.
type zcombine struct {
	op zcombineOp
	// store: the result becomes what Args[1] holds. card: it is counted, up to limit, 0 for none.
	store, card bool
	limit       int64
	withScores  bool
	aggregate   aggregate
	sources     []zsource
}

type zcombineOp uint8

const (
	zunion zcombineOp = iota
	zinter
	zdiff
)

// aggregate makes one score of two.
type aggregate uint8

const (
	aggregateSum aggregate = iota
	aggregateMin
	aggregateMax
)

// of is Redis's: two infinities that cancel out make 0, and what is no number leaves the first as it is.
func (a aggregate) of(x, y float64) float64 {
	switch {
	case a == aggregateSum:
		return number(x + y)
	case a == aggregateMin && y < x, a == aggregateMax && y > x:
		return y
	}
	return x
}

// number is f, or 0 for what is none.
func number(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return f
}

// zsource is one of the sets.
type zsource struct {
	key    []byte
	row    row
	weight float64
}

func (s *zsource) size() uint64 {
	if !s.row.live {
		return 0
	}
	return s.row.Count
}

// score is a member's, less the weight.
func (s *zsource) score(e *Element) float64 {
	if s.row.Type == event.TypeSet {
		return 1
	}
	return e.Score
}

func runZUnion(c *Context) error      { return c.zcombine(&zcombine{op: zunion}) }
func runZInter(c *Context) error      { return c.zcombine(&zcombine{op: zinter}) }
func runZDiff(c *Context) error       { return c.zcombine(&zcombine{op: zdiff}) }
func runZInterCard(c *Context) error  { return c.zcombine(&zcombine{op: zinter, card: true}) }
func runZUnionStore(c *Context) error { return c.zcombine(&zcombine{op: zunion, store: true}) }
func runZInterStore(c *Context) error { return c.zcombine(&zcombine{op: zinter, store: true}) }
func runZDiffStore(c *Context) error  { return c.zcombine(&zcombine{op: zdiff, store: true}) }

func (c *Context) zcombine(q *zcombine) error {
	if ok, err := c.zcombineArgs(q); !ok {
		return err
	}
	if q.op != zdiff { // the order in which scores are added up is Redis's, too
		slices.SortStableFunc(q.sources, func(a, b zsource) int { return cmp.Compare(a.size(), b.size()) })
	}
	var all []scored
	var err error
	if q.op == zunion {
		all, err = c.zunited(q)
	} else {
		all, err = c.zcommon(q)
	}
	switch {
	case err != nil:
		return err
	case q.store:
		return c.zsetStore(c.Args[1], all)
	case q.card:
		c.Reply.Int(int64(len(all)))
		return nil
	}
	slices.SortFunc(all, func(a, b scored) int {
		return compareScores(&ScoreKey{Score: a.score, Member: a.member}, &ScoreKey{Score: b.score, Member: b.member})
	})
	c.scoredHead(int64(len(all)), q.withScores)
	for i := range all {
		c.replyScored(all[i].score, all[i].member, q.withScores)
		if err := c.Reply.Part(); err != nil {
			return err
		}
	}
	return nil
}

// zunited gives the union, in no order.
func (c *Context) zunited(q *zcombine) (all []scored, err error) {
	index := map[string]int{}
	for i := range q.sources {
		s := &q.sources[i]
		if !s.row.live {
			continue
		}
		err = c.View.Elements(s.key, &s.row.Meta, Range{}, func(member []byte, e *Element) bool {
			score := number(s.weight * s.score(e))
			if at, ok := index[string(member)]; ok {
				all[at].score = q.aggregate.of(all[at].score, score)
				return true
			}
			index[string(member)] = len(all)
			all = append(all, scored{member: c.hold(member), score: score})
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// zcommon gives the intersection or the difference, in no order: the members of the first set that are, or are not, in the others.
func (c *Context) zcommon(q *zcombine) (all []scored, err error) {
	err = c.eachOfSource(&q.sources[0], func(member []byte, score float64) (more bool, err error) {
		kept, err := c.zkept(q, member, &score)
		if kept && err == nil {
			all = append(all, scored{member: c.hold(member), score: score})
		}
		return err == nil && (q.limit == 0 || int64(len(all)) < q.limit), err
	})
	return all, err
}

// zkept decides about one member of the first set; *score becomes that of the result.
func (c *Context) zkept(q *zcombine, member []byte, score *float64) (bool, error) {
	if q.op == zinter {
		*score = number(*score * q.sources[0].weight)
	}
	for i := 1; i < len(q.sources); i++ {
		s := &q.sources[i]
		there := false
		var e Element
		if s.row.live {
			var err error
			if e, there, err = c.element(s.key, &s.row, member); err != nil {
				return false, err
			}
		}
		if there != (q.op == zinter) {
			return false, nil
		}
		if there {
			*score = q.aggregate.of(*score, s.score(&e)*s.weight)
		}
	}
	return true, nil
}

// sourcePage is how many members are read before they are looked up in other sets.
const sourcePage = 512

// eachOfSource visits the members of a set with their scores, less the weight. visit may use the view; member is borrowed.
func (c *Context) eachOfSource(s *zsource, visit func(member []byte, score float64) (more bool, err error)) error {
	if !s.row.live {
		return nil
	}
	var text []byte
	var ends []int
	var scores []float64
	var from []byte
	for {
		text, ends, scores = text[:0], ends[:0], scores[:0]
		err := c.View.Elements(s.key, &s.row.Meta, Range{From: from}, func(member []byte, e *Element) bool {
			text = append(text, member...)
			ends, scores = append(ends, len(text)), append(scores, s.score(e))
			return len(ends) < sourcePage
		})
		if err != nil {
			return err
		}
		start := 0
		for i, end := range ends {
			if more, err := visit(text[start:end], scores[i]); err != nil || !more {
				return err
			}
			if i == len(ends)-1 {
				from = append(bytes.Clone(text[start:end]), 0)
			}
			start = end
		}
		if len(ends) < sourcePage {
			return nil
		}
	}
}
