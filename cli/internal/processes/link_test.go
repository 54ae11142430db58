package processes

import (
	"io"
	"net"
	"testing"
)

// A link is found by the environment that it gives, passes on what comes, and when it is cut towards a server, what there is ends and nothing new
// comes through, while others are reached as before.
func TestLink(t *testing.T) {
	k, err := NewLink()
	mustDo(t, "link", err)
	one, other := echo(t), echo(t)
	a := through(t, k, one)
	b := through(t, k, other)
	speaks(t, a, true)
	k.Cut(one)
	speaks(t, a, false)
	speaks(t, b, true)
	speaks(t, through(t, k, one), false)
	if n, m := k.Passing(one), k.Passing(other); n != 0 || m != 1 {
		t.Errorf("%d connections to the server that is cut off, %d to the other", n, m)
	}
	k.Heal()
	speaks(t, through(t, k, one), true)
	mustDo(t, "close", k.Close())
	speaks(t, b, false)
}

// echo is a server that says what it is told.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	mustDo(t, "listen", err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	return l.Addr().String()
}

// through is a connection to a server by the link.
func through(t *testing.T, k *Link, to string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", k.listener.Addr().String())
	mustDo(t, "dial", err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "CONNECT "+to+" HTTP/1.1\r\nHost: "+to+"\r\n\r\n")
	mustDo(t, "connect", err)
	answer := make([]byte, len("HTTP/1.1 200 Connected\r\n\r\n"))
	_, err = io.ReadFull(conn, answer)
	mustDo(t, "answer", err)
	return conn
}

func speaks(t *testing.T, conn net.Conn, want bool) {
	t.Helper()
	b := make([]byte, 5)
	_, err := io.WriteString(conn, "hello")
	if err == nil {
		_, err = io.ReadFull(conn, b)
	}
	if (err == nil && string(b) == "hello") != want {
		t.Errorf("heard %q, %v; want an answer: %v", b, err, want)
	}
}
