package store

import (
	"bytes"
	"cmp"
	"math"
	"strconv"

	"github.com/zankv/zankv/cdc/event"
)

// AllDone as Cursor.Done says that all mutations of the event at the position are in.
const AllDone = math.MaxUint32

// Cursor is a place in another cluster's partition's log, down to the mutation: everything before the event at Position is in, and Done of its
// mutations. The zero Cursor is before everything.
type Cursor struct {
	Position event.Position
	Done     uint32
}

// Compare orders the cursors of one log.
func (c Cursor) Compare(d Cursor) int {
	if n := c.Position.Compare(d.Position); n != 0 {
		return n
	}
	return cmp.Compare(c.Done, d.Done)
}

// String is the position, and what of it is in if that isn't all: "2-1041", "2-1041.3".
func (c Cursor) String() string {
	if c.Done == AllDone || c.Position.IsZero() {
		return c.Position.String()
	}
	return c.Position.String() + "." + strconv.FormatUint(uint64(c.Done), 10)
}

// SenderID names a partition of another cluster that changes come from.
type SenderID struct {
	Cluster   string
	Namespace string
	Partition uint32
}

// String is cluster/namespace-n.
func (s SenderID) String() string {
	return s.Cluster + "/" + s.Namespace + "-" + strconv.FormatUint(uint64(s.Partition), 10)
}

// Sender is how far a sender's changes are in this partition: the row of kind OwnSender whose id is SenderID.
type Sender struct {
	// Partitions and Hash are how the sender's namespace is cut: see Cut.
	Partitions uint32
	Hash       string
	// Reached is how far everything is in, zero before the first full sync, or adoption, was done.
	Reached Cursor
	// Time is the sender's hybrid clock there (ns): what it made up to then is in.
	Time int64
	// Sync is a full sync that isn't done.
	Sync *FullSync
	// Regions are the places that parts of the keys are ahead of Reached, when a full sync was gone on with at another base: what is of
	// a key in one, at or before its base, was in the rows. They are gone once Reached is past them.
	Regions []Region
}

// Cut is how the sender's namespace is cut.
func (s *Sender) Cut() Cut { return Cut{Hash: s.Hash, Partitions: s.Partitions} }

// FullSync is a sender's state on its way here.
type FullSync struct {
	// Base is the last event in the state that rows come of.
	Base event.Position
	// Time is the sender's hybrid clock there.
	Time int64
	// Through is the key up to which all rows are in; empty: none yet.
	Through []byte
	// Parts is the number of the chunk that goes on within the key after Through: a key's rows may take several. It only grows.
	Parts uint32
	// Within is the last element that is in, of the key after Through that comes in parts; empty if none does.
	Within []byte
	// Horizons are up to which time the sender had applied what each cluster made, by cluster id.
	Horizons map[string]int64
}

// Region is the keys up to and with Through (empty: all that are left) after those of the region before.
type Region struct {
	Through []byte
	Base    event.Position
	Time    int64
}

// Peer is another cluster that takes this partition's changes: the row of kind OwnPeer whose id is the cluster's.
type Peer struct {
	// Confirmed is up to which time (ns) the peer has what was made here.
	Confirmed int64
}

// RegionOf is the region that a key lies in; false if it lies in none, so that all of it after Reached is to come.
func (s *Sender) RegionOf(key []byte) (*Region, bool) {
	for i := range s.Regions {
		if g := &s.Regions[i]; len(g.Through) == 0 || bytes.Compare(key, g.Through) <= 0 {
			return g, true
		}
	}
	return nil, false
}
