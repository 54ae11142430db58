package feed

import (
	"context"
	"errors"

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
)
