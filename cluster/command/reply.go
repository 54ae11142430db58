package command

import (
	"strconv"

	"github.com/tidwall/redcon"
)

// Reply is a reply in the making: RESP bytes. The zero Reply is empty and speaks RESP2.
type Reply struct {
	Buf   []byte
	RESP3 bool
	// Spill, if set, takes what was written so far of a reply that grows large, so that one reply doesn't have to fit into memory: it
	// is called by Part and borrows its argument. An error ends the command: the client is gone.
	Spill   func(part []byte) error
	spilled bool
}

// partBytes is how large a reply grows before a part of it is handed over.
const partBytes = 64 << 10

// Part is for between two elements of a reply whose length depends on the state: it hands over what is there, if that is much and
// someone takes it. After an error the command stops and returns it. A command that may call it has checked everything before.
func (r *Reply) Part() error {
	if len(r.Buf) < partBytes || r.Spill == nil {
		return nil
	}
	r.spilled = true
	err := r.Spill(r.Buf)
	r.Buf = r.Buf[:0]
	return err
}

// Spilled says whether a part of the reply has been handed over: what it began can't be taken back.
func (r *Reply) Spilled() bool { return r.spilled }

// Status appends a simple string.
func (r *Reply) Status(s string) { r.Buf = redcon.AppendString(r.Buf, s) }

// OK appends +OK.
func (r *Reply) OK() { r.Buf = redcon.AppendOK(r.Buf) }

// Error appends an error. msg starts with its code: "ERR syntax error".
func (r *Reply) Error(msg string) { r.Buf = redcon.AppendError(r.Buf, msg) }

// IsError says whether the reply, as a whole, is an error.
func (r *Reply) IsError() bool { return !r.spilled && len(r.Buf) > 0 && r.Buf[0] == '-' }

// Int appends an integer.
func (r *Reply) Int(n int64) { r.Buf = redcon.AppendInt(r.Buf, n) }

// Bulk appends a bulk string.
func (r *Reply) Bulk(b []byte) { r.Buf = redcon.AppendBulk(r.Buf, b) }

// BulkString appends a bulk string.
func (r *Reply) BulkString(s string) { r.Buf = redcon.AppendBulkString(r.Buf, s) }

// Null appends the null of the protocol in use: a null bulk string, or RESP3's null.
func (r *Reply) Null() {
	if r.RESP3 {
		r.Buf = append(r.Buf, "_\r\n"...)
		return
	}
	r.Buf = redcon.AppendNull(r.Buf)
}

// NullArray appends RESP2's null array, or RESP3's null.
func (r *Reply) NullArray() {
	if r.RESP3 {
		r.Buf = append(r.Buf, "_\r\n"...)
		return
	}
	r.Buf = append(r.Buf, "*-1\r\n"...)
}

// Array starts an array of n elements, which follow.
func (r *Reply) Array(n int) { r.Buf = redcon.AppendArray(r.Buf, n) }

// Map starts a map of n pairs, which follow: a flat array in RESP2.
func (r *Reply) Map(n int) {
	if r.RESP3 {
		r.head('%', n)
		return
	}
	r.Array(2 * n)
}

// Set starts a set of n elements, which follow: an array in RESP2.
func (r *Reply) Set(n int) {
	if r.RESP3 {
		r.head('~', n)
		return
	}
	r.Array(n)
}

// Double appends a float, with as few digits as Redis 7.2: a bulk string in RESP2.
func (r *Reply) Double(f float64) {
	var text [32]byte
	s := appendDouble(text[:0], f)
	if !r.RESP3 {
		r.Bulk(s)
		return
	}
	r.Buf = append(r.Buf, ',')
	r.Buf = append(r.Buf, s...)
	r.Buf = append(r.Buf, '\r', '\n')
}

// Verbatim appends a text: RESP3's verbatim string, a bulk string in RESP2.
func (r *Reply) Verbatim(s string) {
	if !r.RESP3 {
		r.BulkString(s)
		return
	}
	r.head('=', len(s)+4)
	r.Buf = append(r.Buf, "txt:"...)
	r.Buf = append(r.Buf, s...)
	r.Buf = append(r.Buf, '\r', '\n')
}

func (r *Reply) head(kind byte, n int) {
	r.Buf = append(r.Buf, kind)
	r.Buf = strconv.AppendInt(r.Buf, int64(n), 10)
	r.Buf = append(r.Buf, '\r', '\n')
}
