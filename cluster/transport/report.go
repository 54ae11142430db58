package transport

import (
	"context"
	"sync"
)

// reports calls Handler.Unreachable from a goroutine of its own, so that Send, which may be called with the handler's
// locks held, never calls back into it. Several losses to one node before the call make one call.
type reports struct {
	call func(NodeID)
	wake chan struct{}
	mu   struct {
		sync.Mutex
		nodes map[NodeID]struct{}
	}
}

func newReports(call func(NodeID)) *reports {
	r := &reports{call: call, wake: make(chan struct{}, 1)}
	r.mu.nodes = map[NodeID]struct{}{}
	return r
}

func (r *reports) add(n NodeID) {
	r.mu.Lock()
	r.mu.nodes[n] = struct{}{}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reports) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		r.mu.Lock()
		nodes := r.mu.nodes
		r.mu.nodes = map[NodeID]struct{}{}
		r.mu.Unlock()
		for n := range nodes {
			r.call(n)
		}
	}
}
