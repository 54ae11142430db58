package command

import (
	"bytes"

	"github.com/zankv/zankv/cdc/event"
)

const (
	// ErrHashInteger and ErrHashFloat are what HINCRBY and HINCRBYFLOAT say of a field that holds something else.
	ErrHashInteger = "ERR hash value is not an integer"
	ErrHashFloat   = "ERR hash value is not a float"
	// ErrNaNArgument is what HINCRBYFLOAT says of an increment that is no finite number.
	ErrNaNArgument = "ERR value is NaN or Infinity"
)

func runHSet(c *Context) error {
	added, ok, err := c.writeFields()
	if ok {
		c.Reply.Int(int64(added))
	}
	return err
}

func runHMSet(c *Context) error {
	_, ok, err := c.writeFields()
	if ok {
		c.Reply.OK()
	}
	return err
}

// writeFields writes the pairs Args[2:] and says how many of the fields are new. Of a field that is named more than once the last value
// counts. ok is false when an error was replied or returned.
func (c *Context) writeFields() (added int, ok bool, err error) {
	if len(c.Args)%2 != 0 {
		c.Reply.Error(arityError(c.Spec.Name))
		return 0, false, nil
	}
	if !c.batchFits((len(c.Args)-2)/2) || !c.subKeysFit(2, 2) {
		return 0, false, nil
	}
	key := c.Args[1]
	r, ok, err := c.lookType(key, event.TypeHash)
	if !ok {
		return 0, false, err
	}
	m := c.change(event.OpHSet, key, r)
	again := findRepeats(c.Args, 2, 2)
	for i := 2; i < len(c.Args); i += 2 {
		if again.behind(i) {
			continue
		}
		fresh, err := c.writeField(m, r, c.Args[i], c.Args[i+1])
		if err != nil {
			return 0, false, err
		}
		added += fresh
	}
	c.emitChange(m)
	return added, true, nil
}

// writeField adds a field to an OpHSet unless it has that value already. It returns 1 for a field that is new.
func (c *Context) writeField(m *event.Mutation, r *row, field, value []byte) (fresh int, err error) {
	e, ok, err := c.element(m.Key, r, field)
	if err != nil || ok && bytes.Equal(e.Value, value) {
		return 0, err
	}
	m.Elements = append(m.Elements, event.Element{Sub: field, Value: value, Prev: e.Version, Exists: ok})
	if ok {
		return 0, nil
	}
	m.Count++
	return 1, nil
}

func runHSetNX(c *Context) error {
	if !c.subKeysFit(2, 2) {
		return nil
	}
	key := c.Args[1]
	r, ok, err := c.lookType(key, event.TypeHash)
	if !ok {
		return err
	}
	e, ok, err := c.element(key, r, c.Args[2])
	if err != nil {
		return err
	}
	c.replyBool(!ok)
	if !ok {
		c.emitField(r, &e, false, c.Args[3])
	}
	return nil
}

// emitField writes Args[2] of the hash at Args[1], where e was found if exists, and else what its Prev is.
func (c *Context) emitField(r *row, e *Element, exists bool, value []byte) {
	m := c.change(event.OpHSet, c.Args[1], r)
	m.Elements = append(m.Elements, event.Element{Sub: c.Args[2], Value: value, Prev: e.Version, Exists: exists})
	if !exists {
		m.Count++
	}
	c.emitChange(m)
}

func runHDel(c *Context) error { return c.removeElements(event.OpHDel) }

// removeElements removes the elements Args[2:] of the hash or set at Args[1] and replies how many there were.
func (c *Context) removeElements(op event.Op) error {
	if !c.batchFits(len(c.Args) - 2) {
		return nil
	}
	key := c.Args[1]
	r, ok, err := c.lookType(key, op.ElementType())
	if !ok {
		return err
	}
	if !r.live {
		c.Reply.Int(0)
		return nil
	}
	m := c.change(op, key, r)
	again := findRepeats(c.Args, 2, 1)
	for i := 2; i < len(c.Args); i++ {
		if again.behind(i) {
			continue
		}
		e, ok, err := c.element(key, r, c.Args[i])
		if err != nil {
			return err
		}
		if ok {
			m.Elements = append(m.Elements, event.Element{Sub: c.Args[i], Prev: e.Version, Exists: true})
			m.Count--
		}
	}
	c.Reply.Int(int64(len(m.Elements)))
	c.emitChange(m)
	return nil
}

func runHIncrBy(c *Context) error {
	n, ok := c.intArg(3)
	if !ok || !c.subKeysFit(2, 2) {
		return nil
	}
	r, e, found, ok, err := c.lookField()
	if !ok {
		return err
	}
	if c.increase(e.Value, found, n, ErrHashInteger) {
		c.emitNumber(r, &e, found)
	}
	return nil
}

func runHIncrByFloat(c *Context) error {
	n, ok := parseLongDouble(c.Args[3])
	switch {
	case !ok:
		c.Reply.Error(ErrNotFloat)
		return nil
	case n.inf != 0:
		c.Reply.Error(ErrNaNArgument)
		return nil
	case !c.subKeysFit(2, 2):
		return nil
	}
	r, e, found, ok, err := c.lookField()
	if !ok {
		return err
	}
	var old longDouble
	if found {
		if old, ok = parseLongDouble(e.Value); !ok {
			c.Reply.Error(ErrHashFloat)
			return nil
		}
	}
	sum, ok := old.add(n)
	if !ok {
		c.Reply.Error(ErrNaN)
		return nil
	}
	c.text = sum.appendText(c.text[:0])
	c.Reply.Bulk(c.text)
	c.emitNumber(r, &e, found)
	return nil
}

// lookField reads the field Args[2] of the hash at Args[1] for a write; ok is false when an error was replied or returned.
func (c *Context) lookField() (r *row, e Element, found, ok bool, err error) {
	r, ok, err = c.lookType(c.Args[1], event.TypeHash)
	if !ok {
		return nil, e, false, false, err
	}
	e, found, err = c.element(c.Args[1], r, c.Args[2])
	return r, e, found, err == nil, err
}

// emitNumber writes the number in c.text into the field that lookField found as e. A text that is there already is no change.
func (c *Context) emitNumber(r *row, e *Element, found bool) {
	if !found || !bytes.Equal(e.Value, c.text) {
		c.emitField(r, e, found, c.text)
	}
}

// repeats finds words that a command line has more than once.
type repeats struct {
	args [][]byte
	step int
	last map[string]int // the last place of each word; nil for few words, among which looking is cheaper
}

// fewWords are so few that comparing all with all beats making a map.
const fewWords = 16

// findRepeats looks at args[first], args[first+step] and so on.
func findRepeats(args [][]byte, first, step int) repeats {
	p := repeats{args: args, step: step}
	if n := (len(args) - first) / step; n > fewWords {
		p.last = make(map[string]int, n)
		for i := first; i < len(args); i += step {
			p.last[string(args[i])] = i
		}
	}
	return p
}

// behind says whether args[i] comes again further behind.
func (p *repeats) behind(i int) bool {
	if p.last != nil {
		return p.last[string(p.args[i])] != i
	}
	for j := i + p.step; j < len(p.args); j += p.step {
		if bytes.Equal(p.args[i], p.args[j]) {
			return true
		}
	}
	return false
}
