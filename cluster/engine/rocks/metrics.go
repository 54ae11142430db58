package rocks

import (
	"strconv"

	"github.com/zankv/zankv/cluster/engine"
)

const levelCount = 7 // RocksDB's default

// Metrics implements engine.Engine. Each figure takes the database's lock for a moment: ask every few seconds, not per
// command. Of a closed engine all are zero.
func (e *Engine) Metrics() engine.Metrics {
	if err := e.enter(); err != nil {
		return engine.Metrics{}
	}
	defer e.leave()
	m := engine.Metrics{
		DiskBytes:        e.property("total-sst-files-size"),
		MemtableBytes:    e.property("size-all-mem-tables"),
		EstimatedKeys:    e.property("estimate-num-keys"),
		PendingCompact:   e.property("estimate-pending-compaction-bytes"),
		WriteStopped:     e.property("is-write-stopped") != 0,
		RunningCompact:   e.property("num-running-compactions"),
		RunningFlushes:   e.property("num-running-flushes"),
		BackgroundErrors: e.property("background-errors"),
		BlockCacheBytes:  e.shared.BlockCacheBytes(),
		LevelFiles:       make([]uint64, levelCount),
	}
	for level := range m.LevelFiles {
		n, err := strconv.ParseUint(e.db.GetProperty("rocksdb.num-files-at-level"+strconv.Itoa(level)), 10, 64)
		if err == nil {
			m.LevelFiles[level] = n
		}
	}
	return m
}

func (e *Engine) property(name string) uint64 {
	n, _ := e.db.GetIntProperty("rocksdb." + name)
	return n
}
