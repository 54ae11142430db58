package etcdmeta

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zankv/zankv/cluster/meta"
)

// batch is how many placements go into one transaction, below etcd's limit of 128 operations.
const batch = 100

// advance changes ClusterMeta by a compare and swap and returns it as written.
func (s *Store) advance(ctx context.Context, change func(*clusterMeta)) (clusterMeta, error) {
	key := s.keys.clusterMeta()
	for {
		cm, revision, err := s.clusterMeta(ctx)
		if err != nil {
			return cm, err
		}
		if cm.UID == "" {
			cm.UID = rand.Text()
		}
		change(&cm)
		r, err := s.txn(ctx, "put "+key,
			[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", revision)},
			[]clientv3.Op{clientv3.OpPut(key, encode(cm))}, nil)
		if err != nil || r.Succeeded {
			return cm, err
		}
	}
}

// clusterMeta reads ClusterMeta and its revision: zero values when there is none yet.
func (s *Store) clusterMeta(ctx context.Context) (cm clusterMeta, revision int64, err error) {
	r, err := s.get(ctx, s.keys.clusterMeta())
	if err != nil || len(r.Kvs) == 0 {
		return cm, 0, err
	}
	if err := json.Unmarshal(r.Kvs[0].Value, &cm); err != nil {
		return cm, 0, fmt.Errorf("%w: key %s: %w", meta.ErrCorrupt, s.keys.clusterMeta(), err)
	}
	return cm, r.Kvs[0].ModRevision, nil
}

// CreateNamespace is meta.Catalog's. It claims the name, writes the placements while it holds the claim, and exists from
// the moment that NamespaceMeta is written.
func (s *Store) CreateNamespace(ctx context.Context, ns meta.Namespace, placements []meta.Placement) (meta.Namespace, error) {
	if err := meta.ValidateCreation(ns, placements); err != nil {
		return ns, err
	}
	if r, err := s.get(ctx, s.keys.meta(ns.Name)); err != nil || len(r.Kvs) > 0 {
		return ns, orExists(ns.Name, err)
	}
	cm, err := s.advance(ctx, func(cm *clusterMeta) { cm.MaxGID += meta.GroupStride })
	if err != nil {
		return ns, err
	}
	ns.MinGID = cm.MaxGID
	claim, err := s.claim(ctx, ns)
	if err != nil {
		return ns, err
	}
	for part := range slices.Chunk(placements, batch) {
		if err := s.putPlacements(ctx, ns.Name, claim, part); err != nil {
			return ns, err
		}
	}
	r, err := s.txn(ctx, "create namespace "+ns.Name, []clientv3.Cmp{claim},
		[]clientv3.Op{clientv3.OpPut(s.keys.meta(ns.Name), encode(ns)), clientv3.OpDelete(s.keys.claim(ns.Name))}, nil)
	if err != nil {
		return ns, err
	}
	return ns, overtaken(ns.Name, r.Succeeded)
}

// SetConflictPolicy is meta.Catalog's.
func (s *Store) SetConflictPolicy(ctx context.Context, name, policy string) (meta.Namespace, error) {
	if err := meta.ValidateConflictPolicy(policy); err != nil {
		return meta.Namespace{}, fmt.Errorf("etcdmeta: namespace %s: %w", name, err)
	}
	key := s.keys.meta(name)
	for {
		r, err := s.get(ctx, key)
		if err != nil {
			return meta.Namespace{}, err
		}
		if len(r.Kvs) == 0 {
			return meta.Namespace{}, fmt.Errorf("etcdmeta: set conflict policy of %s: %w", name, meta.ErrNotFound)
		}
		ns, err := decodeNamespace(name, r.Kvs[0].Value)
		if err != nil || ns.ConflictPolicy == policy {
			return ns, err
		}
		ns.ConflictPolicy = policy
		put, err := s.txn(ctx, "put "+key, []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", r.Kvs[0].ModRevision)},
			[]clientv3.Op{clientv3.OpPut(key, encode(ns))}, nil)
		if err != nil || put.Succeeded {
			return ns, err
		}
	}
}

// claim makes this creation the one that may write, removes what an earlier one left, and returns the condition under
// which it still is.
func (s *Store) claim(ctx context.Context, ns meta.Namespace) (clientv3.Cmp, error) {
	key := s.keys.claim(ns.Name)
	r, err := s.txn(ctx, "claim namespace "+ns.Name,
		[]clientv3.Cmp{clientv3.Compare(clientv3.Version(s.keys.meta(ns.Name)), "=", 0)},
		[]clientv3.Op{
			clientv3.OpDelete(s.keys.namespace(ns.Name), clientv3.WithPrefix()),
			clientv3.OpPut(key, encode(ns.MinGID)),
		}, nil)
	if err != nil {
		return clientv3.Cmp{}, err
	}
	if !r.Succeeded {
		return clientv3.Cmp{}, orExists(ns.Name, nil)
	}
	return clientv3.Compare(clientv3.ModRevision(key), "=", r.Header.Revision), nil
}

func (s *Store) putPlacements(ctx context.Context, name string, claim clientv3.Cmp, part []meta.Placement) error {
	ops := make([]clientv3.Op, len(part))
	for i := range part {
		ops[i] = clientv3.OpPut(s.keys.replicas(part[i].Partition), encode(part[i]))
	}
	r, err := s.txn(ctx, "place namespace "+name, []clientv3.Cmp{claim}, ops, nil)
	if err != nil {
		return err
	}
	return overtaken(name, r.Succeeded)
}

func orExists(name string, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("etcdmeta: create namespace %s: %w", name, meta.ErrExists)
}

func overtaken(name string, ours bool) error {
	if ours {
		return nil
	}
	return fmt.Errorf("etcdmeta: create namespace %s: %w: another creation of it began meanwhile", name, meta.ErrStale)
}

// SetLeader is meta.Announcer's.
func (s *Store) SetLeader(ctx context.Context, l meta.Leader) error {
	key, place := s.keys.leader(l.Partition), s.keys.replicas(l.Partition)
	for {
		r, err := s.txn(ctx, "get "+key, nil, []clientv3.Op{
			clientv3.OpGet(key),
			clientv3.OpGet(place, clientv3.WithCountOnly()),
			clientv3.OpGet(s.keys.meta(l.Partition.Namespace), clientv3.WithCountOnly()),
		}, nil)
		if err != nil {
			return err
		}
		placed, created := r.Responses[1].GetResponseRange().Count, r.Responses[2].GetResponseRange().Count
		if placed == 0 || created == 0 {
			return fmt.Errorf("etcdmeta: set leader of %s: %w", l.Partition, meta.ErrNotFound)
		}
		old := meta.Leader{Partition: l.Partition}
		var revision int64
		if kvs := r.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
			revision = kvs[0].ModRevision
			if err := json.Unmarshal(kvs[0].Value, &old); err != nil {
				return fmt.Errorf("%w: key %s: %w", meta.ErrCorrupt, key, err)
			}
		}
		if err := meta.Supersedes(l, old); err != nil || l == old {
			return err
		}
		put, err := s.txn(ctx, "put "+key, []clientv3.Cmp{
			clientv3.Compare(clientv3.ModRevision(key), "=", revision),
			clientv3.Compare(clientv3.Version(place), ">", 0),
		}, []clientv3.Op{clientv3.OpPut(key, encode(l))}, nil)
		if err != nil || put.Succeeded {
			return err
		}
	}
}
