package robustness

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zankv/zankv/cli/internal/processes"
)

// RSS is how much of a process is in memory, in bytes.
func RSS(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("robustness: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("robustness: memory of process %d: %w", pid, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("robustness: memory of process %d: not told", pid)
}

// MemoryWatch looks at the memory of nodes all the time.
type MemoryWatch struct {
	most    []int64
	err     error
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// WatchMemory begins; the nodes must live until Stop.
func WatchMemory(nodes []*processes.Node) *MemoryWatch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &MemoryWatch{most: make([]int64, len(nodes)), cancel: cancel}
	pids := make([]int, len(nodes))
	for i, n := range nodes {
		pids[i] = n.PID()
	}
	w.running.Go(func() { w.run(ctx, pids) })
	return w
}

func (w *MemoryWatch) run(ctx context.Context, pids []int) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		for i, pid := range pids {
			rss, err := RSS(pid)
			if err != nil {
				w.err = err
				return
			}
			w.most[i] = max(w.most[i], rss)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Stop gives the most that each node had, in bytes.
func (w *MemoryWatch) Stop() ([]int64, error) {
	w.cancel()
	w.running.Wait()
	return w.most, w.err
}
