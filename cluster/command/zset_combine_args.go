package command

import "github.com/zankv/zankv/cdc/event"

const errWeight = "ERR weight value is not a float"

// zcombineArgs reads the number of keys, the keys with what they hold, and the options. It replies what is wrong, in Redis's order.
func (c *Context) zcombineArgs(q *zcombine) (ok bool, err error) {
	first := 1
	if q.store {
		first = 2
	}
	n, ok := c.intArg(first)
	switch {
	case !ok:
		return false, nil
	case n < 1:
		c.Reply.Error("ERR at least 1 input key is needed for '" + c.Spec.Name + "' command")
		return false, nil
	case n > int64(len(c.Args)-first-1):
		c.Reply.Error(ErrSyntax)
		return false, nil
	}
	rest := c.Args[first+1:]
	q.sources = make([]zsource, n)
	for i := range q.sources {
		if ok, err := c.zsource(&q.sources[i], rest[i]); !ok {
			return false, err
		}
	}
	if problem := q.options(rest[n:]); problem != "" {
		c.Reply.Error(problem)
		return false, nil
	}
	return true, nil
}

func (c *Context) zsource(s *zsource, key []byte) (ok bool, err error) {
	r, err := c.look(key)
	if err != nil {
		return false, err
	}
	if r.live && r.Type != event.TypeZSet && r.Type != event.TypeSet {
		c.Reply.Error(ErrWrongType)
		return false, nil
	}
	*s = zsource{key: key, row: *r, weight: 1}
	s.row.Value = nil // borrowed
	return true, nil
}

// options reads what stands behind the keys and says what is wrong with it.
func (q *zcombine) options(args [][]byte) (problem string) {
	weighs := q.op != zdiff && !q.card
	for len(args) > 0 && problem == "" {
		switch arg := args[0]; {
		case weighs && len(args) > len(q.sources) && equalFold(arg, "weights"):
			problem = q.weights(args[1:])
			args = args[len(q.sources)+1:]
		case weighs && len(args) >= 2 && equalFold(arg, "aggregate"):
			problem = q.aggregateBy(args[1])
			args = args[2:]
		case !q.store && !q.card && equalFold(arg, "withscores"):
			q.withScores = true
			args = args[1:]
		case q.card && len(args) >= 2 && equalFold(arg, "limit"):
			var ok bool
			if q.limit, ok = parseInt(args[1]); !ok || q.limit < 0 {
				return ErrNegativeLimit
			}
			args = args[2:]
		default:
			return ErrSyntax
		}
	}
	return problem
}

func (q *zcombine) weights(args [][]byte) (problem string) {
	for i := range q.sources {
		weight, fits, ok := strtod(args[i])
		if !ok || !fits {
			return errWeight
		}
		q.sources[i].weight = weight
	}
	return ""
}

func (q *zcombine) aggregateBy(word []byte) (problem string) {
	switch {
	case equalFold(word, "sum"):
		q.aggregate = aggregateSum
	case equalFold(word, "min"):
		q.aggregate = aggregateMin
	case equalFold(word, "max"):
		q.aggregate = aggregateMax
	default:
		return ErrSyntax
	}
	return ""
}
