package rdb

import (
	"encoding/binary"

	"github.com/zankv/zankv/cdc/event"
)

// Small collections are packed into one string each:
//
//	ziplist   4 length, 4 offset of the last entry, 2 count, entries, FF
//	listpack  4 length, 2 count, entries, FF
//	intset    4 width of a number (2, 4 or 8), 4 count, numbers; all little-endian
//	zipmap    1 count, entries, FF
//
// The counts may be unknown (all ones), so that it is the end mark that counts.

// packed reads a collection that is one packed string.
func (r *reader) packed(t byte) Value {
	switch t {
	case typeHashZipmap:
		return Value{Type: event.TypeHash, Items: r.pairs(r.zipmap(r.string()))}
	case typeListZiplist:
		return Value{Type: event.TypeList, Items: names(r.ziplist(r.string()))}
	case typeSetIntset:
		return Value{Type: event.TypeSet, Items: names(r.intset(r.string()))}
	case typeSetListpack:
		return Value{Type: event.TypeSet, Items: names(r.listpack(r.string()))}
	case typeHashZiplist:
		return Value{Type: event.TypeHash, Items: r.pairs(r.ziplist(r.string()))}
	case typeHashListpack:
		return Value{Type: event.TypeHash, Items: r.pairs(r.listpack(r.string()))}
	case typeZSetZiplist:
		return Value{Type: event.TypeZSet, Items: r.scores(r.ziplist(r.string()))}
	case typeZSetListpack:
		return Value{Type: event.TypeZSet, Items: r.scores(r.listpack(r.string()))}
	}
	r.fail("the type is unknown here")
	return Value{}
}

// Containers of a node of a quicklist.
const (
	nodePlain  = 1
	nodePacked = 2
)

// quicklist reads a list of ziplists, or since version 10 of listpacks and plain strings.
func (r *reader) quicklist(second bool) (items []Item) {
	for range r.count(1) {
		container := uint64(nodePacked)
		if second {
			container, _ = r.length()
		}
		s := r.string()
		switch {
		case container == nodePlain:
			items = append(items, Item{Name: s})
		case container != nodePacked:
			r.fail("unknown container in a list")
		case second:
			items = append(items, names(r.listpack(s))...)
		default:
			items = append(items, names(r.ziplist(s))...)
		}
		if r.problem != "" {
			return nil
		}
	}
	return items
}

func names(entries [][]byte) []Item {
	items := make([]Item, len(entries))
	for i, e := range entries {
		items[i].Name = e
	}
	return items
}

func (r *reader) pairs(entries [][]byte) []Item {
	if len(entries)%2 != 0 {
		r.fail("a field has no value")
		return nil
	}
	items := make([]Item, len(entries)/2)
	for i := range items {
		items[i] = Item{Name: entries[2*i], Value: entries[2*i+1]}
	}
	return items
}

func (r *reader) scores(entries [][]byte) []Item {
	items := r.pairs(entries)
	for i := range items {
		items[i].Score, items[i].Value = r.float(items[i].Value), nil
	}
	return items
}

// part reads a packed string: what is announced in its first 4 bytes must be its length, header bytes come first, FF is its last.
func (r *reader) part(s []byte, header int) (p reader, ok bool) {
	if len(s) < header+1 || uint64(binary.LittleEndian.Uint32(s)) != uint64(len(s)) || s[len(s)-1] != 0xFF {
		r.fail("a packed collection has a wrong length or end")
		return p, false
	}
	return reader{p: s[header : len(s)-1]}, true
}

// ziplist reads entries:
//
//	1 or 5      length of the entry before: one byte, or FE and 4 bytes
//	00xxxxxx    string of a length of 6 bits
//	01xxxxxx+1  string of 14 bits, big-endian
//	10……    +4  string of 32 bits, big-endian
//	C0 D0 E0    number of 2, 4, 8 bytes;  F0: 3;  FE: 1;  F1 to FD: 0 to 12
func (r *reader) ziplist(s []byte) (entries [][]byte) {
	p, ok := r.part(s, 10)
	if !ok {
		return nil
	}
	for len(p.p) > 0 {
		if p.byte() == 0xFE {
			p.take(4)
		}
		entries = append(entries, p.ziplistEntry())
	}
	return r.joined(&p, entries)
}

func (r *reader) ziplistEntry() []byte {
	first := r.byte()
	switch {
	case first>>6 == 0:
		return r.take(uint64(first))
	case first>>6 == 1:
		return r.take(uint64(first&0x3F)<<8 | uint64(r.byte()))
	case first>>6 == 2:
		if b := r.take(4); b != nil {
			return r.take(uint64(binary.BigEndian.Uint32(b)))
		}
		return nil
	}
	switch first {
	case 0xC0:
		return number(r.signed(2))
	case 0xD0:
		return number(r.signed(4))
	case 0xE0:
		return number(r.signed(8))
	case 0xF0:
		return number(r.signed(3))
	case 0xFE:
		return number(r.signed(1))
	case 0xFF:
		r.fail("an end mark within a packed collection")
		return nil
	}
	if first < 0xF1 {
		r.fail("unknown form of an entry")
		return nil
	}
	return number(int64(first - 0xF1))
}

// signed reads a little-endian number of n bytes.
func (r *reader) signed(n uint64) int64 {
	b := r.take(n)
	if b == nil {
		return 0
	}
	var v uint64
	for i := range b {
		v |= uint64(b[i]) << (8 * i)
	}
	shift := 64 - 8*n
	return int64(v<<shift) >> shift
}

// listpack reads entries:
//
//	0xxxxxxx      number from 0 to 127
//	10xxxxxx      string of a length of 6 bits
//	110xxxxx+1    number of 13 bits, signed, big-endian
//	1110xxxx+1    string of 12 bits, big-endian
//	F0 +4         string of 32 bits, little-endian
//	F1 F2 F3 F4   number of 2, 3, 4, 8 bytes
//	1 to 5        length of all that, seven bits a byte
func (r *reader) listpack(s []byte) (entries [][]byte) {
	p, ok := r.part(s, 6)
	if !ok {
		return nil
	}
	for len(p.p) > 0 {
		before := len(p.p)
		e := p.listpackEntry()
		p.take(backLength(before - len(p.p)))
		entries = append(entries, e)
	}
	return r.joined(&p, entries)
}

func backLength(n int) uint64 {
	switch {
	case n <= 127:
		return 1
	case n < 16383:
		return 2
	case n < 2097151:
		return 3
	case n < 268435455:
		return 4
	}
	return 5
}

func (r *reader) listpackEntry() []byte {
	first := r.byte()
	switch {
	case first>>7 == 0:
		return number(int64(first))
	case first>>6 == 2:
		return r.take(uint64(first & 0x3F))
	case first>>5 == 6:
		n := uint64(first&0x1F)<<8 | uint64(r.byte())
		return number(int64(n<<51) >> 51)
	case first>>4 == 14:
		return r.take(uint64(first&0x0F)<<8 | uint64(r.byte()))
	}
	switch first {
	case 0xF0:
		if b := r.take(4); b != nil {
			return r.take(uint64(binary.LittleEndian.Uint32(b)))
		}
		return nil
	case 0xF1:
		return number(r.signed(2))
	case 0xF2:
		return number(r.signed(3))
	case 0xF3:
		return number(r.signed(4))
	case 0xF4:
		return number(r.signed(8))
	}
	r.fail("unknown form of an entry")
	return nil
}

// intset reads numbers of one width.
func (r *reader) intset(s []byte) (entries [][]byte) {
	if len(s) < 8 {
		r.fail("a set of numbers is cut short")
		return nil
	}
	width, n := uint64(binary.LittleEndian.Uint32(s)), uint64(binary.LittleEndian.Uint32(s[4:]))
	if width != 2 && width != 4 && width != 8 || n*width != uint64(len(s)-8) {
		r.fail("a set of numbers has a wrong length")
		return nil
	}
	p := reader{p: s[8:]}
	for range n {
		entries = append(entries, number(p.signed(width)))
	}
	return entries
}

// zipmap reads fields and values: 1 or 5 length, field, 1 or 5 length, 1 free, value, free bytes.
func (r *reader) zipmap(s []byte) (entries [][]byte) {
	if len(s) < 2 || s[len(s)-1] != 0xFF {
		r.fail("a packed hash has no end")
		return nil
	}
	p := reader{p: s[1 : len(s)-1]}
	for len(p.p) > 0 {
		field := p.take(p.zipmapLength())
		n := p.zipmapLength()
		free := p.byte()
		value := p.take(n)
		p.take(uint64(free))
		entries = append(entries, field, value)
	}
	return r.joined(&p, entries)
}

func (r *reader) zipmapLength() uint64 {
	n := r.byte()
	if n != 0xFE {
		return uint64(n)
	}
	if b := r.take(4); b != nil {
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return 0
}

// joined takes over the problem of a part.
func (r *reader) joined(p *reader, entries [][]byte) [][]byte {
	if p.problem != "" {
		r.fail(p.problem)
		return nil
	}
	return entries
}
