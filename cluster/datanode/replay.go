package datanode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
	"github.com/zankv/zankv/replay/replaypb"
	"github.com/zankv/zankv/replay/serve"
)

// replayMemory is what changes of other clusters may take: a range of one event, packed and unpacked, has to fit.
func (o *Options) replayMemory() int64 {
	return max(cmp.Or(o.ReplayMemoryBytes, 256<<20), 3*int64(o.Limits.Event))
}

// replayDirectory is the cluster as other clusters' senders are told of it.
type replayDirectory struct{ n *Node }

// Cluster implements serve.Directory.
func (d replayDirectory) Cluster() string { return d.n.opts.ClusterID }

// Target implements serve.Directory.
func (d replayDirectory) Target(name string, number uint32) (serve.Target, string, error) {
	view := d.n.opts.Meta.View()
	ns := view.Namespaces[name]
	if ns == nil || int64(number) >= int64(len(ns.Partitions)) {
		return nil, "", serve.ErrUnknown
	}
	leader := grpcAddress(view, d.n.leaderOf(name, int(number), &ns.Partitions[number]))
	here := d.n.table.lookup(name)
	if here == nil || int64(number) >= int64(len(here.replicas)) {
		return nil, leader, nil
	}
	r := here.replicas[number].Load()
	if r == nil {
		return nil, leader, nil
	}
	return target{r, number, uint32(len(here.replicas)), here.meta.PartitionHash}, leader, nil
}

// Topology implements serve.Directory.
func (d replayDirectory) Topology(_ context.Context, name string) (*replaypb.TopologyResponse, error) {
	view := d.n.opts.Meta.View()
	if view.Revision == 0 {
		return nil, status.Errorf(codes.Unavailable, "replay: this node of cluster %s hasn't reached its metadata yet", d.n.opts.ClusterID)
	}
	resp := &replaypb.TopologyResponse{Cluster: d.n.opts.ClusterID, Namespaces: slices.Sorted(maps.Keys(view.Namespaces))}
	for _, id := range slices.Sorted(maps.Keys(view.Nodes)) {
		if node := view.Nodes[id]; node.Role == "" {
			resp.Nodes = append(resp.Nodes, nodePB(node))
		}
	}
	if name == "" {
		return resp, nil
	}
	ns := view.Namespaces[name]
	if ns == nil {
		return nil, serve.ErrUnknown
	}
	resp.Hash, resp.ConflictPolicy = ns.PartitionHash, policyName(&ns.Namespace)
	for i := range ns.Partitions {
		p := &ns.Partitions[i]
		one := &replaypb.Partition{Number: uint32(i), Leader: grpcAddress(view, d.n.leaderOf(name, i, p))}
		for _, id := range p.Placement.Nodes {
			if addr := grpcAddress(view, id); addr != "" {
				one.Replicas = append(one.Replicas, addr)
			}
		}
		resp.Partitions = append(resp.Partitions, one)
	}
	return resp, nil
}

func nodePB(node *meta.NodeView) *replaypb.Node {
	at := func(port int) string { return net.JoinHostPort(node.BroadcastAddr, strconv.Itoa(port)) }
	pb := &replaypb.Node{
		Id: uint64(node.ID), Grpc: at(node.GRPCPort), Http: at(node.HTTPPort), Redis: at(node.RedisPort), Alive: node.Live,
		NamespacePorts: map[string]int32{},
	}
	for ns, port := range node.NamespacePorts {
		pb.NamespacePorts[ns] = int32(port)
	}
	return pb
}

// target is a replica as the services of replay use it.
type target struct {
	*partition.Replica
	number, of uint32 // partitions
	hash       string
}

var _ serve.StateTarget = target{}

// malformed gives a replica's refusal of what contradicts itself the name that the services know.
func malformed(err error) error {
	if errors.Is(err, partition.ErrMalformed) {
		return fmt.Errorf("%w: %w", serve.ErrMalformed, err)
	}
	return err
}

func placeOf(p partition.Place, err error) (serve.Place, error) {
	return serve.Place{
		Sender: p.Sender, NeedsSync: p.NeedsSync, Why: p.Why, Watermark: p.Watermark, MaxEventBytes: p.MaxEventBytes,
	}, malformed(err)
}

// Open implements serve.Target.
func (t target) Open(ctx context.Context, s serve.SenderCut) (serve.Place, error) {
	return placeOf(t.OpenSender(ctx, s.ID, s.Partitions, s.Hash))
}

// owns says whether mutations are of this partition's keys. A sender that still goes by how a namespace of the name was cut before would bring keys to where
// nobody looks for them.
func (t target) owns(ms []event.Mutation) error {
	for i := range ms {
		if key := ms[i].Key; ms[i].Op != event.OpRange && t.partitionOf(key) != t.number {
			return fmt.Errorf("%w: key %.64q is partition %d's, of %d by %s here: ask how the namespace is cut", serve.ErrMalformed, key, t.partitionOf(key), t.of, t.hash)
		}
	}
	return nil
}

func (t target) partitionOf(key []byte) uint32 {
	if t.hash == meta.HashMurmur3 {
		return store.PartitionByMurmur3(key, t.of)
	}
	return store.PartitionBySlot(key, t.of)
}

// Replay implements serve.Target.
func (t target) Replay(ctx context.Context, r *partition.Range) (partition.Replayed, error) {
	for i := range r.Slices {
		if err := t.owns(r.Slices[i].Event.Mutations); err != nil {
			return partition.Replayed{}, err
		}
	}
	done, err := t.Replica.Replay(ctx, r)
	return done, malformed(err)
}

// Begin implements serve.StateTarget. The sender is made known first, as a full sync may be the first that is heard of it.
func (t target) Begin(ctx context.Context, s serve.SenderCut, b *partition.Begin) (serve.Place, error) {
	place, err := t.Open(ctx, s)
	if err != nil {
		return place, err
	}
	if place.Sender, err = t.BeginSync(ctx, b); err != nil {
		return place, malformed(err)
	}
	place.NeedsSync, place.Why = true, "a full sync is under way"
	return place, nil
}

// ReplayChunk implements serve.StateTarget.
func (t target) ReplayChunk(ctx context.Context, c *partition.Chunk) (partition.Replayed, error) {
	if err := t.owns(c.Rows); err != nil {
		return partition.Replayed{}, err
	}
	done, err := t.Replica.ReplayChunk(ctx, c)
	return done, malformed(err)
}

// Adopt implements serve.Target.
func (t target) Adopt(ctx context.Context, s serve.SenderCut, position event.Position, time int64) (serve.Place, error) {
	return placeOf(t.AdoptSender(ctx, s.ID, s.Partitions, s.Hash, position, time))
}

// Forget implements serve.Target.
func (t target) Forget(ctx context.Context, id store.SenderID) error {
	return malformed(t.ForgetSender(ctx, id))
}

// Confirm implements serve.Target.
func (t target) Confirm(ctx context.Context, peer string, time int64) (serve.Confirmed, error) {
	since, err := t.ConfirmPeer(ctx, peer, time)
	if err != nil {
		return serve.Confirmed{}, malformed(err)
	}
	at, _ := t.State()
	return serve.Confirmed{Since: since, Applied: at.Applied, Clock: at.Clock}, nil
}

// Places implements serve.Target.
func (t target) Places() (serve.Places, error) {
	p, err := t.Replica.Places()
	if err != nil {
		return serve.Places{}, err
	}
	out := serve.Places{
		Leading: p.Leading, Replicates: p.Replicates, Watermark: p.Watermark, ConflictRows: p.ConflictRows, ConflictBytes: p.ConflictBytes,
		Diverged: p.Diverged, Outcomes: p.Outcomes, Applied: p.Applied, LastEvent: p.LastEvent,
	}
	for _, s := range p.Senders {
		out.Senders = append(out.Senders, serve.SenderPlace{ID: s.ID, Sender: s.Sender})
	}
	for _, s := range p.Peers {
		out.Peers = append(out.Peers, serve.PeerPlace{Cluster: s.Cluster, Peer: s.Peer})
	}
	return out, nil
}

// Conflicts implements serve.Target.
func (t target) Conflicts(after []byte, limit int, pass func(*conflict.Record, *conflict.Diverged) bool) ([]serve.Row, []byte, error) {
	rows, next, err := t.Replica.Conflicts(after, limit, pass)
	out := make([]serve.Row, len(rows))
	for i, row := range rows {
		out[i] = serve.Row(row)
	}
	return out, next, err
}

// PurgeConflicts implements serve.Target.
func (t target) PurgeConflicts(ctx context.Context, ids [][]byte) (int, error) {
	n, err := t.Replica.PurgeConflicts(ctx, ids)
	return n, malformed(err)
}
