package transport

import (
	"net"
	"syscall"
	"testing"
	"time"
)

func TestUserTimeoutIsSet(t *testing.T) {
	n := newTestNet()
	startNode(t, n, 2, nil)
	a := startNode(t, n, 1, func(o *Options, _ *testNode) { o.WriteTimeout = 1234 * time.Millisecond })
	for kind, want := range map[byte]int{kindMessages: 1234, kindSnapshot: 0} {
		conn, err := a.connect(t.Context(), 2, kind)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got int
		if cerr := raw.Control(func(fd uintptr) {
			got, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
		}); cerr != nil || err != nil || got != want {
			t.Errorf("kind %d: TCP_USER_TIMEOUT %d ms, want %d (%v, %v)", kind, got, want, cerr, err)
		}
		_ = conn.Close()
	}
}
