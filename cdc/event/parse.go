package event

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// ErrLine is wrapped when a line isn't what AppendJSON writes.
var ErrLine = errors.New("not a change event's line")

// Parser reads lines of the JSON. It is for one goroutine.
type Parser struct {
	// Names numbers the cluster ids in the order in which they came. The numbers are this parser's own: a partition's may differ.
	Names Names

	buf                []byte
	elements           []Element
	named              []named // what prev names
	sorted             [][]byte
	digests            []Digest
	again              []byte // a line of Debezium's, written again
	cluster, namespace string
	origin             Origin
}

// field bits: each field stands once, and a line lacks none that it must have.
const (
	hasCluster = 1 << iota
	hasNamespace
	hasPartition
	hasPosition
	hasSeq
	hasOf
	hasPrevPosition
	hasTS
	hasOp
	hasType
	hasEnc
	hasTable
	hasKey
	hasValue
	hasStart
	hasEnd
	hasExpireAt
	hasVersion
	hasPrev
	hasGroup
	hasCommand
	hasOrigin
	hasChain
	hasFields
	hasMembers
	hasScores
	hasItems
	hasCount
	hasIndexes
	hasSegments
	hasLength
	hasWhole
	hasDigests
	hasSnapshot
	hasLastPosition
	hasRows
	hasBaseChain
	hasDigest
	hasFieldNames // fields as an array
	hasPrevs      // prev as an object

	always = hasCluster | hasNamespace | hasPartition | hasPosition | hasSeq | hasOf | hasPrevPosition | hasTS | hasOp | hasType |
		hasVersion | hasPrev | hasGroup | hasChain
	// alwaysRow is what each row of a snapshot has, alwaysLine what each line has.
	alwaysRow  = always&^hasOf | hasSnapshot
	alwaysLine = hasCluster | hasNamespace | hasPartition | hasPosition | hasTS | hasOp | hasChain
)

// lineFields are the fields of lines without a mutation.
var lineFields = [...]uint64{
	LineFiltered:      alwaysLine | hasSeq | hasOf | hasPrevPosition | hasDigests,
	LineHeartbeat:     alwaysLine | hasLastPosition | hasDigest,
	LineSnapshotBegin: alwaysLine | hasPrevPosition | hasDigest,
	LineSnapshotEnd:   alwaysLine | hasPrevPosition | hasRows | hasBaseChain,
}

var fieldBits = map[string]uint64{
	"cluster": hasCluster, "namespace": hasNamespace, "partition": hasPartition, "position": hasPosition, "seq": hasSeq, "of": hasOf,
	"prev_position": hasPrevPosition, "ts": hasTS, "op": hasOp, "type": hasType, "enc": hasEnc, "table": hasTable, "key": hasKey,
	"value": hasValue, "start": hasStart, "end": hasEnd, "expire_at": hasExpireAt, "version": hasVersion, "prev": hasPrev,
	"group": hasGroup, "command": hasCommand, "origin": hasOrigin, "chain": hasChain,
	"fields": hasFields, "members": hasMembers, "scores": hasScores, "items": hasItems, "count": hasCount, "indexes": hasIndexes,
	"segments": hasSegments, "length": hasLength, "whole": hasWhole,
	"digests": hasDigests, "snapshot": hasSnapshot, "last_position": hasLastPosition, "rows": hasRows, "base_chain": hasBaseChain,
	"digest": hasDigest,
}

// Parse reads one line of any kind, with or without its line feed, in the format of AppendJSON or in Debezium's envelope. Fields may stand in any order, but
// for Debezium's; a field that is missing, unknown or there twice is an error, and so is a table that isn't the key's: nothing on a
// line is outside of what a chain or digest covers. l's byte fields, digests and origin belong to the parser and are valid until its next Parse.
// The error wraps ErrLine.
func (p *Parser) Parse(line []byte, l *Line) error {
	*l = Line{}
	p.reset()
	line = bytes.TrimRight(line, "\r\n")
	parse := p.parseLine
	if bytes.HasPrefix(line, []byte(debeziumPrefix)) {
		parse = p.parseDebezium
	}
	if err := parse(line, l); err != nil {
		return fmt.Errorf("event: parse: %w: %w", ErrLine, err)
	}
	return nil
}

func (p *Parser) parseLine(line []byte, l *Line) error {
	s := lineScanner{b: line}
	var c content
	err := s.object(func(name []byte) error {
		bit := fieldBits[string(name)]
		return p.once(&s, name, bit, l, &c)
	})
	if err == nil && len(s.b) > 0 {
		err = fmt.Errorf("%d bytes after the object", len(s.b))
	}
	if err != nil {
		return err
	}
	return p.finish(l, &c, c.seen|c.forms)
}

// once takes a field's value, the first time that the field comes.
func (p *Parser) once(s *lineScanner, name []byte, bit uint64, l *Line, c *content) error {
	if bit == 0 || c.seen&bit != 0 {
		return fmt.Errorf("field %q is unknown, or there twice", name)
	}
	c.seen |= bit
	if err := p.field(s, bit, l, c); err != nil {
		return fmt.Errorf("field %q: %w", name, err)
	}
	return nil
}

// content is what enc applies to.
type content struct {
	base64                        bool
	table, key, value, start, end []byte

	seen, forms    uint64 // fields that came; hasFieldNames, hasPrevs
	items, indexes int    // how many elements have one
}

func (p *Parser) field(s *lineScanner, bit uint64, l *Line, c *content) (err error) {
	m := &l.Mutation
	switch bit {
	case hasPartition:
		l.Stamp.Partition, err = s.uint32()
	case hasSeq:
		l.Seq, err = s.uint32()
	case hasOf:
		l.Of, err = s.uint32()
	case hasGroup:
		m.Group, err = s.uint32()
	case hasExpireAt:
		m.ExpireAt, err = s.int64()
	case hasRows:
		l.Rows, err = s.uint64()
	case hasSnapshot:
		l.Kind, m.Row = LineSnapshotRow, true
		err = s.truth()
	case hasDigests:
		err = s.array(func() error { return p.digest(s) })
	case hasOrigin:
		m.Origin = &p.origin
		err = p.parseOrigin(s)
	case hasFields, hasMembers, hasScores, hasItems, hasCount, hasIndexes, hasSegments, hasLength, hasWhole:
		err = p.collection(s, bit, m, c)
	default:
		if bit == hasPrev && s.next('{') {
			c.forms |= hasPrevs
			return p.prevs(s)
		}
		var text []byte
		if text, err = s.string(&p.buf); err == nil {
			err = p.text(text, bit, l, c)
		}
	}
	return err
}

func (p *Parser) text(text []byte, bit uint64, l *Line, c *content) (err error) {
	m := &l.Mutation
	ok := true
	switch bit {
	case hasCluster:
		l.Stamp.Cluster = keep(&p.cluster, text)
	case hasNamespace:
		l.Stamp.Namespace = keep(&p.namespace, text)
	case hasPosition:
		l.Stamp.Position, err = ParsePosition(string(text))
	case hasPrevPosition, hasLastPosition:
		l.Stamp.Prev, err = ParsePosition(string(text))
	case hasTS:
		l.Time, err = parseTime(text)
	case hasOp:
		if m.Op, ok = parseOp(text); !ok {
			l.Kind, ok = parseLineOp(text)
		}
	case hasType:
		m.Type, ok = parseType(text)
	case hasEnc:
		c.base64, ok = true, string(text) == "base64"
	case hasTable:
		c.table = text
	case hasKey:
		c.key = text
	case hasValue:
		c.value = text
	case hasStart:
		c.start = text
	case hasEnd:
		c.end = text
	case hasVersion:
		m.Version, err = p.version(text)
	case hasPrev:
		m.Prev, err = p.version(text)
	case hasCommand:
		m.Command, ok = intern(text), len(text) > 0
	case hasChain:
		l.Stamp.Chain, err = parseChain(text)
	case hasBaseChain:
		l.Stamp.PrevChain, err = parseChain(text)
	case hasDigest:
		var check Chain
		check, err = parseChain(text)
		l.Check = Digest(check)
	}
	if !ok {
		return fmt.Errorf("unknown: %q", text)
	}
	return err
}

// finish decodes the content and checks what fields say together.
func (p *Parser) finish(l *Line, c *content, seen uint64) error {
	m := &l.Mutation
	if m.Op == 0 {
		return p.finishLine(l, seen)
	}
	if !m.Row && l.Seq >= l.Of {
		return fmt.Errorf("seq %d of %d", l.Seq, l.Of)
	}
	always := uint64(always)
	if m.Row {
		always = alwaysRow
	}
	want := always | hasKey
	free := uint64(hasEnc | hasTable | hasExpireAt | hasCommand | hasOrigin)
	switch {
	case m.Op == OpRange:
		want = always | hasStart | hasEnd
	case m.Op.showsValue():
		want |= hasValue
	case m.Op.OnElements():
		want |= elementFields[m.Op]
		free |= hasWhole
		if m.versionsElements() {
			want |= hasPrevs
		}
	}
	if lacks, extra := want&^seen, seen&^(want|free); lacks|extra != 0 {
		return fmt.Errorf("op %s: lacks fields %s, has also %s", m.Op, fieldNames(lacks), fieldNames(extra))
	}
	if seen&hasExpireAt != 0 && m.ExpireAt == 0 {
		return errors.New("expire_at 0")
	}
	for _, text := range []*[]byte{&c.table, &c.key, &c.value, &c.start, &c.end} {
		if err := c.decode(text); err != nil {
			return err
		}
	}
	m.Key, m.Value = c.key, c.value
	if m.Op == OpRange {
		m.Key, m.Value = c.start, c.end
	}
	if table, ok := Table(c.key); ok != (seen&hasTable != 0) || !bytes.Equal(table, c.table) && ok {
		return fmt.Errorf("table %q doesn't belong to key %q", c.table, c.key)
	}
	m.impliedVersions()
	if m.Op.OnElements() {
		return p.finishElements(m, c)
	}
	return nil
}

// finishLine checks a line without a mutation.
func (p *Parser) finishLine(l *Line, seen uint64) error {
	if int(l.Kind) >= len(lineFields) || lineFields[l.Kind] == 0 {
		return errors.New("no op")
	}
	want := lineFields[l.Kind]
	if lacks, extra := want&^seen, seen&^want; lacks|extra != 0 {
		return fmt.Errorf("op %s: lacks fields %s, has also %s", l.Kind, fieldNames(lacks), fieldNames(extra))
	}
	l.Digests = p.digests
	if n := uint64(len(p.digests)); l.Kind == LineFiltered && (n == 0 || uint64(l.Seq)+n > uint64(l.Of)) {
		return fmt.Errorf("%d digests from seq %d of %d on", n, l.Seq, l.Of)
	}
	return nil
}

func (p *Parser) digest(s *lineScanner) error {
	text, err := s.plainString()
	if err != nil {
		return err
	}
	d, err := parseChain(text)
	p.digests = append(p.digests, Digest(d))
	return err
}

// decode puts the bytes in the place of their base64.
func (c *content) decode(text *[]byte) error {
	if !c.base64 {
		return nil
	}
	n, err := base64.StdEncoding.Strict().Decode(*text, *text)
	*text = (*text)[:n:n]
	return err
}

func (m *Mutation) impliedVersions() {
	switch {
	case m.Op == OpSet, m.Op == OpDel, m.Whole:
		m.Floor, m.ExpiryVersion = m.Version, m.Version
	case m.Op == OpExpireAt, m.Op == OpPersist:
		m.ExpiryVersion = m.Version
	}
}

func (p *Parser) parseOrigin(s *lineScanner) error {
	p.origin = Origin{}
	seen := 0
	err := s.object(func(name []byte) (err error) {
		var text []byte
		switch string(name) {
		case "cluster":
			if text, err = s.string(&p.buf); err == nil {
				p.origin.Cluster, err = p.number(text)
			}
		case "partition":
			p.origin.Partition, err = s.uint32()
		case "position":
			if text, err = s.string(&p.buf); err == nil {
				p.origin.Position, err = ParsePosition(string(text))
			}
		default:
			return fmt.Errorf("unknown field %q", name)
		}
		seen++
		return err
	})
	if err == nil && seen != 3 {
		err = errors.New("want cluster, partition and position")
	}
	return err
}

func (p *Parser) version(text []byte) (Version, error) {
	if string(text) == "absent" {
		return Version{}, nil
	}
	digits, id, ok := bytes.Cut(text, []byte{'@'})
	t, err := strconv.ParseInt(string(digits), 10, 64)
	if !ok || err != nil {
		return Version{}, fmt.Errorf("%q, want time@cluster or absent", text)
	}
	c, err := p.number(id)
	return Version{Time: t, Cluster: c}, err
}

func (p *Parser) number(id []byte) (ClusterNumber, error) {
	if len(id) == 0 {
		return 0, errors.New("a cluster without an id")
	}
	if len(p.Names) > maxClusters {
		return 0, fmt.Errorf("more than %d cluster ids", maxClusters)
	}
	return p.Names.Number(id), nil
}

func parseChain(text []byte) (Chain, error) {
	var c Chain
	if len(text) != hex.EncodedLen(len(c)) {
		return Chain{}, fmt.Errorf("%d characters, want %d hexadecimal digits", len(text), hex.EncodedLen(len(c)))
	}
	if i := bytes.IndexAny(text, "ABCDEF"); i >= 0 {
		return Chain{}, fmt.Errorf("digit %c, want small letters", text[i])
	}
	_, err := hex.Decode(c[:], text)
	return c, err
}

func parseTime(text []byte) (int64, error) {
	t, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return 0, err
	}
	ns := t.UnixNano()
	if back := time.Unix(0, ns); !back.Equal(t) {
		return 0, fmt.Errorf("%s is out of range", text)
	}
	return ns, nil
}

// keep makes a string of text, the one of last time if it is the same.
func keep(last *string, text []byte) string {
	if *last != string(text) {
		*last = string(text)
	}
	return *last
}

func fieldNames(bits uint64) string {
	var names []byte
	for name, bit := range fieldBits {
		if bits&bit != 0 {
			names = append(append(names, ' '), name...)
		}
	}
	if bits&(hasFieldNames|hasPrevs) != 0 {
		names = append(names, " of another form"...)
	}
	if len(names) == 0 {
		return "none"
	}
	return string(names[1:])
}
