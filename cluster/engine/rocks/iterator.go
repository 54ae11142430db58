package rocks

// #cgo noescape zankv_iterator_create
// #cgo nocallback zankv_iterator_create
// #cgo noescape zankv_iterator_move
// #cgo nocallback zankv_iterator_move
// #cgo noescape zankv_iterator_skip
// #cgo nocallback zankv_iterator_skip
// #include "shim.h"
import "C"

import (
	"unsafe"

	"github.com/zankv/zankv/cluster/engine"
)

// iterator stands on a key of RocksDB's iterator; c is nil once it is closed. One move is one crossing: the position is
// read from C's memory.
type iterator struct {
	engine *Engine
	c      *C.zankv_iterator
	valid  bool
}

// newIterator is called within a call on e, so e isn't being closed.
func newIterator(e *Engine, snapshot *C.rocksdb_snapshot_t, lower, upper []byte) engine.Iterator {
	e.views.Add(1)
	return &iterator{engine: e, c: C.zankv_iterator_create(e.c, snapshot,
		chars(lower), C.size_t(len(lower)), chars(upper), C.size_t(len(upper)))}
}

func (it *iterator) move(move C.int, key []byte) bool {
	it.valid = it.c != nil && C.zankv_iterator_move(it.c, move, chars(key), C.size_t(len(key))) != 0
	return it.valid
}

func (it *iterator) First() bool            { return it.move(C.zankv_first, nil) }
func (it *iterator) Last() bool             { return it.move(C.zankv_last, nil) }
func (it *iterator) SeekGE(key []byte) bool { return it.move(C.zankv_seek_ge, key) }
func (it *iterator) SeekLT(key []byte) bool { return it.move(C.zankv_seek_lt, key) }

// Next and Prev must not reach RocksDB from an invalid position: it asserts that they don't.
func (it *iterator) Next() bool { return it.valid && it.move(C.zankv_next, nil) }
func (it *iterator) Prev() bool { return it.valid && it.move(C.zankv_prev, nil) }

// Skip is one crossing, however many keys it passes over.
func (it *iterator) Skip(n int64, to []byte) int64 {
	if !it.valid {
		return 0
	}
	passed := int64(C.zankv_iterator_skip(it.c, C.int64_t(n), chars(to), C.size_t(len(to))))
	it.valid = it.c.valid != 0
	return passed
}

func (it *iterator) Valid() bool { return it.valid }

// Key and Value are RocksDB's memory, until the next move.
func (it *iterator) Key() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(it.c.key)), int(it.c.key_length))
}

func (it *iterator) Value() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(it.c.value)), int(it.c.value_length))
}

func (it *iterator) Err() error {
	if it.c == nil {
		return nil
	}
	return failure("iterate", it.engine.dir, fromC(C.zankv_iterator_error(it.c)))
}

func (it *iterator) Close() {
	if it.c == nil {
		return
	}
	C.zankv_iterator_destroy(it.c)
	it.c, it.valid = nil, false
	it.engine.views.Add(-1)
}
