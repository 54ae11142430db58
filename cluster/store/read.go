package store

import (
	"fmt"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// Snapshot is a store as it was at one moment. Its methods may be called from several goroutines at once; Close ends it.
type Snapshot struct {
	reader engine.Snapshot
	live   *Store // if it isn't one moment's: see Store.Live
}

// Snapshot takes one. It costs little to take and, held long, disk space: close it.
func (s *Store) Snapshot() *Snapshot { return &Snapshot{reader: s.engine.NewSnapshot()} }

// Close releases the snapshot.
func (n *Snapshot) Close() { n.reader.Close() }

// State is read from the snapshot's own rows, so that it is exactly that of the rows seen.
func (n *Snapshot) State() (State, error) { return readState(n.reader) }

// Meta is Store.Meta on the snapshot. It never uses the cache.
func (n *Snapshot) Meta(buf, key []byte) (m event.Meta, buf2 []byte, ok bool, err error) {
	buf = appendMetaKey(buf[:0], key)
	size := len(buf)
	buf, ok, err = n.reader.Get(buf, buf[:size])
	if err != nil {
		return m, buf, false, fmt.Errorf("store: read meta of %q: %w", clip(key), err)
	}
	if !ok {
		return m, buf, false, nil
	}
	if err := decodeMeta(&m, buf[size:]); err != nil {
		return m, buf, false, fmt.Errorf("key %q: %w", clip(key), err)
	}
	return m, buf, true, nil
}

// Keys visits the keys ≥ from in byte order with their meta rows, expired ones included, until visit returns false. Key and
// meta are borrowed for the call.
func (n *Snapshot) Keys(from []byte, visit func(key []byte, m *event.Meta) bool) error {
	return visitKeys(n.reader, from, visit)
}

// KeysReverse visits the keys below before in falling byte order; an empty before is above all keys. Otherwise as Keys.
func (n *Snapshot) KeysReverse(before []byte, visit func(key []byte, m *event.Meta) bool) error {
	upper := []byte{famMeta + 1}
	if len(before) > 0 {
		upper = appendMetaKey(nil, before)
	}
	it, err := n.reader.NewIterator([]byte{famMeta}, upper)
	if err != nil {
		return fmt.Errorf("store: iterate keys below %q: %w", clip(before), err)
	}
	defer it.Close()
	var m event.Meta
	for ok := it.Last(); ok; ok = it.Prev() {
		if err := decodeMeta(&m, it.Value()); err != nil {
			return fmt.Errorf("key %q: %w", clip(it.Key()[1:]), err)
		}
		if !visit(it.Key()[1:], &m) {
			return nil
		}
	}
	return it.Err()
}

// Own is Store.Own on the snapshot.
func (n *Snapshot) Own(kind event.OwnKind, visit func(id, value []byte) bool) error {
	return visitOwn(n.reader, kind, visit)
}

// Keys is Snapshot.Keys on the state at the time of the call. Any goroutine.
func (s *Store) Keys(from []byte, visit func(key []byte, m *event.Meta) bool) error {
	return visitKeys(s.engine, from, visit)
}

func visitKeys(r engine.Reader, from []byte, visit func(key []byte, m *event.Meta) bool) error {
	var m event.Meta
	return scan(r, appendMetaKey(nil, from), []byte{famMeta + 1}, func(key, value []byte) (bool, error) {
		if err := decodeMeta(&m, value); err != nil {
			return false, fmt.Errorf("key %q: %w", clip(key[1:]), err)
		}
		return visit(key[1:], &m), nil
	})
}

// Expired visits at most limit keys whose expiry is at or before now (ms since 1970), the longest expired first, until visit
// returns false. The key is borrowed for the call. It reads the expiry index, not the keys, but after a range delete
// of a part of the keys, until Clean has removed what that left in the index. Any goroutine.
func (s *Store) Expired(now int64, limit int, visit func(key []byte, expireAt int64) bool) error {
	if limit <= 0 {
		return nil
	}
	snap := s.engine.NewSnapshot()
	defer snap.Close()
	check, err := hasRows(snap, []byte{famCleanup, cleanRange})
	if err != nil {
		return err
	}
	var buf []byte
	upper := []byte{famExpiry + 1}
	if now < 1<<63-1 {
		upper = appendExpiryKey(nil, now+1, nil)
	}
	return scan(snap, []byte{famExpiry}, upper, func(row, _ []byte) (bool, error) {
		key, at, err := splitExpiryKey(row)
		if err != nil {
			return false, err
		}
		if check {
			var live bool
			if live, buf, err = expiresAt(snap, buf, key, at); err != nil || !live {
				return true, err
			}
		}
		limit--
		return visit(key, at) && limit > 0, nil
	})
}

// hasRows says whether any row's key starts with prefix.
func hasRows(r engine.Reader, prefix []byte) (found bool, err error) {
	err = scan(r, prefix, prefixEnd(nil, prefix), func(_, _ []byte) (bool, error) {
		found = true
		return false, nil
	})
	return found, err
}

func splitExpiryKey(row []byte) (key []byte, expireAt int64, err error) {
	if len(row) < 9 {
		return nil, 0, corruptf("expiry row: key % x", row)
	}
	return row[9:], readInt64(row[1:]), nil
}

// expiresAt says whether the key's meta row has this very expiry.
func expiresAt(r engine.Reader, buf, key []byte, at int64) (bool, []byte, error) {
	buf = appendMetaKey(buf[:0], key)
	n := len(buf)
	buf, ok, err := r.Get(buf, buf[:n])
	if err != nil || !ok {
		return false, buf, err
	}
	var m event.Meta
	if err := decodeMeta(&m, buf[n:]); err != nil {
		return false, buf, err
	}
	return m.ExpireAt == at, buf, nil
}

// OwnAfter is Own from the row after the one with the id on; nil: from the first.
func (s *Store) OwnAfter(kind event.OwnKind, after []byte, visit func(id, value []byte) bool) error {
	prefix := appendOwnKey(nil, kind, nil)
	lower := append(appendOwnKey(nil, kind, after), 0)
	if len(after) == 0 {
		lower = prefix
	}
	return scan(s.engine, lower, prefixEnd(nil, prefix), func(key, value []byte) (bool, error) {
		return visit(key[len(prefix):], value), nil
	})
}
