package rocks

// #include "shim.h"
import "C"

import (
	"reflect"
	"unsafe"

	"github.com/linxGnu/grocksdb"
)

// Options size one database. The zero value suits a node with tens of partitions; DESIGN.md has the figures.
type Options struct {
	// MemtableBytes is when a memtable is flushed, if the shared budget doesn't ask for it earlier; 16 MiB if zero.
	MemtableBytes uint64
	// OpenFiles bounds the table files that are kept open; 256 if zero.
	OpenFiles int
}

func (o *Options) complete() {
	if o.MemtableBytes == 0 {
		o.MemtableBytes = 16 << 20
	}
	if o.OpenFiles == 0 {
		o.OpenFiles = 256
	}
}

// native builds RocksDB's options. The caller destroys both. Why each is as it is, and what was measured: DESIGN.md.
func native(o Options, s *Shared, health *C.zankv_health) (*grocksdb.Options, *grocksdb.BlockBasedTableOptions) {
	opts := grocksdb.NewDefaultOptions()
	opts.SetCreateIfMissing(true)
	opts.SetParanoidChecks(true)
	memtables(opts, o)
	levels(opts)
	files(opts, o)
	if s.limiter != nil {
		opts.SetRateLimiter(s.limiter)
	}
	table := tables(s)
	opts.SetBlockBasedTableFactory(table)
	C.zankv_options_complete((*C.rocksdb_options_t)(pointer(opts)), s.budget, health)
	return opts, table
}

// memtables: one writer, so no machinery for several; small arena blocks, because the budget counts whole blocks and a
// quiet database should hold little.
func memtables(opts *grocksdb.Options, o Options) {
	opts.SetAllowConcurrentMemtableWrites(false)
	opts.SetEnableWriteThreadAdaptiveYield(false)
	opts.SetWriteBufferSize(o.MemtableBytes)
	opts.SetMaxWriteBufferNumber(4)
	opts.SetArenaBlockSize(64 << 10)
	opts.SetMemTablePrefixBloomSizeRatio(0.005)
	opts.SetMemtableWholeKeyFiltering(true)
}

func levels(opts *grocksdb.Options) {
	opts.SetMaxBackgroundJobs(2)
	opts.SetLevelCompactionDynamicLevelBytes(true)
	opts.SetLevel0FileNumCompactionTrigger(4)
	opts.SetLevel0SlowdownWritesTrigger(20)
	opts.SetLevel0StopWritesTrigger(36)
	opts.SetMaxBytesForLevelBase(64 << 20)
	opts.SetTargetFileSizeBase(16 << 20)
	opts.SetCompression(grocksdb.LZ4Compression)
	opts.SetBottommostCompression(grocksdb.ZSTDCompression)
}

// files: bounded numbers and sizes, because a node may have a thousand databases; nothing written that nobody reads.
func files(opts *grocksdb.Options, o Options) {
	opts.SetMaxOpenFiles(o.OpenFiles)
	opts.SetAllowMmapReads(false)
	opts.SetAllowMmapWrites(false)
	opts.SetBytesPerSync(1 << 20)
	opts.SetManifestPreallocationSize(64 << 10)
	opts.SetMaxManifestFileSize(4 << 20)
	opts.SetInfoLogLevel(grocksdb.WarnInfoLogLevel)
	opts.SetMaxLogFileSize(1 << 20)
	opts.SetKeepLogFileNum(2)
	opts.SetStatsDumpPeriodSec(0)
	opts.SetStatsPersistPeriodSec(0)
	opts.SetSkipStatsUpdateOnDBOpen(true)
	opts.AvoidUnnecessaryBlockingIO(true)
}

func tables(s *Shared) *grocksdb.BlockBasedTableOptions {
	const bitsPerKey = 10 // a false positive in a hundred
	table := grocksdb.NewDefaultBlockBasedTableOptions()
	table.SetBlockCache(s.cache)
	table.SetBlockSize(8 << 10)
	table.SetFormatVersion(5)
	table.SetFilterPolicy(grocksdb.NewBloomFilterFull(bitsPerKey))
	table.SetWholeKeyFiltering(true)
	return table
}

// pointer is the C object behind one of grocksdb's, which keeps it in the unexported field c.
func pointer(of any) unsafe.Pointer {
	return reflect.ValueOf(of).Elem().FieldByName("c").UnsafePointer()
}
