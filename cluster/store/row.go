package store

import (
	"encoding/binary"

	"github.com/zankv/zankv/cdc/event"
)

// The values of rows. Each starts with its format. Integers are little-endian; a *version* is 8 bytes of time (ns) and the
// cluster number as an uvarint.
//
// Meta row (and key tombstone, with type 0):
//
//	offset  size
//	0       1       format, 01
//	1       1       type: 1 string, 2 hash, 3 list, 4 set, 5 zset, 6 bitmap; 0 in a tombstone
//	2       1       flags:
//	                bits 0-1  floor: 0 none, 1 equal to the version, 2 written out
//	                bits 2-3  expiry's version: 0 none, 1 equal to the version, 2 equal to the floor, 3 written out
//	                bit 4     an expiry is written out
//	                bits 5-7  zero
//	3       9-13    version
//	        0-13    floor
//	        0-10    expiry, zigzag varint, ms since 1970
//	        0-13    expiry's version
//	        0-20    generation, count: uvarints; not in strings and tombstones
//	        rest    a string's value; of a collection what its type keeps there, opaque here: a list's ends (cluster/command,
//	                list.go), else nothing
//
// A key written by SET costs 12 bytes here beside its value, with an expiry 18. The engine checks its blocks, so rows have
// no checksum of their own.
//
// Element row, and element tombstone (kind 0):
//
//	0       1       format, 01
//	1       1       kind: 2 hash field, 3 list item, 4 set member, 5 zset member, 6 bitmap segment; 0 tombstone
//	2       9-13    version
//	        rest    the field's value, the item, the segment; a zset member's score (8 bytes as in its score row)
//
// Score, expiry and index rows have an empty value. A clean-up row of a generation holds format and type; one of a range
// holds format, uvarint length of the start, start, end.
const (
	rowFormat = 0x01

	floorMask    = 0x03
	floorNone    = 0x00
	floorVersion = 0x01
	floorOwn     = 0x02

	expiryMask    = 0x0C
	expiryNone    = 0x00
	expiryVersion = 0x04
	expiryFloor   = 0x08
	expiryOwn     = 0x0C

	hasExpiry = 0x10

	knownFlags = floorMask | expiryMask | hasExpiry
)

func appendVersion(dst []byte, v event.Version) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(v.Time))
	return binary.AppendUvarint(dst, uint64(v.Cluster))
}

// appendMeta appends the value of m's meta row.
func appendMeta(dst []byte, m *event.Meta) []byte {
	flags := metaFlags(m)
	dst = append(dst, rowFormat, byte(m.Type), flags)
	dst = appendVersion(dst, m.Version)
	if flags&floorMask == floorOwn {
		dst = appendVersion(dst, m.Floor)
	}
	if flags&hasExpiry != 0 {
		dst = binary.AppendVarint(dst, m.ExpireAt)
	}
	if flags&expiryMask == expiryOwn {
		dst = appendVersion(dst, m.ExpiryVersion)
	}
	if m.Type > event.TypeString {
		dst = binary.AppendUvarint(dst, m.Generation)
		dst = binary.AppendUvarint(dst, m.Count)
	}
	return append(dst, m.Value...)
}

func metaFlags(m *event.Meta) (flags byte) {
	switch m.Floor {
	case event.Version{}:
		flags = floorNone
	case m.Version:
		flags = floorVersion
	default:
		flags = floorOwn
	}
	switch m.ExpiryVersion {
	case event.Version{}:
		flags |= expiryNone
	case m.Version:
		flags |= expiryVersion
	case m.Floor:
		flags |= expiryFloor
	default:
		flags |= expiryOwn
	}
	if m.ExpireAt != 0 {
		flags |= hasExpiry
	}
	return flags
}

// fields takes the parts of a row one by one. After the first one that is cut short, bad is set and all that follow are zero.
type fields struct {
	p   []byte
	bad bool
}

func (f *fields) fixed64() uint64 {
	if len(f.p) < 8 {
		f.p, f.bad = nil, true
		return 0
	}
	n := binary.LittleEndian.Uint64(f.p)
	f.p = f.p[8:]
	return n
}

func (f *fields) uvarint() uint64 {
	n, w := binary.Uvarint(f.p)
	if w <= 0 {
		f.p, f.bad = nil, true
		return 0
	}
	f.p = f.p[w:]
	return n
}

func (f *fields) varint() int64 {
	n, w := binary.Varint(f.p)
	if w <= 0 {
		f.p, f.bad = nil, true
		return 0
	}
	f.p = f.p[w:]
	return n
}

// counted takes an uvarint length and so many bytes, which point into the row.
func (f *fields) counted() []byte {
	n := f.uvarint()
	if n > uint64(len(f.p)) {
		f.p, f.bad = nil, true
		return nil
	}
	b := f.p[:n]
	f.p = f.p[n:]
	return b
}

func (f *fields) version() event.Version {
	t := f.fixed64()
	c := f.uvarint()
	if c > 1<<32-1 {
		f.bad = true
	}
	return event.Version{Time: int64(t), Cluster: event.ClusterNumber(c)}
}

// decodeMeta reads a meta row's value. m.Value points into row.
func decodeMeta(m *event.Meta, row []byte) error {
	if err := checkRow("meta", row, 3); err != nil {
		return err
	}
	flags := row[2]
	if flags&^knownFlags != 0 || flags&floorMask == floorMask {
		return formatf("meta row: flags %#02x; this program knows %#02x: it was written by a newer one", flags, knownFlags)
	}
	if event.Type(row[1]) > event.TypeBitmap {
		return formatf("meta row: type %d; this program knows up to %d: it was written by a newer one", row[1], event.TypeBitmap)
	}
	f := fields{p: row[3:]}
	*m = event.Meta{Type: event.Type(row[1]), Version: f.version()}
	switch flags & floorMask {
	case floorVersion:
		m.Floor = m.Version
	case floorOwn:
		m.Floor = f.version()
	}
	if flags&hasExpiry != 0 {
		m.ExpireAt = f.varint()
	}
	switch flags & expiryMask {
	case expiryVersion:
		m.ExpiryVersion = m.Version
	case expiryFloor:
		m.ExpiryVersion = m.Floor
	case expiryOwn:
		m.ExpiryVersion = f.version()
	}
	if m.Type > event.TypeString {
		m.Generation = f.uvarint()
		m.Count = f.uvarint()
	}
	if f.bad {
		return corruptf("meta row of %d bytes is cut short: % x", len(row), row[:min(len(row), 32)])
	}
	m.Value = f.p
	return nil
}

// checkRow checks what all rows start with.
func checkRow(what string, row []byte, least int) error {
	if len(row) == 0 {
		return corruptf("%s row is empty", what)
	}
	if row[0] != rowFormat {
		return formatf("%s row: format %d; this program knows %d: it was written by a newer one", what, row[0], rowFormat)
	}
	if len(row) < least {
		return corruptf("%s row has %d bytes, want at least %d", what, len(row), least)
	}
	return nil
}

// element is the content of an element row.
type element struct {
	kind    event.Type // TypeNone: a tombstone
	version event.Version
	payload []byte
}

func appendElement(dst []byte, e *element) []byte {
	dst = append(dst, rowFormat, byte(e.kind))
	dst = appendVersion(dst, e.version)
	return append(dst, e.payload...)
}

// decodeElement reads an element row's value. The payload points into row.
func decodeElement(e *element, row []byte) error {
	if err := checkRow("element", row, 2); err != nil {
		return err
	}
	kind := event.Type(row[1])
	if kind == event.TypeString || kind > event.TypeBitmap {
		return formatf("element row: kind %d is unknown: it was written by a newer program", kind)
	}
	f := fields{p: row[2:]}
	*e = element{kind: kind, version: f.version()}
	if f.bad {
		return corruptf("element row of %d bytes is cut short: % x", len(row), row[:min(len(row), 32)])
	}
	e.payload = f.p
	return nil
}
