package feed

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// Sizes of a stream, in bytes.
const (
	batchBytes = 256 << 10
	// windowBytes is what gRPC lets be under way to a reader that is slow.
	windowBytes = 4 << 20
	// messageBytes bounds a message: the largest event (64 MiB) with room around it.
	messageBytes = 65 << 20
)

// Options are a Server's. The zero Options are good.
type Options struct {
	// MaxStreams bounds the subscriptions served at once; 0 means 1024. More are refused, for the client to try another replica.
	MaxStreams int
	// MaxSnapshots bounds the snapshots served at once; 0 means 16. Each keeps the engine from freeing what is overwritten meanwhile.
	MaxSnapshots int
	// Patience is how long a snapshot waits for a reader that takes nothing; 0 means 10 minutes.
	Patience time.Duration
	// Bookmark is how often an idle stream reports how far it is; 0 means every second.
	Bookmark time.Duration
	// Leaderless is how long a replica that knows no leader keeps an idle stream, as others may be further; 0 means 5 s.
	Leaderless time.Duration
	// Linger is the least time between two batches of a stream that follows the end of the log, so that a busy partition isn't slowed down by
	// many small ones; 0 means 20 ms. An event that comes after a pause goes out at once.
	Linger time.Duration
	// PeerDial are added when other replicas are asked what they have.
	PeerDial []grpc.DialOption
}

// Server serves the feed of the partitions that a directory knows. Register it on a gRPC server that was made with ServerOptions.
type Server struct {
	feedpb.UnimplementedFeedServer
	dir     Directory
	opts    Options
	metrics Metrics
}

// Metrics are counts since the server was made.
type Metrics struct {
	Streams   atomic.Int64 // served at the moment
	Snapshots atomic.Int64 // served at the moment
	Events    atomic.Uint64
	Bytes     atomic.Uint64
	Rows      atomic.Uint64 // of snapshots
}

// NewServer makes a server.
func NewServer(dir Directory, opts Options) *Server {
	if opts.MaxStreams == 0 {
		opts.MaxStreams = 1024
	}
	if opts.MaxSnapshots == 0 {
		opts.MaxSnapshots = 16
	}
	if opts.Patience == 0 {
		opts.Patience = 10 * time.Minute
	}
	if opts.Bookmark == 0 {
		opts.Bookmark = time.Second
	}
	if opts.Leaderless == 0 {
		opts.Leaderless = 5 * time.Second
	}
	if opts.Linger == 0 {
		opts.Linger = 20 * time.Millisecond
	}
	return &Server{dir: dir, opts: opts}
}

// Metrics are the server's counts.
func (s *Server) Metrics() *Metrics { return &s.metrics }

// Register adds the service to g.
func (s *Server) Register(g grpc.ServiceRegistrar) { feedpb.RegisterFeedServer(g, s) }

// ServerOptions are what a gRPC server that serves feeds needs: messages of the largest event, windows that keep a long line full, and
// leave for readers to check every 10 seconds that the line is there.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxSendMsgSize(messageBytes),
		grpc.InitialWindowSize(windowBytes), grpc.InitialConnWindowSize(windowBytes),
		grpc.WriteBufferSize(batchBytes),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
}

// Subscribe serves one stream.
func (s *Server) Subscribe(req *feedpb.SubscribeRequest, stream grpc.ServerStreamingServer[feedpb.SubscribeResponse]) error {
	if n := s.metrics.Streams.Add(1); n > int64(s.opts.MaxStreams) {
		s.metrics.Streams.Add(-1)
		return status.Errorf(codes.ResourceExhausted, "feed: %d streams are served already; try another replica", s.opts.MaxStreams)
	}
	defer s.metrics.Streams.Add(-1)
	src, err := s.source(stream.Context(), req.Namespace, req.Partition)
	if err != nil {
		return toStatus(err)
	}
	sub := &subscription{server: s, src: src, req: req, stream: stream}
	return toStatus(sub.serve(stream.Context()))
}

// source finds this node's replica, or says who has one.
func (s *Server) source(ctx context.Context, namespace string, partition uint32) (Source, error) {
	src, err := s.dir.Source(namespace, partition)
	switch {
	case errors.Is(err, ErrUnknown):
		return nil, &Error{Kind: Unknown, What: fmt.Sprintf("feed %s-%d: %v", namespace, partition, err)}
	case errors.Is(err, ErrNotHere):
		addresses, err := s.replicas(ctx, namespace, partition)
		if err != nil {
			return nil, err
		}
		return nil, elsewhere(fmt.Sprintf("%s-%d", namespace, partition), "the partition", event.Position{}, addresses)
	}
	return src, err
}

func (s *Server) replicas(ctx context.Context, namespace string, partition uint32) ([]string, error) {
	all, err := s.dir.Partitions(ctx, namespace)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Number == partition {
			return p.Replicas, nil
		}
	}
	return nil, ErrUnknown
}

// Partitions answers from the directory.
func (s *Server) Partitions(ctx context.Context, req *feedpb.PartitionsRequest) (*feedpb.PartitionsResponse, error) {
	all, err := s.dir.Partitions(ctx, req.Namespace)
	if errors.Is(err, ErrUnknown) {
		err = &Error{Kind: Unknown, What: fmt.Sprintf("feed: namespace %q: %v", req.Namespace, err)}
	}
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &feedpb.PartitionsResponse{}
	for _, p := range all {
		resp.Partitions = append(resp.Partitions, &feedpb.Partition{Number: p.Number, Leader: p.Leader, Replicas: p.Replicas})
	}
	return resp, nil
}

// Status says what this node's replica holds.
func (s *Server) Status(ctx context.Context, req *feedpb.StatusRequest) (*feedpb.StatusResponse, error) {
	src, err := s.source(ctx, req.Namespace, req.Partition)
	if err != nil {
		return nil, toStatus(err)
	}
	st, err := src.State()
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &feedpb.StatusResponse{Oldest: toPB(st.Oldest.LastEvent), Last: toPB(st.Head.LastEvent), Applied: st.Applied.Index}
	resp.OldestTime, err = firstTime(src, req.Namespace, req.Partition, st, st.Oldest)
	if truncated(err) {
		err = nil // it went on meanwhile; 0 claims nothing
	}
	if err == nil {
		err = holding(src, resp)
	}
	return resp, toStatus(err)
}

// firstTime is the time of the first event after a mark, 0 if there is none.
func firstTime(src Source, namespace string, partition uint32, st State, from Mark) (int64, error) {
	c := newCursor(src, namespace, partition, from, st.Names)
	defer c.close()
	found, err := c.next(st.Applied.Index)
	if !found || err != nil {
		return 0, err
	}
	return c.ev.Time, nil
}

// toStatus gives an error the status that it travels with. What isn't a Problem is the replica's trouble: the reader goes to another one.
func toStatus(err error) error {
	var problem *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problem):
		return problem.GRPCStatus().Err()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	case errors.Is(err, event.ErrCorrupt):
		return status.Error(codes.DataLoss, err.Error())
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Unavailable, err.Error())
}
