package store

import (
	"encoding/binary"

	"github.com/zankv/zankv/cdc/event"
)

// The row of kind OwnReplicates, which has no id:
//
//	offset  size  in the entry       in the store
//	0       1     1 it replicates    the same
//	1       8     -                  term of the entry, little-endian
//	9       8     -                  index of the entry, little-endian
//
// The position is added by the projection, as the role's is.
const replicatesOn = 1

// ReplicatesChange is the change from which on the partition keeps tombstones. It is for an entry that is a barrier: what is evaluated
// before it keeps none.
func ReplicatesChange() event.OwnChange {
	return event.OwnChange{Kind: event.OwnReplicates, Value: []byte{replicatesOn}}
}

// appendReplicatesRow appends the row that a change leaves.
func appendReplicatesRow(dst []byte, pos event.Position, o *event.OwnChange) ([]byte, error) {
	if len(o.ID) != 0 || len(o.Value) != 1 || o.Value[0] != replicatesOn {
		return dst, eventf("at %s: the switch of replication %x of %q is unknown here: the leader runs a newer program; this one knows %d", pos, o.Value, clip(o.ID), replicatesOn)
	}
	dst = append(dst, o.Value[0])
	dst = binary.LittleEndian.AppendUint64(dst, pos.Term)
	return binary.LittleEndian.AppendUint64(dst, pos.Index), nil
}

// Replicates says since which entry the partition keeps tombstones; zero if it doesn't. Any goroutine.
func (s *Store) Replicates() (since event.Position, err error) {
	v, ok, err := s.OwnValue(nil, event.OwnReplicates, nil)
	if err != nil || !ok {
		return event.Position{}, err
	}
	if len(v) != roleRow || v[0] != replicatesOn {
		return event.Position{}, corruptf("switch of replication of %s: %x", s.id, v)
	}
	return event.Position{Term: binary.LittleEndian.Uint64(v[1:]), Index: binary.LittleEndian.Uint64(v[9:])}, nil
}
