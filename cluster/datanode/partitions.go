package datanode

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/multiraft"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/resp"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/cluster/transport"
)

// namespace is a namespace as this node serves it. The front end holds on to config's address.
type namespace struct {
	config   resp.Namespace
	meta     meta.Namespace
	replicas []atomic.Pointer[partition.Replica] // by partition; nil where there is none here
}

// table is what is served: replaced as a whole when a namespace comes or changes, so that readers need no lock.
type table struct {
	current atomic.Pointer[tables]
	writing sync.Mutex
}

type tables struct {
	byName   map[string]*namespace
	byConfig map[*resp.Namespace]*namespace
}

func (t *table) init() {
	t.current.Store(&tables{byName: map[string]*namespace{}, byConfig: map[*resp.Namespace]*namespace{}})
}

func (t *table) lookup(name string) *namespace { return t.current.Load().byName[name] }

// put makes sure that a namespace is served as metadata has it, and returns it.
func (t *table) put(m *meta.Namespace) *namespace {
	t.writing.Lock()
	defer t.writing.Unlock()
	old := t.current.Load()
	config := frontConfig(m)
	if ns := old.byName[m.Name]; ns != nil && ns.config == config && ns.meta.ConflictPolicy == m.ConflictPolicy {
		return ns
	}
	ns := &namespace{config: config, meta: *m, replicas: make([]atomic.Pointer[partition.Replica], m.Partitions)}
	if was := old.byName[m.Name]; was != nil {
		for i := range was.replicas {
			ns.replicas[i].Store(was.replicas[i].Load())
		}
	}
	next := &tables{byName: map[string]*namespace{}, byConfig: map[*resp.Namespace]*namespace{}}
	for name, other := range old.byName {
		next.byName[name] = other
	}
	next.byName[m.Name] = ns
	for _, other := range next.byName {
		next.byConfig[&other.config] = other
	}
	t.current.Store(next)
	return ns
}

func frontConfig(m *meta.Namespace) resp.Namespace {
	hash := resp.HashCRC16
	if m.PartitionHash == meta.HashMurmur3 {
		hash = resp.HashMurmur3
	}
	return resp.Namespace{
		Name: m.Name, Partitions: m.Partitions, Hash: hash, Forward: m.Forward, Password: m.Password,
		ReadQuorum: m.ReadMode == meta.ReadQuorum, Unsynced: m.OptimizedFsync,
	}
}

// each visits the replicas of this node until visit returns false.
func (t *table) each(visit func(*namespace, *partition.Replica) bool) {
	for _, ns := range t.current.Load().byName {
		for i := range ns.replicas {
			if r := ns.replicas[i].Load(); r != nil && !visit(ns, r) {
				return
			}
		}
	}
}

// followPlacement opens what metadata places here, for as long as the node runs.
func (n *Node) followPlacement(ctx context.Context) error {
	placed := sync.OnceFunc(func() { close(n.placed) })
	for view := range n.opts.Meta.Watch(ctx) {
		if err := n.reconcile(view); err != nil {
			return err
		}
		placed()
	}
	return nil
}

// openAtOnce bounds how many replicas are opened in parallel.
const openAtOnce = 8

func (n *Node) reconcile(view *meta.View) error {
	var group errgroup.Group
	group.SetLimit(openAtOnce)
	for _, nv := range view.Namespaces {
		was := n.table.lookup(nv.Name)
		ns := n.table.put(&nv.Namespace)
		if was != nil && was.meta.ConflictPolicy != ns.meta.ConflictPolicy {
			n.takePolicy(ns)
		}
		for i := range nv.Partitions {
			p := &nv.Partitions[i].Placement
			if p.Has(n.id) && ns.replicas[i].Load() == nil {
				group.Go(func() error { return n.openReplica(ns, i, p) })
			}
		}
	}
	return group.Wait()
}

func (n *Node) openReplica(ns *namespace, number int, p *meta.Placement) error {
	dir := filepath.Join(n.opts.DataDir, fmt.Sprintf("%s-%d", ns.meta.Name, number))
	if err := checkMagic(dir, ns.meta.MagicCode); err != nil {
		return err
	}
	voters := make(map[uint64]transport.NodeID, len(p.Nodes))
	for _, node := range p.Nodes {
		voters[p.RaftIDs[node]] = transport.NodeID(node)
	}
	id := meta.PartitionID{Namespace: ns.meta.Name, Number: number}
	r, err := partition.Open(partition.Options{
		Cluster: n.opts.ClusterID, Namespace: ns.meta.Name, Partition: uint32(number),
		Cut:   store.Cut{Hash: ns.meta.PartitionHash, Partitions: uint32(len(ns.replicas))},
		Group: ns.meta.GroupID(number), Replica: p.RaftIDs[n.id], Voters: voters, Preferred: p.Nodes[0] == n.id,
		Dir: dir, OpenEngine: n.opts.OpenEngine, Cache: n.cache, Log: n.log, Node: n.raft, Logger: n.opts.Logger,
		OnLeadership: func(l multiraft.Leadership) { n.noteLeadership(id, l) },
		Fatal:        n.fail,
		ReadQuorum:   ns.config.ReadQuorum, Unsynced: ns.meta.OptimizedFsync, SyncerOnly: n.opts.SyncerOnly,
		Retention: n.retention(&ns.meta), Replication: n.replication(&ns.meta), Clock: n.opts.clock(),
		Limits: &n.opts.Limits, MaxEventBytes: n.opts.Limits.Event, SinglePartition: len(ns.replicas) == 1, HashTags: ns.meta.PartitionHash == meta.HashCRC16,
	})
	if err != nil {
		return fmt.Errorf("open %s: %w", id, err)
	}
	ns.replicas[number].Store(r)
	return nil
}

// retention is the node's, unless the namespace says otherwise.
func (n *Node) retention(m *meta.Namespace) partition.Retention {
	r := n.opts.Retention
	if m.RetainSeconds > 0 {
		r.Age = time.Duration(m.RetainSeconds) * time.Second
	}
	if m.RetainBytes > 0 {
		r.Bytes = m.RetainBytes
	}
	return r
}

// checkMagic refuses the data of another namespace of the same name, and marks a new folder.
func checkMagic(dir string, code int64) error {
	path := filepath.Join(dir, "magic")
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return writeDurably(dir, "magic", strconv.FormatInt(code, 10)+"\n")
	}
	if err != nil {
		return err
	}
	if have := strings.TrimSpace(string(data)); have != strconv.FormatInt(code, 10) {
		return fmt.Errorf("%s holds data of an older namespace of this name (magic code %s, metadata has %d): move the folder away", dir, have, code)
	}
	return nil
}

func (n *Node) closePartitions() {
	var group sync.WaitGroup
	n.table.each(func(_ *namespace, r *partition.Replica) bool {
		group.Go(func() {
			if err := r.Close(); err != nil {
				n.opts.Logger.Warn("partition closed with an error; the next start recovers it from the log", "partition", r.Name(), "error", err)
			}
		})
		return true
	})
	group.Wait()
}

// noteLeadership is told by a replica who leads.
func (n *Node) noteLeadership(id meta.PartitionID, l multiraft.Leadership) {
	if !l.Leading {
		n.opts.Logger.Debug("follows", "partition", id.String(), "term", l.Term, "leader", l.Leader)
		return
	}
	n.opts.Logger.Info("leads", "partition", id.String(), "term", l.Term)
	n.announcer.announce(meta.Leader{Partition: id, Node: n.id, Term: l.Term})
}
