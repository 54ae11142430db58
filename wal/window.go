package wal

import (
	"errors"
	"fmt"
	"io"
)

// window reads a file through a buffer that moves over it. The zero value, with chunk set, is ready.
type window struct {
	buf   []byte
	start int64 // offset of buf[0]
	chunk int   // how much to read at a time
}

// has says whether n bytes at off are in the buffer.
func (w *window) has(off int64, n int) bool {
	return off >= w.start && off+int64(n) <= w.start+int64(len(w.buf))
}

// at returns n bytes at off, which must lie before end. The slice is valid until the next read of the file.
func (w *window) at(f File, name string, off int64, n int, end int64) ([]byte, error) {
	if !w.has(off, n) {
		if err := w.load(f, name, off, n, end); err != nil {
			return nil, err
		}
	}
	p := int(off - w.start)
	return w.buf[p : p+n : p+n], nil
}

func (w *window) load(f File, name string, off int64, n int, end int64) error {
	if off+int64(n) > end {
		return corrupt(name, off, "%d bytes wanted, the segment ends at %d", n, end)
	}
	want := int(min(int64(max(n, w.chunk)), end-off))
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	w.buf, w.start = w.buf[:want], off
	got, err := f.ReadAt(w.buf, off)
	w.buf = w.buf[:got]
	if got < n {
		w.buf = w.buf[:0]
		if err == nil || errors.Is(err, io.EOF) {
			return corrupt(name, off, "%d bytes wanted, the file has %d", n, got)
		}
		return fmt.Errorf("wal: read %d bytes at %d of %s: %w", n, off, name, err)
	}
	return nil
}
