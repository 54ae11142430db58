package multiraft

import (
	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/wal"
)

// storage is raft's view of a group's log and snapshot.
type storage struct {
	log       *wal.Group
	confState raftpb.ConfState
	applied   uint64
	machine   StateMachine
}

// InitialState implements raft.Storage. A commit index isn't synced by itself, so that a state machine may be ahead of the one
// that the log kept: everything applied was committed.
func (s *storage) InitialState() (raftpb.HardState, raftpb.ConfState, error) {
	hard := s.log.HardState()
	hard.Commit = max(hard.Commit, s.applied)
	return hard, s.confState, nil
}

func (s *storage) Entries(lo, hi, maxSize uint64) ([]raftpb.Entry, error) {
	return s.log.Entries(lo, hi, maxSize)
}

func (s *storage) Term(i uint64) (uint64, error)      { return s.log.Term(i) }
func (s *storage) LastIndex() (uint64, error)         { return s.log.LastIndex(), nil }
func (s *storage) FirstIndex() (uint64, error)        { return s.log.FirstIndex(), nil }
func (s *storage) Snapshot() (raftpb.Snapshot, error) { return s.machine.Snapshot() }
