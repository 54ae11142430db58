package store

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/VictoriaMetrics/fastcache"

	"github.com/zankv/zankv/cluster/engine"
)

// Cache holds recently written rows of the stores that lead, outside Go's heap: all meta rows, and of the element rows those that were
// written again, a list's excepted: a counter in a hash, a score that moves. What is written once doesn't push them out. The tombstones of keys are in it, too: who
// makes such a key anew asks for them. One serves a whole node. Its entries are
//
//	8 bytes epoch, little-endian · row's key → row's value, or for a meta row nothing: "there is no such row"
//
// An epoch belongs to one store from one SetCaching(true) to the next change; a new one makes all older entries
// unreachable at once, and the ring that holds them writes over them in time. Safe for concurrent use.
type Cache struct {
	rows  *fastcache.Cache
	epoch atomic.Uint64
}

// maxCached bounds key and value together: what is larger isn't kept. fastcache drops larger ones by itself, but leaves
// the entry before in place, which would be a stale row.
const maxCached = 60 << 10

const epochSize = 8

// NewCache makes a cache of at most so many bytes; fastcache takes 32 MiB at least, as they fill.
func NewCache(bytes int) *Cache {
	return &Cache{rows: fastcache.New(max(bytes, 1))}
}

// CacheStats are counts since the cache was made, and sizes.
type CacheStats struct {
	Gets, Misses, Entries, Bytes, MaxBytes uint64
}

// Stats reads the counters. It visits all 512 buckets: not for a hot path.
func (c *Cache) Stats() CacheStats {
	var s fastcache.Stats
	c.rows.UpdateStats(&s)
	return CacheStats{Gets: s.GetCalls, Misses: s.Misses, Entries: s.EntriesCount, Bytes: s.BytesSize, MaxBytes: s.MaxBytesSize}
}

// newEpoch is never 0, which means not caching.
func (c *Cache) newEpoch() uint64 { return c.epoch.Add(1) }

func appendCacheKey(dst []byte, epoch uint64, metaKey []byte) []byte {
	return append(binary.LittleEndian.AppendUint64(dst, epoch), metaKey...)
}

// put keeps a row, or that there is none. key has its epoch.
func (c *Cache) put(key, row []byte) {
	if len(key)+len(row) > maxCached {
		c.rows.Del(key)
		return
	}
	c.rows.Set(key, row)
}

// cached reads single rows from the cache where it has them, and from the engine.
type cached struct{ s *Store }

// cachedKey is the longest element key that is looked for in the cache: longer ones aren't worth an allocation.
const cachedKey = 248

func (c cached) Get(dst, key []byte) (value []byte, ok bool, err error) {
	if epoch := c.s.epoch.Load(); epoch != 0 && len(key) <= cachedKey {
		var buf [epochSize + cachedKey]byte
		if value, ok = c.s.cache.rows.HasGet(dst, appendCacheKey(buf[:0], epoch, key)); ok {
			return value, true, nil
		}
	}
	return c.s.engine.Get(dst, key)
}

func (c cached) NewIterator(lower, upper []byte) (engine.Iterator, error) {
	return c.s.engine.NewIterator(lower, upper)
}
