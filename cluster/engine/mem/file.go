package mem

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/zankv/zankv/cluster/engine"
)

// The state file, little-endian:
//
//	offset 0   4 bytes   magic "zmem"
//	offset 4   4 bytes   version, 1
//	offset 8   8 bytes   count of pairs
//	offset 16  8 bytes   length of the pairs in bytes
//	offset 24  4 bytes   CRC-32C of the 24 bytes before
//	offset 28            pairs in the order of their keys: uvarint length key, uvarint length value
//	end        4 bytes   CRC-32C of the pairs
const (
	stateFile     = "state"
	magic         = "zmem"
	version       = 1
	headerLength  = 28
	trailerLength = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// save makes dir's state file hold root. The commit point is the rename: before it the old file is whole, after it the
// new one is.
func save(dir string, root *node) error {
	path := filepath.Join(dir, stateFile)
	if err := writeFile(path+".tmp", root); err != nil {
		_ = os.Remove(path + ".tmp")
		return failure("save", dir, err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return failure("save", dir, err)
	}
	return failure("save", dir, syncDir(dir))
}

func writeFile(path string, root *node) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := encode(f, root); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// encode writes the pairs behind room for the header, and then the header, whose length field is known only then.
func encode(f *os.File, root *node) error {
	w := bufio.NewWriterSize(f, 1<<16)
	if _, err := w.Write(make([]byte, headerLength)); err != nil {
		return err
	}
	var pair []byte
	var length uint64
	var sum uint32
	var failed error
	root.each(func(n *node) {
		if failed != nil {
			return
		}
		pair = binary.AppendUvarint(pair[:0], uint64(len(n.key)))
		pair = append(pair, n.key...)
		pair = binary.AppendUvarint(pair, uint64(len(n.value)))
		pair = append(pair, n.value...)
		length += uint64(len(pair))
		sum = crc32.Update(sum, castagnoli, pair)
		_, failed = w.Write(pair)
	})
	if failed != nil {
		return failed
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum)); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := f.WriteAt(header(uint64(root.len()), length), 0)
	return err
}

func header(count, length uint64) []byte {
	h := append(make([]byte, 0, headerLength), magic...)
	h = binary.LittleEndian.AppendUint32(h, version)
	h = binary.LittleEndian.AppendUint64(h, count)
	h = binary.LittleEndian.AppendUint64(h, length)
	return binary.LittleEndian.AppendUint32(h, crc32.Checksum(h, castagnoli))
}

// load reads dir's state file. A directory without one holds the empty state.
func load(dir string) (*node, error) {
	path := filepath.Join(dir, stateFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failure("load", dir, err)
	}
	root, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("engine/mem: load %s: %w", path, err)
	}
	return root, nil
}

func decode(data []byte) (*node, error) {
	if len(data) < headerLength+trailerLength || string(data[:4]) != magic {
		return nil, fmt.Errorf("%w: not a state file of %q (%d bytes)", engine.ErrCorrupt, magic, len(data))
	}
	if got := binary.LittleEndian.Uint32(data[4:]); got != version {
		return nil, fmt.Errorf("format version %d, this build reads %d: use the build that wrote it", got, version)
	}
	if got, want := crc32.Checksum(data[:24], castagnoli), binary.LittleEndian.Uint32(data[24:]); got != want {
		return nil, fmt.Errorf("%w: header checksum %#x, want %#x", engine.ErrCorrupt, got, want)
	}
	count, length := binary.LittleEndian.Uint64(data[8:]), binary.LittleEndian.Uint64(data[16:])
	if uint64(len(data)) != headerLength+length+trailerLength {
		return nil, fmt.Errorf("%w: %d bytes, the header says %d of pairs", engine.ErrCorrupt, len(data), length)
	}
	pairs := data[headerLength : headerLength+length]
	if got, want := crc32.Checksum(pairs, castagnoli), binary.LittleEndian.Uint32(data[headerLength+length:]); got != want {
		return nil, fmt.Errorf("%w: checksum %#x, want %#x", engine.ErrCorrupt, got, want)
	}
	return decodePairs(pairs, count)
}

func decodePairs(pairs []byte, count uint64) (root *node, err error) {
	for range count {
		var key, value []byte
		if key, pairs, err = field(pairs); err != nil {
			return nil, err
		}
		if value, pairs, err = field(pairs); err != nil {
			return nil, err
		}
		root = join(root, newNode(key, value))
	}
	if len(pairs) > 0 {
		return nil, fmt.Errorf("%w: %d bytes behind the last of %d pairs", engine.ErrCorrupt, len(pairs), count)
	}
	return root, nil
}

func field(p []byte) (value, rest []byte, err error) {
	n, w := binary.Uvarint(p)
	if w <= 0 || n > uint64(len(p)-w) {
		return nil, nil, fmt.Errorf("%w: a length that exceeds the file", engine.ErrCorrupt)
	}
	return p[w : w+int(n)], p[w+int(n):], nil
}

// failure wraps an error of the operating system; nil stays nil.
func failure(operation, dir string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("engine/mem: %s %s: %w: %w", operation, dir, engine.ErrNoSpace, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("engine/mem: %s %s: %w: %w", operation, dir, engine.ErrCorrupt, err)
	}
	return fmt.Errorf("engine/mem: %s %s: %w", operation, dir, err)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
