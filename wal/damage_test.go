package wal

import (
	"errors"
	"testing"
)

// TestDamagedWhileOpen: an entry is checked by itself whenever it is read from disk.
func TestDamagedWhileOpen(t *testing.T) {
	fs := newCrashFS()
	o := testOptions("/wal")
	o.FS, o.CacheBytes = fs, 1
	l := mustOpen(t, o)
	defer mustClose(t, l)
	mustAppend(t, l, Update{Group: 1, Entries: ents(1, 1, 2, 100), MustSync: true})
	fs.node(l.writer.active.name).data[l.writer.off-20] ^= 1
	if _, err := l.Group(1).Entries(1, 2, noLimit); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("Entries: %v, want ErrCorrupt", err)
	}
}

// TestSegmentInChecksums: a frame and a record of one segment don't pass in another.
func TestSegmentInChecksums(t *testing.T) {
	b := appendHardState(make([]byte, frameHeaderSize), 1, hard(1, 2, 3))
	n := len(b) - frameHeaderSize
	b = append(b, make([]byte, frameSize(n)-int64(len(b)))...)
	sealFrame(b, frameHeader{length: uint32(n), seq: 1}, 5, segmentHeaderSize)
	for id, want := range map[uint64]bool{5: true, 6: false} {
		if frameValid(b, id) != want || recordValid(b[frameHeaderSize:frameHeaderSize+n], seed(id)) != want {
			t.Errorf("in segment %d: valid is not %v", id, want)
		}
	}
}
