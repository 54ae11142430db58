package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// Options are a Server's. The zero Options are good.
type Options struct {
	// MemoryBytes is what ranges and chunks may take at once, from when they come in until they are answered (256 MiB).
	MemoryBytes int64
	// MaxEventBytes is the node's max_event_bytes (64 MiB): what a range or chunk may bring goes by it.
	MaxEventBytes int
	// Patience is how long a call waits for memory before it is told OVERLOAD (2 s).
	Patience time.Duration
	// Quiet is how long a call may send nothing (15 s), CallWithin how long all of it may take (5 min).
	Quiet, CallWithin time.Duration
	// MaxCalls bounds the calls of Apply that are served at once (4096).
	MaxCalls int
	// Clock is the wall clock (time.Now): for figures only.
	Clock  func() time.Time
	Logger *slog.Logger
}

// Server serves Replay and Conflicts for one node.
type Server struct {
	replaypb.UnimplementedReplayServer
	replaypb.UnimplementedConflictsServer
	dir       Directory
	opts      Options
	budget    *budget
	unpack    unpacker
	receivers sync.WaitGroup
	calls     atomic.Int64
	metrics   Metrics
	activity  activities
}

// NewServer makes a server.
func NewServer(dir Directory, o Options) *Server {
	o.MemoryBytes = cmp.Or(o.MemoryBytes, 256<<20)
	o.MaxEventBytes = cmp.Or(o.MaxEventBytes, 64<<20)
	o.Patience = cmp.Or(o.Patience, 2*time.Second)
	o.Quiet = cmp.Or(o.Quiet, 15*time.Second)
	o.CallWithin = cmp.Or(o.CallWithin, 5*time.Minute)
	o.MaxCalls = cmp.Or(o.MaxCalls, 4096)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{dir: dir, opts: o, budget: newBudget(o.MemoryBytes, o.Patience)}
	s.activity.init()
	return s
}

// Register adds the services to g.
func (s *Server) Register(g grpc.ServiceRegistrar) {
	replaypb.RegisterReplayServer(g, s)
	replaypb.RegisterConflictsServer(g, s)
}

// Wait returns when nothing of the server runs any more: after the gRPC server has stopped.
func (s *Server) Wait() { s.receivers.Wait() }

// mostPlain is the most that a range or chunk may have, unpacked: an event, and what a range says besides.
func (s *Server) mostPlain() uint64 { return uint64(s.opts.MaxEventBytes)*9/8 + 1<<20 }

// named is a partition for people.
func named(namespace string, number uint32) string {
	return fmt.Sprintf("%s-%d", clean(namespace), number)
}

// here finds this node's replica, leader or not.
func (s *Server) here(namespace string, number uint32) (t Target, leader string, err error) {
	t, leader, err = s.dir.Target(namespace, number)
	switch {
	case errors.Is(err, ErrUnknown):
		return nil, "", problem.New(problem.Unknown, "replay: cluster %s has no partition %s", s.dir.Cluster(), named(namespace, number))
	case err == nil && t == nil:
		err = s.elsewhere(namespace, number, leader, "has no replica of it")
	}
	return t, leader, err
}

// leading finds this node's replica if it leads. With the partition it gives its errors details.
func (s *Server) leading(namespace string, number uint32) (*led, error) {
	t, leader, err := s.here(namespace, number)
	if err == nil && !t.Leading() {
		err = s.elsewhere(namespace, number, leader, "doesn't lead it")
	}
	if err != nil {
		return nil, err
	}
	return &led{Target: t, server: s, namespace: namespace, number: number}, nil
}

func (s *Server) elsewhere(namespace string, number uint32, leader, why string) error {
	next := "nobody is known to: ask again"
	if leader != "" {
		next = leader + " does"
	}
	return &problem.Error{
		Kind: problem.Elsewhere, Leader: leader, What: fmt.Sprintf("replay: partition %s: this node %s; %s", named(namespace, number), why, next),
	}
}

// Topology implements the service.
func (s *Server) Topology(ctx context.Context, req *replaypb.TopologyRequest) (*replaypb.TopologyResponse, error) {
	resp, err := s.dir.Topology(ctx, req.GetNamespace())
	if errors.Is(err, ErrUnknown) {
		err = problem.New(problem.Unknown, "replay: cluster %s has no namespace %s", s.dir.Cluster(), clean(req.GetNamespace()))
	}
	return resp, s.answer(err)
}

// sender checks what a call says of its sender. cut: it says how the sender's namespace is cut, too.
func (s *Server) sender(pb *replaypb.Sender, cut bool) (SenderCut, error) {
	id, err := checkSender(pb, cut)
	if err == nil {
		err = s.checkPeer(id.Cluster)
	}
	return SenderCut{ID: id, Partitions: pb.GetPartitions(), Hash: pb.GetHash()}, err
}

// place carries out one of the calls that answer where a sender stands.
func (s *Server) place(namespace string, number uint32, pb *replaypb.Sender, cut bool, call func(*led, SenderCut) (Place, error)) (*replaypb.OpenResponse, error) {
	sender, err := s.sender(pb, cut)
	if err != nil {
		return nil, s.answer(err)
	}
	t, err := s.leading(namespace, number)
	if err != nil {
		return nil, s.answer(err)
	}
	p, err := call(t, sender)
	if err != nil {
		return nil, s.answer(t.problem(err))
	}
	return s.placePB(&p), nil
}

// Open implements the service.
func (s *Server) Open(ctx context.Context, req *replaypb.OpenRequest) (*replaypb.OpenResponse, error) {
	return s.place(req.GetNamespace(), req.GetPartition(), req.GetSender(), true, func(t *led, sender SenderCut) (Place, error) {
		return t.Open(ctx, sender)
	})
}

// Begin implements the service.
func (s *Server) Begin(ctx context.Context, req *replaypb.BeginRequest) (*replaypb.OpenResponse, error) {
	return s.place(req.GetNamespace(), req.GetPartition(), req.GetSender(), true, func(t *led, sender SenderCut) (Place, error) {
		b := &partition.Begin{Sender: sender.ID, Base: positionOf(req.GetBase()), Time: req.GetTime(), Horizons: req.GetHorizons(), Anew: req.GetAnew()}
		if err := checkBegin(b); err != nil {
			return Place{}, err
		}
		s, err := t.state()
		if err != nil {
			return Place{}, err
		}
		return s.Begin(ctx, sender, b)
	})
}

func checkBegin(b *partition.Begin) error {
	if b.Base.IsZero() {
		return problem.New(problem.Invalid, "replay: begin: a full sync without base")
	}
	if len(b.Horizons) > maxHorizons {
		return problem.New(problem.Invalid, "replay: begin: horizons of %d clusters: want at most %d", len(b.Horizons), maxHorizons)
	}
	for cluster := range b.Horizons {
		if err := meta.ValidateClusterID(cluster); err != nil {
			return problem.New(problem.Invalid, "replay: begin: horizons: %v", err)
		}
	}
	return nil
}

// Adopt implements the service.
func (s *Server) Adopt(ctx context.Context, req *replaypb.AdoptRequest) (*replaypb.OpenResponse, error) {
	return s.place(req.GetNamespace(), req.GetPartition(), req.GetSender(), true, func(t *led, sender SenderCut) (Place, error) {
		position := positionOf(req.GetPosition())
		if position.IsZero() {
			return Place{}, problem.New(problem.Invalid, "replay: adopt: no position is given")
		}
		p, err := t.Adopt(ctx, sender, position, req.GetTime())
		if err == nil {
			s.opts.Logger.Info("a place was adopted", "partition", named(t.namespace, t.number), "sender", sender.ID.String(), "position", position.String())
		}
		return p, err
	})
}

// Forget implements the service.
func (s *Server) Forget(ctx context.Context, req *replaypb.ForgetRequest) (*replaypb.ForgetResponse, error) {
	sender, err := s.sender(req.GetSender(), false)
	if err != nil {
		return nil, s.answer(err)
	}
	t, err := s.leading(req.GetNamespace(), req.GetPartition())
	if err != nil {
		return nil, s.answer(err)
	}
	if err := t.Target.Forget(ctx, sender.ID); err != nil {
		return nil, s.answer(t.problem(err))
	}
	s.opts.Logger.Info("a sender was forgotten", "partition", named(t.namespace, t.number), "sender", sender.ID.String())
	return &replaypb.ForgetResponse{}, nil
}

// Confirm implements the service.
func (s *Server) Confirm(ctx context.Context, req *replaypb.ConfirmRequest) (*replaypb.ConfirmResponse, error) {
	if err := s.checkPeer(req.GetPeer()); err != nil {
		return nil, s.answer(err)
	}
	t, err := s.leading(req.GetNamespace(), req.GetPartition())
	if err != nil {
		return nil, s.answer(err)
	}
	if req.GetRemove() {
		err = t.RemovePeer(ctx, req.GetPeer())
		return &replaypb.ConfirmResponse{}, s.answer(t.problem(err))
	}
	done, err := t.Target.Confirm(ctx, req.GetPeer(), req.GetTime())
	if err != nil {
		return nil, s.answer(t.problem(err))
	}
	return &replaypb.ConfirmResponse{Since: positionPB(done.Since), Applied: positionPB(done.Applied), Time: done.Clock}, nil
}

// Places implements the service.
func (s *Server) Places(_ context.Context, req *replaypb.PlacesRequest) (*replaypb.PlacesResponse, error) {
	t, _, err := s.here(req.GetNamespace(), req.GetPartition())
	if err != nil {
		return nil, s.answer(err)
	}
	p, err := t.Places()
	if err != nil {
		return nil, s.answer((&led{Target: t, server: s, namespace: req.GetNamespace(), number: req.GetPartition()}).problem(err))
	}
	return s.placesPB(&p), nil
}
