package resp

import (
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// startRedis runs the real server, the oracle of these tests, and returns its address.
func startRedis(t testing.TB, args ...string) string {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("redis-server is what these tests compare with: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	_, port := splitAddr(t, addr)
	cmd := exec.Command(path, append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			return addr
		}
		<-tick.C
	}
	t.Fatalf("redis-server on %s doesn't accept connections", addr)
	return ""
}

func splitAddr(t testing.TB, addr string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	return host, port
}
