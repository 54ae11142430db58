// Package admin does to a cluster's metadata what an operator asks for: it creates namespaces, and says when they are
// ready.
package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/placement"
)

// Store is what is needed of a meta.Store.
type Store interface {
	meta.Catalog
	meta.Watcher
}

// CreateOptions say what to create.
type CreateOptions struct {
	// Namespace as it shall be: begin with meta.DefaultNamespace. MinGID and MagicCode are given here.
	Namespace meta.Namespace
	// MinNodes is how many live nodes to wait for before placing; as many as there are replicas if that is more.
	MinNodes int
	// Wait is how long to wait for them, and for the metadata to be reached; 0: no longer than ctx.
	Wait time.Duration
}

// CreateNamespace waits for enough live nodes that fit, places the namespace over all that are live then, and writes it.
// meta.ErrExists: there is one of the name. placement.ErrTooFewNodes: not enough came in time.
func CreateNamespace(ctx context.Context, s Store, o CreateOptions) (meta.Namespace, error) {
	ns := o.Namespace
	if err := ns.Validate(); err != nil {
		return ns, err
	}
	if o.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Wait)
		defer cancel()
	}
	candidates, err := candidates(ctx, s, ns, max(o.MinNodes, ns.Replicas))
	if err != nil {
		return ns, err
	}
	placements, err := placement.Initial(ns, candidates)
	if err != nil {
		return ns, err
	}
	ns.MagicCode = time.Now().UnixNano()
	return s.CreateNamespace(ctx, ns, placements)
}

// candidates waits for at least a number of them.
func candidates(ctx context.Context, s Store, ns meta.Namespace, atLeast int) ([]placement.Candidate, error) {
	var last *meta.View
	var fit []placement.Candidate
	err := until(ctx, s, func(v *meta.View) bool {
		last, fit = v, placement.Candidates(v, ns)
		return v.Namespaces[ns.Name] != nil || len(fit) >= atLeast
	})
	switch {
	case err == nil && last.Namespaces[ns.Name] != nil:
		return nil, fmt.Errorf("create namespace %s: %w", ns.Name, meta.ErrExists)
	case err == nil:
		return fit, nil
	case last == nil:
		return nil, fmt.Errorf("create namespace %s: the cluster's metadata was not reached: %w: is etcd running at the addresses given?", ns.Name, err)
	default:
		return nil, fmt.Errorf("create namespace %s: %w: %d nodes are live, %d of them fit (tags, role), want %d: %w",
			ns.Name, placement.ErrTooFewNodes, len(last.LiveNodes()), len(fit), atLeast, err)
	}
}

// WaitReady returns when every partition of a namespace has announced a leader that is live.
func WaitReady(ctx context.Context, s meta.Watcher, name string) error {
	missing := fmt.Errorf("namespace %s: %w", name, meta.ErrNotFound)
	err := until(ctx, s, func(v *meta.View) bool {
		missing = notReady(v, name)
		return missing == nil
	})
	if err != nil {
		return fmt.Errorf("wait until namespace %s is ready: %w: %w", name, missing, err)
	}
	return nil
}

// ErrNotReady: a partition has no live leader.
var ErrNotReady = errors.New("not ready")

func notReady(v *meta.View, name string) error {
	ns := v.Namespaces[name]
	if ns == nil {
		return fmt.Errorf("namespace %s: %w", name, meta.ErrNotFound)
	}
	for i := range ns.Partitions {
		id := ns.Partitions[i].Placement.Partition
		if n := v.LeaderNode(id); n == nil || !n.Live {
			return fmt.Errorf("%w: partition %s has no live leader", ErrNotReady, id)
		}
	}
	return nil
}

// until returns nil at the first view that ok accepts, or why there was none.
func until(ctx context.Context, s meta.Watcher, ok func(*meta.View) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for v := range s.Watch(ctx) {
		if ok(v) {
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return meta.ErrClosed
}
