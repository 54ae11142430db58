package conflict

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// writer appends fields as protobuf does. A field that holds its zero value isn't written.
type writer struct{ b []byte }

func (w *writer) varint(field protowire.Number, v uint64) {
	if v != 0 {
		w.b = protowire.AppendVarint(protowire.AppendTag(w.b, field, protowire.VarintType), v)
	}
}

func (w *writer) fixed(field protowire.Number, v uint64) {
	if v != 0 {
		w.b = binary.LittleEndian.AppendUint64(protowire.AppendTag(w.b, field, protowire.Fixed64Type), v)
	}
}

func (w *writer) bytes(field protowire.Number, v []byte) {
	if len(v) != 0 {
		w.b = protowire.AppendBytes(protowire.AppendTag(w.b, field, protowire.BytesType), v)
	}
}

// message writes a part that is a message of its own. An empty one is written only if it counts that it is there, as in a list.
func (w *writer) message(field protowire.Number, always bool, body func(w *writer)) {
	var inner writer
	body(&inner)
	if always || len(inner.b) > 0 {
		w.b = protowire.AppendBytes(protowire.AppendTag(w.b, field, protowire.BytesType), inner.b)
	}
}

// reader takes fields off a message one by one. What is wrong with it first stays in err, and then there are no more.
type reader struct {
	b     []byte
	err   error
	field protowire.Number
	kind  protowire.Type
}

func (r *reader) fails(n int) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: field %d: %w", ErrCorrupt, r.field, protowire.ParseError(n))
	}
	r.b = nil
}

// next takes the tag of the next field; false at the end.
func (r *reader) next() bool {
	if len(r.b) == 0 || r.err != nil {
		return false
	}
	field, kind, n := protowire.ConsumeTag(r.b)
	if n < 0 {
		r.fails(n)
		return false
	}
	r.field, r.kind, r.b = field, kind, r.b[n:]
	return true
}

// is says whether the field is of the wire type that it is known with.
func (r *reader) is(kind protowire.Type) bool {
	if r.kind != kind && r.err == nil {
		r.err = fmt.Errorf("%w: field %d has wire type %d, want %d", ErrCorrupt, r.field, r.kind, kind)
	}
	return r.err == nil
}

func (r *reader) varint() uint64 {
	if !r.is(protowire.VarintType) {
		return 0
	}
	v, n := protowire.ConsumeVarint(r.b)
	if n < 0 {
		r.fails(n)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// small is a varint of at most so much.
func (r *reader) small(most uint64) uint64 {
	v := r.varint()
	if v > most && r.err == nil {
		r.err = fmt.Errorf("%w: field %d is %d, want at most %d", ErrCorrupt, r.field, v, most)
	}
	return v
}

func (r *reader) byte() uint8   { return uint8(r.small(math.MaxUint8)) }
func (r *reader) int32() uint32 { return uint32(r.small(math.MaxUint32)) }

func (r *reader) fixed() uint64 {
	if !r.is(protowire.Fixed64Type) {
		return 0
	}
	v, n := protowire.ConsumeFixed64(r.b)
	if n < 0 {
		r.fails(n)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes are borrowed from the message.
func (r *reader) bytes() []byte {
	if !r.is(protowire.BytesType) {
		return nil
	}
	v, n := protowire.ConsumeBytes(r.b)
	if n < 0 {
		r.fails(n)
		return nil
	}
	r.b = r.b[n:]
	return v[:len(v):len(v)]
}

func (r *reader) text() string {
	b := r.bytes()
	if !utf8.Valid(b) && r.err == nil {
		r.err = fmt.Errorf("%w: field %d isn't UTF-8", ErrCorrupt, r.field)
	}
	return string(b)
}

// message reads a part that is a message of its own.
func (r *reader) message(body func(r *reader)) {
	inner := reader{b: r.bytes()}
	for inner.next() {
		body(&inner)
	}
	if r.err == nil {
		r.err = inner.err
	}
}

// skip passes over a field that this program doesn't know.
func (r *reader) skip() {
	n := protowire.ConsumeFieldValue(r.field, r.kind, r.b)
	if n < 0 {
		r.fails(n)
		return
	}
	r.b = r.b[n:]
}
