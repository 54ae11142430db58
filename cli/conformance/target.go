// Package conformance compares a server with a real Redis: tables of cases, and a seeded random command generator over a
// tiny key space, are sent to both, and the replies must be the same bytes, in RESP2 and in RESP3. What may differ, and
// why, stands in one table (Differences).
//
// A Target is whatever answers commands: a connection to a server (Dial), or something in the test's own process. Run
// takes any two, so the same suite serves the pure command layer and a whole cluster.
package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command/commandtest"
)

// Target answers commands.
type Target interface {
	// Do sends one command and returns the raw bytes of its reply.
	Do(args ...[]byte) []byte
}

// ioTimeout is what a healthy server never needs for one command.
const ioTimeout = 30 * time.Second

// Conn is a Target at the other end of a TCP connection. Failures of the connection fail the test.
type Conn struct {
	tb   testing.TB
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

// Dial connects; the test's end disconnects. first are commands to send at once, such as AUTH or HELLO 3; each must succeed.
func Dial(tb testing.TB, addr string, first ...string) *Conn {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", addr, ioTimeout)
	if err != nil {
		tb.Fatalf("conformance: %v", err)
	}
	tb.Cleanup(func() { conn.Close() })
	c := &Conn{tb: tb, conn: conn, in: bufio.NewReader(conn)}
	for _, line := range first {
		if r := c.Do(commandtest.Words(line)...); r[0] == '-' {
			tb.Fatalf("conformance: %s: %q", line, r)
		}
	}
	return c
}

// Do implements Target.
func (c *Conn) Do(args ...[]byte) []byte {
	c.tb.Helper()
	c.out = fmt.Appendf(c.out[:0], "*%d\r\n", len(args))
	for _, arg := range args {
		c.out = fmt.Appendf(c.out, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if err := c.conn.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		c.tb.Fatalf("conformance: %v", err)
	}
	if _, err := c.conn.Write(c.out); err != nil {
		c.tb.Fatalf("conformance: sending %q: %v", args, err)
	}
	reply, err := readReply(nil, c.in)
	if err != nil {
		c.tb.Fatalf("conformance: reading the reply to %.100q: %v", args, err)
	}
	return reply
}

// readReply appends one whole reply, RESP2 or RESP3, to dst.
func readReply(dst []byte, in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	dst = append(dst, line...)
	if len(line) < 3 {
		return nil, fmt.Errorf("reply line %q", line)
	}
	switch line[0] {
	case '$', '=', '!', '*', '~', '>', '%':
	default:
		return dst, nil
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err != nil || n < 0 {
		return dst, err
	}
	switch line[0] {
	case '$', '=', '!':
		start := len(dst)
		dst = append(dst, make([]byte, n+2)...)
		_, err = io.ReadFull(in, dst[start:])
		return dst, err
	case '%':
		n *= 2
	}
	for ; n > 0 && err == nil; n-- {
		dst, err = readReply(dst, in)
	}
	return dst, err
}
