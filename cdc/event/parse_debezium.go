package event

import (
	"bytes"
	"errors"
	"fmt"
)

// debeziumPrefix tells an envelope from a line of AppendJSON.
const debeziumPrefix = `{"before":`

// debeziumSource are the fields of source that say something of their own. The others follow from these, and are compared.
var debeziumSource = map[string]uint64{
	"name": hasCluster, "db": hasNamespace, "ts_ns": hasTS, "table": hasTable, "partition": hasPartition, "position": hasPosition,
	"seq": hasSeq, "of": hasOf, "prev_position": hasPrevPosition, "op": hasOp, "new_version": hasVersion, "prev_version": hasPrev,
	"group": hasGroup, "command": hasCommand, "origin": hasOrigin, "chain": hasChain,
}

// debeziumContent are the fields that before or after may have.
const debeziumContent = hasType | hasEnc | hasKey | hasValue | hasStart | hasEnd | hasExpireAt | hasFields | hasMembers | hasScores | hasItems | hasCount |
	hasIndexes | hasSegments | hasLength | hasWhole

// parseDebezium takes what the envelope says, and then writes it again: whatever differs was altered, or isn't ours.
func (p *Parser) parseDebezium(line []byte, l *Line) error {
	s := lineScanner{b: line}
	var c content
	err := s.object(func(name []byte) error {
		switch string(name) {
		case "before", "after":
			return p.debeziumContent(&s, l, &c)
		case "source":
			return p.debeziumSource(&s, l, &c)
		case "op", "ts_ms":
			return s.scalar()
		}
		return fmt.Errorf("unknown field %q", name)
	})
	if err == nil {
		err = p.finish(l, &c, c.seen|c.forms)
	}
	if err != nil {
		return err
	}
	l.Debezium = true
	p.again = AppendLine(p.again[:0], l, p.Names)
	if cap(p.again) > scratchKept {
		defer func() { p.again = nil }()
	}
	if !bytes.Equal(bytes.TrimSuffix(p.again, []byte("\n")), line) {
		return errors.New("an envelope that isn't as it was written: its parts contradict each other, or it was written anew")
	}
	return nil
}

func (p *Parser) debeziumContent(s *lineScanner, l *Line, c *content) error {
	if s.null() {
		return nil
	}
	return s.object(func(name []byte) error {
		return p.once(s, name, fieldBits[string(name)]&debeziumContent, l, c)
	})
}

func (p *Parser) debeziumSource(s *lineScanner, l *Line, c *content) error {
	return s.object(func(name []byte) (err error) {
		switch string(name) {
		case "version", "connector", "ts_ms":
			return s.scalar()
		case "ts_ns":
			c.seen |= hasTS
			l.Time, err = s.int64()
			return err
		case "snapshot":
			if s.took(`"true"`) {
				l.Kind, l.Mutation.Row = LineSnapshotRow, true
				c.seen |= hasSnapshot
				return nil
			}
			return s.scalar()
		case "table":
			if s.null() {
				return nil
			}
		}
		return p.once(s, name, debeziumSource[string(name)], l, c)
	})
}

// took takes text if that comes.
func (s *lineScanner) took(text string) bool {
	rest, ok := bytes.CutPrefix(s.b, []byte(text))
	if ok {
		s.b = rest
	}
	return ok
}

func (s *lineScanner) null() bool { return s.took("null") }

// scalar passes over a number or a string without escapes.
func (s *lineScanner) scalar() error {
	if s.next('"') {
		_, err := s.plainString()
		return err
	}
	if s.number() == "" {
		return errors.New("want a number or a string")
	}
	return nil
}
