package mem

import (
	"sync/atomic"

	"github.com/zankv/zankv/cluster/engine"
)

// snapshot keeps a tree. Closed, or of a closed engine, it answers ErrClosed.
type snapshot struct {
	engine *Engine
	root   *node
	open   atomic.Bool
}

func (s *snapshot) Get(dst, key []byte) ([]byte, bool, error) {
	if !s.open.Load() {
		return dst, false, engine.ErrClosed
	}
	return get(s.root, dst, key)
}

func (s *snapshot) NewIterator(lower, upper []byte) (engine.Iterator, error) {
	if !s.open.Load() {
		return nil, engine.ErrClosed
	}
	return newIterator(s.root, lower, upper, s.engine.hold()), nil
}

func (s *snapshot) Close() {
	if s.open.CompareAndSwap(true, false) {
		s.engine.views.Add(-1)
	}
}
