package worker

import (
	"sync"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// halter ends what became of a slot, whether it is still being claimed, or runs, or rests after that.
type halter struct {
	spec *changefeed.Spec
	stop chan struct{}
	mu   struct {
		sync.Mutex
		reason stopReason // 0: not halted
		worker *worker
	}
}

func newHalter(spec *changefeed.Spec) *halter {
	return &halter{spec: spec, stop: make(chan struct{})}
}

// halt ends it; the first reason counts.
func (h *halter) halt(reason stopReason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.reason != 0 {
		return
	}
	h.mu.reason = reason
	close(h.stop)
	if h.mu.worker != nil {
		h.mu.worker.halt(reason)
	}
}

// update ends it if the definition wants that.
func (h *halter) update(f *changefeed.Feed) {
	switch {
	case f.Spec.Paused:
		h.halt(stopPaused)
	case f.Spec.Generation != h.spec.Generation, f.Spec.Created != h.spec.Created:
		h.halt(stopChanged)
	}
}

// bind has the worker ended from now on.
func (h *halter) bind(w *worker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.worker = w
	if h.mu.reason != 0 {
		w.halt(h.mu.reason)
	}
}

func (h *halter) halted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.reason != 0
}

// rest waits, unless it is ended.
func (h *halter) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.stop:
	}
}
