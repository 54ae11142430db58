package processes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports lie below those that the kernel gives to outgoing connections, so that nobody takes the port of a process that was
// killed and is to come back. A test process takes them by the block, and holds a lock on each block until it ends: tests that
// run beside it never choose the same port between its choice and its use. No port is given twice.
const (
	firstPort  = 15000
	lastPort   = 32000
	blockPorts = 250
)

// ports is what this process has taken and not given.
var ports struct {
	sync.Mutex
	next, end int        // the rest of the last block
	locks     []*os.File // of all blocks, never closed
}

// FreePorts finds ports on 127.0.0.1 that nobody listens on, and that no other caller gets.
func FreePorts(n int) ([]int, error) {
	found := make([]int, 0, n)
	for len(found) < n {
		p, err := FreeRange(1)
		if err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, nil
}

// FreeRange finds n such ports in a row, and returns the first. n is at most 250.
func FreeRange(n int) (first int, err error) {
	ports.Lock()
	defer ports.Unlock()
	for {
		for ports.next+n <= ports.end {
			first = ports.next
			ports.next += n
			if allFree(first, n) {
				return first, nil
			}
		}
		if err := takeBlock(); err != nil {
			return 0, err
		}
	}
}

func allFree(first, n int) bool {
	for p := first; p < first+n; p++ {
		if !free(p) {
			return false
		}
	}
	return true
}

func takeBlock() error {
	const blocks = (lastPort - firstPort) / blockPorts
	for _, b := range rand.Perm(blocks) {
		first := firstPort + b*blockPorts
		f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("zankv-test-ports-%d.lock", first)), os.O_CREATE|os.O_RDWR, 0o666)
		if errors.Is(err, os.ErrPermission) {
			continue // another user's
		}
		if err != nil {
			return fmt.Errorf("processes: ports: %w", err)
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			_ = f.Close() // another process's
			continue
		}
		ports.next, ports.end, ports.locks = first, first+blockPorts, append(ports.locks, f)
		return nil
	}
	return fmt.Errorf("processes: all blocks of ports from %d to %d are taken by other tests", firstPort, lastPort)
}

// free says whether nobody listens on a port, on any interface.
func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
