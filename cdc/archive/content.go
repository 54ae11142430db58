package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// content is what a segment says, from some byte of it on, up to where it counts.
type content struct {
	io.Reader
	file reading
	zstd *zstd.Decoder
}

func (c *content) Close() error {
	if c.zstd != nil {
		c.zstd.Close()
	}
	return c.file.Close()
}

// unpackedMemory bounds what unpacking takes beside the window.
const unpackedMemory = 64 << 20

// open opens a segment in the form that it has now: it may have been packed since the folder was listed.
func (d *folder) open(s *segment) (reading, bool, error) {
	twin := *s
	f, err := d.fs.Open(filepath.Join(d.path, s.name()))
	if errors.Is(err, fs.ErrNotExist) {
		twin.packed = !s.packed
		f, err = d.fs.Open(filepath.Join(d.path, twin.name()))
	}
	return f, twin.packed, err
}

// read opens what counts of a part, from a byte on.
func (d *folder) read(p *part, from int64) (*content, error) {
	f, packed, err := d.open(&p.segment)
	if err != nil {
		return nil, err
	}
	c := &content{file: f}
	if packed {
		err = c.unpack(from)
	} else {
		c.Reader = io.NewSectionReader(f, from, 1<<62)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("archive: %s: %w", p.name(), err), c.Close())
	}
	if p.bytes >= 0 {
		c.Reader = io.LimitReader(c.Reader, p.bytes-from)
	}
	return c, nil
}

func (c *content) unpack(from int64) (err error) {
	c.zstd, err = unpacker(c.file)
	if err == nil && from > 0 {
		_, err = io.CopyN(io.Discard, c.zstd, from)
	}
	c.Reader = c.zstd
	return err
}

// Unpack reads what a packed segment says. The reader has to be closed; what it reads from is left open.
func Unpack(packed io.Reader) (io.ReadCloser, error) {
	z, err := unpacker(packed)
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

func unpacker(from io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(unpackedMemory))
}
