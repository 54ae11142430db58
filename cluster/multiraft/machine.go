package multiraft

import "go.etcd.io/etcd/raft/v3/raftpb"

// Proposal is one entry to be. Data must not change once it was handed over.
type Proposal struct {
	Data []byte
	// Term is the one it was evaluated in: it is dropped if the group's term is another.
	Term uint64
	// Generation is the state machine's count of drops that it knew of (Dropped): it is dropped if the group has dropped since.
	Generation uint64
	// Owner is the state machine's own.
	Owner any
}

// Committed is a run of committed entries.
type Committed struct {
	Entries []raftpb.Entry
	// ConfStates has the marshalled configuration that holds from a configuration entry's index on; nil if there are none.
	ConfStates map[uint64][]byte
}

// Leadership is what a replica knows of who leads.
type Leadership struct {
	Term    uint64
	Leader  uint64 // raft id, 0 for none
	Leading bool
}

// StateMachine is what a group drives. All methods but Install are called by the loop and must return at once.
type StateMachine interface {
	// TakeProposal hands over the next proposal, nil for none.
	TakeProposal() *Proposal
	// Assigned tells the index at which a proposal was appended. It may still be overwritten by another leader's entry.
	Assigned(p *Proposal, index uint64)
	// Dropped tells that a proposal will never take effect, and that all later ones of its generation won't either.
	Dropped(p *Proposal)
	// Committed hands over entries, in order, without gap.
	Committed(c Committed)
	// Backlog is the size in bytes of what was handed over and isn't applied. Above a limit the group takes no more entries.
	Backlog() int64
	// LeadershipChanged tells of a new term, leader or role.
	LeadershipChanged(l Leadership)
	// Snapshot is raft.Storage's: raft.ErrSnapshotTemporarilyUnavailable while one is being made.
	Snapshot() (raftpb.Snapshot, error)
	// OpenSnapshot gives the folder of the files of what Snapshot returned. release must be called when it was sent.
	OpenSnapshot(index uint64) (dir string, release func(), err error)
	// IncomingDir names a folder that doesn't exist, for the files of a snapshot that is about to come.
	IncomingDir() (string, error)
	// Install replaces the state by the snapshot whose files are in dir. It runs in a goroutine of its own. No entry is
	// handed over meanwhile. dir is the state machine's from here on.
	Install(snapshot raftpb.SnapshotMetadata, dir string) error
	// Installed is called by the loop after Install, when the log was reset.
	Installed()
}
