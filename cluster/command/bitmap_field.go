package command

// fieldOp is one operation of BITFIELD on an integer of width bits at offset.
type fieldOp struct {
	verb   fieldVerb
	flow   overflow
	signed bool
	width  int
	offset int64
	value  int64 // to set or to add
}

type fieldVerb uint8

const (
	fieldGet fieldVerb = iota + 1
	fieldSet
	fieldIncrBy
)

// overflow says what becomes of a value that doesn't fit.
type overflow uint8

const (
	flowWrap overflow = iota + 1
	flowSaturate
	flowFail
)

// parseFields reads BITFIELD's arguments from Args[2] on; it replies what is wrong. size is how long in bytes the string must be for all
// that is written, 0 when nothing is.
func (c *Context) parseFields() (ops []fieldOp, size int64, ok bool) {
	flow := flowWrap
	for i := 2; i < len(c.Args); {
		verb, rest := c.Args[i], len(c.Args)-i-1
		if equalFold(verb, "overflow") && rest >= 1 {
			if flow, ok = parseOverflow(c.Args[i+1]); !ok {
				c.Reply.Error(ErrBitFieldFlow)
				return nil, 0, false
			}
			i += 2
			continue
		}
		op := fieldOp{verb: parseVerb(verb, rest), flow: flow}
		if op.verb == 0 {
			c.Reply.Error(ErrSyntax)
			return nil, 0, false
		}
		if !c.parseField(&op, i) {
			return nil, 0, false
		}
		i += 4
		if op.verb == fieldGet {
			i--
		} else {
			size = max(size, (op.offset+int64(op.width)-1)/8+1)
		}
		ops = append(ops, op)
	}
	return ops, size, c.batchFits(len(ops))
}

// parseVerb gives 0 when it is none, or has too few arguments.
func parseVerb(arg []byte, rest int) fieldVerb {
	switch {
	case equalFold(arg, "get") && rest >= 2:
		return fieldGet
	case equalFold(arg, "set") && rest >= 3:
		return fieldSet
	case equalFold(arg, "incrby") && rest >= 3:
		return fieldIncrBy
	}
	return 0
}

func parseOverflow(arg []byte) (overflow, bool) {
	switch {
	case equalFold(arg, "wrap"):
		return flowWrap, true
	case equalFold(arg, "sat"):
		return flowSaturate, true
	case equalFold(arg, "fail"):
		return flowFail, true
	}
	return 0, false
}

// parseField reads the arguments of the operation whose name is Args[i].
func (c *Context) parseField(op *fieldOp, i int) (ok bool) {
	if op.signed, op.width, ok = parseFieldType(c.Args[i+1]); !ok {
		c.Reply.Error(ErrBitFieldType)
		return false
	}
	most := int64(maxReadOffset)
	if op.verb != fieldGet {
		most = c.limits().BitOffset
	}
	if op.offset, ok = c.bitOffset(c.Args[i+2], int64(op.width), most); !ok {
		return false
	}
	if op.verb != fieldGet {
		op.value, ok = c.intArg(i + 3)
	}
	return ok
}

// parseFieldType reads "i16" or "u8": up to i64 and u63.
func parseFieldType(arg []byte) (signed bool, width int, ok bool) {
	text := cString(arg)
	if text == "" || text[0] != 'i' && text[0] != 'u' {
		return false, 0, false
	}
	signed = text[0] == 'i'
	n, ok := parseInt([]byte(text[1:]))
	if !ok || n < 1 || n > 64 || n > 63 && !signed {
		return false, 0, false
	}
	return signed, int(n), true
}

// runBitField is BITFIELD and BITFIELD_RO.
func runBitField(c *Context) error {
	ops, size, ok := c.parseFields()
	if !ok {
		return nil
	}
	if size > 0 && c.Spec.Flags&Write == 0 {
		c.Reply.Error(ErrBitFieldReads)
		return nil
	}
	b, ok, err := c.openBits(c.Args[1], size)
	if !ok {
		return err
	}
	c.Reply.Array(len(ops))
	for i := range ops {
		if err := c.runField(&b, &ops[i]); err != nil {
			return err
		}
	}
	if size == 0 {
		return nil
	}
	return b.save()
}

func (c *Context) runField(b *bitString, op *fieldOp) error {
	raw, err := b.field(op.offset, op.width)
	if err != nil {
		return err
	}
	old := op.extend(raw)
	if op.verb == fieldGet {
		c.Reply.Int(old)
		return nil
	}
	value, fits := op.result(old)
	if !fits && op.flow == flowFail {
		c.Reply.Null()
		return nil
	}
	if op.verb == fieldSet {
		c.Reply.Int(old)
	} else {
		c.Reply.Int(value)
	}
	return b.setField(op.offset, op.width, uint64(value))
}

// extend makes a number of a field's bits.
func (op *fieldOp) extend(raw uint64) int64 {
	if unused := 64 - op.width; op.signed {
		return int64(raw<<unused) >> unused
	}
	return int64(raw) // at most 63 bits
}

// result gives what the field becomes. fits is false when that isn't what was asked for, but wrapped or saturated.
func (op *fieldOp) result(old int64) (value int64, fits bool) {
	base, add := old, op.value
	if op.verb == fieldSet {
		base, add = op.value, 0
	}
	over := op.overflows(base, add)
	if over == 0 {
		return base + add, true
	}
	low, high := op.bounds()
	switch {
	case op.flow != flowSaturate:
		return op.extend(uint64(base+add) & (1<<op.width - 1)), false
	case over > 0:
		return high, false
	default:
		return low, false
	}
}

func (op *fieldOp) bounds() (low, high int64) {
	if op.signed {
		high = 1<<(op.width-1) - 1
		return -high - 1, high
	}
	return 0, 1<<op.width - 1
}

// overflows says whether base+add is above (1) or below (-1) what the field holds. An unsigned field takes a negative number that is set
// for a very large one. In fields of 64 bits base+add must not be computed before it is known to fit.
func (op *fieldOp) overflows(base, add int64) int {
	low, high := op.bounds()
	room, depth := high-base, low-base // these may wrap, and then aren't looked at
	switch {
	case base > high, !op.signed && base < 0:
		return 1
	case base < low:
		return -1
	case op.width == 64 && (base < 0) != (add < 0):
		return 0
	case add > 0 && add > room:
		return 1
	case add < 0 && add < depth:
		return -1
	}
	return 0
}
