package event

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The logged form is drawn in event.proto: one byte with the format version, then one protobuf message. Append and Decode are
// written by hand because an event passes them on every write, on every replica and for every reader; a test holds them
// against generated code in both directions.

// Format is the version of the logged form, the first byte of an entry's data.
const Format = 1

// ErrFormat is wrapped when the first byte names a format that this build doesn't know. It isn't damage: a newer build
// wrote the entry.
var ErrFormat = errors.New("unknown event format")

// ErrCorrupt is wrapped when data starts with a known format and can't be read.
var ErrCorrupt = errors.New("corrupt event")

const (
	varintType  = uint64(protowire.VarintType)
	fixed64Type = uint64(protowire.Fixed64Type)
	bytesType   = uint64(protowire.BytesType)
)

// Tags of event.proto: field number and wire type.
const (
	tagTime     = 1<<3 | fixed64Type
	tagWall     = 2<<3 | varintType
	tagTerm     = 3<<3 | varintType
	tagClusters = 4<<3 | bytesType
	tagMutation = 5<<3 | bytesType
	tagOwn      = 6<<3 | bytesType

	tagNameNumber = 1<<3 | varintType
	tagNameID     = 2<<3 | bytesType

	tagOwnKind  = 1<<3 | varintType
	tagOwnID    = 2<<3 | bytesType
	tagOwnValue = 3<<3 | bytesType

	tagOriginCluster   = 1<<3 | varintType
	tagOriginPartition = 2<<3 | varintType
	tagOriginTerm      = 3<<3 | varintType
	tagOriginIndex     = 4<<3 | varintType

	tagOp               = 1<<3 | varintType
	tagType             = 2<<3 | varintType
	tagKey              = 3<<3 | bytesType
	tagValue            = 4<<3 | bytesType
	tagMarks            = 5<<3 | varintType
	tagVersionCluster   = 6<<3 | varintType
	tagVersionTime      = 7<<3 | fixed64Type
	tagPrevCluster      = 8<<3 | varintType
	tagPrevTime         = 9<<3 | fixed64Type
	tagGroup            = 10<<3 | varintType
	tagCommand          = 11<<3 | bytesType
	tagBeforeExists     = 12<<3 | varintType
	tagBeforeType       = 13<<3 | varintType
	tagBeforeExpireAt   = 14<<3 | varintType
	tagExpireAt         = 15<<3 | varintType
	tagFloorCluster     = 16<<3 | varintType
	tagFloorTime        = 17<<3 | fixed64Type
	tagExpiryCluster    = 18<<3 | varintType
	tagExpiryTime       = 19<<3 | fixed64Type
	tagGeneration       = 20<<3 | varintType
	tagCount            = 21<<3 | varintType
	tagTombstone        = 22<<3 | varintType
	tagBeforeGeneration = 23<<3 | varintType
	tagOrigin           = 24<<3 | bytesType
	tagBeforeCluster    = 25<<3 | varintType
	tagBeforeTime       = 26<<3 | fixed64Type
	tagBeforeValue      = 27<<3 | bytesType
	tagBeforeExpiring   = 28<<3 | varintType
	tagElement          = 29<<3 | bytesType
	tagKeyCluster       = 30<<3 | varintType
	tagKeyTime          = 31<<3 | fixed64Type
	tagGenerationAge    = 32<<3 | varintType

	tagSub            = 1<<3 | bytesType
	tagElementValue   = 2<<3 | bytesType
	tagScore          = 3<<3 | fixed64Type
	tagIndex          = 4<<3 | varintType
	tagElementMarks   = 5<<3 | varintType
	tagElementCluster = 6<<3 | varintType
	tagElementTime    = 7<<3 | fixed64Type
	tagWas            = 8<<3 | fixed64Type
)

// Marks spare what follows from other fields its bytes. Those of every day take one byte together.
const (
	markVersionTime   = 1   // Version.Time is the event's time plus the mutation's number
	markFloor         = 2   // Floor is Version
	markExpiryVersion = 4   // ExpiryVersion is Version
	markKeyVersion    = 8   // KeyVersion is Version
	markAge           = 16  // Generation is given by its age
	markBefore        = 32  // Before.Exists, and Type and Generation are those of before
	markPrevCluster   = 64  // Prev.Cluster is Version's
	markWhole         = 128 // Whole
	markTombstones    = 256 // ElementTombstones

	markExists         = 1 // of an element: Exists
	markKeyPrev        = 2 // Prev is the mutation's
	markElementCluster = 4 // Prev.Cluster is that of the mutation's Version
)

// marksOf are a mutation's marks; local is the event's time plus its number.
func marksOf(m *Mutation, local int64) uint64 {
	var marks uint64
	if m.Version.Time == local && local != 0 {
		marks = markVersionTime
	}
	if m.Before.Exists && m.Before.Type == m.Type && m.Before.Generation == m.Generation {
		marks |= markBefore
	}
	if m.Generation != 0 || m.Whole || m.ElementTombstones || !m.KeyVersion.IsZero() {
		marks |= collectionMarks(m, local)
	}
	if m.Version.IsZero() {
		return marks
	}
	if m.Floor == m.Version {
		marks |= markFloor
	}
	if m.ExpiryVersion == m.Version {
		marks |= markExpiryVersion
	}
	if m.Version.Cluster != 0 && m.Prev.Cluster == m.Version.Cluster {
		marks |= markPrevCluster
	}
	return marks
}

// collectionMarks are the marks that a string's mutation doesn't have.
func collectionMarks(m *Mutation, local int64) uint64 {
	var marks uint64
	if !m.Version.IsZero() && m.KeyVersion == m.Version {
		marks = markKeyVersion
	}
	if uint64(local)-m.Generation < m.Generation {
		marks |= markAge
	}
	if m.Whole {
		marks |= markWhole
	}
	if m.ElementTombstones {
		marks |= markTombstones
	}
	return marks
}

// elementMarks are the marks of one of m's elements.
func elementMarks(m *Mutation, e *Element) uint64 {
	var marks uint64
	if e.Exists {
		marks = markExists
	}
	switch {
	case e.Prev.IsZero():
	case e.Prev == m.Prev:
		marks |= markKeyPrev
	case e.Prev.Cluster == m.Version.Cluster && m.Version.Cluster != 0:
		marks |= markElementCluster
	}
	return marks
}

func formatError(got byte) error {
	return fmt.Errorf("event: decode: %w %d: this build reads format %d; a newer build wrote it, upgrade this one", ErrFormat, got, Format)
}
