package conflict

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/zankv/zankv/cdc/event"
)

// Diverged is the open record of a key that is known to differ between this cluster and a source. It is removed when the key is repaired, or
// written as a whole (Decision.Heals, or a local whole-key write).
type Diverged struct {
	ID     ID
	Key    []byte
	Source string // cluster
	Type   event.Type
	Reason Reason // the last one
	// First and Last are the source's events that began it, and of which something was held back last.
	First, Last Place
	// FirstAt and LastAt are when that was decided here (ns).
	FirstAt, LastAt int64
	// Count is of how many events something was held back.
	Count uint64
	// Latest is the latest version held back: only a later whole-key write brings the key together again.
	Latest Version
}

// DivergedID is the id of the record for a key and a source.
func DivergedID(key []byte, source string) ID {
	return hashed(appendString(appendString([]byte{divergedRow}, key), source))
}

// Add takes up a record whose Action is Diverge, of this key and source, or begins with it. An event that was taken up isn't counted again, so that it may
// be repeated. It copies what it keeps.
func (d *Diverged) Add(rec *Record) {
	if d.Count == 0 {
		*d = Diverged{ID: DivergedID(rec.Key, rec.Source.Cluster), Key: bytes.Clone(rec.Key), Source: rec.Source.Cluster, First: rec.Source, FirstAt: rec.DecidedAt}
	}
	if v := rec.There.Version; v.Time > d.Latest.Time || v.Time == d.Latest.Time && v.Cluster > d.Latest.Cluster {
		d.Latest = v // of each mutation of an event
	}
	if d.Count > 0 && d.has(rec) {
		return
	}
	d.Count++
	d.Type, d.Reason, d.Last, d.LastAt = rec.There.Type, rec.Reason, rec.Source, rec.DecidedAt
}

func (d *Diverged) has(rec *Record) bool {
	return rec.Source.Partition == d.Last.Partition && rec.Source.Position.Compare(d.Last.Position) <= 0
}

// Ids of the rows of the conflict log (event.OwnChange.ID). Numbers are on disk: never renumber.
//
//	01 time id   a Record, by the time of the version that came in: 8 bytes big-endian
//	02 id        a Diverged
//	00           the partition's count of both kinds, no row of this package's (cluster/partition)
const (
	recordRow   = 1
	divergedRow = 2
)

// RowID is the id of the record's row. Rows sort by the time of what came in.
func (rec *Record) RowID() []byte {
	b := binary.BigEndian.AppendUint64([]byte{recordRow}, uint64(rec.There.Version.Time))
	return append(b, rec.ID[:]...)
}

// RowID is the id of the record's row.
func (d *Diverged) RowID() []byte { return append([]byte{divergedRow}, d.ID[:]...) }

// Row reads a row of the conflict log, of either kind. The bytes of what it returns are value's.
func Row(id, value []byte) (rec *Record, d *Diverged, err error) {
	switch {
	case len(id) == 0:
		return nil, nil, fmt.Errorf("conflict: row without an id: %w", ErrCorrupt)
	case id[0] == recordRow:
		rec, err = DecodeRecord(value)
	case id[0] == divergedRow:
		d, err = DecodeDiverged(value)
	default:
		return nil, nil, fmt.Errorf("conflict: row of kind %d: %w: a newer program wrote it", id[0], ErrFormat)
	}
	return rec, d, err
}
