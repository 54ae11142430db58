package transport

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// A snapshot's connection, behind hello and welcome:
//
//	sender                              receiver
//	manifest ─────────────────────────▶
//	         ◀───────────────────────── answer      StatusOK, or why not: then the connection ends
//	for each file of the manifest, in its order:
//	  file, data …, file end ─────────▶
//	end ──────────────────────────────▶
//	         ◀───────────────────────── result      how it ended; may come at any time if it is a failure
//
// Between the answer and the result the receiver sends working frames a few times per idle timeout. The sender may give
// up at any time with abort. Payloads:
//
//	manifest   8  group
//	           4  n, then n bytes: the message
//	           4  n, then n bytes: meta
//	           4  number of files, and for each:
//	              2  n, then n bytes: name, a single path element in UTF-8
//	              8  size in bytes
//	              4  permission bits (0777 at most)
//	answer     2  Status
//	           4  n, then n bytes: reason
//	           4  number of offsets: 0, all files from their beginning. (A receiver that holds parts of the files would name, for
//	              each, the offset to go on from; this version sends none and refuses any.)
//	file       4  index in the manifest, from 0
//	data       1 to 1 MiB bytes of the file
//	file end   8  size in bytes
//	           4  CRC-32C of the file
//	end        4  number of files
//	           8  sum of their sizes
//	           4  CRC-32C of their checksums, 4 bytes each
//	abort      the reason
//	working    nothing
//	result     2  Status
//	           4  n, then n bytes: reason
const (
	maxFiles    = 1 << 20
	maxName     = 255
	maxBlob     = 16 << 20
	maxManifest = 128 << 20
	dataStep    = 256 << 10
)

var (
	// senderLimits are the frames that the sender of a snapshot may send, with their largest payloads.
	senderLimits = map[byte]uint32{
		frameManifest: maxManifest, frameFile: 4, frameData: 1 << 20, frameFileEnd: 12, frameEnd: 16, frameAbort: maxReason,
	}
	receiverLimits = map[byte]uint32{frameAnswer: 10 + maxReason, frameWorking: 0, frameResult: 6 + maxReason}
)

// readFrame reads one frame, its payload into buf if that is large enough. It returns the payload.
func readFrame(r *bufio.Reader, limits map[byte]uint32, buf []byte) (kind byte, payload []byte, err error) {
	var b [headerSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, nil, err
	}
	h, err := parseHeader(b[:], limits)
	if err != nil {
		return 0, nil, err
	}
	if h.count != 0 {
		return 0, nil, corruptf("frame of type %d counts %d messages, want 0", h.kind, h.count)
	}
	if cap(buf) < int(h.size) {
		buf = make([]byte, h.size)
	}
	buf = buf[:h.size]
	if _, err := io.ReadFull(r, buf); err != nil {
		return 0, nil, err
	}
	return h.kind, buf, h.check(buf)
}

// appendFrame appends a whole frame.
func appendFrame(b []byte, kind byte, payload []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	b = append(b, payload...)
	putHeader(b[start:], kind, 0, b[start+headerSize:])
	return b
}

// encodeManifest returns the payload, or why it can't be one.
func encodeManifest(h SnapshotHeader, files []file) ([]byte, error) {
	if len(h.Message) > maxBlob || len(h.Meta) > maxBlob {
		return nil, fmt.Errorf("transport: snapshot header: message of %d and meta of %d bytes, at most %d each",
			len(h.Message), len(h.Meta), maxBlob)
	}
	b := le.AppendUint64(nil, h.Group)
	b = appendBlob(b, h.Message)
	b = appendBlob(b, h.Meta)
	b = le.AppendUint32(b, uint32(len(files)))
	for _, f := range files {
		if err := checkName(f.name); err != nil {
			return nil, err
		}
		b = le.AppendUint16(b, uint16(len(f.name)))
		b = append(b, f.name...)
		b = le.AppendUint64(b, uint64(f.size))
		b = le.AppendUint32(b, uint32(f.mode.Perm()))
	}
	if len(b) > maxManifest {
		return nil, fmt.Errorf("transport: manifest of %d bytes, at most %d", len(b), maxManifest)
	}
	return b, nil
}

func appendBlob[T ~string | ~[]byte](b []byte, blob T) []byte {
	b = le.AppendUint32(b, uint32(len(blob)))
	return append(b, blob...)
}

// checkName lets only such names pass as stay within their directory.
func checkName(name string) error {
	if name == "" || len(name) > maxName || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") ||
		!utf8.ValidString(name) {
		return corruptf("snapshot file name %q: want a single path element of 1 to %d bytes in UTF-8", name, maxName)
	}
	return nil
}

// decodeManifest returns copies: b may be reused.
func decodeManifest(b []byte) (h SnapshotHeader, files []file, err error) {
	c := cursor{b: b}
	h.Group = c.u64()
	h.Message = append([]byte(nil), c.blob(maxBlob)...)
	h.Meta = append([]byte(nil), c.blob(maxBlob)...)
	n := int(c.u32())
	if c.bad || n > maxFiles || n*minFileEntry > len(c.b) {
		return h, nil, corruptf("manifest of %d bytes is cut short, or names %d files, at most %d", len(b), n, maxFiles)
	}
	files = make([]file, 0, n)
	seen := make(map[string]bool, n)
	for range n {
		f := file{name: string(c.take(int(c.u16())))}
		f.size, f.mode = int64(c.u64()), fs.FileMode(c.u32())
		if c.bad {
			return h, nil, corruptf("manifest of %d bytes is cut short at file %d of %d", len(b), len(files), n)
		}
		if err := checkFile(f, seen); err != nil {
			return h, nil, err
		}
		files = append(files, f)
	}
	if len(c.b) != 0 {
		return h, nil, corruptf("%d bytes behind the manifest's last file", len(c.b))
	}
	return h, files, nil
}

// minFileEntry is what a file takes in a manifest at least.
const minFileEntry = 2 + 1 + 8 + 4

func checkFile(f file, seen map[string]bool) error {
	if err := checkName(f.name); err != nil {
		return err
	}
	if seen[f.name] {
		return corruptf("snapshot file %q is named twice", f.name)
	}
	seen[f.name] = true
	if f.size < 0 || f.mode != f.mode.Perm() {
		return corruptf("snapshot file %q: size %d, mode %#o", f.name, f.size, uint32(f.mode))
	}
	return nil
}

// encodeStatus is the payload of answer (with the count of offsets) and result (without).
func encodeStatus(kind byte, status Status, reason string) []byte {
	b := le.AppendUint16(nil, uint16(status))
	b = appendBlob(b, clip(reason))
	if kind == frameAnswer {
		b = le.AppendUint32(b, 0)
	}
	return b
}

func decodeStatus(kind byte, b []byte) (status Status, reason string, err error) {
	c := cursor{b: b}
	status = Status(c.u16())
	reason = string(c.blob(maxReason))
	if kind == frameAnswer {
		if n := c.u32(); n != 0 && !c.bad {
			return status, reason, corruptf("the receiver asks for %d files to go on from an offset, which this version can't", n)
		}
	}
	if c.bad || len(c.b) != 0 {
		return status, reason, corruptf("status frame of %d bytes has another length than its content", len(b))
	}
	return status, reason, nil
}

// cursor cuts fields off a payload. Once something is missing it is bad and returns zeros.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n < 0 || n > len(c.b) {
		c.bad = true
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return le.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return le.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return le.Uint64(b)
	}
	return 0
}

func (c *cursor) blob(limit uint32) []byte {
	n := c.u32()
	if n > limit {
		c.bad = true
	}
	return c.take(int(n))
}
