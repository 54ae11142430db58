package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// The format. All integers little-endian, all checksums CRC-32C. seed(id) below is the CRC-32C of the segment's id
// (8 bytes); a checksum "seeded" goes on from it, so that nothing written in another life of the file can pass.
//
// A segment file is named by its id (16 hex digits, ".wal"), is allocated whole, and begins with one 4096-byte block:
//
//	 0  8  magic "ZANKVWAL"
//	 8  4  format version, 1
//	12  4  flags, 0
//	16  8  segment id; ids grow, with holes
//	24  8  after: last frame of the log known durable when the segment was made; 0 in a new log. Its frames are later
//	32  4  checksum of bytes 0..32
//	36  …  zero
//
// Frames follow, each on a multiple of 8 bytes. One frame is one Append (a large one makes several). What follows the
// last frame is zero or the rest of an older life.
//
//	 0  4  magic "ZFR1"
//	 4  4  checksum, seeded, of bytes 8 to the end of the padding
//	 8  4  n, length of the records in bytes
//	12  4  flags: 1 = first frame of a life
//	16  8  sequence number of the frame in the log; consecutive over all segments
//	24  8  synced: the last frame known durable when this one was written
//	32  8  life: random number drawn at each Open
//	40  8  wall clock in ns since 1970 when it was written
//	48  4  offset of this frame in the file
//	52  4  zero
//	56  n  records
//	    …  zero, up to a multiple of 8
//
// A record:
//
//	 0  4  checksum, seeded, of bytes 4 to the end of the record
//	 4  4  size of the record, these 34 bytes included
//	 8  8  group
//	16  8  index
//	24  8  term
//	32  1  kind
//	33  1  entry type (raftpb.EntryType + 1), 0 in other kinds
//	34  …  body
//
//	kind  name        index, term                       body
//	1     entry       of the entry                      its data
//	2     hard state  commit, term                      vote, 8 bytes
//	3     reset       base: all entries are forgotten,  none
//	                  the next one is index+1
//	4     truncate    entries ≤ index are forgotten;    none
//	                  term is that of index
//	5     remove      0: all the group had is forgotten none
const (
	segmentHeaderSize = 4096
	segmentVersion    = 1
	frameHeaderSize   = 56
	frameAlign        = 8
	recordHeaderSize  = 34
	frameMagic        = 0x3152465a // "ZFR1"

	flagFirst = 1

	kindEntry     = 1
	kindHardState = 2
	kindReset     = 3
	kindTruncate  = 4
	kindRemove    = 5
)

// MaxEntryBytes bounds the data of one entry.
const MaxEntryBytes = 1 << 30

// maxIndex bounds indexes, so that arithmetic with them can't wrap around.
const maxIndex = 1 << 62

const segmentMagic = "ZANKVWAL"

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func seed(segment uint64) uint32 {
	var b [8]byte
	le.PutUint64(b[:], segment)
	return crc32.Checksum(b[:], castagnoli)
}

func align(n int64) int64 { return (n + frameAlign - 1) &^ (frameAlign - 1) }

func encodeSegmentHeader(id, after uint64) []byte {
	b := make([]byte, segmentHeaderSize)
	copy(b, segmentMagic)
	le.PutUint32(b[8:], segmentVersion)
	le.PutUint64(b[16:], id)
	le.PutUint64(b[24:], after)
	le.PutUint32(b[32:], crc32.Checksum(b[:32], castagnoli))
	return b
}

// decodeSegmentHeader checks the first block of a file that should be segment id.
func decodeSegmentHeader(b []byte, file string, id uint64) (after uint64, err error) {
	switch {
	case len(b) < segmentHeaderSize:
		return 0, corrupt(file, 0, "the header needs %d bytes, the file has %d", segmentHeaderSize, len(b))
	case string(b[:8]) != segmentMagic:
		return 0, corrupt(file, 0, "magic %q, want %q", b[:8], segmentMagic)
	case le.Uint32(b[8:]) != segmentVersion:
		return 0, fmt.Errorf("%w: file %s has %d, this program reads %d", ErrVersion, file, le.Uint32(b[8:]), segmentVersion)
	case le.Uint32(b[12:]) != 0:
		return 0, fmt.Errorf("%w: file %s has flags %#x, this program knows none", ErrVersion, file, le.Uint32(b[12:]))
	case le.Uint32(b[32:]) != crc32.Checksum(b[:32], castagnoli):
		return 0, corrupt(file, 32, "header checksum %#x, want %#x", le.Uint32(b[32:]), crc32.Checksum(b[:32], castagnoli))
	case le.Uint64(b[16:]) != id:
		return 0, corrupt(file, 16, "segment id %d, the name says %d", le.Uint64(b[16:]), id)
	}
	return le.Uint64(b[24:]), nil
}

type frameHeader struct {
	length uint32
	flags  uint32
	seq    uint64
	synced uint64
	life   uint64
	at     int64
}

// frameSize is what a frame of n bytes of records takes in the file.
func frameSize(n int) int64 { return align(int64(frameHeaderSize + n)) }

// sealFrame completes b, a frame whose records are laid out from frameHeaderSize on and which is padded: checksums of
// the records, the header, the checksum of the frame.
func sealFrame(b []byte, h frameHeader, segment uint64, offset int64) {
	s := seed(segment)
	for p, end := frameHeaderSize, frameHeaderSize+int(h.length); p < end; {
		size := int(le.Uint32(b[p+4:]))
		le.PutUint32(b[p:], crc32.Update(s, castagnoli, b[p+4:p+size]))
		p += size
	}
	le.PutUint32(b[0:], frameMagic)
	le.PutUint32(b[8:], h.length)
	le.PutUint32(b[12:], h.flags)
	le.PutUint64(b[16:], h.seq)
	le.PutUint64(b[24:], h.synced)
	le.PutUint64(b[32:], h.life)
	le.PutUint64(b[40:], uint64(h.at))
	le.PutUint32(b[48:], uint32(offset))
	le.PutUint32(b[52:], 0)
	le.PutUint32(b[4:], crc32.Update(s, castagnoli, b[8:]))
}

// decodeFrameHeader says whether b could be the header of a frame at offset, by everything but the checksum.
func decodeFrameHeader(b []byte, offset int64) (h frameHeader, ok bool) {
	if le.Uint32(b) != frameMagic || le.Uint32(b[48:]) != uint32(offset) || le.Uint32(b[52:]) != 0 {
		return h, false
	}
	return frameHeader{
		length: le.Uint32(b[8:]),
		flags:  le.Uint32(b[12:]),
		seq:    le.Uint64(b[16:]),
		synced: le.Uint64(b[24:]),
		life:   le.Uint64(b[32:]),
		at:     int64(le.Uint64(b[40:])),
	}, true
}

// frameValid checks the checksum of a whole, padded frame.
func frameValid(b []byte, segment uint64) bool {
	return le.Uint32(b[4:]) == crc32.Update(seed(segment), castagnoli, b[8:])
}

// record is a decoded record. body points into the buffer that it was decoded from.
type record struct {
	group, index, term uint64
	size               int
	kind, etype        uint8
	body               []byte
}

// appendRecord lays a record out, without its checksum (see sealFrame).
func appendRecord(b []byte, kind, etype uint8, group, index, term uint64, body []byte) []byte {
	var h [recordHeaderSize]byte
	le.PutUint32(h[4:], uint32(recordHeaderSize+len(body)))
	le.PutUint64(h[8:], group)
	le.PutUint64(h[16:], index)
	le.PutUint64(h[24:], term)
	h[32], h[33] = kind, etype
	b = append(b, h[:]...)
	return append(b, body...)
}

func appendEntry(b []byte, group uint64, e *raftpb.Entry) []byte {
	return appendRecord(b, kindEntry, uint8(e.Type)+1, group, e.Index, e.Term, e.Data)
}

func appendHardState(b []byte, group uint64, hs raftpb.HardState) []byte {
	var vote [8]byte
	le.PutUint64(vote[:], hs.Vote)
	return appendRecord(b, kindHardState, 0, group, hs.Commit, hs.Term, vote[:])
}

// entrySize is what an entry takes in the file.
func entrySize(e *raftpb.Entry) int { return recordHeaderSize + len(e.Data) }

// decodeRecord reads the record at the start of b. It checks lengths and kinds, not the checksum.
func decodeRecord(b []byte) (r record, err error) {
	if len(b) < recordHeaderSize {
		return r, fmt.Errorf("record header needs %d bytes, %d left", recordHeaderSize, len(b))
	}
	size := le.Uint32(b[4:])
	if size < recordHeaderSize || uint64(size) > uint64(len(b)) {
		return r, fmt.Errorf("record of %d bytes, want %d to %d", size, recordHeaderSize, len(b))
	}
	r = record{
		group: le.Uint64(b[8:]), index: le.Uint64(b[16:]), term: le.Uint64(b[24:]),
		size: int(size), kind: b[32], etype: b[33], body: b[recordHeaderSize:size],
	}
	return r, r.check()
}

func (r *record) check() error {
	if r.index > maxIndex || r.kind == kindEntry && r.index == 0 {
		return fmt.Errorf("index %d, want at most %d, and above 0 for an entry", r.index, uint64(maxIndex))
	}
	want := 0
	switch r.kind {
	case kindEntry:
		if r.etype == 0 || int(r.etype) > len(raftpb.EntryType_name) {
			return fmt.Errorf("entry type %d is unknown", r.etype)
		}
		return nil
	case kindHardState:
		want = 8
	case kindReset, kindTruncate, kindRemove:
	default:
		return fmt.Errorf("record kind %d is unknown", r.kind)
	}
	if len(r.body) != want || r.etype != 0 {
		return fmt.Errorf("record kind %d has %d bytes and entry type %d, want %d and 0", r.kind, len(r.body), r.etype, want)
	}
	return nil
}

// recordValid checks the checksum of b, one whole record.
func recordValid(b []byte, segmentSeed uint32) bool {
	return le.Uint32(b) == crc32.Update(segmentSeed, castagnoli, b[4:])
}

func (r *record) entry() raftpb.Entry {
	e := raftpb.Entry{Term: r.term, Index: r.index, Type: raftpb.EntryType(r.etype - 1)}
	if len(r.body) > 0 {
		e.Data = r.body[:len(r.body):len(r.body)]
	}
	return e
}

func (r *record) hardState() raftpb.HardState {
	return raftpb.HardState{Term: r.term, Vote: le.Uint64(r.body), Commit: r.index}
}
