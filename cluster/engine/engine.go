// Package engine is the ordered key-value engine that a partition's state lies in: the interface, and the batch of
// changes that every implementation takes.
//
// An engine has no log of its own: the raft log is what brings back what a crash took. So much every implementation
// promises, and enginetest checks:
//
//  1. A batch is seen whole or not at all, by every reader, and in the order of the writes.
//  2. After a crash an engine holds a prefix of the batches written, at least up to the last Flush that returned nil.
//  3. A checkpoint holds a prefix too, at least up to the last Write that returned before Checkpoint was called.
//  4. An iterator or a snapshot shows one state, for as long as it is open, whatever is written meanwhile.
//  5. After an error from the disk no later Write claims success, until the engine has been opened anew.
//
// Concurrency: see Engine. Commit point: the return of Flush.
package engine

// Reader reads one consistent state.
type Reader interface {
	// Get appends the value of key to dst and returns it; ok is false, and dst comes back unchanged, when there is none.
	Get(dst, key []byte) (value []byte, ok bool, err error)
	// NewIterator iterates over lower ≤ key < upper; an empty bound is open. The bounds are copied. The caller closes
	// the iterator.
	NewIterator(lower, upper []byte) (Iterator, error)
}

// Snapshot is a Reader of the state at one moment, until it is closed. It may be used by several goroutines at once.
type Snapshot interface {
	Reader
	Close()
}

// Iterator walks over keys in byte order. It starts unpositioned. Key and Value are valid until the next move: copy
// what outlives it. After Valid is false Err says whether it ended or failed. It is for one goroutine.
type Iterator interface {
	First() bool
	Last() bool
	// SeekGE goes to the first key ≥ key, SeekLT to the last key < key.
	SeekGE(key []byte) bool
	SeekLT(key []byte) bool
	Next() bool
	Prev() bool
	// Skip passes over up to n keys, the one that it stands on being the first, as so many calls of Next (or, with a negative n, of Prev)
	// would, but faster; it says over how many. Unless to is empty it doesn't pass over a key ≥ to (backward: ≤ to): it stops there.
	// Fewer than asked for and Valid means that it stopped so.
	Skip(n int64, to []byte) int64
	Valid() bool
	Key() []byte
	Value() []byte
	Err() error
	Close()
}

// Engine is one open database. Its methods may be called at once from several goroutines, but Write from one only.
type Engine interface {
	Reader
	NewSnapshot() Snapshot
	// Write applies a batch atomically and in order. It is visible when Write returns and durable after a later Flush.
	// The batch may be used again at once. An empty one does nothing.
	Write(*Batch) error
	// Flush makes everything written before the call durable.
	Flush() error
	// Checkpoint makes dir (which must not exist, on the engine's file system) a durable copy of the current state that can
	// be opened as a database of its own. It holds at least what was written before the call, which becomes durable in the
	// engine, too. After an error dir isn't there.
	Checkpoint(dir string) error
	Metrics() Metrics
	// Close releases the engine without flushing, after the calls that run have ended. While iterators or snapshots are open
	// it is refused with ErrInUse, and the engine stays open.
	Close() error
}

// Metrics are sizes in bytes, and counts, at one moment. What an implementation has no notion of stays zero.
type Metrics struct {
	DiskBytes        uint64
	MemtableBytes    uint64
	EstimatedKeys    uint64
	PendingCompact   uint64 // bytes that compaction has yet to rewrite
	WriteStopped     bool
	RunningCompact   uint64
	RunningFlushes   uint64
	BlockCacheBytes  uint64 // of the shared cache, all users together
	LevelFiles       []uint64
	BackgroundErrors uint64
}
