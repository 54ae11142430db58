package resp

import (
	"bytes"
	"errors"
)

// Limits of the protocol that Redis fixes. Source: Redis 7.2 networking.c and server.h.
const (
	maxInline      = 64 << 10 // PROTO_INLINE_MAX_SIZE: an inline command, or the line of a length
	maxArgs        = 1 << 20  // arguments of a command
	maxUnauthArgs  = 10       // of a client that has yet to authenticate
	maxUnauthBulk  = 16 << 10 // bytes of an argument of such a client
	defaultMaxBulk = 32 << 20
)

// Protocol errors, in Redis's words. The client gets them after "-ERR Protocol error: ", and then the connection is closed.
var (
	errBigInline      = errors.New("too big inline request")
	errBigCount       = errors.New("too big mbulk count string")
	errBigBulkCount   = errors.New("too big bulk count string")
	errMultibulk      = errors.New("invalid multibulk length")
	errBulk           = errors.New("invalid bulk length")
	errUnauthArgs     = errors.New("unauthenticated multibulk length")
	errUnauthBulk     = errors.New("unauthenticated bulk length")
	errUnbalanced     = errors.New("unbalanced quotes in request")
	errQueryTooBig    = errors.New("command exceeds the query buffer limit")
	errBuffersAreFull = errors.New("the node's query and reply buffers are full, try again later")
)

// span is an argument's place in the buffer.
type span struct{ from, to int }

// parser finds commands in a buffer that grows at its end. It remembers where it is within an incomplete command, so that
// a command that comes in many pieces is looked at once. What it accepts, and how it names what it doesn't, is as in
// Redis 7.2's processInlineBuffer and processMultibulkBuffer, except that the result never depends on how the bytes
// were split into reads.
type parser struct {
	maxBulk  int
	maxQuery int

	pos   int // next byte to look at
	start int // first byte of the command in work
	left  int // arguments that it still lacks, 0 between commands
	bulk  int // length of the argument in work, -1 when its line isn't read yet
	args  []span
	// inline holds the arguments of an inline command: they were unescaped, so they don't lie in the buffer.
	inline [][]byte
	typed  bool
}

func newParser(maxBulk, maxQuery int) parser {
	return parser{maxBulk: maxBulk, maxQuery: maxQuery, bulk: -1}
}

// next looks for the end of the command in work. True means that it is whole: count and arg give its arguments until the next call
// (a command without any is to be ignored, as Redis does). strict applies the limits for clients that have yet to authenticate.
func (p *parser) next(buf []byte, strict bool) (bool, error) {
	if p.left == 0 {
		p.start, p.args, p.inline, p.typed = p.pos, p.args[:0], nil, false
		if p.pos >= len(buf) {
			return false, nil
		}
		if buf[p.pos] != '*' {
			return p.nextInline(buf)
		}
		whole, err := p.header(buf, strict)
		if !whole || err != nil || p.left == 0 {
			return whole, err
		}
	}
	for p.left > 0 {
		if whole, err := p.argument(buf, strict); !whole || err != nil {
			return false, err
		}
	}
	return true, nil
}

// header reads "*<n>\r\n".
func (p *parser) header(buf []byte, strict bool) (bool, error) {
	n, ok, end, err := line(buf, p.pos, errBigCount)
	if end == 0 {
		return false, err
	}
	switch {
	case !ok || n > maxArgs:
		return false, errMultibulk
	case strict && n > maxUnauthArgs:
		return false, errUnauthArgs
	}
	p.pos = end
	p.left = int(max(n, 0))
	return true, nil
}

// argument reads "$<n>\r\n<n bytes>\r\n". Like Redis it doesn't look at the two bytes that end it.
func (p *parser) argument(buf []byte, strict bool) (bool, error) {
	if p.bulk < 0 {
		n, ok, end, err := line(buf, p.pos, errBigBulkCount)
		if end == 0 {
			return false, err
		}
		switch {
		case buf[p.pos] != '$':
			return false, errors.New("expected '$', got '" + string(buf[p.pos:p.pos+1]) + "'")
		case !ok || n < 0 || n > int64(p.maxBulk):
			return false, errBulk
		case strict && n > maxUnauthBulk:
			return false, errUnauthBulk
		case end-p.start+int(n)+2 > p.maxQuery:
			return false, errQueryTooBig
		}
		p.pos, p.bulk = end, int(n)
	}
	if len(buf)-p.pos < p.bulk+2 {
		return false, nil
	}
	p.args = append(p.args, span{p.pos, p.pos + p.bulk})
	p.pos += p.bulk + 2
	p.bulk = -1
	p.left--
	return true, nil
}

// line reads a type byte, a number, and an end of line, from at on; end is 0 when it isn't whole. ok is false when what is between isn't a
// number as Redis's string2ll takes it.
func line(buf []byte, at int, tooBig error) (n int64, ok bool, end int, err error) {
	// The usual case: up to four digits.
	for i := at + 1; i < len(buf) && i < at+6; i++ {
		d := buf[i] - '0'
		if d <= 9 {
			n = n*10 + int64(d)
			continue
		}
		digits := i - at - 1
		if buf[i] == '\r' && digits > 0 && (buf[at+1] != '0' || digits == 1) {
			if i+1 == len(buf) {
				return 0, false, 0, nil
			}
			return n, true, i + 2, nil
		}
		break
	}
	rest := buf[at:min(len(buf), at+maxInline+1)]
	cr := bytes.IndexByte(rest, '\r')
	if zero := bytes.IndexByte(rest, 0); zero >= 0 && (cr < 0 || zero < cr) {
		cr = -1 // Redis looks with strchr, which ends at a zero byte: such a line never ends
	}
	if cr < 0 {
		if len(buf)-at > maxInline {
			return 0, false, 0, tooBig
		}
		return 0, false, 0, nil
	}
	if at+cr+1 >= len(buf) {
		return 0, false, 0, nil
	}
	if cr == 0 { // the type byte itself is the end of line
		return 0, false, at + 2, nil
	}
	n, ok = parseInt(rest[1:cr])
	return n, ok, at + cr + 2, nil
}

// parseInt takes decimal numbers in their one shortest form, as Redis's string2ll does: no plus, no leading zeros, no spaces.
func parseInt(b []byte) (int64, bool) {
	negative := len(b) > 1 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 || b[0] == '0' && (len(b) > 1 || negative) {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true
	case !negative && n < 1<<63:
		return int64(n), true
	}
	return 0, false
}

// count and arg give the arguments of the command that next found.
func (p *parser) count() int {
	if p.typed {
		return len(p.inline)
	}
	return len(p.args)
}

func (p *parser) arg(buf []byte, i int) []byte {
	if p.typed {
		return p.inline[i]
	}
	s := p.args[i]
	return buf[s.from:s.to:s.to]
}

// need is how many bytes of buffer, from the beginning of the command in work, are known to be needed to go on.
func (p *parser) need() int {
	if p.bulk >= 0 {
		return p.pos - p.start + p.bulk + 2
	}
	return p.pos - p.start + 1
}

// keep is where the bytes that are still needed begin.
func (p *parser) keep() int {
	if p.left > 0 {
		return p.start
	}
	return p.pos
}

// moved tells the parser that its bytes were moved down by n.
func (p *parser) moved(n int) {
	p.pos -= n
	p.start -= n
	if p.left > 0 {
		for i := range p.args {
			p.args[i].from -= n
			p.args[i].to -= n
		}
	}
}
