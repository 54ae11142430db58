package command

// bitmaps are the commands on bits of strings.
//
// A string to which SETBIT or BITFIELD writes, and that is longer than a segment, is kept as a bitmap: a row for each segment that isn't
// all zero. A bit set costs one segment then, however long the string. To clients a bitmap is a string; commands that write it
// otherwise make it a plain one again.
var bitmaps = []*Spec{
	{Name: "setbit", Arity: 4, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSetBit,
		KeyAccess: "RW access update", Summary: "Sets or clears a bit of a string, which grows if need be, and returns what it was.", Since: "2.2.0", Group: "bitmap", Complexity: "O(1)"},
	{Name: "setbitv2", Arity: 4, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runSetBit,
		KeyAccess: "RW access update", Summary: "Sets or clears a bit. ZanKV's other name for SETBIT.", Since: "1.0.0", Group: "bitmap", Complexity: "O(1)"},
	{Name: "bitclear", Arity: 2, Flags: Write, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runBitClear,
		KeyAccess: "RM delete", Summary: "Removes a bitmap, or any other string.", Since: "1.0.0", Group: "bitmap", Complexity: "O(1)"},
	{Name: "getbit", Arity: 3, Flags: ReadOnly | Fast, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runGetBit,
		KeyAccess: "RO access", Summary: "Returns a bit of a string.", Since: "2.2.0", Group: "bitmap", Complexity: "O(1)"},
	{Name: "bitcount", Arity: -2, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runBitCount,
		KeyAccess: "RO access", Summary: "Counts the bits of a string, or of a part of it, that are set.", Since: "2.6.0", Group: "bitmap", Complexity: "O(N), N being the number of bytes looked at"},
	{Name: "bitpos", Arity: -3, Flags: ReadOnly | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runBitPos,
		KeyAccess: "RO access", Summary: "Finds the first bit of a string that is set, or that is clear.", Since: "2.8.7", Group: "bitmap", Complexity: "O(N), N being the number of bytes looked at"},
	{Name: "bitop", Arity: -4, Flags: Write | DenyOOM, FirstKey: 2, LastKey: -1, KeyStep: 1, Scope: ScopeKeys, Run: runBitOp,
		KeyAccess: "OW update", Summary: "Combines strings bit by bit and stores the result.", Since: "2.6.0", Group: "bitmap", Complexity: "O(N), N being the bytes of all strings"},
	{Name: "bitfield", Arity: -2, Flags: Write | DenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runBitField,
		KeyAccess: "RW access update variable_flags", KeyNotes: "This command allows both access and modification of the key",
		Summary: "Reads, writes and increments integers of any width within a string.", Since: "3.2.0", Group: "bitmap", Complexity: "O(1) for each operation"},
	{Name: "bitfield_ro", Arity: -2, Flags: ReadOnly | Fast | ManyRows, FirstKey: 1, LastKey: 1, KeyStep: 1, Scope: ScopeKeys, Run: runBitField,
		KeyAccess: "RO access", Summary: "Reads integers of any width within a string.", Since: "6.0.0", Group: "bitmap", Complexity: "O(1) for each operation"},
}

// Error texts of the commands on bits, Redis's.
const (
	ErrBitOffset     = "ERR bit offset is not an integer or out of range"
	ErrBit           = "ERR bit is not an integer or out of range"
	ErrBitArgument   = "ERR The bit argument must be 1 or 0."
	ErrBitOpNot      = "ERR BITOP NOT must be called with a single source key."
	ErrBitFieldType  = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
	ErrBitFieldFlow  = "ERR Invalid OVERFLOW type specified"
	ErrBitFieldReads = "ERR BITFIELD_RO only supports the GET subcommand"
)

// maxReadOffset is the highest offset of a bit that may be asked for: Redis's, with strings of 512 MB. What may be written is limited
// by Limits.BitOffset.
const maxReadOffset = 512<<23 - 1

// bitOffset reads the offset of a bit, at most most; with width > 0 it may be a number of fields of that width: "#3". It replies the
// error when it isn't one.
func (c *Context) bitOffset(arg []byte, width, most int64) (int64, bool) {
	counted := width > 0 && len(arg) > 0 && arg[0] == '#'
	if counted {
		arg = arg[1:]
	}
	n, ok := parseInt(arg)
	if counted && ok {
		if ok = n <= most; ok {
			n *= width
		}
	}
	if !ok || n < 0 || n > most {
		c.Reply.Error(ErrBitOffset)
		return 0, false
	}
	return n, true
}

func runSetBit(c *Context) error {
	offset, ok := c.bitOffset(c.Args[2], 0, c.limits().BitOffset)
	if !ok {
		return nil
	}
	bit, ok := parseInt(c.Args[3])
	if !ok || bit&^1 != 0 {
		c.Reply.Error(ErrBit)
		return nil
	}
	b, ok, err := c.openBits(c.Args[1], offset/8+1)
	if !ok {
		return err
	}
	old, err := b.field(offset, 1)
	if err != nil {
		return err
	}
	if err := b.setField(offset, 1, uint64(bit)); err != nil {
		return err
	}
	c.Reply.Int(int64(old))
	return b.save()
}

func runGetBit(c *Context) error {
	offset, ok := c.bitOffset(c.Args[2], 0, maxReadOffset)
	if !ok {
		return nil
	}
	b, ok, err := c.openBits(c.Args[1], 0)
	if !ok {
		return err
	}
	bit, err := b.field(offset, 1)
	if err == nil {
		c.Reply.Int(int64(bit))
	}
	return err
}

func runBitClear(c *Context) error {
	r, ok, err := c.lookText(c.Args[1])
	switch {
	case !ok:
	case r.live:
		c.Reply.Int(1)
		c.emitDel(c.Args[1], r)
	default:
		c.Reply.Int(0)
	}
	return err
}
