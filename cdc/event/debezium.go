package event

import (
	"encoding/hex"
	"strconv"
)

// AppendDebezium appends mutation i of ev as one line in the envelope of Debezium's change events, with a line feed:
//
//	before          null; of a delete {type, key} (of a range: type, start, end)
//	after           {type, enc*, key, value*, fields* …, whole*, expire_at*}, as AppendJSON has them; null after a delete. It has what the
//	                change wrote, not what else the key holds
//	source          version       "1", of this layout
//	                connector     "zankv"
//	                name, db      cluster and namespace
//	                ts_ms, ts_ns  the event's time
//	                snapshot      "false"; "true" in a snapshot's rows
//	                table         the key's part before the first colon (base64 if after's enc says so), or null
//	                partition, position, seq, of, prev_position, op, group, command*, origin*, chain   as AppendJSON has them
//	                new_version, prev_version   what AppendJSON calls version and prev
//	op              "d" for del, expire and range, "r" for a snapshot's row, "c" if nothing that it writes had a version before, else "u"
//	ts_ms           as in source
//
// It has all that AppendJSON shows, so a Parser reads it back into the same Line, the digest is computed from it, and the chain closes: what is lost,
// repeated, moved or altered is found in it as well. The parser takes no other spelling of it: fields in another order, spaces.
func AppendDebezium(dst []byte, st *Stamp, ev *Event, i int, names Names) []byte {
	return appendDebezium(dst, st, ev.Time, uint32(i), uint32(len(ev.Mutations)), &ev.Mutations[i], names)
}

// AppendDebeziumRow is AppendSnapshotRow in Debezium's envelope. There is no of.
func AppendDebeziumRow(dst []byte, base *Stamp, time int64, row uint32, m *Mutation, names Names, rolling Chain) []byte {
	st := *base
	st.Chain = rolling
	return appendDebezium(dst, &st, time, row, 0, m, names)
}

// debeziumVersion is that of the layout.
const debeziumVersion = "1"

func appendDebezium(dst []byte, st *Stamp, at int64, seq, of uint32, m *Mutation, names Names) []byte {
	op := m.debeziumOp()
	if op == 'd' {
		dst = append(dst, `{"before":`...)
		dst = append(appendDebeziumContent(dst, m), `,"after":null`...)
	} else {
		dst = append(dst, `{"before":null,"after":`...)
		dst = appendDebeziumContent(dst, m)
	}
	dst = append(dst, `,"source":{"version":"`+debeziumVersion+`","connector":"zankv","name":`...)
	dst = appendString(dst, st.Cluster)
	dst = appendMillis(dst, at)
	dst = append(dst, `,"ts_ns":`...)
	dst = strconv.AppendInt(dst, at, 10)
	if m.Row {
		dst = append(dst, `,"snapshot":"true","db":`...)
	} else {
		dst = append(dst, `,"snapshot":"false","db":`...)
	}
	dst = appendString(dst, st.Namespace)
	dst = appendDebeziumTable(dst, m)
	dst = appendDebeziumPlace(dst, st, seq, of, m.Row)
	dst = append(dst, `,"op":`...)
	dst = appendString(dst, m.Op.String())
	dst = append(dst, `,"new_version":`...)
	dst = appendVersion(dst, m.Version, names)
	dst = append(dst, `,"prev_version":`...)
	dst = appendMade(appendPrev(dst, m, names), m, names)
	dst = append(dst, `,"chain":"`...)
	dst = hex.AppendEncode(dst, st.Chain[:])
	dst = append(dst, `"},"op":"`...)
	dst = append(dst, op, '"')
	return append(appendMillis(dst, at), '}', '\n')
}

func appendDebeziumContent(dst []byte, m *Mutation) []byte {
	dst = append(dst, `{"type":`...)
	dst = appendString(dst, m.Type.String())
	return append(appendContent(dst, m, false), '}')
}

func appendDebeziumTable(dst []byte, m *Mutation) []byte {
	dst = append(dst, `,"table":`...)
	table, ok := Table(m.Key)
	switch {
	case !ok || m.Op == OpRange:
		return append(dst, "null"...)
	case m.encoded():
		return appendBase64(dst, table)
	}
	return appendString(dst, table)
}

func appendDebeziumPlace(dst []byte, st *Stamp, seq, of uint32, row bool) []byte {
	dst = append(dst, `,"partition":`...)
	dst = strconv.AppendUint(dst, uint64(st.Partition), 10)
	dst = append(dst, `,"position":"`...)
	dst = st.Position.Append(dst)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, uint64(seq), 10)
	if !row {
		dst = append(dst, `,"of":`...)
		dst = strconv.AppendUint(dst, uint64(of), 10)
	}
	dst = append(dst, `,"prev_position":"`...)
	return append(st.Prev.Append(dst), '"')
}

func appendMillis(dst []byte, at int64) []byte {
	ms := at / 1e6
	if at%1e6 < 0 {
		ms--
	}
	return strconv.AppendInt(append(dst, `,"ts_ms":`...), ms, 10)
}

// debeziumOp is the envelope's op, as it follows from what the line shows.
func (m *Mutation) debeziumOp() byte {
	switch {
	case m.Row:
		return 'r'
	case m.Op == OpDel, m.Op == OpExpire, m.Op == OpRange:
		return 'd'
	case m.versionsElements():
		for i := range m.Elements {
			if !m.Elements[i].Prev.IsZero() {
				return 'u'
			}
		}
		return 'c'
	case m.Prev.IsZero():
		return 'c'
	}
	return 'u'
}
