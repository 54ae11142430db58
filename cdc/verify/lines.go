package verify

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxLine bounds a line: an event of 64 MiB whose bytes all need six characters, and some more.
const maxLine = 512 << 20

// Lines checks the lines that a reader gives, to its end. name is for the report. The error is the reader's, ctx's, or says that there are too many
// partitions; the report is then of what came before.
func Lines(ctx context.Context, r io.Reader, name string, o Options) (*Report, error) {
	run := begin(ctx, name, &o)
	err := run.lines(r, name)
	return run.end(), err
}

// run is one check: the checker, and how far it is.
type run struct {
	*checker
	ctx    context.Context
	begun  time.Time
	told   time.Time
	toldAt int64
}

func begin(ctx context.Context, source string, o *Options) *run {
	now := time.Now()
	return &run{checker: newChecker(source, o), ctx: ctx, begun: now, told: now}
}

func (r *run) end() *Report {
	r.checker.end()
	r.report.Seconds = time.Since(r.begun).Seconds()
	r.report.conclude()
	return r.report
}

// tick is called after each line. It looks at the clock now and then.
func (r *run) tick(bytes int) error {
	r.report.Bytes += int64(bytes)
	if r.report.Lines%1024 != 0 {
		return nil
	}
	if now := time.Now(); r.o.Progress != nil && now.Sub(r.told) >= time.Second {
		r.o.Progress(Progress{Bytes: r.report.Bytes, Lines: r.report.Lines, Elapsed: now.Sub(r.begun),
			BytesPerSecond: float64(r.report.Bytes-r.toldAt) / now.Sub(r.told).Seconds()})
		r.told, r.toldAt = now, r.report.Bytes
	}
	return r.ctx.Err()
}

// inFile is where a line of a file lies.
type inFile struct {
	name         string
	line, offset int64
}

func (f *inFile) describe() (string, int64, int64) {
	return fmt.Sprintf("%s, line %d, byte %d", f.name, f.line, f.offset), f.line, f.offset
}

func (r *run) lines(in io.Reader, name string) error {
	at := inFile{name: name}
	s := &splitter{in: bufio.NewReaderSize(in, 64<<10)}
	for {
		line, err := s.next()
		at.line++
		switch {
		case err == io.EOF && len(line) == 0:
			return nil
		case err == io.EOF:
			if r.parser.Parse(line, &r.line) == nil {
				break // all of it but the line feed
			}
			r.torn(line, &at)
			return r.tick(len(line))
		case err != nil:
			return fmt.Errorf("verify: %s, byte %d: %w", name, at.offset, err)
		case len(bytes.TrimSpace(line)) == 0:
			at.offset += int64(len(line))
			continue
		}
		if err := r.add(line, &at); err != nil {
			return err
		}
		at.offset += int64(len(line))
		if err := r.tick(len(line)); err != nil {
			return err
		}
	}
}

// splitter takes lines off a reader. It holds one.
type splitter struct {
	in   *bufio.Reader
	long []byte
}

// next gives the next line with its line feed, valid until the next call; what stands at the end without one comes with io.EOF.
func (s *splitter) next() ([]byte, error) {
	line, err := s.in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	s.long = append(s.long[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(s.long) > maxLine {
			return nil, fmt.Errorf("a line of more than %d bytes", maxLine)
		}
		line, err = s.in.ReadSlice('\n')
		s.long = append(s.long, line...)
	}
	return s.long, err
}
