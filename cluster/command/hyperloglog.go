package command

// hyperLogLogs are the commands that count distinct elements, nearly.
//
// What they count with is a string in Redis's own form, so that GET, SET, DUMP and RESTORE carry it between the two. PFCOUNT is a read
// here: where Redis writes what it counted into the string, for the next PFCOUNT of that key alone, nothing is written.
var hyperLogLogs = []*Spec{
	{Name: "pfadd", Arity: -2, Flags: Write | DenyOOM | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runPFAdd,
		KeyAccess: "RW insert", Summary: "Adds elements to a HyperLogLog, which it makes if need be.", Since: "2.8.9", Group: "hyperloglog", Complexity: "O(1) for each element"},
	{Name: "pfcount", Arity: -2, Flags: ReadOnly, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Run: runPFCount,
		KeyAccess: "RW access", KeyNotes: "RW because it may change the internal representation of the key, and propagate to replicas",
		Summary: "Estimates how many distinct elements one or several HyperLogLogs have seen.", Since: "2.8.9", Group: "hyperloglog", Complexity: "O(1) for one key, O(N) for N keys, with a large constant"},
	{Name: "pfmerge", Arity: -2, Flags: Write | DenyOOM, FirstKey: 1, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Run: runPFMerge,
		KeyAccess: "RW access insert", Summary: "Merges HyperLogLogs into one.", Since: "2.8.9", Group: "hyperloglog", Complexity: "O(N), N being the number of keys, with a large constant"},
}

// Error texts of the commands on HyperLogLogs, Redis's.
const (
	ErrNotSketch     = "WRONGTYPE Key is not a valid HyperLogLog string value."
	ErrCorruptSketch = "INVALIDOBJ Corrupted HLL object detected"
)

// lookSketch is lookString for a HyperLogLog: ok is false, and an error replied, when a key that is there holds something else. The
// sketch is borrowed as r.Value is, and nil when the key is absent.
func (c *Context) lookSketch(key []byte) (r *row, s sketch, ok bool, err error) {
	r, ok, err = c.lookString(key)
	if !ok || !r.live {
		return r, nil, ok, err
	}
	s = sketch(r.Value)
	if !s.valid() {
		c.Reply.Error(ErrNotSketch)
		return r, nil, false, nil
	}
	return r, s, true, nil
}

func runPFAdd(c *Context) error {
	key, elements := c.Args[1], c.Args[2:]
	if len(elements) > c.limits().PFAdd {
		c.Reply.Error(ErrBatchSize)
		return nil
	}
	r, old, ok, err := c.lookSketch(key)
	if !ok {
		return err
	}
	updated := old == nil
	s := c.editSketch(old)
	for _, e := range elements {
		index, count := sketchRegister(e)
		changed, ok := s.set(index, count)
		if !ok {
			c.Reply.Error(ErrCorruptSketch)
			return nil
		}
		updated = updated || changed
	}
	if !updated {
		c.Reply.Int(0)
		return nil
	}
	c.Reply.Int(1)
	s.invalidate()
	c.saveSketch(key, s, r)
	return nil
}

// editSketch copies a sketch, or an empty one, to where it can be changed.
func (c *Context) editSketch(old sketch) sketch {
	if old == nil {
		return appendEmptySketch(c.text[:0])
	}
	return append(c.text[:0], old...)
}

func (c *Context) saveSketch(key []byte, s sketch, r *row) {
	c.text = s
	c.emitValue(key, s, r)
}

func runPFCount(c *Context) error {
	keys := c.Args[1:]
	if len(keys) > 1 {
		max, _, ok, err := c.mergeSketches(keys)
		if ok {
			c.Reply.Int(int64(max.histogram().estimate()))
		}
		return err
	}
	_, s, ok, err := c.lookSketch(keys[0])
	if !ok {
		return err
	}
	if s == nil {
		c.Reply.Int(0)
		return nil
	}
	n, ok := s.count()
	if !ok {
		c.Reply.Error(ErrCorruptSketch)
		return nil
	}
	c.Reply.Int(int64(n))
	return nil
}

// mergeSketches gives the greatest value of each register of several sketches. ok is false, and an error replied, when one isn't one.
func (c *Context) mergeSketches(keys [][]byte) (max *registers, dense, ok bool, err error) {
	max = new(registers)
	for _, key := range keys {
		_, s, ok, err := c.lookSketch(key)
		if !ok {
			return nil, false, false, err
		}
		if s == nil {
			continue
		}
		dense = dense || s.dense()
		if !max.merge(s) {
			c.Reply.Error(ErrCorruptSketch)
			return nil, false, false, nil
		}
	}
	return max, dense, true, nil
}

func runPFMerge(c *Context) error {
	key := c.Args[1]
	max, dense, ok, err := c.mergeSketches(c.Args[1:])
	if !ok {
		return err
	}
	r, old, ok, err := c.lookSketch(key)
	if !ok {
		return err
	}
	s := c.editSketch(old)
	if dense {
		if ok = s.toDense(); !ok {
			c.Reply.Error(ErrCorruptSketch)
			return nil
		}
	}
	for index, count := range max {
		if count == 0 {
			continue
		}
		if _, ok := s.set(index, count); !ok {
			c.Reply.Error(ErrCorruptSketch)
			return nil
		}
	}
	s.invalidate()
	c.Reply.OK()
	c.saveSketch(key, s, r)
	return nil
}
