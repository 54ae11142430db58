package message

import (
	"bytes"
	"fmt"
)

// Joiner makes lines of one partition's messages, in the order in which they stand: it joins parts and passes over tombstones. It is for one goroutine. It
// checks that no part is missing or comes twice; what is between whole lines is an event.Validator's to check.
type Joiner struct {
	// MaxBytes bounds a line; 0: DefaultJoinBytes.
	MaxBytes uint64
	// AllowReplays takes parts again that came before, if they are the same, as a reader gets them that reconnects. It may also begin in the middle
	// of a line that came before: that is passed over.
	AllowReplays bool

	of   Message // of the parts in buf: the line's
	buf  []byte
	open bool // not all of them came
	none bool // the parts that come are of a line whose beginning didn't come again
}

// DefaultJoinBytes is Joiner.MaxBytes if nothing is said: more than any event's line has.
const DefaultJoinBytes = 512 << 20

// joinStep is how much memory is taken for a line before its parts came.
const joinStep = 1 << 20

// Add takes the next message. It returns the whole line, which is valid until the next Add (or as long as the message, if that has all of it); nil as long as
// parts are missing, of tombstones and of parts that came before.
func (j *Joiner) Add(m *Message) ([]byte, error) {
	if m.Kind == Tombstone {
		return nil, nil
	}
	if !m.Kind.IsLine() {
		return nil, fmt.Errorf("message at %s: kind %.40q isn't known", m.Position, m.Kind)
	}
	if m.Total != 0 {
		return j.part(m)
	}
	if err := j.leave(m); err != nil {
		return nil, err
	}
	return m.Value, nil
}

// leave is for a message that isn't the next part. A line that isn't whole is given up by a snapshot's begin, and when a reader reconnects.
func (j *Joiner) leave(m *Message) error {
	missing := j.open && m.Kind != SnapshotBegin && !(j.AllowReplays && m.Position.Compare(j.of.Position) <= 0)
	if missing {
		return fmt.Errorf("%s %s.%d: parts from byte %d of %d on are missing: a %s of %s comes instead", j.of.Kind, j.of.Position, j.of.Seq, len(j.buf),
			j.of.Total, m.Kind, m.Position)
	}
	j.open, j.none, j.buf = false, false, j.buf[:0]
	j.of = Message{}
	return nil
}

func (j *Joiner) part(m *Message) ([]byte, error) {
	stop := m.Offset + uint64(len(m.Value))
	if most := j.most(); m.Total > most || stop > m.Total || stop < m.Offset || len(m.Value) == 0 {
		return nil, fmt.Errorf("%s %s.%d: a part of bytes %d to %d of %d: want it within the whole, and that of at most %d bytes", m.Kind, m.Position, m.Seq,
			m.Offset, stop, m.Total, most)
	}
	if !j.same(m) {
		if err := j.leave(m); err != nil {
			return nil, err
		}
		j.of = *m
		j.of.Key, j.of.Value = nil, nil
		j.open, j.none = true, m.Offset > 0
		if m.Offset > 0 && !j.AllowReplays {
			return nil, fmt.Errorf("%s %s.%d: its first %d bytes are missing", m.Kind, m.Position, m.Seq, m.Offset)
		}
	}
	if j.none {
		j.open = stop < m.Total
		return nil, nil
	}
	return j.join(m, stop)
}

func (j *Joiner) most() uint64 {
	if j.MaxBytes == 0 {
		return DefaultJoinBytes
	}
	return j.MaxBytes
}

// same says whether a part is of the line that the last one was of.
func (j *Joiner) same(m *Message) bool {
	o := &j.of
	return o.Total != 0 && m.Kind == o.Kind && m.Position == o.Position && m.Seq == o.Seq && m.Total == o.Total
}

func (j *Joiner) join(m *Message, stop uint64) ([]byte, error) {
	switch have := uint64(len(j.buf)); {
	case m.Offset > have:
		return nil, fmt.Errorf("%s %s.%d: bytes %d to %d of %d are missing", m.Kind, m.Position, m.Seq, have, m.Offset, m.Total)
	case m.Offset < have:
		return j.again(m, stop)
	}
	if cap(j.buf) == 0 {
		j.buf = make([]byte, 0, min(m.Total, joinStep))
	}
	j.buf = append(j.buf, m.Value...)
	if stop < m.Total {
		return nil, nil
	}
	j.open = false
	return j.buf, nil
}

// again takes a part that came before. Back at the line's beginning the whole of it comes again.
func (j *Joiner) again(m *Message, stop uint64) ([]byte, error) {
	have := uint64(len(j.buf))
	if !j.AllowReplays || stop > have || !bytes.Equal(j.buf[m.Offset:stop], m.Value) {
		return nil, fmt.Errorf("%s %s.%d: bytes %d to %d of %d came twice, or others than before", m.Kind, m.Position, m.Seq, m.Offset, stop, m.Total)
	}
	if !j.open {
		j.open = stop < m.Total
		j.buf = j.buf[:stop]
		if !j.open {
			return nil, nil
		}
	}
	return nil, nil
}

// End says that no more messages come: parts that are missing are an error.
func (j *Joiner) End() error {
	if j.open && !j.none {
		return fmt.Errorf("%s %s.%d: parts from byte %d of %d on are missing at the end", j.of.Kind, j.of.Position, j.of.Seq, len(j.buf), j.of.Total)
	}
	return nil
}
