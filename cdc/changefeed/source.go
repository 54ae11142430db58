package changefeed

import (
	"context"
	"time"

	"github.com/zankv/zankv/cdc/event"
)

// Item is what a stream delivers: an event, or a bookmark (Event nil). Everything in it is valid until the next call.
type Item struct {
	Event *event.Event
	// Stamp is the event's, or that of the last event before a bookmark.
	Stamp *event.Stamp
	Names event.Names
	// Position is up to where everything came.
	Position event.Position
	// Time of a bookmark is the wall clock where it was made, ns since 1970.
	Time int64
}

// Stream is a partition's feed from a place on. It is for one goroutine.
type Stream interface {
	// Next waits for the next item until ctx ends, after which the stream can only be closed. A *feed.Error says that the feed can't go on; io.EOF that
	// an archive ends here.
	Next(ctx context.Context) (*Item, error)
	// Buffered says whether Next has an event at hand.
	Buffered() bool
	Close() error
}

// Base is the place of the log that a snapshot is of.
type Base struct {
	// Stamp is the last event before the snapshot, with the chain there (of a snapshot with tombstones of a log without events, the last entry's position); Time is when its rows were cut, on the hybrid clock of the partition: no
	// version in them is above it.
	Stamp event.Stamp
	Time  int64
	// Horizons are up to which time the partition had taken what each cluster made, by cluster id, its own included: where it is known. Keys is about how
	// many keys there are.
	Horizons map[string]int64
	Keys     uint64
}

// Want is which snapshot is wanted.
type Want struct {
	// AtLeast is a position that it isn't older than.
	AtLeast event.Position
	// AfterKey leaves out the keys up to it.
	AfterKey []byte
	// Tombstones adds those of keys and elements to the rows, as the mutations that removed them.
	Tombstones bool
}

// Rows is a snapshot of a partition's state. It is for one goroutine.
type Rows interface {
	// Base is what the state is of.
	Base() *Base
	// Next gives rows, as event.Mutations that write a key as a whole or add to one; io.EOF at the end, when it was whole and unaltered.
	Next(ctx context.Context) (*event.Event, event.Names, error)
	Close() error
}

// Place is where to begin: after a position, or where From says (what feed.ParseFrom reads) if that is zero.
type Place struct {
	After      event.Position
	Chain      event.Chain
	ChainKnown bool
	From       string
}

// Head is how far a partition's log reaches.
type Head struct {
	Applied event.Position
	// Oldest is the event before the oldest one retained. Bytes is about how much lies between a position and the head, by bytes an entry.
	Oldest        event.Position
	BytesPerEntry float64
	// HeadroomBytes is how much may still be written before what a registered consumer has yet to read is given up; -1: not known.
	HeadroomBytes int64
	// Headroom is HeadroomBytes by consumer, for those of whom it is known.
	Headroom map[string]int64
	// Held is how many bytes of the log come after where a consumer is registered, for the same ones: exact, unlike what BytesPerEntry comes to.
	Held map[string]uint64
}

// Headroom is what may be written before a consumer's place is lost: the least of what the limits in bytes leave. disk is -1 where the node's log has no
// cap.
func Headroom(bytes, disk int64, lost bool) int64 {
	if lost {
		return 0
	}
	if disk >= 0 {
		bytes = min(bytes, disk)
	}
	return max(bytes, 0)
}

// Source is a cluster, as a worker reads it. Its methods may be called from any goroutine.
type Source interface {
	// Cluster is its id; Partitions how many a namespace has, 0 and feed.ErrUnknown if there is none.
	Cluster() string
	Partitions(ctx context.Context, namespace string) (uint32, error)
	// Open begins a stream; ctx is for opening alone.
	Open(ctx context.Context, namespace string, partition uint32, at Place) (Stream, error)
	// Snapshot opens one; ctx is for opening alone.
	Snapshot(ctx context.Context, namespace string, partition uint32, want Want) (Rows, error)
	Head(ctx context.Context, namespace string, partition uint32) (Head, error)
	// Hold has the log keep what comes after a position for a consumer; the zero position ends that. Holding costs an entry of the log.
	Hold(ctx context.Context, namespace string, partition uint32, consumer string, position event.Position) error
	// Preference says how long this process should leave a partition to others that are nearer to it.
	Preference(namespace string, partition uint32) time.Duration
}
