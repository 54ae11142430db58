package processes

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports lie below those that the kernel gives to outgoing connections, so that nobody takes the port of a process that was
// killed and is to come back.
const (
	firstPort = 15000
	lastPort  = 32000
)

// FreePorts finds ports on 127.0.0.1 that nobody listens on.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	seen := map[int]bool{}
	for range 100 * n {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if seen[port] || !Free(port) {
			continue
		}
		seen[port] = true
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("processes: found %d free ports between %d and %d, want %d", len(ports), firstPort, lastPort, n)
}

// Free says whether nobody listens on a port of 127.0.0.1.
func Free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}
