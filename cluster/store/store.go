package store

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// Store is one partition replica's state over an engine. See the package comment for who may call what at once.
type Store struct {
	engine engine.Engine
	id     Identity
	cache  *Cache

	// caching is the store's epoch in the cache, 0 while it doesn't cache; of the goroutine that applies. epoch is the same
	// for everyone else, and 0 also while rows are being written.
	caching uint64
	epoch   atomic.Uint64
	state   atomic.Pointer[State]
	// moment is even between two commits, odd during one, and never the same again.
	moment atomic.Uint64
	// sweep is how far Clean has come in the expiry index, for which job; of the goroutine that applies.
	sweep struct{ job, at []byte }
	// Of the goroutine that applies, too.
	queue      cleanQueue
	reclaiming reclaiming
}

// Open reads a partition's own rows; a fresh engine is an empty store. The engine stays the caller's to close. cache may be
// nil. Rows of another partition are refused with ErrIdentity.
func Open(e engine.Engine, id Identity, cache *Cache) (*Store, error) {
	if err := checkIdentity(e, id); err != nil {
		return nil, err
	}
	st, err := readState(e)
	if err != nil {
		return nil, err
	}
	s := &Store{engine: e, id: id, cache: cache, queue: cleanQueue{scan: true}}
	s.state.Store(&st)
	return s, nil
}

// StateOfCheckpoint reads the state, and whose it is, from the rows of a checkpoint opened as an engine: a snapshot's position
// and ConfState come from here, never from memory.
func StateOfCheckpoint(e engine.Engine) (State, Identity, error) {
	st, err := readState(e)
	if err != nil {
		return st, Identity{}, err
	}
	row, ok, err := e.Get(nil, []byte{famOwn, ownIdentity})
	if err != nil || !ok {
		return st, Identity{}, err
	}
	id, err := decodeIdentity(row)
	return st, id, err
}

// Identity is what the store was opened with.
func (s *Store) Identity() Identity { return s.id }

// State is the state after the last Commit. Safe from any goroutine.
func (s *Store) State() State { return *s.state.Load() }

// Moment marks the present: as long as Unchanged says so, all that was read from the store between the two calls, row by row, is one
// state. False: a commit is being written. Any goroutine.
func (s *Store) Moment() (moment uint64, ok bool) {
	moment = s.moment.Load()
	return moment, moment%2 == 0
}

// Unchanged says whether nothing was committed since the moment.
func (s *Store) Unchanged(moment uint64) bool { return s.moment.Load() == moment }

// SetCaching starts (with nothing in it) or ends the use of the cache: for the replica that leads. Only from the goroutine that
// applies. Readers that run meanwhile are right either way: one that has taken the old epoch began before this call,
// and finds at worst a row that was current then.
func (s *Store) SetCaching(on bool) {
	s.caching = 0
	if on && s.cache != nil {
		s.caching = s.cache.newEpoch()
	}
	s.epoch.Store(s.caching)
}

// Meta reads a key's meta row, expired or not, from the cache or the engine. It uses buf's memory from its start and returns
// it, grown if it had to; m.Value points into it. It allocates nothing when buf holds key and row. Any goroutine.
//
// It doesn't put what it found in the engine into the cache, which only Commit fills. A reader that did could get row 1 from the
// engine and be preempted; Commit writes row 2 to the engine and to the cache; the reader goes on and puts row 1 over it, and
// everyone reads row 1 from then on.
func (s *Store) Meta(buf, key []byte) (m event.Meta, buf2 []byte, ok bool, err error) {
	epoch := s.epoch.Load()
	buf = binary.LittleEndian.AppendUint64(buf[:0], epoch)
	buf = appendMetaKey(buf, key)
	n := len(buf)
	var hit bool
	if epoch != 0 {
		buf, hit = s.cache.rows.HasGet(buf, buf[:n])
		ok = len(buf) > n
	}
	if !hit {
		buf, ok, err = s.engine.Get(buf, buf[epochSize:n])
		if err != nil {
			return m, buf, false, fmt.Errorf("store: read meta of %q: %w", clip(key), err)
		}
	}
	if !ok {
		return m, buf, false, nil
	}
	if err := decodeMeta(&m, buf[n:]); err != nil {
		return m, buf, false, fmt.Errorf("key %q: %w", clip(key), err)
	}
	return m, buf, true, nil
}

// clip bounds a key for an error text.
func clip(key []byte) []byte { return key[:min(len(key), 128)] }

// Tombstone reads what is left of a deleted key, as a Meta of type none: version, floor, and the expiry with its version. One that is at or below the
// watermark isn't there. Any goroutine.
func (s *Store) Tombstone(buf, key []byte) (m event.Meta, buf2 []byte, ok bool, err error) {
	buf = appendTombstoneKey(buf[:0], key)
	n := len(buf)
	buf, ok, err = cached{s}.Get(buf, buf[:n])
	if err != nil {
		return m, buf, false, fmt.Errorf("store: read tombstone of %q: %w", clip(key), err)
	}
	if !ok {
		return m, buf, false, nil
	}
	if err := decodeMeta(&m, buf[n:]); err != nil {
		return m, buf, false, fmt.Errorf("tombstone of %q: %w", clip(key), err)
	}
	if m.Forgotten(s.Watermark()) {
		return event.Meta{}, buf, false, nil
	}
	return m, buf, true, nil
}

// Own visits the partition's own rows of a kind in the order of their ids, until visit returns false. The slices are borrowed
// for the call. Any goroutine.
func (s *Store) Own(kind event.OwnKind, visit func(id, value []byte) bool) error {
	return visitOwn(s.engine, kind, visit)
}

func visitOwn(r engine.Reader, kind event.OwnKind, visit func(id, value []byte) bool) error {
	prefix := appendOwnKey(nil, kind, nil)
	return scan(r, prefix, prefixEnd(nil, prefix), func(key, value []byte) (bool, error) {
		return visit(key[len(prefix):], value), nil
	})
}

// OwnValue appends the value of one of the partition's own rows to dst; ok is false, and dst comes back unchanged, when there is none.
// Any goroutine.
func (s *Store) OwnValue(dst []byte, kind event.OwnKind, id []byte) (value []byte, ok bool, err error) {
	value, ok, err = s.engine.Get(dst, appendOwnKey(nil, kind, id))
	if err != nil {
		return dst, false, fmt.Errorf("store: read own row of kind %d, %q: %w", kind, clip(id), err)
	}
	return value, ok, nil
}

// Flush makes what is applied durable and returns a position that is: the one applied when the flush began.
func (s *Store) Flush() (event.Position, error) {
	applied := s.state.Load().Applied
	if err := s.engine.Flush(); err != nil {
		return event.Position{}, fmt.Errorf("store: flush %s at %s: %w", s.id, applied, err)
	}
	return applied, nil
}

// Checkpoint makes dir, which must not exist, a durable copy of the store. Its position is in its rows: see StateOfCheckpoint.
func (s *Store) Checkpoint(dir string) error {
	if err := s.engine.Checkpoint(dir); err != nil {
		return fmt.Errorf("store: checkpoint %s into %s: %w", s.id, dir, err)
	}
	return nil
}
