package partition

import (
	"errors"
	"fmt"
	"sync"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// StateReader reads the state as it was at one moment, for as long as its reader takes: it holds no lock of the replica's. When the store is to be
// replaced or closed, the replica closes it. It is for one goroutine, but Close may be called from any.
type StateReader struct {
	replica *Replica
	state   store.State
	reach   map[string]int64

	mu   sync.Mutex // held while rows are read: whoever closes waits for one Next
	snap *store.Snapshot
	rows *store.RowReader // nil once closed
	lost bool             // the replica closed it
}

var errStateClosed = errors.New("partition: the reader of the state is closed")

// stateReaders are those that are open. Its lock is taken while none of theirs is held.
type stateReaders struct {
	sync.Mutex
	open map[*StateReader]struct{}
}

func (s *stateReaders) add(one *StateReader) {
	s.Lock()
	defer s.Unlock()
	if s.open == nil {
		s.open = make(map[*StateReader]struct{})
	}
	s.open[one] = struct{}{}
}

func (s *stateReaders) remove(one *StateReader) {
	s.Lock()
	defer s.Unlock()
	delete(s.open, one)
}

// end closes all. The state lock is held, so that none is opened meanwhile.
func (s *stateReaders) end() {
	s.Lock()
	open := s.open
	s.open = nil
	s.Unlock()
	for one := range open {
		one.close(true)
	}
}

// OpenState reads the rows of the keys above afterKey, as they are now: rows, position and chain are of one engine snapshot. full adds what store.Snapshot's
// FullRows has more than Rows.
func (r *Replica) OpenState(afterKey []byte, full bool) (*StateReader, error) {
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return nil, ErrClosed
	}
	snap := r.store.Snapshot()
	s, err := openRows(snap, r.opts.Cut, afterKey, full)
	if err != nil {
		snap.Close()
		return nil, fmt.Errorf("partition %s: %w", r.name, err)
	}
	s.replica = r
	r.readers.add(s)
	return s, nil
}

func openRows(snap *store.Snapshot, cut store.Cut, afterKey []byte, full bool) (*StateReader, error) {
	open := snap.Rows
	if full {
		open = snap.FullRows
	}
	reach, err := snap.Horizons(cut)
	if err != nil {
		return nil, err
	}
	rows, err := open(afterKey)
	if err != nil {
		return nil, err
	}
	return &StateReader{state: rows.State(), reach: reach, snap: snap, rows: rows}, nil
}

// State is the one that is read.
func (s *StateReader) State() store.State { return s.state }

// Horizons are the state's: store.Snapshot's. The caller doesn't change them.
func (s *StateReader) Horizons() map[string]int64 { return s.reach }

// Next is store.RowReader's. It fails when the reader was closed, be it by the replica.
func (s *StateReader) Next() ([]event.Mutation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.rows != nil:
		return s.rows.Next()
	case s.lost:
		return nil, fmt.Errorf("partition %s: %w", s.replica.name, errReplaced)
	}
	return nil, fmt.Errorf("partition %s: %w", s.replica.name, errStateClosed)
}

// Close releases what it holds of the engine. It waits for a Next that runs.
func (s *StateReader) Close() {
	s.replica.readers.remove(s)
	s.close(false)
}

func (s *StateReader) close(lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		return
	}
	s.lost = lost
	s.rows.Close()
	s.snap.Close()
	s.rows, s.snap = nil, nil
}
