package kafka

import "errors"

// errShort says that an answer ends before what it announces.
var errShort = errors.New("an answer that is cut off")

// wire reads Kafka's fields one after the other. After the first that doesn't fit everything reads as zero, and short is set.
type wire struct {
	b     []byte
	short bool
}

// take is the next n bytes, which belong to the answer; nil if there aren't so many.
func (w *wire) take(n int) []byte {
	if w.short || n < 0 || n > len(w.b) {
		w.short = true
		return nil
	}
	b := w.b[:n:n]
	w.b = w.b[n:]
	return b
}

func (w *wire) int16() int16 {
	if b := w.take(2); b != nil {
		return int16(be.Uint16(b))
	}
	return 0
}

func (w *wire) int32() int32 {
	if b := w.take(4); b != nil {
		return int32(be.Uint32(b))
	}
	return 0
}

func (w *wire) int64() int64 {
	if b := w.take(8); b != nil {
		return int64(be.Uint64(b))
	}
	return 0
}

// string is one with a length of 16 bits; nil is "".
func (w *wire) string() string {
	n := w.int16()
	if n < 0 {
		return ""
	}
	return string(w.take(int(n)))
}

// bytes have a length of 32 bits.
func (w *wire) bytes() []byte {
	n := w.int32()
	if n < 0 {
		return nil
	}
	return w.take(int(n))
}

// count is an array's; -1, nil, is 0. What is announced but isn't there ends the loop over it by short.
func (w *wire) count() int {
	return max(int(w.int32()), 0)
}

// varint is a zig-zag one.
func (w *wire) varint() int64 {
	var u uint64
	for shift := 0; shift < 64; shift += 7 {
		b := w.take(1)
		if b == nil {
			return 0
		}
		u |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return int64(u>>1) ^ -int64(u&1)
		}
	}
	w.short = true
	return 0
}

// varBytes have a varint as length; nil is -1.
func (w *wire) varBytes() []byte {
	n := w.varint()
	if n < 0 {
		return nil
	}
	if n > int64(len(w.b)) {
		w.short = true
		return nil
	}
	return w.take(int(n))
}
