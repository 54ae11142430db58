package datanode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/partition"
)

// directory is the node as the feed's server sees it.
type directory struct{ n *Node }

// Source implements feed.Directory.
func (d directory) Source(namespace string, number uint32) (feed.Source, error) {
	ns := d.n.table.lookup(namespace)
	if ns == nil || int64(number) >= int64(len(ns.replicas)) {
		return nil, feed.ErrUnknown
	}
	r := ns.replicas[number].Load()
	if r == nil {
		return nil, feed.ErrNotHere
	}
	return source{r, d.n.opts.ClusterID}, nil
}

// Partitions implements feed.Directory.
func (d directory) Partitions(_ context.Context, namespace string) ([]feed.Partition, error) {
	view := d.n.opts.Meta.View()
	ns := view.Namespaces[namespace]
	if ns == nil {
		return nil, feed.ErrUnknown
	}
	parts := make([]feed.Partition, len(ns.Partitions))
	for i := range ns.Partitions {
		p := &ns.Partitions[i]
		parts[i] = feed.Partition{Number: uint32(i), Leader: grpcAddress(view, d.n.leaderOf(namespace, i, p))}
		for _, id := range p.Placement.Nodes {
			if addr := grpcAddress(view, id); addr != "" {
				parts[i].Replicas = append(parts[i].Replicas, addr)
			}
		}
	}
	return parts, nil
}

// leaderOf is who leads a partition: by the replica here, which hears of a new leader first, else by what was announced.
func (n *Node) leaderOf(namespace string, number int, p *meta.PartitionView) meta.NodeID {
	if here := n.table.lookup(namespace); here != nil && number < len(here.replicas) {
		if r := here.replicas[number].Load(); r != nil {
			if l := r.Leadership(); l.Term >= p.Leader.Term {
				return p.Placement.NodeOf(l.Leader)
			}
		}
	}
	return p.Leader.Node
}

func grpcAddress(view *meta.View, id meta.NodeID) string {
	node := view.Nodes[id]
	if node == nil {
		return ""
	}
	return net.JoinHostPort(node.BroadcastAddr, strconv.Itoa(node.GRPCPort))
}

// source is a replica as the feed's server reads it.
type source struct {
	*partition.Replica
	cluster string
}

// ClusterID implements feed.Source.
func (s source) ClusterID() string { return s.cluster }

// Led implements feed.LedSource.
func (s source) Led() bool { return s.Leadership().Leader != 0 }

// State implements feed.Source.
func (s source) State() (feed.State, error) {
	state, ok := s.Replica.State()
	if !ok {
		return feed.State{}, partition.ErrClosed
	}
	oldest, err := s.oldest()
	if err != nil {
		return feed.State{}, err
	}
	return feed.State{
		Applied: state.Applied, Names: state.Clusters, Oldest: oldest,
		Head: feed.Mark{Index: state.Applied.Index, LastEvent: state.LastEvent, Chain: state.Chain},
	}, nil
}

// oldest is the mark where the log begins. A truncation between the two questions makes the first answer outdated: ask again.
func (s source) oldest() (feed.Mark, error) {
	for range 3 {
		base := s.FirstIndex() - 1
		m, ok, err := s.Mark(base)
		if err != nil {
			return feed.Mark{}, err
		}
		if ok && m.Index == base {
			return m, nil
		}
	}
	return feed.Mark{}, fmt.Errorf("partition %s: no chain mark where the log begins, before index %d", s.Name(), s.FirstIndex())
}

// Mark implements feed.Source.
func (s source) Mark(index uint64) (feed.Mark, bool, error) {
	m, ok, err := s.Replica.Mark(index)
	return feed.Mark(m), ok, err
}

// NewLogReader implements feed.Source.
func (s source) NewLogReader(from uint64) feed.LogReader { return s.Replica.NewLogReader(from) }

// WaitApplied implements feed.Source.
func (s source) WaitApplied(ctx context.Context, above uint64) (uint64, error) {
	err := s.Replica.WaitApplied(ctx, above)
	return s.Applied(), err
}

// OpenState implements feed.StateSource.
func (s source) OpenState(afterKey []byte, full bool) (feed.StateReader, error) {
	r, err := s.Replica.OpenState(afterKey, full)
	if err != nil {
		return nil, err
	}
	return stateReader{r}, nil
}

// stateReader is a replica's as the feed's server reads it.
type stateReader struct{ *partition.StateReader }

// Cut implements feed.StateReader.
func (r stateReader) Cut() feed.Cut {
	s := r.State()
	return feed.Cut{
		Applied: s.Applied, LastEvent: s.LastEvent, Chain: s.Chain, Names: s.Clusters, Wall: s.Wall, Time: s.Clock, Keys: uint64(max(s.Keys, 0)),
		Horizons: r.Horizons(),
	}
}

// Holding implements feed.ConsumerSource.
func (s source) Holding() (feed.Holding, error) {
	h, err := s.Replica.Holding()
	if err != nil {
		return feed.Holding{}, err
	}
	out := feed.Holding{First: h.First, Bytes: h.Bytes, LimitBytes: h.LimitBytes, LimitAge: h.LimitAge}
	for _, c := range h.Consumers {
		out.Consumers = append(out.Consumers, feed.Consumer(c))
	}
	return out, nil
}

// MoveConsumer implements feed.ConsumerSource.
func (s source) MoveConsumer(ctx context.Context, id string, position event.Position, back bool) error {
	move := s.Replica.MoveConsumer
	if back {
		move = s.SetConsumer
	}
	err := move(ctx, id, position)
	switch {
	case errors.Is(err, partition.ErrNotLeader):
		return fmt.Errorf("%w: %w", feed.ErrNotLeader, err)
	case errors.Is(err, partition.ErrAhead):
		return &feed.Error{Kind: feed.Ahead, Applied: s.Applied(), What: err.Error()}
	case errors.Is(err, partition.ErrConsumers):
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return err
}
