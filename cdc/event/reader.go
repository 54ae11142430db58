package event

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// reader takes protobuf fields off the front of b. After a failure why says what was wrong, b is empty, and everything reads as zero, so
// that loops over fields need no error handling of their own.
type reader struct {
	b   []byte
	why string
}

func (r *reader) fail(why string) {
	if r.why == "" {
		r.why = why
	}
	r.b = nil
}

// adopt takes over the failure of a message within this one.
func (r *reader) adopt(body *reader) {
	if body.why != "" {
		r.fail(body.why)
	}
}

func (r *reader) varint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := r.b[0]
		r.b = r.b[1:]
		return uint64(v)
	}
	v, n := protowire.ConsumeVarint(r.b)
	if n < 0 {
		r.fail("a number is cut short or has more than 64 bits")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// tag is a field number with its wire type, 0 after a failure.
func (r *reader) tag() uint64 {
	tag := r.varint()
	if r.why == "" && (tag>>3 == 0 || tag>>3 > uint64(protowire.MaxValidNumber)) {
		r.fail(fmt.Sprintf("field number %d", tag>>3))
		return 0
	}
	return tag
}

// small is a number that the Go form holds in a byte.
func (r *reader) small() uint8 {
	v := r.varint()
	if v > math.MaxUint8 {
		r.fail(fmt.Sprintf("op, type or kind %d, want at most 255", v))
		return 0
	}
	return uint8(v)
}

func (r *reader) fixed() int64 {
	if len(r.b) < 8 {
		r.fail("a time is cut short")
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return int64(v)
}

func (r *reader) bytes() []byte {
	n := r.varint()
	if n > uint64(len(r.b)) {
		r.fail(fmt.Sprintf("a field of %d bytes where %d are left", n, len(r.b)))
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// text is bytes that have to be UTF-8, as in every protobuf string.
func (r *reader) text() []byte {
	v := r.bytes()
	if !utf8.Valid(v) {
		r.fail("a name that isn't UTF-8")
		return nil
	}
	return v
}

func (r *reader) message() reader { return reader{b: r.bytes()} }

// skip passes over a field that this build doesn't know.
func (r *reader) skip(tag uint64) {
	if r.why != "" {
		return
	}
	n := protowire.ConsumeFieldValue(protowire.Number(tag>>3), protowire.Type(tag&7), r.b)
	if n < 0 {
		r.fail(fmt.Sprintf("unknown field %d is cut short or of no known type", tag>>3))
		return
	}
	r.b = r.b[n:]
}
