package transport

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// A connection starts with a hello from who dialled and a welcome from who accepted. After a welcome with StatusOK,
// frames follow. All integers are little-endian, all checksums CRC-32C (Castagnoli).
//
// Hello. The first 8 bytes have this shape in every version.
//
//	offset  size  what
//	     0     4  magic "ZKTH"
//	     4     2  format version, 1
//	     6     1  kind: 1 messages, 2 snapshot
//	     7     1  flags, 0
//	     8     8  NodeID of the dialling node
//	    16     8  NodeID of the node that it means to reach
//	    24     8  incarnation: the process, a random number
//	    32     8  incarnation: the connection, growing from 1 within the process
//	    40     4  n, the length of the cluster's id, 1 to 255
//	    44     n  the cluster's id
//	  44+n     4  checksum of bytes 0 to 44+n
//
// Welcome. The first 8 bytes have this shape in every version.
//
//	   0     4  magic "ZKTW"
//	   4     2  format version, 1
//	   6     2  Status
//	   8     8  NodeID of the accepting node
//	  16     4  n, the length of the reason, 0 to 4096
//	  20     n  the reason, for people; empty with StatusOK
//	20+n     4  checksum of bytes 0 to 20+n
//
// Frame.
//
//	 0     1  type
//	 1     1  flags, 0
//	 2     2  number of messages (in frames of messages; otherwise 0)
//	 4     4  n, the length of the payload; the limit depends on the type
//	 8     4  checksum of the payload
//	12     4  checksum of bytes 0 to 12
//	16     n  payload
const (
	helloMagic    = "ZKTH"
	welcomeMagic  = "ZKTW"
	formatVersion = 1

	kindMessages = 1
	kindSnapshot = 2

	helloSize   = 44 // without the cluster's id and the checksum
	welcomeSize = 20 // without the reason and the checksum
	headerSize  = 16

	maxClusterID = 255
	maxReason    = 4096

	frameMessages = 1  // either direction of sending, on connections of kind 1
	frameManifest = 16 // sender: what is to come
	frameAnswer   = 17 // receiver: whether it may come
	frameFile     = 18 // sender: a file begins
	frameData     = 19 // sender: bytes of the file
	frameFileEnd  = 20 // sender: the file has ended
	frameEnd      = 21 // sender: all files have ended
	frameAbort    = 22 // sender: gives up, and why
	frameWorking  = 23 // receiver: is alive and not ready
	frameResult   = 24 // receiver: how it ended
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

var le = binary.LittleEndian

// hello is who dials, whom it means, and what for.
type hello struct {
	kind       byte
	from, to   NodeID
	process    uint64
	connection uint64
	cluster    string
}

func appendHello(b []byte, h hello) []byte {
	start := len(b)
	b = append(b, helloMagic...)
	b = le.AppendUint16(b, formatVersion)
	b = append(b, h.kind, 0)
	b = le.AppendUint64(b, uint64(h.from))
	b = le.AppendUint64(b, uint64(h.to))
	b = le.AppendUint64(b, h.process)
	b = le.AppendUint64(b, h.connection)
	b = le.AppendUint32(b, uint32(len(h.cluster)))
	b = append(b, h.cluster...)
	return le.AppendUint32(b, checksum(b[start:]))
}

// readHello reads a hello to its last byte and not further. A *versionError names a version that isn't ours.
func readHello(r io.Reader) (hello, error) {
	var b [helloSize + maxClusterID + 4]byte
	if err := readPrefix(r, b[:8], helloMagic, "hello"); err != nil {
		return hello{}, err
	}
	if b[7] != 0 {
		return hello{}, corruptf("hello: flags %#02x, want 0", b[7])
	}
	if _, err := io.ReadFull(r, b[8:helloSize]); err != nil {
		return hello{}, fmt.Errorf("read hello: %w", err)
	}
	n := le.Uint32(b[40:])
	if n == 0 || n > maxClusterID {
		return hello{}, corruptf("hello: cluster id of %d bytes, want 1 to %d", n, maxClusterID)
	}
	end := helloSize + int(n)
	if err := readTail(r, b[:end+4], helloSize, "hello"); err != nil {
		return hello{}, err
	}
	h := hello{
		kind: b[6], from: NodeID(le.Uint64(b[8:])), to: NodeID(le.Uint64(b[16:])),
		process: le.Uint64(b[24:]), connection: le.Uint64(b[32:]), cluster: string(b[helloSize:end]),
	}
	if h.kind != kindMessages && h.kind != kindSnapshot {
		return h, corruptf("hello: kind %d, want %d (messages) or %d (snapshot)", h.kind, kindMessages, kindSnapshot)
	}
	return h, nil
}

// readPrefix reads the 8 bytes that have the same shape in every version, and checks magic and version.
func readPrefix(r io.Reader, b []byte, magic, what string) error {
	if _, err := io.ReadFull(r, b); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	if string(b[:4]) != magic {
		return corruptf("%s: magic %q, want %q: is this the raft port of a ZanKV node?", what, b[:4], magic)
	}
	if v := le.Uint16(b[4:]); v != formatVersion {
		return &versionError{what: what, got: v}
	}
	return nil
}

// readTail fills b from offset on and checks the checksum in b's last four bytes.
func readTail(r io.Reader, b []byte, from int, what string) error {
	if _, err := io.ReadFull(r, b[from:]); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	end := len(b) - 4
	if got, want := checksum(b[:end]), le.Uint32(b[end:]); got != want {
		return corruptf("%s: checksum %08x, the bytes have %08x", what, want, got)
	}
	return nil
}

// welcome is the answer to a hello.
type welcome struct {
	status Status
	node   NodeID
	reason string
}

func appendWelcome(b []byte, w welcome) []byte {
	start := len(b)
	reason := clip(w.reason)
	b = append(b, welcomeMagic...)
	b = le.AppendUint16(b, formatVersion)
	b = le.AppendUint16(b, uint16(w.status))
	b = le.AppendUint64(b, uint64(w.node))
	b = le.AppendUint32(b, uint32(len(reason)))
	b = append(b, reason...)
	return le.AppendUint32(b, checksum(b[start:]))
}

// readWelcome reads a welcome to its last byte and not further.
func readWelcome(r io.Reader) (welcome, error) {
	b := make([]byte, welcomeSize, welcomeSize+128)
	if err := readPrefix(r, b[:8], welcomeMagic, "welcome"); err != nil {
		return welcome{}, err
	}
	if _, err := io.ReadFull(r, b[8:]); err != nil {
		return welcome{}, fmt.Errorf("read welcome: %w", err)
	}
	n := le.Uint32(b[16:])
	if n > maxReason {
		return welcome{}, corruptf("welcome: reason of %d bytes, at most %d", n, maxReason)
	}
	b = append(b, make([]byte, n+4)...)
	if err := readTail(r, b, welcomeSize, "welcome"); err != nil {
		return welcome{}, err
	}
	return welcome{
		status: Status(le.Uint16(b[6:])), node: NodeID(le.Uint64(b[8:])), reason: string(b[welcomeSize : welcomeSize+n]),
	}, nil
}

// clip shortens a reason to what may be sent.
func clip(reason string) string {
	return reason[:min(len(reason), maxReason)]
}

// header is the first 16 bytes of a frame.
type header struct {
	kind  byte
	count uint16
	size  uint32
	crc   uint32
}

// putHeader writes the header of the frame whose payload is given into b's first 16 bytes.
func putHeader(b []byte, kind byte, count uint16, payload []byte) {
	b[0], b[1] = kind, 0
	le.PutUint16(b[2:], count)
	le.PutUint32(b[4:], uint32(len(payload)))
	le.PutUint32(b[8:], checksum(payload))
	le.PutUint32(b[12:], checksum(b[:12]))
}

// parseHeader checks a header, its length against the limit of its type included.
func parseHeader(b []byte, limits map[byte]uint32) (header, error) {
	h := header{kind: b[0], count: le.Uint16(b[2:]), size: le.Uint32(b[4:]), crc: le.Uint32(b[8:])}
	if got, want := checksum(b[:12]), le.Uint32(b[12:headerSize]); got != want {
		return h, corruptf("frame header: checksum %08x, the bytes have %08x", want, got)
	}
	limit, ok := limits[h.kind]
	if !ok {
		return h, corruptf("frame of type %d, which has no place here", h.kind)
	}
	if b[1] != 0 {
		return h, corruptf("frame of type %d: flags %#02x, want 0", h.kind, b[1])
	}
	if h.size > limit {
		return h, corruptf("frame of type %d with %d bytes, at most %d", h.kind, h.size, limit)
	}
	return h, nil
}

func (h header) check(payload []byte) error {
	if got := checksum(payload); got != h.crc {
		return corruptf("frame of type %d with %d bytes: checksum %08x, the bytes have %08x", h.kind, h.size, h.crc, got)
	}
	return nil
}
