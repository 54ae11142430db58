// Package mem is an engine in memory, whose state goes to disk only by Flush and Checkpoint: whole, into one checksummed
// file. It serves tests and simulations, which it lets choose the moment of a crash, and builds without cgo. Memory and
// the cost of a flush grow with the data, so it is nothing to keep a company's data in.
//
// Invariants, beside the engine's own:
//
//  1. A published tree never changes, so readers take no lock that a writer holds.
//  2. The file holds the state of one moment, or the one before it; its rename is the commit point.
//  3. With Options.CrashPoints, a crash can be had after any batch since the last flush, and never within one.
//
// Concurrency: as engine.Engine says.
package mem

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/zankv/zankv/cluster/engine"
)

// Options say how an engine is opened.
type Options struct {
	// CrashPoints keeps the state after every batch since the last flush, so that Crash can choose among them.
	CrashPoints bool
}

// Engine is an open engine in memory. It implements engine.Engine.
type Engine struct {
	dir     string
	options Options
	root    atomic.Pointer[node]
	views   atomic.Int64 // open iterators and snapshots

	// life is held shared by calls, and alone by Close.
	life struct {
		sync.RWMutex
		closed bool
	}
	// disk guards the state file, and what could be in it after a crash. Order: life, disk.
	disk struct {
		sync.Mutex
		points []*node // states since the last flush, which is the first
		failed error   // the first failure to save; final
	}
}

var _ engine.Engine = (*Engine)(nil)

// Open opens the engine whose state is in dir, with the state of its last flush, and makes dir if it isn't there. An empty
// dir means no disk at all: Flush then only sets a crash point.
func Open(dir string, options Options) (*Engine, error) {
	e := &Engine{dir: dir, options: options}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, failure("open", dir, err)
		}
		root, err := load(dir)
		if err != nil {
			return nil, err
		}
		e.root.Store(root)
	}
	e.disk.points = []*node{e.root.Load()}
	return e, nil
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

// Get implements engine.Reader.
func (e *Engine) Get(dst, key []byte) ([]byte, bool, error) {
	if err := e.enter(); err != nil {
		return dst, false, err
	}
	defer e.leave()
	return get(e.root.Load(), dst, key)
}

func get(root *node, dst, key []byte) ([]byte, bool, error) {
	n := root.get(key)
	if n == nil {
		return dst, false, nil
	}
	return append(dst, n.value...), true, nil
}

// NewIterator implements engine.Reader.
func (e *Engine) NewIterator(lower, upper []byte) (engine.Iterator, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.leave()
	return newIterator(e.root.Load(), lower, upper, e.hold()), nil
}

// hold counts one view; what it returns ends it.
func (e *Engine) hold() func() {
	e.views.Add(1)
	return func() { e.views.Add(-1) }
}

// NewSnapshot implements engine.Engine.
func (e *Engine) NewSnapshot() engine.Snapshot {
	if err := e.enter(); err != nil {
		return &snapshot{}
	}
	defer e.leave()
	s := &snapshot{engine: e, root: e.root.Load()}
	s.open.Store(true)
	e.views.Add(1)
	return s
}

// Write implements engine.Engine.
func (e *Engine) Write(b *engine.Batch) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	root := e.root.Load()
	err := b.Each(
		func(key, value []byte) { root = root.put(key, value) },
		func(key []byte) { root = root.remove(key) },
		func(start, end []byte) { root = root.removeRange(start, end) })
	if err != nil {
		return err
	}
	e.disk.Lock()
	defer e.disk.Unlock()
	if e.disk.failed != nil {
		return e.disk.failed
	}
	e.root.Store(root)
	if e.options.CrashPoints && b.Count() > 0 {
		e.disk.points = append(e.disk.points, root)
	}
	return nil
}

// Flush implements engine.Engine.
func (e *Engine) Flush() error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	e.disk.Lock()
	defer e.disk.Unlock()
	return e.flushLocked()
}

func (e *Engine) flushLocked() error {
	root := e.root.Load()
	if e.dir != "" && e.disk.failed == nil {
		e.disk.failed = save(e.dir, root)
	}
	if e.disk.failed != nil {
		return e.disk.failed
	}
	e.disk.points = append(e.disk.points[:0:0], root)
	return nil
}

// Checkpoint implements engine.Engine.
func (e *Engine) Checkpoint(dir string) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	e.disk.Lock()
	defer e.disk.Unlock()
	if err := e.flushLocked(); err != nil {
		return err
	}
	return export(dir, e.root.Load())
}

// Crash writes to dir, which must not exist, what this engine's directory could hold after a crash at this moment. With
// CrashPoints pick chooses among n states, of which 0 is the last flush and n-1 the present one; without, and with a nil
// pick, it is the last flush. The engine itself goes on.
func (e *Engine) Crash(dir string, pick func(n int) int) error {
	e.disk.Lock()
	defer e.disk.Unlock()
	point := 0
	if pick != nil {
		point = pick(len(e.disk.points))
	}
	return export(dir, e.disk.points[point])
}

// export makes dir, durable and whole or not at all.
func export(dir string, root *node) error {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("engine/mem: checkpoint: %s exists: %w; name a new directory", dir, os.ErrExist)
	}
	tmp := dir + ".tmp"
	if err := errors.Join(os.RemoveAll(tmp), os.Mkdir(tmp, 0o755)); err != nil {
		return failure("checkpoint", dir, err)
	}
	err := save(tmp, root)
	if err == nil {
		err = failure("checkpoint", dir, os.Rename(tmp, dir))
	}
	if err != nil {
		_ = os.RemoveAll(tmp)
		return err
	}
	return failure("checkpoint", dir, syncDir(filepath.Dir(dir)))
}

// Metrics implements engine.Engine.
func (e *Engine) Metrics() engine.Metrics {
	root := e.root.Load()
	m := engine.Metrics{MemtableBytes: uint64(root.bytes()), EstimatedKeys: uint64(root.len())}
	if e.dir != "" {
		if info, err := os.Stat(filepath.Join(e.dir, stateFile)); err == nil {
			m.DiskBytes = uint64(info.Size())
		}
	}
	return m
}

// Close implements engine.Engine.
func (e *Engine) Close() error {
	e.life.Lock()
	defer e.life.Unlock()
	if e.life.closed {
		return engine.ErrClosed
	}
	if n := e.views.Load(); n > 0 {
		return fmt.Errorf("engine/mem: close %s: %w: %d iterators and snapshots are open", e.dir, engine.ErrInUse, n)
	}
	e.life.closed = true
	return nil
}
