package partition

import (
	"cmp"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// Replication says how what other clusters made is taken.
type Replication struct {
	Policy conflict.Policy // default conflict.PolicyDefault
	// MaxClockOffset is how far ahead of the clock here a version may be (60 s).
	MaxClockOffset time.Duration
	// TombstoneTTL is how long a tombstone is kept at the longest (10 days).
	TombstoneTTL time.Duration
	// Patience is how long a change waits for a third cluster's that it builds upon (30 s).
	Patience time.Duration
	// ConflictAge and ConflictBytes are how long the conflict log keeps a row, and how much of it a partition keeps (30 days, 256 MiB).
	ConflictAge   time.Duration
	ConflictBytes int64
	// ContentLimit is how many bytes of content a side of a conflict shows; more leave size and digest (16 KiB).
	ContentLimit int
}

func (o *Replication) setDefaults() {
	o.Policy = cmp.Or(o.Policy, conflict.PolicyDefault)
	o.MaxClockOffset = cmp.Or(o.MaxClockOffset, time.Minute)
	o.TombstoneTTL = cmp.Or(o.TombstoneTTL, 10*24*time.Hour)
	o.Patience = cmp.Or(o.Patience, 30*time.Second)
	o.ConflictAge = cmp.Or(o.ConflictAge, 30*24*time.Hour)
	o.ConflictBytes = cmp.Or(o.ConflictBytes, 256<<20)
	o.ContentLimit = cmp.Or(o.ContentLimit, 16<<10)
}

// Range is what of a sender's log, after From and up to and with To, is this partition's.
type Range struct {
	Sender   store.SenderID
	From, To store.Cursor
	// Time is the sender's hybrid clock at To (ns): what it made up to then is in; 0 if that isn't known.
	Time int64
	// Names are the sender's cluster ids, by the numbers that the slices' versions have.
	Names  event.Names
	Slices []Slice
}

// Slice is what of one event is this partition's.
type Slice struct {
	Position event.Position
	// Numbers are those of the mutations in their event; none: all from 0 on.
	Numbers []uint32
	// Event has those mutations. What it borrows stays as it is until the call that it is given to returns. The call changes its
	// versions' cluster numbers.
	Event *event.Event
}

// Chunk is the keys of a sender's state at Base after After, up to and with Through, as far as they are this partition's.
type Chunk struct {
	Sender store.SenderID
	Base   event.Position
	After  []byte
	// Through is the last key, if End doesn't say that there is none after these.
	Through []byte
	End     bool
	// Part is FullSync.Parts as the last answer said; 0 begins anew behind After.
	Part  uint32
	Names event.Names
	// Rows are as store.RowReader makes them, tombstones included, in the order of keys. The last key's may be only some of its rows: then Through
	// comes before it, and the next chunk goes on with it.
	Rows []event.Mutation
}

// Begin begins a full sync, or goes on with one.
type Begin struct {
	Sender   store.SenderID
	Base     event.Position
	Time     int64
	Horizons map[string]int64
	// Anew begins from the first key, whatever has come.
	Anew bool
}

// Replayed is what became of a range or chunk.
type Replayed struct {
	Sender store.Sender
	// Mutations by what became of them: written, here already, and those with a row in the conflict log (whatever was decided).
	Applied, Skipped, Conflicts uint64
}

// Refusal says why a range, or another call about a sender, isn't carried out. The numbers are replaypb.Problem's.
type Refusal uint8

const (
	RefusedGap        Refusal = 3
	RefusedSuperseded Refusal = 4
	RefusedNeedsSync  Refusal = 5
	RefusedClock      Refusal = 6
	RefusedWaits      Refusal = 7
	RefusedState      Refusal = 10
)

// ReplayError is a refusal: nothing was changed.
type ReplayError struct {
	Refusal Refusal
	// Sender is how far it is in.
	Sender store.Sender
	// OffsetMS is by how much a version is ahead of the clock here, for RefusedClock.
	OffsetMS int64
	What     string
}

func (e *ReplayError) Error() string { return fmt.Sprintf("partition: replay refused: %s", e.What) }
