package processes

import (
	"io"
	"net"
	"testing"
	"time"
)

// A proxy passes everything on, no faster than it is told, and its end is both sides' end.
func TestProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	mustDo(t, "listen", err)
	defer l.Close()
	got := make(chan []byte)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			close(got)
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("hello"))
		b, _ := io.ReadAll(conn)
		got <- b
	}()
	p, err := NewProxy()
	mustDo(t, "proxy", err)
	p.To(l.Addr().String())
	const size, rate = 128 << 10, 512 << 10
	p.Limit(rate)
	conn, err := net.Dial("tcp", p.Addr())
	mustDo(t, "dial", err)
	defer conn.Close()
	hello := make([]byte, 5)
	_, err = io.ReadFull(conn, hello)
	mustDo(t, "read", err)
	began := time.Now()
	_, err = conn.Write(make([]byte, size))
	mustDo(t, "write", err)
	mustDo(t, "end", conn.(*net.TCPConn).CloseWrite())
	if b := <-got; len(b) != size || string(hello) != "hello" {
		t.Errorf("the server got %d bytes, the client %q", len(b), hello)
	}
	if took, want := time.Since(began), time.Second*(size-proxyChunk)/rate; took < want {
		t.Errorf("%d bytes took %v, want %v at least", size, took, want)
	}
	mustDo(t, "close", p.Close())
	if _, err := conn.Read(hello); err == nil {
		t.Error("the connection outlives the proxy")
	}
}
