package rocks

// #include "shim.h"
import "C"

import (
	"sync"

	"github.com/zankv/zankv/cluster/engine"
)

// snapshot is one state of an engine; closed, or of a closed engine, it answers ErrClosed.
type snapshot struct {
	engine  *Engine
	life    sync.RWMutex // held by reads, so that a Close beside them frees nothing that they use
	c       *C.rocksdb_snapshot_t
	options *C.rocksdb_readoptions_t
}

func newSnapshot(e *Engine) *snapshot {
	e.views.Add(1)
	s := &snapshot{engine: e, c: C.rocksdb_create_snapshot(e.c), options: C.rocksdb_readoptions_create()}
	C.rocksdb_readoptions_set_snapshot(s.options, s.c)
	return s
}

func (s *snapshot) Get(dst, key []byte) ([]byte, bool, error) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.c == nil {
		return dst, false, engine.ErrClosed
	}
	return get(s.engine, s.options, dst, key)
}

func (s *snapshot) NewIterator(lower, upper []byte) (engine.Iterator, error) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.c == nil {
		return nil, engine.ErrClosed
	}
	return newIterator(s.engine, s.c, lower, upper), nil
}

func (s *snapshot) Close() {
	s.life.Lock()
	defer s.life.Unlock()
	if s.c == nil {
		return
	}
	C.rocksdb_readoptions_destroy(s.options)
	C.rocksdb_release_snapshot(s.engine.c, s.c)
	s.c, s.options = nil, nil
	s.engine.views.Add(-1)
}
