package store

import (
	"encoding/binary"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
)

// The tombstone watermark is a time (ns): what a removal at or before it left behind does not exist for anybody who reads, though the rows may be there
// until Clean reclaims them. It is the one row of kind OwnWatermark, with an empty id and 8 bytes, little-endian. It never falls: a change to a lower one is
// passed over by the projection, on every replica alike.
//
// A key's tombstone exists as long as one of its version, floor and expiry's version is above the watermark: each tells something of its own
// (event.Meta.Forgotten).

// Watermark is the change that moves the tombstone watermark to a time (ns).
func Watermark(at int64) event.OwnChange {
	return event.OwnChange{Kind: event.OwnWatermark, Value: binary.LittleEndian.AppendUint64(nil, uint64(at))}
}

// Watermark is the watermark as of the last Commit, 0 for none. Any goroutine; it takes a few nanoseconds.
func (s *Store) Watermark() int64 { return s.state.Load().Watermark }

// Watermark is that of the snapshot's rows.
func (n *Snapshot) Watermark() (int64, error) {
	if n.live != nil {
		return n.live.Watermark(), nil
	}
	return readWatermark(n.reader)
}

func readWatermark(r engine.Reader) (int64, error) {
	row, ok, err := r.Get(nil, appendOwnKey(nil, event.OwnWatermark, nil))
	if err != nil || !ok {
		return 0, err
	}
	return decodeWatermark(row)
}

func decodeWatermark(row []byte) (int64, error) {
	if len(row) != 8 {
		return 0, corruptf("watermark row: % x, want 8 bytes", row[:min(len(row), 32)])
	}
	return int64(binary.LittleEndian.Uint64(row)), nil
}

// moveWatermark projects a change of it. a.key is the row's.
func (a *Apply) moveWatermark(pos event.Position, o *event.OwnChange) error {
	if len(o.ID) != 0 || len(o.Value) != 8 {
		return eventf("at %s: watermark %x of %q: want 8 bytes and no id", pos, o.Value[:min(len(o.Value), 32)], clip(o.ID))
	}
	if at := int64(binary.LittleEndian.Uint64(o.Value)); at > a.state.Watermark {
		a.state.Watermark = at
		a.batch.Put(a.key, o.Value)
	}
	return nil
}

// reclaiming is how far Clean is through the tombstones.
type reclaiming struct {
	// at is where it goes on; empty: no sweep is under way.
	at []byte
	// swept is the watermark up to which everything is gone, next that of the sweep under way.
	swept, next int64
}

// reclaimEvery is how far the watermark goes (ns) between two sweeps: each visits all tombstones, and those that live are mostly younger than this.
const reclaimEvery = 60e9

func (s *Store) reclaimDue() bool {
	return len(s.reclaiming.at) > 0 || s.Watermark()-s.reclaiming.swept >= reclaimEvery
}

// reclaim removes tombstones at or below the watermark, and visits as many rows as are left to do.
func (c *cleaner) reclaim() error {
	q := &c.s.reclaiming
	if len(q.at) == 0 {
		q.at, q.next = append(q.at, famTombstone), c.s.Watermark()
	}
	ended := true
	err := scan(c.s.engine, q.at, []byte{famTombstone + 1}, func(key, row []byte) (bool, error) {
		if c.left <= 0 {
			ended = false
			q.at = append(q.at[:0], key...)
			return false, nil
		}
		c.left--
		gone, err := forgotten(key, row, q.next)
		if gone {
			c.batch.Delete(key)
		}
		return err == nil, err
	})
	if err == nil && ended {
		q.at, q.swept = q.at[:0], q.next
	}
	return err
}

// forgotten says whether a row of the tombstones' family, of a key or an element, is at or below the watermark.
func forgotten(key, row []byte, watermark int64) (bool, error) {
	_, sub, err := splitTombstoneKey(key)
	if err != nil {
		return false, err
	}
	if sub != nil {
		var e element
		err = decodeElement(&e, row)
		return err == nil && e.version.Time <= watermark, err
	}
	var m event.Meta
	err = decodeMeta(&m, row)
	return err == nil && m.Forgotten(watermark), err
}

// splitTombstoneKey gives the key of a tombstone's row, and the element, or nil if it is the key's own. key is the caller's.
func splitTombstoneKey(row []byte) (key, sub []byte, err error) {
	key, rest, ok := cutEscaped(nil, row[1:])
	if !ok || len(rest) > 0 && rest[0] != tombstoneElement {
		return nil, nil, corruptf("tombstone row: key % x", row[:min(len(row), 64)])
	}
	if len(rest) == 0 {
		return key, nil, nil
	}
	return key, rest[1:], nil
}
