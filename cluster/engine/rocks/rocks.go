// Package rocks is the engine over RocksDB. It is the only importer of grocksdb, and the only place of cgo.
//
// Every write goes without RocksDB's own log and into one column family, so what a crash leaves is what flushes have
// written: memtables are flushed in the order in which they were filled, and that is a prefix of the batches.
//
// Invariants, beside the engine's own:
//
//  1. No call reaches RocksDB after Close, and Close reaches it only when no call runs and no view is open: RocksDB would
//     abort the process, or read freed memory.
//  2. Nothing of Go's memory is kept by C after a call; what C allocated is freed by whoever closes it.
//  3. After the first error in the background, or of a Flush, every Write, Flush and Checkpoint returns that error until the
//     database is opened anew. Nothing is resumed.
//
// Concurrency: as engine.Engine says. A get, a batch, and a step of an iterator are one crossing into C each.
// Crash safety: the commit point is the return of Flush, which waits for the table file and the manifest to be synced.
package rocks

// #cgo CXXFLAGS: -std=c++17
// #cgo LDFLAGS: -lrocksdb -pthread -lstdc++ -ldl -lm -lzstd -llz4 -lz -lsnappy
// #cgo noescape zankv_get
// #cgo nocallback zankv_get
// #cgo noescape zankv_write
// #cgo nocallback zankv_write
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/linxGnu/grocksdb"

	"github.com/zankv/zankv/cluster/engine"
)

// Engine is an open RocksDB database. It implements engine.Engine.
type Engine struct {
	dir    string
	shared *Shared
	db     *grocksdb.DB
	opts   *grocksdb.Options
	table  *grocksdb.BlockBasedTableOptions
	flush  *grocksdb.FlushOptions

	c      *C.rocksdb_t
	health *C.zankv_health
	read   *C.rocksdb_readoptions_t
	write  *C.rocksdb_writeoptions_t

	views  atomic.Int64           // open iterators and snapshots
	failed atomic.Pointer[broken] // the first failure of a Flush; final

	// life is held shared by calls, and alone by Close.
	life struct {
		sync.RWMutex
		closed bool
	}
}

type broken struct{ err error }

var _ engine.Engine = (*Engine)(nil)

// Library says which RocksDB this binary has: "7.8.3, release build", or "7.8.3, Debian's build (assertions on)".
func Library() string { return C.GoString(C.zankv_library()) }

// Open opens the database in dir, and makes it if there is none. The caller closes shared after the engine.
func Open(dir string, shared *Shared, options Options) (*Engine, error) {
	if err := shared.acquire(); err != nil {
		return nil, err
	}
	e := &Engine{dir: dir, shared: shared}
	if err := e.open(options); err != nil {
		shared.release()
		return nil, failure("open", dir, err)
	}
	return e, nil
}

func (e *Engine) open(options Options) error {
	options.complete()
	if err := os.MkdirAll(e.dir, 0o755); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(e.dir, "CURRENT"))
	isNew := errors.Is(err, os.ErrNotExist)
	e.health = C.zankv_health_create()
	e.opts, e.table = native(options, e.shared, e.health)
	db, err := grocksdb.OpenDb(e.opts, e.dir)
	if err == nil && isNew { // RocksDB syncs its files, not the name of its directory
		err = errors.Join(syncPath(e.dir), syncPath(filepath.Dir(e.dir)))
		if err != nil {
			db.Close()
		}
	}
	if err != nil {
		e.destroyOptions()
		return err
	}
	e.db, e.c = db, (*C.rocksdb_t)(pointer(db))
	e.read = C.rocksdb_readoptions_create()
	e.write = C.rocksdb_writeoptions_create()
	C.rocksdb_writeoptions_disable_WAL(e.write, 1)
	e.flush = grocksdb.NewDefaultFlushOptions()
	return nil
}

func (e *Engine) destroyOptions() {
	e.opts.Destroy()
	e.table.Destroy()
	C.zankv_health_destroy(e.health)
}

// enter lets a call in; leave ends it.
func (e *Engine) enter() error {
	e.life.RLock()
	if e.life.closed {
		e.life.RUnlock()
		return engine.ErrClosed
	}
	return nil
}

func (e *Engine) leave() { e.life.RUnlock() }

// Get implements engine.Reader. It costs no allocation when the value fits into what is free behind dst.
func (e *Engine) Get(dst, key []byte) ([]byte, bool, error) {
	if err := e.enter(); err != nil {
		return dst, false, err
	}
	defer e.leave()
	return get(e, e.read, dst, key)
}

func get(e *Engine, options *C.rocksdb_readoptions_t, dst, key []byte) ([]byte, bool, error) {
	free := dst[len(dst):cap(dst)]
	v := C.zankv_get(e.c, options, chars(key), C.size_t(len(key)), chars(free), C.size_t(len(free)))
	switch {
	case v.error != nil:
		return dst, false, failure("get", e.dir, fromC(v.error))
	case v.found == 0:
		return dst, false, nil
	case v.large == nil:
		return dst[:len(dst)+int(v.length)], true, nil
	}
	dst = append(dst, unsafe.Slice((*byte)(unsafe.Pointer(v.large)), int(v.length))...)
	C.zankv_free(unsafe.Pointer(v.large))
	return dst, true, nil
}

// NewIterator implements engine.Reader.
func (e *Engine) NewIterator(lower, upper []byte) (engine.Iterator, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.leave()
	return newIterator(e, nil, lower, upper), nil
}

// NewSnapshot implements engine.Engine.
func (e *Engine) NewSnapshot() engine.Snapshot {
	if err := e.enter(); err != nil {
		return &snapshot{}
	}
	defer e.leave()
	return newSnapshot(e)
}

// Write implements engine.Engine.
func (e *Engine) Write(b *engine.Batch) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	if b.Count() == 0 {
		return nil
	}
	if f := e.failed.Load(); f != nil {
		return f.err
	}
	rep := b.Rep()
	text := C.zankv_write(e.c, e.write, e.health, chars(rep), C.size_t(len(rep)))
	if text == nil {
		return nil
	}
	return e.fail("write", fromC(text))
}

// fail makes err the engine's first failure, unless there was one, and returns the first.
func (e *Engine) fail(operation string, err error) error {
	e.failed.CompareAndSwap(nil, &broken{failure(operation, e.dir, err)})
	return e.failed.Load().err
}

// Flush implements engine.Engine.
func (e *Engine) Flush() error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	return e.flushEntered()
}

func (e *Engine) flushEntered() error {
	if f := e.failed.Load(); f != nil {
		return f.err
	}
	err := e.db.Flush(e.flush)
	if err == nil {
		err = fromC(C.zankv_health_error(e.health))
	}
	if err != nil {
		return e.fail("flush", err)
	}
	return nil
}

// Checkpoint implements engine.Engine. Table files are hard links, which cost no space until the engine drops them.
func (e *Engine) Checkpoint(dir string) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("engine/rocks: checkpoint %s: %s exists: %w; name a new directory", e.dir, dir, os.ErrExist)
	}
	if err := e.flushEntered(); err != nil {
		return err
	}
	err := e.link(dir)
	if err != nil {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return failure("checkpoint to "+dir+" of", e.dir, err)
}

func (e *Engine) link(dir string) error {
	checkpoint, err := e.db.NewCheckpoint()
	if err != nil {
		return err
	}
	defer checkpoint.Destroy()
	if err := checkpoint.CreateCheckpoint(dir, 0); err != nil {
		return err
	}
	return syncTree(dir)
}

// Close implements engine.Engine.
func (e *Engine) Close() error {
	e.life.Lock()
	defer e.life.Unlock()
	if e.life.closed {
		return engine.ErrClosed
	}
	if n := e.views.Load(); n > 0 {
		return fmt.Errorf("engine/rocks: close %s: %w: %d iterators and snapshots are open", e.dir, engine.ErrInUse, n)
	}
	e.life.closed = true
	e.db.Close()
	C.rocksdb_readoptions_destroy(e.read)
	C.rocksdb_writeoptions_destroy(e.write)
	e.flush.Destroy()
	e.destroyOptions()
	e.shared.release()
	return nil
}

// chars is b's memory for the length of a call.
func chars(b []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(b))) }

// syncTree makes dir, all that isn't a table file in it (those are links to synced files), and its name durable.
func syncTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return filepath.Ext(e.Name()) == ".sst" })
	for _, entry := range entries {
		if err := syncPath(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return errors.Join(syncPath(dir), syncPath(filepath.Dir(dir)))
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
