package event

import "strconv"

// Names of ops and types, as the JSON shows them. An unknown number shows as "op9" or "type9".
var opNames = [...]string{
	OpSet: "set", OpValue: "setvalue", OpDel: "del", OpExpire: "expire", OpExpireAt: "expireat", OpPersist: "persist", OpRange: "range",
	OpHSet: "hset", OpHDel: "hdel", OpSAdd: "sadd", OpSRem: "srem", OpZAdd: "zadd", OpZRem: "zrem",
	OpLPush: "lpush", OpRPush: "rpush", OpLPop: "lpop", OpRPop: "rpop", OpLSet: "lset", OpLInsert: "linsert", OpLRem: "lrem", OpBits: "setbits",
}

var typeNames = [...]string{
	TypeNone: "none", TypeString: "string", TypeHash: "hash", TypeList: "list", TypeSet: "set", TypeZSet: "zset", TypeBitmap: "bitmap",
}

// String is the op's name in the JSON.
func (o Op) String() string {
	if int(o) < len(opNames) && opNames[o] != "" {
		return opNames[o]
	}
	return "op" + strconv.Itoa(int(o))
}

// String is the type's name in the JSON.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type" + strconv.Itoa(int(t))
}

// OnElements says whether the op writes or removes elements of a collection.
func (o Op) OnElements() bool { return o >= OpHSet && o <= OpBits }

// Removes says whether an op on elements removes those that it names.
func (o Op) Removes() bool {
	switch o {
	case OpHDel, OpSRem, OpZRem, OpLPop, OpRPop, OpLRem:
		return true
	}
	return false
}

// ElementType is the type of the collection that an op on elements is for.
func (o Op) ElementType() Type {
	switch o {
	case OpHSet, OpHDel:
		return TypeHash
	case OpSAdd, OpSRem:
		return TypeSet
	case OpZAdd, OpZRem:
		return TypeZSet
	case OpLPush, OpRPush, OpLPop, OpRPop, OpLSet, OpLInsert, OpLRem:
		return TypeList
	case OpBits:
		return TypeBitmap
	}
	return TypeNone
}

// showsValue says whether the JSON has the mutation's value: the string, or the end of a range.
func (o Op) showsValue() bool { return o == OpSet || o == OpValue || o == OpRange }

// namesSubs says whether the JSON names the op's elements by what a user named them: fields or members.
func (o Op) namesSubs() bool { return o >= OpHSet && o <= OpZRem }

// showsElementValues says whether the JSON has the values of the op's elements, as text: fields' values, items.
func (o Op) showsElementValues() bool {
	switch o {
	case OpHSet, OpLPush, OpRPush, OpLSet, OpLInsert:
		return true
	}
	return false
}

// pops says whether the op takes items off an end of a list. Of those the JSON has the number only.
func (o Op) pops() bool { return o == OpLPop || o == OpRPop }

// versionsElements says whether the registers that m writes are elements, each with a version before of its own (in a snapshot's row: with its
// version). They aren't where the list, or the key as a whole, is the register.
func (m *Mutation) versionsElements() bool {
	return m.Op.OnElements() && (!m.Whole || m.Row) && (m.Op < OpLPush || m.Op > OpLRem)
}

// popped is how many items OpLPop or OpRPop removes.
func (m *Mutation) popped() uint64 { return uint64(len(m.Elements)) + m.Popped }

// segmentNumber is the number in the Sub of a bitmap's segment.
func segmentNumber(sub []byte) (n uint32) {
	for _, c := range sub {
		n = n<<8 | uint32(c)
	}
	return n
}

func parseOp(s []byte) (Op, bool) {
	n, ok := parseName(s, opNames[:], "op")
	return Op(n), ok && n != 0
}

// IsOp says whether name is an op's, as the JSON has it.
func IsOp(name string) bool {
	_, ok := parseOp([]byte(name))
	return ok
}

func parseType(s []byte) (Type, bool) {
	n, ok := parseName(s, typeNames[:], "type")
	return Type(n), ok
}

func parseName(s []byte, names []string, unknown string) (uint8, bool) {
	for i, name := range names {
		if name != "" && string(s) == name {
			return uint8(i), true
		}
	}
	if len(s) <= len(unknown) || string(s[:len(unknown)]) != unknown {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[len(unknown):]), 10, 8)
	if err != nil || int(n) < len(names) {
		return 0, false
	}
	return uint8(n), true
}
