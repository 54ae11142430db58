package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// LineKind is what a line of the JSON shows.
type LineKind uint8

const (
	// LineChange is one mutation.
	LineChange LineKind = 0
	// LineFiltered stands for consecutive mutations of an event that were left out, by their digests: the chain still closes.
	LineFiltered LineKind = 1
	// LineHeartbeat says that everything up to a position came.
	LineHeartbeat LineKind = 2
	// LineSnapshotBegin says that the stream lost its place in the log: what is between the last event and the position is missing, and the
	// state at the position follows in rows.
	LineSnapshotBegin LineKind = 3
	// LineSnapshotRow is a key, or a part of one.
	LineSnapshotRow LineKind = 4
	// LineSnapshotEnd says that all rows came.
	LineSnapshotEnd LineKind = 5
)

// lineOps are the ops of lines that show no mutation.
var lineOps = [...]string{
	LineFiltered: "filtered", LineHeartbeat: "heartbeat", LineSnapshotBegin: "snapshot-begin", LineSnapshotEnd: "snapshot-end",
}

// String names the kind: for lines without a mutation it is their op in the JSON.
func (k LineKind) String() string {
	switch {
	case k == LineChange:
		return "change"
	case k == LineSnapshotRow:
		return "snapshot-row"
	case int(k) < len(lineOps):
		return lineOps[k]
	}
	return "line" + strconv.Itoa(int(k))
}

func parseLineOp(text []byte) (LineKind, bool) {
	for k, op := range lineOps {
		if op != "" && string(text) == op {
			return LineKind(k), true
		}
	}
	return 0, false
}

// Line is one line of the JSON, read back.
type Line struct {
	Kind LineKind
	// Debezium says that it is in Debezium's envelope.
	Debezium bool
	// Stamp is the event's; a change doesn't have the chain before: PrevChain is zero. Of other kinds:
	//
	//	heartbeat        Position is up to where everything came, Prev the last event, Chain the one after that
	//	snapshot-begin   Position is the last event in the snapshot, Prev the last one that was given before, Chain the one at Position
	//	a row            Position and Prev as in the begin, Chain the rolling chain after the row
	//	snapshot-end     Position and Prev as in the begin, Chain the rolling chain, PrevChain the one at Position
	Stamp Stamp
	// Seq is the mutation's number in its event (the first one's of those filtered), Of how many the event has. Of a row Seq is its number in
	// the snapshot, and Of is 0.
	Seq, Of uint32
	// Time is the event's; a heartbeat's is the wall clock up to which everything came; a snapshot's is that of its last event.
	Time int64
	// Digests are those of the mutations that were filtered. They belong to the parser, until its next Parse.
	Digests []Digest
	// Rows is how many rows a snapshot had, at its end.
	Rows uint64
	// Check covers all of a heartbeat or a snapshot's begin.
	Check Digest
	// Mutation has what the JSON shows. Floor and ExpiryVersion are the version where the op raises them, and zero elsewhere. Count is a bitmap's
	// length. The items that a pop removed are Popped, and none of Elements. Generation, KeyVersion, Tombstone, ElementTombstones, Before and other
	// Counts are not in the JSON, and of elements not Exists, Was and what stands for a list item's place.
	Mutation Mutation
}

// AppendFiltered appends the line that stands for mutations that were left out: len(digests) of them from number first on, of an event that
// has so many. With a line feed, as all of these.
//
//	cluster, namespace, partition, position, seq, of, prev_position, ts   as AppendJSON has them, seq being the first one's
//	op                                                                    "filtered"
//	digests                                                               64 hexadecimal digits for each (DigestOf)
//	chain                                                                 the chain after the event
func AppendFiltered(dst []byte, st *Stamp, time int64, first, of uint32, digests []Digest) []byte {
	dst = appendWhere(dst, st)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, uint64(first), 10)
	dst = append(dst, `,"of":`...)
	dst = strconv.AppendUint(dst, uint64(of), 10)
	dst = append(dst, `,"prev_position":"`...)
	dst = appendWhen(st.Prev.Append(dst), time)
	dst = append(dst, `","op":"filtered","digests":[`...)
	for i := range digests {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(hex.AppendEncode(append(dst, '"'), digests[i][:]), '"')
	}
	return appendChainEnd(append(dst, ']'), st.Chain)
}

// FilteredBytes bounds the length of the line of so many digests, apart from cluster and namespace, each of whose bytes may take six.
func FilteredBytes(digests int) int { return 512 + digests*(2*sha256.Size+3) }

// AppendHeartbeat appends the line that says that everything up to position came, last being the last event:
//
//	cluster, namespace, partition, position
//	last_position   the last event; "0-0" if there is none
//	ts              the wall clock up to which everything came
//	op              "heartbeat"
//	digest          SHA-256( chain | header with 2, with the last event as the one before, without mutations ): covers the line
//	chain           the chain after the last event
func AppendHeartbeat(dst []byte, last *Stamp, position Position, time int64, scratch *Scratch) []byte {
	st := *last
	st.Position, st.Prev = position, last.Position
	check := st.check(heartbeatFormat, time, scratch)
	dst = appendWhere(dst, &st)
	dst = append(dst, `","last_position":"`...)
	dst = appendWhen(st.Prev.Append(dst), time)
	dst = append(dst, `","op":"heartbeat","digest":"`...)
	dst = append(hex.AppendEncode(dst, check[:]), '"')
	return appendChainEnd(dst, st.Chain)
}

// AppendSnapshotBegin appends the line that begins a snapshot. base is the last event in it, with the chain there and, in Prev, the last event that the stream
// gave before; time is base's.
//
//	cluster, namespace, partition, position, prev_position, ts   base's
//	op                                                           "snapshot-begin"
//	digest                                                       SnapshotChain: covers the line
//	chain                                                        the chain at the position
func AppendSnapshotBegin(dst []byte, base *Stamp, time int64, scratch *Scratch) []byte {
	check := SnapshotChain(base, time, scratch)
	dst = appendSnapshotHead(dst, base, time)
	dst = append(dst, `","op":"snapshot-begin","digest":"`...)
	dst = append(hex.AppendEncode(dst, check[:]), '"')
	return appendChainEnd(dst, base.Chain)
}

func appendSnapshotHead(dst []byte, base *Stamp, time int64) []byte {
	dst = appendWhere(dst, base)
	dst = append(dst, `","prev_position":"`...)
	return appendWhen(base.Prev.Append(dst), time)
}

// AppendSnapshotRow appends a row's line: as AppendJSON, but seq is the row's number from 0, there is no of, prev_position is what the begin says,
// "snapshot":true stands before op, prev names the version that each element has, and chain is the rolling one after the row (RowChain).
func AppendSnapshotRow(dst []byte, base *Stamp, time int64, row uint32, m *Mutation, names Names, rolling Chain) []byte {
	dst = appendWhere(dst, base)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, uint64(row), 10)
	dst = append(dst, `,"prev_position":"`...)
	dst = appendWhen(base.Prev.Append(dst), time)
	dst = append(dst, `","snapshot":true,"op":`...)
	dst = appendMutationJSON(dst, m, names)
	return appendChainEnd(dst, rolling)
}

// AppendSnapshotEnd appends the line that ends a snapshot:
//
//	cluster, namespace, partition, position, prev_position, ts   as in its begin
//	op                                                           "snapshot-end"
//	rows                                                         how many there were
//	base_chain                                                   the chain at the position
//	chain                                                        the rolling one after the last row
func AppendSnapshotEnd(dst []byte, base *Stamp, time int64, rows uint64, rolling Chain) []byte {
	dst = appendSnapshotHead(dst, base, time)
	dst = append(dst, `","op":"snapshot-end","rows":`...)
	dst = strconv.AppendUint(dst, rows, 10)
	dst = append(dst, `,"base_chain":"`...)
	dst = append(hex.AppendEncode(dst, base.Chain[:]), '"')
	return appendChainEnd(dst, rolling)
}

// check is a digest of all that a line without mutations says.
func (st *Stamp) check(format byte, time int64, scratch *Scratch) Digest {
	b := append(scratch.event[:0], st.Chain[:]...)
	b = appendHeader(b, format, st, time, 0)
	scratch.event = b
	return sha256.Sum256(b)
}

// SnapshotChain is where the rolling chain of a snapshot's rows begins: SHA-256( chain at its position | header with 3, without mutations ). So a
// snapshot's rows don't pass for those of another one.
func SnapshotChain(base *Stamp, time int64, scratch *Scratch) Chain {
	return Chain(base.check(snapshotFormat, time, scratch))
}

// RowChain is the rolling chain after one more row, whose Row is set: SHA-256( rolling chain before | 4 | digest of the row ).
func RowChain(rolling Chain, m *Mutation, names Names, scratch *Scratch) Chain {
	d := DigestOf(m, names, scratch)
	b := append(scratch.event[:0], rolling[:]...)
	b = append(append(b, rowFormat), d[:]...)
	scratch.event = b
	return sha256.Sum256(b)
}

// AppendLine appends a line as it was read, in its own format, with a line feed.
func AppendLine(dst []byte, l *Line, names Names) []byte {
	switch l.Kind {
	case LineFiltered:
		return AppendFiltered(dst, &l.Stamp, l.Time, l.Seq, l.Of, l.Digests)
	case LineHeartbeat:
		last := l.Stamp
		last.Position = l.Stamp.Prev
		return AppendHeartbeat(dst, &last, l.Stamp.Position, l.Time, &Scratch{})
	case LineSnapshotBegin:
		return AppendSnapshotBegin(dst, &l.Stamp, l.Time, &Scratch{})
	case LineSnapshotEnd:
		base := l.Stamp
		base.Chain = l.Stamp.PrevChain
		return AppendSnapshotEnd(dst, &base, l.Time, l.Rows, l.Stamp.Chain)
	}
	if l.Debezium {
		return appendDebezium(dst, &l.Stamp, l.Time, l.Seq, l.Of, &l.Mutation, names)
	}
	if l.Kind == LineSnapshotRow {
		return AppendSnapshotRow(dst, &l.Stamp, l.Time, l.Seq, &l.Mutation, names, l.Stamp.Chain)
	}
	return appendChange(dst, &l.Stamp, l.Time, l.Seq, l.Of, &l.Mutation, names)
}

// AppendLineText appends any line in the form for people: see AppendText.
func AppendLineText(dst []byte, l *Line, names Names) []byte {
	st := &l.Stamp
	switch l.Kind {
	case LineChange:
		return appendChangeText(dst, st, l.Time, uint64(l.Seq), l.Mutation.Op.String(), &l.Mutation, names)
	case LineSnapshotRow:
		return appendChangeText(dst, st, l.Time, uint64(l.Seq), "row", &l.Mutation, names)
	case LineFiltered:
		dst = appendTextHead(dst, st.Position, "."+strconv.FormatUint(uint64(l.Seq), 10), l.Time, "filtered")
		dst = strconv.AppendInt(dst, int64(len(l.Digests)), 10)
		dst = strconv.AppendUint(append(dst, " of "...), uint64(l.Of), 10)
		return append(dst, " changes left out\n"...)
	}
	dst = appendTextHead(dst, st.Position, "", l.Time, textOps[l.Kind])
	switch l.Kind {
	case LineHeartbeat:
		dst = st.Prev.Append(append(dst, "everything came; the last event is "...))
	case LineSnapshotBegin:
		dst = st.Prev.Append(append(dst, "snapshot begins; what came after "...))
		dst = append(dst, " and up to here is missing"...)
	case LineSnapshotEnd:
		dst = strconv.AppendUint(append(dst, "snapshot ends after "...), l.Rows, 10)
		dst = append(dst, " rows"...)
	}
	return append(dst, '\n')
}

var textOps = [...]string{LineHeartbeat: "beat", LineSnapshotBegin: "begin", LineSnapshotEnd: "end"}
