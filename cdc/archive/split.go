package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line: an event of 64 MiB whose bytes all need six characters, and some more.
const maxLine = 512 << 20

// splitter takes lines off a reader. It holds one line.
type splitter struct {
	in     *bufio.Reader
	long   []byte
	offset int64 // where the next line begins
}

func newSplitter(r io.Reader, offset int64) *splitter {
	return &splitter{in: bufio.NewReaderSize(r, 64<<10), offset: offset}
}

// next gives the next line with its line feed, and where it begins. What stands at the end without one comes with io.ErrUnexpectedEOF. The line is
// valid until the next call.
func (s *splitter) next() (line []byte, at int64, err error) {
	at = s.offset
	line, err = s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line, err = s.rest(line)
	}
	s.offset += int64(len(line))
	if err == io.EOF && len(line) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return line, at, err
}

// rest reads on where a line is longer than the buffer.
func (s *splitter) rest(line []byte) ([]byte, error) {
	if cap(s.long) > 1<<20 {
		s.long = nil
	}
	s.long = append(s.long[:0], line...)
	for {
		more, err := s.in.ReadSlice('\n')
		s.long = append(s.long, more...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return s.long, err
		}
		if len(s.long) > maxLine {
			return s.long, fmt.Errorf("a line of more than %d bytes", maxLine)
		}
	}
}
