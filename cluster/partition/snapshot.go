package partition

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// The folders of a replica:
//
//	store          the state
//	store.new      a complete, durable state that takes store's place: the commit point of an installation is its name
//	out-<n>        a checkpoint that is being sent, or may be asked for again
//	in-<n>         files of a snapshot that is arriving
const (
	storeDir    = "store"
	storeNewDir = "store.new"
	outPrefix   = "out-"
	inPrefix    = "in-"
)

// outgoing is the checkpoint that followers get who are behind the log. One at a time is kept.
type outgoing struct {
	sync.Mutex
	number  int
	making  bool
	current *checkpoint
	old     []*checkpoint // still being sent
}

// checkpoint is one copy of the state. Its position and configuration were read from itself.
type checkpoint struct {
	meta raftpb.SnapshotMetadata
	dir  string
	refs int
	used time.Time
}

// snapshotIdle is how long a checkpoint is kept after its last use.
const snapshotIdle = time.Minute

// Snapshot implements multiraft.StateMachine: the checkpoint at hand if the log goes on after it, else one is made.
func (r *Replica) Snapshot() (raftpb.Snapshot, error) {
	s := &r.snapshots
	s.Lock()
	defer s.Unlock()
	if c := s.current; c != nil && c.meta.Index+1 >= r.log.FirstIndex() {
		c.used = r.opts.Clock()
		return raftpb.Snapshot{Metadata: c.meta}, nil
	}
	if !s.making {
		s.making = true
		s.number++
		dir := filepath.Join(r.opts.Dir, fmt.Sprintf("%s%d", outPrefix, s.number))
		r.tasks.Go(func() { r.makeCheckpoint(dir) })
	}
	return raftpb.Snapshot{}, raft.ErrSnapshotTemporarilyUnavailable
}

func (r *Replica) makeCheckpoint(dir string) {
	c, err := r.checkpoint(dir)
	if err != nil {
		r.opts.Logger.Error("can't make a snapshot; followers that are behind have to wait", "partition", r.name, "error", err)
	}
	s := &r.snapshots
	s.Lock()
	defer s.Unlock()
	s.making = false
	if err == nil {
		s.retire()
		s.current = c
	}
}

func (r *Replica) checkpoint(dir string) (*checkpoint, error) {
	r.state.RLock()
	if r.store == nil {
		r.state.RUnlock()
		return nil, ErrClosed
	}
	err := r.store.Checkpoint(dir)
	r.state.RUnlock()
	if err != nil {
		return nil, err
	}
	state, err := r.stateOf(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c := &checkpoint{dir: dir, used: r.opts.Clock()}
	c.meta.Index, c.meta.Term = state.Applied.Index, state.Applied.Term
	return c, c.meta.ConfState.Unmarshal(state.ConfState)
}

// stateOf reads a checkpoint's own state row.
func (r *Replica) stateOf(dir string) (store.State, error) {
	e, err := r.opts.OpenEngine(dir)
	if err != nil {
		return store.State{}, err
	}
	state, id, err := store.StateOfCheckpoint(e)
	if err != nil {
		return state, closeAfter(err, e)
	}
	if err := e.Close(); err != nil {
		return state, err
	}
	if id.Namespace != r.opts.Namespace || id.Partition != r.opts.Partition {
		return state, fmt.Errorf("snapshot in %s is of %s, not of %s", dir, id, r.name)
	}
	return state, nil
}

// retire takes the current checkpoint out of use; it is removed when nobody sends it any more. The lock is held.
func (s *outgoing) retire() {
	if s.current != nil {
		s.old = append(s.old, s.current)
		s.current = nil
	}
	kept := s.old[:0]
	for _, c := range s.old {
		if c.refs > 0 {
			kept = append(kept, c)
			continue
		}
		_ = os.RemoveAll(c.dir) // what stays is removed at the next start
	}
	clear(s.old[len(kept):])
	s.old = kept
}

// tidy removes a checkpoint that nobody has wanted for a while.
func (s *outgoing) tidy(now time.Time) {
	s.Lock()
	defer s.Unlock()
	if c := s.current; c != nil && (c.refs > 0 || now.Sub(c.used) <= snapshotIdle) {
		return
	}
	s.retire()
}

// pinned is the index after which the log must stay, for the follower that gets the checkpoint; 0: none.
func (s *outgoing) pinned() uint64 {
	s.Lock()
	defer s.Unlock()
	if s.current == nil {
		return 0
	}
	return s.current.meta.Index
}

// OpenSnapshot implements multiraft.StateMachine.
func (r *Replica) OpenSnapshot(index uint64) (string, func(), error) {
	s := &r.snapshots
	s.Lock()
	defer s.Unlock()
	c := s.current
	if c == nil || c.meta.Index != index {
		return "", nil, fmt.Errorf("partition %s: the snapshot at %d is gone", r.name, index)
	}
	c.refs++
	return c.dir, func() {
		s.Lock()
		defer s.Unlock()
		c.refs--
		c.used = r.opts.Clock()
	}, nil
}

// IncomingDir implements multiraft.StateMachine.
func (r *Replica) IncomingDir() (string, error) {
	s := &r.snapshots
	s.Lock()
	defer s.Unlock()
	s.number++
	return filepath.Join(r.opts.Dir, fmt.Sprintf("%s%d", inPrefix, s.number)), nil
}

// Install implements multiraft.StateMachine. The files are durable already; once dir has the name store.new, a crash at any later
// moment ends with the new state (finishInstall).
func (r *Replica) Install(meta raftpb.SnapshotMetadata, dir string) error {
	state, err := r.stateOf(dir)
	if err != nil {
		return err
	}
	want := event.Position{Term: meta.Term, Index: meta.Index}
	if state.Applied != want {
		return fmt.Errorf("the files are of position %s, the message says %s", state.Applied, want)
	}
	if err := rename(r.opts.Dir, filepath.Base(dir), storeNewDir); err != nil {
		return err
	}
	result := make(chan error, 1)
	r.box.call(func() { result <- r.replaceStore() })
	select {
	case err = <-result:
	case <-r.done:
		return ErrClosed
	}
	if err == nil {
		r.opts.Logger.Info("snapshot installed", "partition", r.name, "position", want.String())
	}
	return err
}

// replaceStore switches to the installed state, in the replica's goroutine.
func (r *Replica) replaceStore() error {
	if err := r.switchStore(); err != nil {
		return err
	}
	r.flushed.Store(r.store.State().Applied.Index)
	r.lostToSnapshot()
	r.noteApplied()
	return r.markBase()
}

// switchStore waits for who reads the old store.
func (r *Replica) switchStore() error {
	r.replacing.Store(true)
	defer r.replacing.Store(false)
	r.state.Lock()
	defer r.state.Unlock()
	r.readers.end()
	if err := r.state.engine.Close(); err != nil {
		return err
	}
	if err := finishInstall(r.opts.Dir); err != nil {
		return err
	}
	e, err := r.opts.OpenEngine(filepath.Join(r.opts.Dir, storeDir))
	if err != nil {
		return err
	}
	if err := r.useEngine(e); err != nil {
		return closeAfter(err, e)
	}
	return nil
}

// lostToSnapshot settles batches whose index the snapshot has passed: whether they are in it nobody here can tell.
func (r *Replica) lostToSnapshot() {
	applied := r.store.State().Applied.Index
	for len(r.flight) > 0 && r.flight[0].index <= applied {
		b := r.flight[0]
		r.flight = r.flight[1:]
		r.settleUnknown(b)
	}
}

// Installed implements multiraft.StateMachine: the log goes on after the snapshot, so what was kept for sending is outdated.
func (r *Replica) Installed() {
	r.snapshots.Lock()
	defer r.snapshots.Unlock()
	r.snapshots.retire()
}

// finishInstall puts a complete new state in the old one's place. It can be repeated.
func finishInstall(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, storeNewDir)); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, storeDir)); err != nil {
		return err
	}
	return rename(dir, storeNewDir, storeDir)
}

// removeLeftovers removes what only a running process needs.
func removeLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), outPrefix) || strings.HasPrefix(e.Name(), inPrefix) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// rename renames within a folder and makes that durable.
func rename(dir, from, to string) error {
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
