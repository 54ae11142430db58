package meta

import (
	"context"
	"fmt"
)

// Registry is where data nodes get their id and make themselves known.
type Registry interface {
	// AllocateNodeID gives out an id that nobody had before. An id whose answer was lost is simply never used.
	AllocateNodeID(ctx context.Context) (NodeID, error)
	// RegisterNode makes the node's addresses known for good, and its presence for as long as the session lasts. An
	// earlier registration of the same id is taken over. An id that the store never allocated is ErrNotFound: the data
	// directory belongs to another cluster, or the store lost its content.
	RegisterNode(ctx context.Context, n Node) (Session, error)
}

// Session is a node's presence. It keeps itself alive, and comes back by itself after the store was away.
type Session interface {
	// Lost is closed when another process has registered the same node id. The node must stop: two would answer for one.
	// It isn't closed because the store can't be reached, nor by Close.
	Lost() <-chan struct{}
	// Close ends the presence at once, so far as the store can be reached within ctx.
	Close(ctx context.Context) error
}

// Catalog is the list of namespaces.
type Catalog interface {
	// CreateNamespace adds a namespace with the placement of each of its partitions, in order. It gives MinGID and returns
	// the namespace as stored. ErrExists: there is one; ErrStale: another creation of the same name came between.
	CreateNamespace(ctx context.Context, ns Namespace, placements []Placement) (Namespace, error)
	// SetConflictPolicy changes a namespace's conflict policy, and returns the namespace as stored. ErrNotFound: there is none of the name. Repeats
	// change nothing.
	SetConflictPolicy(ctx context.Context, name, policy string) (Namespace, error)
}

// Announcer takes note of who leads.
type Announcer interface {
	// SetLeader announces a leader. ErrStale: a higher term was announced before (or another node of the same term);
	// ErrNotFound: there is no such partition. Repeating an announcement changes nothing.
	SetLeader(ctx context.Context, l Leader) error
}

// Watcher shows the whole content of the store.
type Watcher interface {
	// View is the last known content, at once and without asking anybody. Before the first was read it is empty, with
	// revision 0.
	View() *View
	// Watch delivers the current view (as soon as there is one) and then each later one. What the receiver was too slow
	// for is replaced by the newer. The channel is closed when ctx is done or the store is closed.
	Watch(ctx context.Context) <-chan *View
}

// Store is all of it.
type Store interface {
	Registry
	Catalog
	Announcer
	Watcher
	Close() error
}

// ValidateCreation says what is wrong with a namespace that is to be created with these placements.
func ValidateCreation(ns Namespace, placements []Placement) error {
	if err := ns.Validate(); err != nil {
		return err
	}
	if ns.MagicCode == 0 {
		return fmt.Errorf("meta: create namespace %s: magic code is 0: want one that tells it from any other of the name", ns.Name)
	}
	if len(placements) != ns.Partitions {
		return fmt.Errorf("meta: create namespace %s: %d placements for %d partitions", ns.Name, len(placements), ns.Partitions)
	}
	for i := range placements {
		if want := (PartitionID{Namespace: ns.Name, Number: i}); placements[i].Partition != want {
			return fmt.Errorf("meta: create namespace %s: placement %d is of %s: want %s", ns.Name, i, placements[i].Partition, want)
		}
		if err := placements[i].Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Supersedes says why l must not be announced after old: ErrStale if its term is lower, or equal with another node, as
// raft elects one leader a term.
func Supersedes(l, old Leader) error {
	if l.Term < old.Term || (l.Term == old.Term && old.Node != 0 && l.Node != old.Node) {
		return fmt.Errorf("meta: set leader of %s: node %d of term %d: %w: node %d of term %d was announced",
			l.Partition, l.Node, l.Term, ErrStale, old.Node, old.Term)
	}
	return nil
}
