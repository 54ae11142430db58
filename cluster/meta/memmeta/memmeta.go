// Package memmeta is a meta.Store in memory: one cluster's metadata within one process, for tests and simulations.
//
// Concurrency: any goroutine may call any method. Crash safety: none, it holds nothing beyond the process.
package memmeta

import (
	"context"
	"fmt"
	"sync"

	"github.com/zankv/zankv/cluster/meta"
)

// Store is the metadata of one cluster. Make one by New; everything in the cluster uses the same one.
type Store struct {
	*meta.Publisher
	feeds *Changefeeds
	mu    struct {
		sync.Mutex
		closed   bool
		revision int64
		maxNode  meta.NodeID
		maxGID   uint64
		builder  *meta.Builder
		leaders  map[meta.PartitionID]meta.Leader
		spaces   map[string]meta.Namespace
		sessions map[meta.NodeID]*session
	}
}

var _ meta.Store = (*Store)(nil)

// New is an empty cluster.
func New() *Store {
	s := &Store{Publisher: meta.NewPublisher(), feeds: newChangefeeds()}
	s.mu.builder = meta.NewBuilder()
	s.mu.leaders = map[meta.PartitionID]meta.Leader{}
	s.mu.spaces = map[string]meta.Namespace{}
	s.mu.sessions = map[meta.NodeID]*session{}
	s.changedLocked()
	return s
}

func (s *Store) changedLocked() {
	s.mu.revision++
	v, errs := s.mu.builder.View(s.mu.revision)
	if len(errs) > 0 {
		panic(errs[0]) // namespaces are put with all their placements
	}
	s.Publish(v)
}

// enter takes the lock unless ctx is done or the store closed.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", meta.ErrUnavailable, err)
	}
	s.mu.Lock()
	if s.mu.closed {
		s.mu.Unlock()
		return meta.ErrClosed
	}
	return nil
}

// AllocateNodeID is meta.Registry's.
func (s *Store) AllocateNodeID(ctx context.Context) (meta.NodeID, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	s.mu.maxNode++
	return s.mu.maxNode, nil
}

// RegisterNode is meta.Registry's.
func (s *Store) RegisterNode(ctx context.Context, n meta.Node) (meta.Session, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if n.ID > s.mu.maxNode {
		return nil, fmt.Errorf("meta: register node %d: %w: highest id allocated is %d", n.ID, meta.ErrNotFound, s.mu.maxNode)
	}
	if old := s.mu.sessions[n.ID]; old != nil {
		close(old.lost)
	}
	ses := &session{store: s, id: n.ID, lost: make(chan struct{})}
	s.mu.sessions[n.ID] = ses
	s.mu.builder.SetNode(n.ID, &n)
	s.mu.builder.SetLive(n.ID, true)
	s.changedLocked()
	return ses, nil
}

// CreateNamespace is meta.Catalog's.
func (s *Store) CreateNamespace(ctx context.Context, ns meta.Namespace, placements []meta.Placement) (meta.Namespace, error) {
	if err := meta.ValidateCreation(ns, placements); err != nil {
		return ns, err
	}
	if err := s.enter(ctx); err != nil {
		return ns, err
	}
	defer s.mu.Unlock()
	if _, there := s.mu.spaces[ns.Name]; there {
		return ns, fmt.Errorf("meta: create namespace %s: %w", ns.Name, meta.ErrExists)
	}
	s.mu.maxGID += meta.GroupStride
	ns.MinGID = s.mu.maxGID
	s.mu.spaces[ns.Name] = ns
	s.mu.builder.SetNamespace(ns.Name, &ns)
	for i := range placements {
		placements[i].Revision = s.mu.revision + 1
		s.mu.builder.SetPlacement(placements[i].Partition, &placements[i])
	}
	s.changedLocked()
	return ns, nil
}

// SetConflictPolicy is meta.Catalog's.
func (s *Store) SetConflictPolicy(ctx context.Context, name, policy string) (meta.Namespace, error) {
	if err := meta.ValidateConflictPolicy(policy); err != nil {
		return meta.Namespace{}, fmt.Errorf("meta: namespace %s: %w", name, err)
	}
	if err := s.enter(ctx); err != nil {
		return meta.Namespace{}, err
	}
	defer s.mu.Unlock()
	ns, there := s.mu.spaces[name]
	if !there {
		return ns, fmt.Errorf("meta: set conflict policy of %s: %w", name, meta.ErrNotFound)
	}
	if ns.ConflictPolicy == policy {
		return ns, nil
	}
	ns.ConflictPolicy = policy
	s.mu.spaces[name] = ns
	s.mu.builder.SetNamespace(name, &ns)
	s.changedLocked()
	return ns, nil
}

// SetLeader is meta.Announcer's.
func (s *Store) SetLeader(ctx context.Context, l meta.Leader) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	ns, ok := s.mu.spaces[l.Partition.Namespace]
	if !ok || l.Partition.Number < 0 || l.Partition.Number >= ns.Partitions {
		return fmt.Errorf("meta: set leader of %s: %w", l.Partition, meta.ErrNotFound)
	}
	old := s.mu.leaders[l.Partition]
	if err := meta.Supersedes(l, old); err != nil || l == old {
		return err
	}
	s.mu.leaders[l.Partition] = l
	s.mu.builder.SetLeader(l.Partition, &l)
	s.changedLocked()
	return nil
}

// Expire ends a node's presence without telling it, as when it can't reach the store for long.
func (s *Store) Expire(id meta.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.builder.SetLive(id, false)
	s.changedLocked()
}

// Close ends all watching.
func (s *Store) Close() error {
	s.mu.Lock()
	s.mu.closed = true
	s.mu.Unlock()
	s.Publisher.Close()
	s.feeds.close()
	return nil
}

type session struct {
	store *Store
	id    meta.NodeID
	lost  chan struct{}
}

func (s *session) Lost() <-chan struct{} { return s.lost }

func (s *session) Close(context.Context) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.store.mu.sessions[s.id] != s {
		return nil
	}
	delete(s.store.mu.sessions, s.id)
	s.store.mu.builder.SetLive(s.id, false)
	s.store.changedLocked()
	return nil
}
