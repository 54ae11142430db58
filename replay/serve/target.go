package serve

import (
	"context"
	"errors"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
	"github.com/zankv/zankv/replay/replaypb"
)

// ErrUnknown: the cluster has no such namespace, or the namespace no such partition.
var ErrUnknown = errors.New("serve: no such namespace or partition")

// ErrMalformed is wrapped in a Target's error if what it was given contradicts itself: it is refused for ever.
var ErrMalformed = errors.New("serve: malformed")

// Directory is the cluster as this node knows it.
type Directory interface {
	// Cluster is its id.
	Cluster() string
	// Topology describes the nodes, and a namespace unless the name is empty. ErrUnknown: there is none of the name.
	Topology(ctx context.Context, namespace string) (*replaypb.TopologyResponse, error)
	// Target is this node's replica of a partition, nil if it has none, and the gRPC address of who leads it, empty if that isn't known. ErrUnknown.
	Target(namespace string, partition uint32) (t Target, leader string, err error)
}

// Target is a replica of a partition as partition.Replica is one: errors are cluster/partition's, or ErrMalformed. All but Leading, Places and Conflicts are the
// leader's matter.
type Target interface {
	Leading() bool
	Open(ctx context.Context, s SenderCut) (Place, error)
	// Replay uses the range up. Nothing of it is kept after the return.
	Replay(ctx context.Context, r *partition.Range) (partition.Replayed, error)
	Adopt(ctx context.Context, s SenderCut, position event.Position, time int64) (Place, error)
	Forget(ctx context.Context, id store.SenderID) error
	Confirm(ctx context.Context, peer string, time int64) (Confirmed, error)
	RemovePeer(ctx context.Context, peer string) error
	Places() (Places, error)
	// Conflicts is a page of the conflict log: rows after an id that pass, and where the next page begins; nil: there is none.
	Conflicts(after []byte, limit int, pass func(*conflict.Record, *conflict.Diverged) bool) (rows []Row, next []byte, err error)
	PurgeConflicts(ctx context.Context, ids [][]byte) (removed int, err error)
}

// StateTarget is a Target that takes a sender's state, too: a full sync. One that doesn't refuses it.
type StateTarget interface {
	Target
	Begin(ctx context.Context, s SenderCut, b *partition.Begin) (Place, error)
	ReplayChunk(ctx context.Context, c *partition.Chunk) (partition.Replayed, error)
}

// Confirmed is what is said of a partition whose peer is known: since when it keeps tombstones, and an entry of its log at or before which is what was made
// there up to Clock (ns), whoever leads afterwards.
type Confirmed struct {
	Since, Applied event.Position
	Clock          int64
}

// SenderCut is a sender, and how its namespace is cut.
type SenderCut struct {
	ID         store.SenderID
	Partitions uint32
	Hash       string
}

// Place is where a sender stands.
type Place struct {
	Sender        store.Sender
	NeedsSync     bool
	Why           string // for people
	Watermark     int64
	MaxEventBytes int
}

// Places are what a replica knows of senders and peers.
type Places struct {
	Leading, Replicates bool
	Watermark           int64
	Senders             []SenderPlace
	Peers               []PeerPlace

	ConflictRows, ConflictBytes, Diverged uint64
	// Outcomes are mutations by conflict.Reason's name since this replica began to lead; nil if it doesn't.
	Outcomes           map[string]uint64
	Applied, LastEvent event.Position
}

// SenderPlace is one sender's.
type SenderPlace struct {
	ID store.SenderID
	store.Sender
}

// PeerPlace is one peer's.
type PeerPlace struct {
	Cluster string
	store.Peer
}

// Row is a row of the conflict log: conflict.Row reads it.
type Row struct{ ID, Value []byte }
