package feed

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cdc/event"
)

// Mark is a place of the log with the state of the chain at it: reading can begin after it.
type Mark struct {
	Index     uint64
	LastEvent event.Position // the last event at or before Index
	Chain     event.Chain    // the chain after that event
}

// State is a replica's at one moment.
type State struct {
	// Applied is the position of the last entry applied, Head the chain's state there (Head.Index is Applied.Index).
	Applied event.Position
	Head    Mark
	// Oldest is the first mark that the log can be read from: entry Oldest.Index+1 is there.
	Oldest Mark
	// Names are all cluster ids numbered up to Applied. The caller doesn't change them.
	Names event.Names
}

// Source is a replica of a partition, as the feed needs it. Its methods may be called from any goroutine, and fail once the
// replica is closed or removed.
type Source interface {
	// ClusterID is the id of the cluster that the partition belongs to.
	ClusterID() string
	State() (State, error)
	// Mark is the last mark whose Index is at most index; false when there is none.
	Mark(index uint64) (Mark, bool, error)
	// NewLogReader reads entries from index on.
	NewLogReader(from uint64) LogReader
	// WaitApplied returns the index of the last entry applied as soon as that is above the given one, or ctx's error.
	WaitApplied(ctx context.Context, above uint64) (uint64, error)
}

// LedSource is a Source that knows whether it hears of what is committed. One that isn't a LedSource is taken to.
type LedSource interface {
	// Led says whether the replica knows a leader, which it may be itself.
	Led() bool
}

// led says whether what a replica has applied can be taken for all there is, but for what is on its way.
func led(src Source) bool {
	with, ok := src.(LedSource)
	return !ok || with.Led()
}

// StateSource is a Source whose state can be read as a whole.
type StateSource interface {
	// OpenState reads the rows of the keys above afterKey, as they are now; with tombstones also those of what was deleted, and keys that have expired, as
	// store.Snapshot's FullRows gives them. It doesn't wait for anybody, and holds up nobody. The caller closes the reader.
	OpenState(afterKey []byte, tombstones bool) (StateReader, error)
}

// StateReader reads a state as it was at one moment. It is for one goroutine, but Close may be called from any.
type StateReader interface {
	Cut() Cut
	// Next gives the next rows, in the order of the keys: about 256 KiB, or one that is larger. None, without an error, says that it goes on
	// though nothing was found yet; io.EOF that all were given. They are valid until the next call. It fails once the reader is closed, be it
	// by the replica, whose state is replaced.
	Next() ([]event.Mutation, error)
	Close()
}

// Cut is the place of the log that a state is of.
type Cut struct {
	Applied   event.Position // the last entry in it
	LastEvent event.Position // the last event at or before Applied
	Chain     event.Chain    // the chain there
	Names     event.Names    // all cluster ids numbered up to there. The caller doesn't change them.
	Wall      int64          // the partition's wall clock there, ms since 1970: what had expired by then isn't among the rows
	Time      int64          // the partition's hybrid clock there, ns since 1970
	Keys      uint64         // all keys there
	// Horizons are up to which time (ns) the state has what each cluster made, by cluster id: store.Snapshot's. The caller doesn't change them.
	Horizons map[string]int64
}

// ConsumerSource is a Source that keeps its log for consumers that are registered.
type ConsumerSource interface {
	// Leading says whether this replica serves as the leader.
	Leading() bool
	// Holding says what is held of the log, and for whom.
	Holding() (Holding, error)
	// MoveConsumer registers, moves, or with the zero position removes a consumer, on the leader. Without back it leaves one that stands at or above
	// the position. It fails with ErrNotLeader, and with an *Error of kind Ahead when the log doesn't reach the position.
	MoveConsumer(ctx context.Context, id string, position event.Position, back bool) error
}

// Holding is what a replica's log holds.
type Holding struct {
	First      uint64 // index of the oldest entry left
	Bytes      uint64 // of all that are left
	LimitBytes uint64 // consumers hold so many back at most
	LimitAge   time.Duration
	Consumers  []Consumer // in the order of their ids
}

// LogReader reads a log's entries in order; *wal.Reader is one. It is for one goroutine.
type LogReader interface {
	// Next returns the next entries up to index upTo, inclusive: at least one, none when all were read. They are valid until the next
	// call. It fails with raft.ErrCompacted when the next entry was truncated.
	Next(upTo uint64) ([]raftpb.Entry, error)
	Close()
}

// Partition is where a partition's replicas serve the feed, as host:port.
type Partition struct {
	Number   uint32
	Leader   string // "" if there is none at the moment
	Replicas []string
}

// Directory knows the replicas of this node, and those of others.
type Directory interface {
	// Source is this node's replica. It fails with ErrUnknown when there is no such namespace or partition, and with ErrNotHere
	// when this node has no replica of it.
	Source(namespace string, partition uint32) (Source, error)
	// Partitions are all partitions of a namespace. It fails with ErrUnknown when there is no such namespace.
	Partitions(ctx context.Context, namespace string) ([]Partition, error)
}

var (
	// ErrUnknown says that there is no such namespace or partition.
	ErrUnknown = errors.New("no such namespace or partition")
	// ErrNotHere says that this node has no replica of the partition.
	ErrNotHere = errors.New("no replica on this node")
	// ErrNotLeader says that this node's replica doesn't lead.
	ErrNotLeader = errors.New("this replica doesn't lead")
)
