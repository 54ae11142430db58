package conformance

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"
)

// StartRedis runs a real redis-server on a free port, without persistence, until the test ends, and returns its address.
// Without the program the test fails: it is the oracle, and a comparison with nothing proves nothing.
func StartRedis(tb testing.TB) (addr string) {
	tb.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Fatalf("conformance: redis-server is the oracle of these tests and isn't installed: run `make deps` (%v)", err)
	}
	port := freePort(tb)
	cmd := exec.Command(program, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", tb.TempDir(), "--loglevel", "warning")
	if err := cmd.Start(); err != nil {
		tb.Fatalf("conformance: starting %s: %v", program, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	awaitServer(tb, addr, exited)
	return addr
}

func freePort(tb testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("conformance: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// awaitServer dials until the server accepts, or has exited, or half a minute has passed.
func awaitServer(tb testing.TB, addr string, exited chan error) {
	tb.Helper()
	timeout := time.After(ioTimeout)
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-exited:
			exited <- err
			tb.Fatalf("conformance: redis-server at %s exited at once: %v", addr, err)
		case <-timeout:
			tb.Fatalf("conformance: redis-server at %s doesn't answer: %v", addr, err)
		case <-retry.C:
		}
	}
}
