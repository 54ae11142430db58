package message

import (
	"fmt"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// Tail is what a sink found at the end of its stream of a partition. The zero Tail says that nothing is there.
type Tail struct {
	// Last is the last message; its Kind is "" if there is none. Where its Value isn't a whole line, of parts and tombstones, it needs Prev and Chain, or Whole.
	Last Message
	// Whole is the line that Last is a part of, if that is known.
	Whole []byte
}

// TailOfLine is the Tail of a sink of lines, by its last one.
func TailOfLine(line []byte) (Tail, error) {
	var p event.Parser
	var l event.Line
	if err := p.Parse(line, &l); err != nil {
		return Tail{}, err
	}
	m := messageOf(&l)
	m.Value = line
	if n := len(line); n > 0 && line[n-1] == '\n' {
		m.Value = line[:n-1]
	}
	return Tail{Last: m}, nil
}

// messageOf is the message of a line, without key and value.
func messageOf(l *event.Line) Message {
	m := Message{Kind: KindOf(l.Kind), Position: l.Stamp.Position, Prev: l.Stamp.Prev, Chain: l.Stamp.Chain, Seq: l.Seq, Of: l.Of, Time: l.Time}
	switch l.Kind {
	case event.LineSnapshotEnd:
		m.Chain = l.Stamp.PrevChain
	case event.LineSnapshotRow:
		m.Chain = event.Chain{} // a row's line has the rolling one
	}
	return m
}

// point is a place within an event: what of it is still to come.
type point struct {
	position event.Position
	chain    event.Chain
	seq      uint32
	// offset is how much of the value of mutation seq is there, of total bytes; tombstone says that all of it is, but not yet its tombstone, if it has one.
	offset, total uint64
	tombstone     bool
}

// end is where a stream ends, as its Tail says.
type end struct {
	resume changefeed.Resume
	// last is the last whole event, if that is known.
	last      event.Position
	lastKnown bool
	// partial is the event that is there in part, if open.
	partial point
	open    bool
	begun   []byte             // the line of a snapshot's begin, if that is what stands last
	attempt changefeed.Reached // of a snapshot that isn't whole
	beat    changefeed.Reached
}

// read works out where the stream ends.
func (t *Tail) read(tombstones bool) (end, error) {
	m := t.Last
	if m.Kind == "" {
		return end{}, nil
	}
	digests, err := t.complete(&m)
	if err != nil {
		return end{}, diverged("what stands last in the sink can't be read", err)
	}
	e := end{resume: changefeed.Resume{Known: true, After: m.Position, Time: m.Time}, last: m.Position, lastKnown: true}
	e.resume.Chain, e.resume.ChainKnown = m.Chain, !m.Chain.IsZero() || m.Position.IsZero()
	switch m.Kind {
	case Heartbeat:
		e.last, e.beat = m.Prev, changefeed.Reached{Position: m.Position, Time: m.Time}
		e.resume.ChainKnown = !m.Chain.IsZero() || m.Prev.IsZero()
	case SnapshotBegin, SnapshotRow:
		e.resume = changefeed.Resume{Known: true, After: m.Prev, InSnapshot: true}
		e.last, e.attempt = m.Prev, changefeed.Reached{Position: m.Position, Time: m.Time}
		if m.Kind == SnapshotBegin {
			e.begun = m.Value
		}
	case Change, Tombstone, Filtered:
		e.event(&m, digests, tombstones)
	case SnapshotEnd:
	default:
		return end{}, diverged(fmt.Sprintf("the last message in the sink is a %.40q, which isn't known: a newer version wrote it", m.Kind), nil)
	}
	return e, nil
}

// event works out what of the last event is there.
func (e *end) event(m *Message, digests int, tombstones bool) {
	p := point{position: m.Position, chain: m.Chain, seq: m.Seq + 1}
	switch stop := m.Offset + uint64(len(m.Value)); {
	case m.Kind == Filtered:
		p.seq = m.Seq + uint32(digests)
	case m.Kind == Change && m.Total != 0 && stop < m.Total:
		p.seq, p.offset, p.total = m.Seq, stop, m.Total
	case m.Kind == Change && tombstones:
		p.seq, p.tombstone = m.Seq, true
	}
	if p.seq < m.Of {
		e.partial, e.open, e.last = p, true, m.Prev
		e.resume = changefeed.Resume{Known: true, After: m.Prev, Time: m.Time} // what is older than the event is there
	}
}

// complete fills in what the message doesn't say and its line does, and counts the digests of one that was filtered.
func (t *Tail) complete(m *Message) (digests int, err error) {
	line := t.Whole
	if line == nil && m.Total == 0 && m.Kind != Tombstone {
		line = m.Value
	}
	if line == nil {
		if m.Chain.IsZero() {
			return 0, fmt.Errorf("a %s of %s.%d from byte %d on doesn't say which event comes before", m.Kind, m.Position, m.Seq, m.Offset)
		}
		return 0, nil
	}
	var p event.Parser
	var l event.Line
	if err := p.Parse(line, &l); err != nil {
		return 0, err
	}
	of := messageOf(&l)
	if m.Kind != Tombstone && m.Kind != of.Kind || m.Position != of.Position || m.Seq != of.Seq {
		return 0, fmt.Errorf("a %s of %s.%d has the line of a %s of %s.%d", m.Kind, m.Position, m.Seq, of.Kind, of.Position, of.Seq)
	}
	m.Prev, m.Chain, m.Of, m.Time = of.Prev, of.Chain, of.Of, of.Time
	return len(l.Digests), nil
}

func diverged(what string, err error) *changefeed.Error {
	return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeSinkDiverged, Final: true, What: what, Err: err,
		Action: "look with `zankv-cdc verify` at what the sink holds; if something else wrote there give the changefeed a topic or folder of its own, " +
			"or set its checkpoint by hand to go on regardless"}
}
