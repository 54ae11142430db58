package store

import (
	"encoding/binary"

	"github.com/zankv/zankv/cdc/event"
)

// Role says who may write to a partition.
type Role struct {
	// SyncerOnly: clients may not. What comes from another cluster is written all the same.
	SyncerOnly bool
	// Since is the position of the entry that switched: it is in force for everything after it. Zero if there never was a switch.
	Since event.Position
}

// The row of kind OwnRole, which has no id:
//
//	offset  size  in the entry       in the store
//	0       1     1 everybody        the same
//	              2 the syncer only
//	1       8     -                  term of the entry, little-endian
//	9       8     -                  index of the entry, little-endian
//
// The position is added by the projection: it isn't known before the entry is in the log.
const (
	roleEverybody  = 1
	roleSyncerOnly = 2

	roleRow = 17
)

// RoleChange is the change that switches the partition's role.
func RoleChange(syncerOnly bool) event.OwnChange {
	to := byte(roleEverybody)
	if syncerOnly {
		to = roleSyncerOnly
	}
	return event.OwnChange{Kind: event.OwnRole, Value: []byte{to}}
}

// appendRoleRow appends the row that a change leaves.
func appendRoleRow(dst []byte, pos event.Position, o *event.OwnChange) ([]byte, error) {
	if len(o.ID) != 0 || len(o.Value) != 1 || o.Value[0] != roleEverybody && o.Value[0] != roleSyncerOnly {
		return dst, eventf("at %s: role %x of %q is unknown here: the leader runs a newer program; this one knows roles %d and %d", pos, o.Value, clip(o.ID), roleEverybody, roleSyncerOnly)
	}
	dst = append(dst, o.Value[0])
	dst = binary.LittleEndian.AppendUint64(dst, pos.Term)
	return binary.LittleEndian.AppendUint64(dst, pos.Index), nil
}

// Role reads the partition's role: the zero Role if there never was a switch. Any goroutine.
func (s *Store) Role() (Role, error) {
	v, ok, err := s.OwnValue(nil, event.OwnRole, nil)
	if err != nil || !ok {
		return Role{}, err
	}
	if len(v) != roleRow || v[0] != roleEverybody && v[0] != roleSyncerOnly {
		return Role{}, corruptf("role of %s: %x", s.id, v)
	}
	return Role{
		SyncerOnly: v[0] == roleSyncerOnly,
		Since:      event.Position{Term: binary.LittleEndian.Uint64(v[1:]), Index: binary.LittleEndian.Uint64(v[9:])},
	}, nil
}
