package event

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendText appends mutation i of ev as one line for people, with a line feed, and returns dst:
//
//	2-1041.0        2026-11-21T10:00:00.123456789Z  set       string  users:42  =  "37"  expires 2026-11-21T11:00:00Z  was 1795255100000000000@dc-a  by incr
//
// Keys, fields and members that would be unclear bare are quoted, long values are cut, and of many elements the first few are shown. It isn't meant to be read by programs and may change.
func AppendText(dst []byte, st *Stamp, ev *Event, i int, names Names) []byte {
	return appendChangeText(dst, st, ev.Time, uint64(i), ev.Mutations[i].Op.String(), &ev.Mutations[i], names)
}

// appendTextHead appends the columns that all lines have.
func appendTextHead(dst []byte, p Position, seq string, at int64, op string) []byte {
	start := len(dst)
	dst = pad(append(p.Append(dst), seq...), start, 14)
	start = len(dst)
	dst = time.Unix(0, at).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000000Z07:00")
	dst = pad(dst, start, 30)
	start = len(dst)
	return pad(append(dst, op...), start, 8)
}

func appendChangeText(dst []byte, st *Stamp, at int64, seq uint64, op string, m *Mutation, names Names) []byte {
	var number [21]byte
	dst = appendTextHead(dst, st.Position, string(strconv.AppendUint(append(number[:0], '.'), seq, 10)), at, op)
	start := len(dst)
	dst = pad(append(dst, m.Type.String()...), start, 6)
	dst = appendTextContent(dst, m)
	if m.Whole && m.Op.OnElements() {
		dst = append(dst, "  whole key"...)
	}
	if m.ExpireAt != 0 {
		dst = append(dst, "  expires "...)
		dst = time.UnixMilli(m.ExpireAt).UTC().AppendFormat(dst, time.RFC3339Nano)
	}
	if !m.Prev.IsZero() && !m.versionsElements() {
		dst = append(dst, "  was "...)
		dst = strconv.AppendInt(dst, m.Prev.Time, 10)
		dst = append(append(dst, '@'), names.ID(m.Prev.Cluster)...)
	}
	if m.Command != "" {
		dst = append(append(dst, "  by "...), m.Command...)
	}
	if o := m.Origin; o != nil {
		dst = append(append(dst, "  from "...), names.ID(o.Cluster)...)
		dst = strconv.AppendUint(append(dst, '/'), uint64(o.Partition), 10)
		dst = o.Position.Append(append(dst, '/'))
	}
	return append(dst, '\n')
}

func appendTextContent(dst []byte, m *Mutation) []byte {
	if m.Op == OpRange {
		dst = appendShown(append(dst, '['), m.Key)
		dst = append(dst, ", "...)
		if len(m.Value) == 0 {
			return append(dst, "end)"...)
		}
		return append(appendShown(dst, m.Value), ')')
	}
	dst = appendShown(dst, m.Key)
	if m.Op.showsValue() {
		dst = append(dst, "  =  "...)
		dst = appendQuoted(dst, m.Value)
	}
	if m.Op.OnElements() {
		dst = appendTextElements(append(dst, ' '), m)
	}
	return dst
}

// elementsShown is how many elements a line of text shows.
const elementsShown = 3

func appendTextElements(dst []byte, m *Mutation) []byte {
	if m.Op.pops() {
		dst = strconv.AppendUint(append(dst, ' '), m.popped(), 10)
		if m.popped() == 1 {
			return append(dst, " item"...)
		}
		return append(dst, " items"...)
	}
	shown := min(elementsShown, len(m.Elements))
	for i := range m.Elements[:shown] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendTextElement(append(dst, ' '), m.Op, &m.Elements[i])
	}
	if left := len(m.Elements) - shown; left > 0 {
		dst = strconv.AppendInt(append(dst, " … and "...), int64(left), 10)
		dst = append(dst, " more"...)
	}
	if m.Op == OpBits {
		dst = strconv.AppendUint(append(dst, " of "...), m.Count, 10)
		dst = append(dst, " bytes"...)
	}
	return dst
}

func appendTextElement(dst []byte, op Op, e *Element) []byte {
	switch op {
	case OpHSet:
		dst = append(appendShown(dst, e.Sub), " = "...)
		return appendQuoted(dst, e.Value)
	case OpZAdd:
		return appendScore(append(appendShown(dst, e.Sub), " = "...), e.Score)
	case OpLPush, OpRPush:
		return appendQuoted(dst, e.Value)
	case OpLSet, OpLInsert:
		dst = append(strconv.AppendInt(dst, e.Index, 10), " = "...)
		return appendQuoted(dst, e.Value)
	case OpLRem:
		return strconv.AppendInt(dst, e.Index, 10)
	case OpBits:
		dst = strconv.AppendUint(append(dst, "segment "...), uint64(segmentNumber(e.Sub)), 10)
		dst = strconv.AppendInt(append(dst, ": "...), int64(len(e.Value)), 10)
		return append(dst, " bytes"...)
	}
	return appendShown(dst, e.Sub)
}

// pad fills the column that began at start up to width, and puts two spaces after it.
func pad(dst []byte, start, width int) []byte {
	for len(dst)-start < width {
		dst = append(dst, ' ')
	}
	return append(dst, ' ', ' ')
}

// appendShown appends a key, quoted where bare it would be unclear.
func appendShown(dst, key []byte) []byte {
	for _, c := range key {
		if c <= ' ' || c == '"' || c >= 0x7F {
			return appendQuoted(dst, key)
		}
	}
	if len(key) == 0 || len(key) > textShown {
		return appendQuoted(dst, key)
	}
	return append(dst, key...)
}

const textShown = 128

func appendQuoted(dst, s []byte) []byte {
	left := 0
	if len(s) > textShown {
		cut := textShown
		for cut > textShown-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		left, s = len(s)-cut, s[:cut]
	}
	dst = strconv.AppendQuote(dst, string(s))
	if left > 0 {
		dst = strconv.AppendInt(append(dst, "… and "...), int64(left), 10)
		dst = append(dst, " bytes"...)
	}
	return dst
}
