package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// led is a replica that led when it was asked for, with what its errors need.
type led struct {
	Target
	server    *Server
	namespace string
	number    uint32
}

// state is the replica as one that takes state.
func (t *led) state() (StateTarget, error) {
	if s, ok := t.Target.(StateTarget); ok {
		return s, nil
	}
	return nil, problem.New(problem.Refused, "replay: partition %s takes no full sync", named(t.namespace, t.number))
}

// problem names what a replica's error is for the caller. What may have taken effect is Outcome, whatever else it is.
func (t *led) problem(err error) error {
	var named *problem.Error
	var refused *partition.ReplayError
	outcome := func() error {
		return &problem.Error{Kind: problem.Outcome, What: fmt.Sprintf("replay: %v: whether it took effect isn't known: open again, the place tells", err)}
	}
	switch {
	case err == nil, errors.As(err, &named):
		return err
	case errors.As(err, &refused):
		return t.refusal(refused)
	case errors.Is(err, partition.ErrUnknownOutcome), errors.Is(err, partition.ErrClosed):
		return outcome()
	case errors.Is(err, partition.ErrNotLeader):
		return t.moved()
	case errors.Is(err, ErrMalformed):
		return problem.New(problem.Invalid, "replay: %v", err)
	}
	return outcome()
}

// moved says where the leader is now.
func (t *led) moved() error {
	_, leader, err := t.server.dir.Target(t.namespace, t.number)
	if err != nil || t.Leading() {
		leader = "" // it is about to be somebody else, or this node again
	}
	return t.server.elsewhere(t.namespace, t.number, leader, "doesn't lead it any more")
}

func (t *led) refusal(e *partition.ReplayError) error {
	place := t.server.placePB(&Place{Sender: e.Sender, NeedsSync: needsSync(e), MaxEventBytes: t.server.opts.MaxEventBytes})
	if place.NeedsSync {
		place.Why = e.What
	}
	return &problem.Error{
		Kind: problem.Kind(e.Refusal), Place: place, Offset: time.Duration(e.OffsetMS) * time.Millisecond,
		What: fmt.Sprintf("replay: partition %s: %s", named(t.namespace, t.number), e.What),
	}
}

func needsSync(e *partition.ReplayError) bool {
	return e.Refusal == partition.RefusedNeedsSync || e.Sender.Sync != nil || e.Sender.Reached == (store.Cursor{})
}

// answer gives an error the status that it travels with, and counts it.
func (s *Server) answer(err error) error {
	var named *problem.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &named):
		s.metrics.refused(named.Kind)
		if named.What != err.Error() { // it was wrapped: the words are the whole
			named = &problem.Error{Kind: named.Kind, Leader: named.Leader, Place: named.Place, Offset: named.Offset, What: err.Error()}
		}
		return named.GRPCStatus().Err()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Internal, err.Error())
}

func (s *Server) placePB(p *Place) *replaypb.OpenResponse {
	resp := &replaypb.OpenResponse{
		Cluster: s.dir.Cluster(), Reached: cursorPB(p.Sender.Reached), Time: p.Sender.Time, NeedsSync: p.NeedsSync, Why: p.Why,
		MaxEventBytes: uint64(max(p.MaxEventBytes, 0)), Watermark: p.Watermark,
	}
	if sync := p.Sender.Sync; sync != nil {
		resp.Base, resp.Through = positionPB(firstBase(&p.Sender)), sync.Through
	}
	return resp
}

// firstBase is where the log goes on when the full sync that is under way is done: the first base that rows came of.
func firstBase(s *store.Sender) (base event.Position) {
	if len(s.Regions) > 0 {
		return s.Regions[0].Base
	}
	return s.Sync.Base
}

func (s *Server) placesPB(p *Places) *replaypb.PlacesResponse {
	resp := &replaypb.PlacesResponse{
		Cluster: s.dir.Cluster(), Leading: p.Leading, Replicates: p.Replicates, Watermark: p.Watermark,
		ConflictRows: p.ConflictRows, ConflictBytes: p.ConflictBytes, Diverged: p.Diverged, Outcomes: p.Outcomes,
		Applied: positionPB(p.Applied), LastEvent: positionPB(p.LastEvent),
	}
	for i := range p.Senders {
		one := &p.Senders[i]
		pb := &replaypb.SenderPlace{
			Sender: &replaypb.Sender{
				Cluster: one.ID.Cluster, Namespace: one.ID.Namespace, Partition: one.ID.Partition, Partitions: one.Partitions, Hash: one.Hash,
			},
			Reached: cursorPB(one.Reached), Time: one.Time,
		}
		if one.Sync != nil {
			pb.Base, pb.Through = positionPB(firstBase(&one.Sender)), one.Sync.Through
		}
		resp.Senders = append(resp.Senders, pb)
	}
	for _, one := range p.Peers {
		resp.Peers = append(resp.Peers, &replaypb.Peer{Cluster: one.Cluster, Confirmed: one.Confirmed})
	}
	return resp
}
