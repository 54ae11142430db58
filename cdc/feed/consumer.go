package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// maxConsumerID bounds a consumer's name, in bytes.
const maxConsumerID = 255

// SetConsumer registers, moves or removes a consumer, if this node's replica leads.
func (s *Server) SetConsumer(ctx context.Context, req *feedpb.SetConsumerRequest) (*feedpb.SetConsumerResponse, error) {
	if n := len(req.Id); n == 0 || n > maxConsumerID {
		return nil, status.Errorf(codes.InvalidArgument, "feed %s-%d: consumer %.40q: want a name of 1 to %d bytes", req.Namespace, req.Partition, req.Id, maxConsumerID)
	}
	src, err := s.consumerSource(ctx, req.Namespace, req.Partition)
	if err != nil {
		return nil, toStatus(err)
	}
	if err := src.MoveConsumer(ctx, req.Id, fromPB(req.Position), req.Back); err != nil {
		return nil, toStatus(s.atLeader(ctx, req.Namespace, req.Partition, err))
	}
	resp := &feedpb.SetConsumerResponse{}
	if fromPB(req.Position) == (event.Position{}) {
		return resp, nil
	}
	held, err := src.Holding()
	if err != nil {
		return nil, toStatus(err)
	}
	for i := range held.Consumers {
		if held.Consumers[i].ID == req.Id {
			resp.Consumer = consumerToPB(&held.Consumers[i])
		}
	}
	return resp, nil
}

// Consumers lists the consumers, if this node's replica leads.
func (s *Server) Consumers(ctx context.Context, req *feedpb.ConsumersRequest) (*feedpb.ConsumersResponse, error) {
	src, err := s.consumerSource(ctx, req.Namespace, req.Partition)
	if err != nil {
		return nil, toStatus(err)
	}
	if !src.Leading() {
		return nil, toStatus(s.atLeader(ctx, req.Namespace, req.Partition, ErrNotLeader))
	}
	held, err := src.Holding()
	if err != nil {
		return nil, toStatus(err)
	}
	return &feedpb.ConsumersResponse{Consumers: consumersToPB(held.Consumers), LimitBytes: held.LimitBytes, LimitMs: held.LimitAge.Milliseconds()}, nil
}

func (s *Server) consumerSource(ctx context.Context, namespace string, partition uint32) (ConsumerSource, error) {
	src, err := s.source(ctx, namespace, partition)
	if err != nil {
		return nil, err
	}
	with, ok := src.(ConsumerSource)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "feed: this server has no consumers")
	}
	return with, nil
}

// atLeader makes an error that means that another replica leads one that names it.
func (s *Server) atLeader(ctx context.Context, namespace string, partition uint32, err error) error {
	if !errors.Is(err, ErrNotLeader) {
		return err
	}
	all, derr := s.dir.Partitions(ctx, namespace)
	if derr != nil {
		return derr
	}
	for _, p := range all {
		if p.Number == partition && p.Leader != "" {
			return &Error{Kind: Elsewhere, Addresses: []string{p.Leader},
				What: fmt.Sprintf("feed %s-%d: consumers are the leader's: ask %s", namespace, partition, p.Leader)}
		}
	}
	return status.Errorf(codes.Unavailable, "feed %s-%d: no leader is known at the moment", namespace, partition)
}

// holding adds what a replica's log holds to its status, if it says.
func holding(src Source, to *feedpb.StatusResponse) error {
	with, ok := src.(ConsumerSource)
	if !ok {
		return nil
	}
	h, err := with.Holding()
	if err != nil {
		return err
	}
	to.FirstIndex, to.Bytes, to.LimitBytes, to.LimitMs = h.First, h.Bytes, h.LimitBytes, h.LimitAge.Milliseconds()
	to.Consumers = consumersToPB(h.Consumers)
	return nil
}

func consumersToPB(list []Consumer) (all []*feedpb.Consumer) {
	for i := range list {
		all = append(all, consumerToPB(&list[i]))
	}
	return all
}

func consumerToPB(c *Consumer) *feedpb.Consumer {
	return &feedpb.Consumer{
		Id: c.ID, Position: toPB(c.Position), LagEntries: c.LagEntries, LagBytes: c.LagBytes, LagMs: c.Lag.Milliseconds(),
		HeadroomBytes: c.HeadroomBytes, HeadroomMs: c.Headroom.Milliseconds(), HeadroomDiskBytes: c.HeadroomDisk, Lost: c.Lost,
	}
}

func consumerFromPB(c *feedpb.Consumer) Consumer {
	return Consumer{
		ID: c.Id, Position: fromPB(c.Position), LagEntries: c.LagEntries, LagBytes: c.LagBytes, Lag: time.Duration(c.LagMs) * time.Millisecond,
		HeadroomBytes: c.HeadroomBytes, Headroom: time.Duration(c.HeadroomMs) * time.Millisecond, HeadroomDisk: c.HeadroomDiskBytes, Lost: c.Lost,
	}
}

func consumersFromPB(all []*feedpb.Consumer) (list []Consumer) {
	for _, c := range all {
		list = append(list, consumerFromPB(c))
	}
	return list
}
