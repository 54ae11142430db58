//go:build !linux

package transport

import (
	"net"
	"time"
)

// setUserTimeout has no counterpart here: a cut link is noticed by the write timeout.
func setUserTimeout(net.Conn, time.Duration) {}
