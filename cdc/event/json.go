package event

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends mutation i of ev as one line of JSON, with a line feed, and returns dst. It allocates only to grow dst. The
// fields, in this order; those marked * only where they mean something:
//
//	cluster, namespace, partition   where the event lies
//	position, seq, of               the event's position; the mutation's number from 0, and how many the event has
//	prev_position                   the event before; "0-0" before the first
//	ts                              the event's time, RFC 3339 with nanoseconds, UTC
//	op, type                        see Op and Type
//	enc*                            "base64": all that a user named in this line is base64, as some of it isn't UTF-8: table, key, value,
//	                                start, end, fields and their values, members, items
//	table*, key                     the key, and its part before the first colon; for op range: start, end
//	value*                          a string's whole value, for set and setvalue
//	fields*, members* …             what an op on elements writes or removes: see appendElements
//	whole*                          true: the op on elements writes the whole key; what was there before, of whatever type, is gone
//	expire_at*                      the key's expiry, ms since 1970
//	version, prev                   "time@cluster", or "absent"; prev is an object with that of each field, member or segment where
//	                                each has its own
//	group, command*                 the command or transaction of the event that it belongs to
//	origin*                         {cluster, partition, position} where it was first made, if not here
//	chain                           the chain after the event, the same on all its lines
//
// An op on elements neither gives a key an expiry nor takes it away. One that shows another expire_at than the key had (mostly none) found
// the key expired: it makes the key anew, and what was in it is gone. An op that removes the last element removes the key.
func AppendJSON(dst []byte, st *Stamp, ev *Event, i int, names Names) []byte {
	return appendChange(dst, st, ev.Time, uint32(i), uint32(len(ev.Mutations)), &ev.Mutations[i], names)
}

func appendChange(dst []byte, st *Stamp, at int64, seq, of uint32, m *Mutation, names Names) []byte {
	dst = appendWhere(dst, st)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, uint64(seq), 10)
	dst = append(dst, `,"of":`...)
	dst = strconv.AppendUint(dst, uint64(of), 10)
	dst = append(dst, `,"prev_position":"`...)
	dst = appendWhen(st.Prev.Append(dst), at)
	dst = append(dst, `","op":`...)
	dst = appendMutationJSON(dst, m, names)
	return appendChainEnd(dst, st.Chain)
}

// appendWhere begins a line with what every line begins with, up to the position, whose quote is left open.
func appendWhere(dst []byte, st *Stamp) []byte {
	dst = append(dst, `{"cluster":`...)
	dst = appendString(dst, st.Cluster)
	dst = append(dst, `,"namespace":`...)
	dst = appendString(dst, st.Namespace)
	dst = append(dst, `,"partition":`...)
	dst = strconv.AppendUint(dst, uint64(st.Partition), 10)
	dst = append(dst, `,"position":"`...)
	return st.Position.Append(dst)
}

// appendWhen ends an open quote and appends the time, whose quote it leaves open.
func appendWhen(dst []byte, at int64) []byte {
	dst = append(dst, `","ts":"`...)
	return time.Unix(0, at).UTC().AppendFormat(dst, time.RFC3339Nano)
}

// appendChainEnd ends a line with the chain.
func appendChainEnd(dst []byte, chain Chain) []byte {
	dst = append(dst, `,"chain":"`...)
	dst = hex.AppendEncode(dst, chain[:])
	return append(dst, '"', '}', '\n')
}

func appendMutationJSON(dst []byte, m *Mutation, names Names) []byte {
	dst = appendString(dst, m.Op.String())
	dst = append(dst, `,"type":`...)
	dst = appendString(dst, m.Type.String())
	dst = appendContent(dst, m, true)
	dst = append(dst, `,"version":`...)
	dst = appendVersion(dst, m.Version, names)
	dst = append(dst, `,"prev":`...)
	dst = appendPrev(dst, m, names)
	return appendMade(dst, m, names)
}

// appendPrev appends the version before, or those of the elements.
func appendPrev(dst []byte, m *Mutation, names Names) []byte {
	if m.versionsElements() {
		return appendPrevs(dst, m, names)
	}
	return appendVersion(dst, m.Prev, names)
}

// appendMade appends how a mutation came about.
func appendMade(dst []byte, m *Mutation, names Names) []byte {
	dst = append(dst, `,"group":`...)
	dst = strconv.AppendUint(dst, uint64(m.Group), 10)
	if m.Command != "" {
		dst = append(dst, `,"command":`...)
		dst = appendString(dst, m.Command)
	}
	if o := m.Origin; o != nil {
		dst = append(dst, `,"origin":{"cluster":`...)
		dst = appendString(dst, names.ID(o.Cluster))
		dst = append(dst, `,"partition":`...)
		dst = strconv.AppendUint(dst, uint64(o.Partition), 10)
		dst = append(dst, `,"position":"`...)
		dst = o.Position.Append(dst)
		dst = append(dst, '"', '}')
	}
	return dst
}

// appendContent appends what a user named, keys and values, and what the key is then. The table is left out where it stands elsewhere.
func appendContent(dst []byte, m *Mutation, table bool) []byte {
	text := appendString[[]byte]
	if m.encoded() {
		text = appendBase64
		dst = append(dst, `,"enc":"base64"`...)
	}
	dst = appendNamed(dst, m, table, text)
	if m.Whole && m.Op.OnElements() {
		dst = append(dst, `,"whole":true`...)
	}
	if m.ExpireAt != 0 {
		dst = append(dst, `,"expire_at":`...)
		dst = strconv.AppendInt(dst, m.ExpireAt, 10)
	}
	return dst
}

func appendNamed(dst []byte, m *Mutation, withTable bool, text func(dst, s []byte) []byte) []byte {
	if m.Op == OpRange {
		dst = append(dst, `,"start":`...)
		dst = text(dst, m.Key)
		dst = append(dst, `,"end":`...)
		return text(dst, m.Value)
	}
	if table, ok := Table(m.Key); ok && withTable {
		dst = append(dst, `,"table":`...)
		dst = text(dst, table)
	}
	dst = append(dst, `,"key":`...)
	dst = text(dst, m.Key)
	if m.Op.showsValue() {
		dst = append(dst, `,"value":`...)
		dst = text(dst, m.Value)
	}
	if m.Op.OnElements() {
		dst = appendElements(dst, m, text)
	}
	return dst
}

// encoded says whether what a user named stands as base64, because some of it isn't UTF-8.
func (m *Mutation) encoded() bool {
	if !utf8.Valid(m.Key) || m.Op.showsValue() && !utf8.Valid(m.Value) {
		return true
	}
	subs, values := m.Op.namesSubs(), m.Op.showsElementValues()
	if !subs && !values {
		return false
	}
	for i := range m.Elements {
		e := &m.Elements[i]
		if subs && !utf8.Valid(e.Sub) || values && !utf8.Valid(e.Value) {
			return true
		}
	}
	return false
}

// Table is the part of a logical key before its first colon; false if it has none.
func Table(key []byte) ([]byte, bool) {
	table, _, ok := bytes.Cut(key, []byte{':'})
	return table, ok
}

func appendVersion(dst []byte, v Version, names Names) []byte {
	if v.IsZero() {
		return append(dst, `"absent"`...)
	}
	dst = append(dst, '"')
	dst = strconv.AppendInt(dst, v.Time, 10)
	dst = append(dst, '@')
	dst = appendEscaped(dst, names.ID(v.Cluster))
	return append(dst, '"')
}

// Append appends the form that String gives.
func (p Position) Append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, p.Term, 10)
	return strconv.AppendUint(append(dst, '-'), p.Index, 10)
}

func appendBase64(dst, s []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, s)
	return append(dst, '"')
}

func appendString[T string | []byte](dst []byte, s T) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

// appendEscaped appends valid UTF-8 as the content of a JSON string. Beyond what JSON asks for it escapes DEL and the C1 controls, so that a
// line is safe on a terminal.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	const digits = "0123456789abcdef"
	done := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if plain[c] {
			continue
		}
		if c == 0xC2 { // U+0080 to U+009F are C2 80 to C2 9F
			if i+1 < len(s) && s[i+1] < 0xA0 {
				dst = append(dst, s[done:i]...)
				dst = append(dst, '\\', 'u', '0', '0', digits[s[i+1]>>4], digits[s[i+1]&15])
				done = i + 2
			}
			i++
			continue
		}
		dst = append(dst, s[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(dst, s[done:]...)
}

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 0x20 && c != '"' && c != '\\' && c != 0x7F && c != 0xC2
	}
	return t
}()
