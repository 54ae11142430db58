package event

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// lineScanner takes JSON off the front of b: as much of it as lines have. A general decoder would replace bytes that aren't UTF-8, take the last
// of two fields with one name and ignore letter case, and so read lines that were tampered with as if they were whole.
type lineScanner struct{ b []byte }

func (s *lineScanner) space() {
	for len(s.b) > 0 && (s.b[0] == ' ' || s.b[0] == '\t') {
		s.b = s.b[1:]
	}
}

// take takes c, and spaces around it.
func (s *lineScanner) take(c byte) bool {
	s.space()
	if len(s.b) == 0 || s.b[0] != c {
		return false
	}
	s.b = s.b[1:]
	s.space()
	return true
}

// object calls field for each member, which takes the value. Names with escapes are an error.
func (s *lineScanner) object(field func(name []byte) error) error { return s.members(nil, field) }

// members is object for any names, unescaped into buf as string does it.
func (s *lineScanner) members(buf *[]byte, field func(name []byte) error) error {
	if !s.take('{') {
		return errors.New("want an object")
	}
	if s.take('}') {
		return nil
	}
	for {
		name, err := s.name(buf)
		if err != nil {
			return err
		}
		if !s.take(':') {
			return fmt.Errorf("want a colon after %q", name)
		}
		if err := field(name); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return fmt.Errorf("want a comma or the end after %q", name)
		}
	}
}

func (s *lineScanner) name(buf *[]byte) ([]byte, error) {
	if buf == nil {
		return s.plainString()
	}
	return s.string(buf)
}

// array calls element for each element, which takes it.
func (s *lineScanner) array(element func() error) error {
	if !s.take('[') {
		return errors.New("want an array")
	}
	if s.take(']') {
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errors.New("want a comma or the end of an array")
		}
	}
}

// next says whether c is what comes.
func (s *lineScanner) next(c byte) bool { return len(s.b) > 0 && s.b[0] == c }

// truth takes true; what is false has no field.
func (s *lineScanner) truth() error {
	rest, ok := bytes.CutPrefix(s.b, []byte("true"))
	if !ok {
		return errors.New("want true")
	}
	s.b = rest
	return nil
}

// plainString takes a string without escapes, as names are.
func (s *lineScanner) plainString() ([]byte, error) {
	if len(s.b) == 0 || s.b[0] != '"' {
		return nil, errors.New("want a string")
	}
	n := bytes.IndexByte(s.b[1:], '"')
	if n < 0 {
		return nil, errors.New("a string without end")
	}
	text := s.b[1 : 1+n]
	s.b = s.b[n+2:]
	return text, nil
}

// string takes any string, unescaped into buf: what it returns is the caller's to change.
func (s *lineScanner) string(buf *[]byte) ([]byte, error) {
	if len(s.b) == 0 || s.b[0] != '"' {
		return nil, errors.New("want a string")
	}
	s.b = s.b[1:]
	start := len(*buf)
	for {
		n := bytes.IndexAny(s.b, `"\`)
		if n < 0 {
			return nil, errors.New("a string without end")
		}
		*buf = append(*buf, s.b[:n]...)
		end := s.b[n] == '"'
		s.b = s.b[n+1:]
		if end {
			break
		}
		if err := s.escape(buf); err != nil {
			return nil, err
		}
	}
	text := (*buf)[start:len(*buf):len(*buf)]
	if !utf8.Valid(text) {
		return nil, errors.New("a string that isn't UTF-8")
	}
	return text, nil
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape takes what follows a backslash.
func (s *lineScanner) escape(buf *[]byte) error {
	if len(s.b) == 0 {
		return errors.New("an escape without end")
	}
	c := s.b[0]
	s.b = s.b[1:]
	if plain, ok := escapes[c]; ok {
		*buf = append(*buf, plain)
		return nil
	}
	if c != 'u' {
		return fmt.Errorf("escape \\%c", c)
	}
	r, err := s.hex()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) {
		if len(s.b) < 2 || s.b[0] != '\\' || s.b[1] != 'u' {
			return errors.New("half a surrogate pair")
		}
		s.b = s.b[2:]
		low, err := s.hex()
		if err != nil {
			return err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return errors.New("half a surrogate pair")
		}
	}
	*buf = utf8.AppendRune(*buf, r)
	return nil
}

func (s *lineScanner) hex() (rune, error) {
	if len(s.b) < 4 {
		return 0, errors.New("an escape without end")
	}
	n, err := strconv.ParseUint(string(s.b[:4]), 16, 16)
	s.b = s.b[4:]
	return rune(n), err
}

func (s *lineScanner) number() string {
	n := 0
	for n < len(s.b) && (s.b[n] >= '0' && s.b[n] <= '9' || s.b[n] == '-') {
		n++
	}
	text := string(s.b[:n])
	s.b = s.b[n:]
	return text
}

func (s *lineScanner) uint32() (uint32, error) {
	n, err := strconv.ParseUint(s.number(), 10, 32)
	return uint32(n), err
}

func (s *lineScanner) uint64() (uint64, error) { return strconv.ParseUint(s.number(), 10, 64) }

func (s *lineScanner) int64() (int64, error) { return strconv.ParseInt(s.number(), 10, 64) }
