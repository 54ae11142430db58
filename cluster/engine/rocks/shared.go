package rocks

// #include "shim.h"
import "C"

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/linxGnu/grocksdb"

	"github.com/zankv/zankv/cluster/engine"
)

// SharedOptions size what the databases of a node have in common. The zero value is what a small node wants.
type SharedOptions struct {
	// BlockCacheBytes bounds the cache of uncompressed blocks; 128 MiB if zero.
	BlockCacheBytes uint64
	// MemtableBytes is the budget of the memtables of all databases together; 256 MiB if zero. Above it, a database that is
	// written to flushes. It isn't a wall: writes don't wait for those flushes, until RocksDB slows them down for a backlog.
	MemtableBytes uint64
	// FlushThreads and CompactionThreads work for all databases together; 1, and half the processors, if zero. RocksDB
	// keeps them per process: the largest numbers of all Shared count.
	FlushThreads, CompactionThreads int
	// WriteBytesPerSecond bounds what flushes and compactions write; no bound if zero.
	WriteBytesPerSecond uint64
}

func (o *SharedOptions) complete() {
	if o.BlockCacheBytes == 0 {
		o.BlockCacheBytes = 128 << 20
	}
	if o.MemtableBytes == 0 {
		o.MemtableBytes = 256 << 20
	}
	if o.FlushThreads == 0 {
		o.FlushThreads = 1
	}
	if o.CompactionThreads == 0 {
		o.CompactionThreads = max(1, runtime.NumCPU()/2)
	}
}

// Shared is what the databases of a node have in common: the block cache, the memtable budget, the background threads, the
// rate limiter. One is made per node, before its databases, and closed after them.
type Shared struct {
	options SharedOptions
	cache   *grocksdb.Cache
	env     *grocksdb.Env
	limiter *grocksdb.RateLimiter
	budget  *C.zankv_budget

	mu struct {
		sync.Mutex
		open   int // databases
		closed bool
	}
}

// NewShared allocates what databases share.
func NewShared(options SharedOptions) *Shared {
	options.complete()
	s := &Shared{
		options: options,
		cache:   grocksdb.NewLRUCache(options.BlockCacheBytes),
		env:     grocksdb.NewDefaultEnv(),
		budget:  C.zankv_budget_create(C.size_t(options.MemtableBytes)),
	}
	if n := options.FlushThreads; n > s.env.GetHighPriorityBackgroundThreads() {
		s.env.SetHighPriorityBackgroundThreads(n)
	}
	if n := options.CompactionThreads; n > s.env.GetLowPriorityBackgroundThreads() {
		s.env.SetLowPriorityBackgroundThreads(n)
	}
	if options.WriteBytesPerSecond > 0 {
		const refillMicroseconds, fairness = 100_000, 10
		s.limiter = grocksdb.NewRateLimiter(int64(options.WriteBytesPerSecond), refillMicroseconds, fairness)
	}
	return s
}

// MemtableBytes is what the memtables of all databases hold together.
func (s *Shared) MemtableBytes() uint64 { return uint64(C.zankv_budget_usage(s.budget)) }

// BlockCacheBytes is what the block cache holds.
func (s *Shared) BlockCacheBytes() uint64 { return s.cache.GetUsage() }

func (s *Shared) acquire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return fmt.Errorf("engine/rocks: the shared resources were closed: %w", engine.ErrClosed)
	}
	s.mu.open++
	return nil
}

func (s *Shared) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.open--
}

// Close frees what was shared. It is refused with ErrInUse while a database is open.
func (s *Shared) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return engine.ErrClosed
	}
	if s.mu.open > 0 {
		return fmt.Errorf("engine/rocks: close what is shared: %w: %d databases are open", engine.ErrInUse, s.mu.open)
	}
	s.mu.closed = true
	if s.limiter != nil {
		s.limiter.Destroy()
	}
	C.zankv_budget_destroy(s.budget)
	s.cache.Destroy()
	s.env.Destroy()
	return nil
}
