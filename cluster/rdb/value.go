package rdb

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/zankv/zankv/cdc/event"
)

// Errors of Decode, which wraps them.
var (
	// ErrChecksum: the payload is damaged, or of a version that isn't known here.
	ErrChecksum = errors.New("version or checksum are wrong")
	// ErrFormat: the payload arrived as it was made, but isn't a value that is possible or known here.
	ErrFormat = errors.New("bad data format")
)

// Item is one element of a collection: a field with its value, a member with its score, or an item or member alone in Name.
type Item struct {
	Name  []byte
	Value []byte
	Score float64
}

// Value is a value of a key.
type Value struct {
	Type event.Type // string, hash, list, set or zset
	// String is a string's value.
	String []byte
	// Items are a collection's, in the order of the payload.
	Items []Item
}

// Writer writes a payload piece by piece, so that a collection needn't be gathered.
type Writer struct{ buf []byte }

// plainTypes are the encodings that are written.
var plainTypes = map[event.Type]byte{
	event.TypeString: typeString, event.TypeHash: typeHash, event.TypeList: typeList, event.TypeSet: typeSet, event.TypeZSet: typeZSet,
}

// Begin starts a payload of a type of which so many items follow (of a string: one) in dst's memory.
func Begin(dst []byte, t event.Type, items uint64) *Writer {
	w := &Writer{buf: append(dst, plainTypes[t])}
	if t != event.TypeString {
		w.length(items)
	}
	return w
}

// String writes a string's value, an item, a member, a field, or a field's value.
func (w *Writer) String(s []byte) {
	w.length(uint64(len(s)))
	w.buf = append(w.buf, s...)
}

// Score writes the score of the member before it.
func (w *Writer) Score(f float64) {
	w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(f))
}

// Len is how long the payload is so far.
func (w *Writer) Len() int { return len(w.buf) }

// End closes the payload and returns it.
func (w *Writer) End() []byte {
	w.buf = binary.LittleEndian.AppendUint16(w.buf, Version)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, checksum(w.buf))
	return w.buf
}

// A length is written in the shortest of four forms:
//
//	00xxxxxx             6 bits
//	01xxxxxx 8 bits      14 bits, big-endian
//	10000000 4 bytes     32 bits, big-endian
//	10000001 8 bytes     64 bits, big-endian
//
// A first byte of 11xxxxxx stands for a string in another form, see reader.string.
func (w *Writer) length(n uint64) {
	switch {
	case n < 1<<6:
		w.buf = append(w.buf, byte(n))
	case n < 1<<14:
		w.buf = append(w.buf, 0x40|byte(n>>8), byte(n))
	case n < 1<<32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, 0x80), uint32(n))
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, 0x81), n)
	}
}
