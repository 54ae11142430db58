package wal

import (
	"errors"
	"testing"
)

// FuzzRecover opens a log whose one segment holds any bytes after a good header, framed as they are and as the content of a
// frame with right checksums. It must open or say why not, and what it opened must be readable.
func FuzzRecover(f *testing.F) {
	f.Add([]byte{})
	body := appendHardState(nil, 1, hard(1, 2, 3))
	for _, e := range ents(1, 1, 4, 3) {
		body = appendEntry(body, 1, &e)
	}
	body = appendRecord(body, kindTruncate, 0, 1, 2, 1, nil)
	body = appendRecord(body, kindReset, 0, 2, 9, 1, nil)
	body = appendRecord(body, kindRemove, 0, 2, 0, 0, nil)
	f.Add(body)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64<<10 {
			return
		}
		raw := append(encodeSegmentHeader(1, 0), b...)
		openFuzzed(t, raw)
		frame := append(make([]byte, frameHeaderSize), b...)
		for len(frame)%frameAlign != 0 {
			frame = append(frame, 0)
		}
		if wellFormed(b) {
			sealFrame(frame, frameHeader{length: uint32(len(b)), seq: 1, flags: flagFirst, life: 1}, 1, segmentHeaderSize)
			openFuzzed(t, append(encodeSegmentHeader(1, 0), frame...))
		}
	})
}

// wellFormed says whether the sizes of the records add up, which sealFrame takes for granted.
func wellFormed(b []byte) bool {
	for len(b) > 0 {
		if len(b) < recordHeaderSize {
			return false
		}
		size := int(le.Uint32(b[4:]))
		if size < recordHeaderSize || size > len(b) {
			return false
		}
		b = b[size:]
	}
	return true
}

func openFuzzed(t *testing.T, content []byte) {
	l, err := openBytes(t, "0000000000000001.wal", content)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
		return
	}
	defer mustClose(t, l)
	for _, g := range l.Groups() {
		g.Stats()
		if g.LastIndex() >= g.FirstIndex() {
			if _, err := g.Entries(g.FirstIndex(), g.LastIndex()+1, noLimit); err != nil {
				t.Fatal(err)
			}
		}
	}
}
