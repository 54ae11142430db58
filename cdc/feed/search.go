package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// search finds a replica that serves: rounds in which each is tried once, with a pause after each round. It is for one goroutine.
type search struct {
	ctx       context.Context
	nodes     []string
	namespace string
	partition uint32
	leader    bool // the leader comes first, else last
	giveUp    time.Duration
	dial      []grpc.DialOption
	logger    *slog.Logger

	queue   []string // still to be tried in this round
	current string
	round   []error   // why each of this round failed
	since   time.Time // when the first failure was since something came
	rounds  int       // whole rounds since something came
	refused int       // of those in a row, in which every replica answered, and none could serve, nor will
}

func (s *search) name() string { return fmt.Sprintf("%s-%d", s.namespace, s.partition) }

// succeeded forgets what failed, as something came.
func (s *search) succeeded() {
	if !s.since.IsZero() {
		s.queue, s.round, s.since, s.rounds, s.refused = nil, nil, time.Time{}, 0, 0
	}
}

const (
	backoffLeast = 50 * time.Millisecond
	backoffMost  = 5 * time.Second
	// refusals is how many rounds every replica must have refused before that is taken for final: it may yet come up or catch up.
	refusals = 5
)

// pause is how long to wait before another round: it doubles, and half of it is drawn by lot, so that readers don't come in step.
func (s *search) pause() time.Duration {
	d := min(backoffLeast<<min(s.rounds, 10), backoffMost)
	return d/2 + rand.N(d/2)
}

// next is the replica to be tried; where a round begins, the first of those that order gives.
func (s *search) next(order func() ([]string, error)) (string, error) {
	if len(s.queue) == 0 {
		queue, err := order()
		if err != nil {
			return "", err
		}
		s.queue = queue
	}
	s.current, s.queue = s.queue[0], s.queue[1:]
	return s.current, nil
}

// failed decides what becomes of a call that broke or didn't come about: nil to try the next replica, or what to tell the user. passes says whether
// a problem that every replica names ends by itself; at, for the log, what was asked for.
func (s *search) failed(err error, passes func(*Error) bool, at string) error {
	if ctxErr := s.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	problem, named := fromStatus(err)
	if !named {
		named = errors.As(err, &problem)
	}
	if named {
		err = problem
		switch problem.Kind {
		case Compacted, Mismatch:
			return problem
		case Elsewhere:
			s.prefer(problem.Addresses)
		}
	}
	s.logger.Warn("feed: a replica can't serve", "replica", s.current, "namespace", s.namespace, "partition", s.partition, "after", at, "err", err)
	if s.since.IsZero() {
		s.since = time.Now()
	}
	s.round = append(s.round, err)
	if len(s.queue) > 0 {
		return nil
	}
	return s.endRound(passes)
}

// prefer tries, next and in this round, the replicas that are said to have the position.
func (s *search) prefer(addresses []string) {
	for _, address := range addresses {
		i := slices.Index(s.queue, address)
		if i > 0 {
			s.queue = slices.Insert(slices.Delete(s.queue, i, i+1), 0, address)
		}
	}
}

// endRound waits before the next round, or gives up.
func (s *search) endRound(passes func(*Error) bool) error {
	problem := refusal(s.round)
	s.refused++
	if problem == nil || passes(problem) {
		s.refused = 0
	}
	if s.refused >= refusals {
		return problem
	}
	if silent := time.Since(s.since); s.giveUp > 0 && silent > s.giveUp {
		return fmt.Errorf("feed %s: no replica served for %s: %w", s.name(), silent.Round(time.Second), errors.Join(s.round...))
	}
	pause := s.pause()
	s.rounds++
	s.round = nil
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// refusal is what to tell the user if nothing changes: one of the problems, if every replica of the round named one.
func refusal(round []error) *Error {
	var found *Error
	for _, err := range round {
		problem, ok := errors.AsType[*Error](err)
		if !ok {
			return nil
		}
		if found == nil || found.Kind == Elsewhere {
			found = problem
		}
	}
	return found
}

// candidates are the replicas, in the order in which to try them.
func (s *search) candidates() ([]string, error) {
	p, err := s.ask()
	if err != nil {
		return nil, err
	}
	order := slices.Clone(p.Replicas)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	rank := func(address string) int {
		if (address == p.Leader) == s.leader {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(order, func(a, b string) int { return rank(a) - rank(b) })
	return order, nil
}

// ask asks the given nodes, one after the other, for the partition's replicas.
func (s *search) ask() (*feedpb.Partition, error) {
	var failures []error
	for _, node := range s.nodes {
		s.current = node
		p, err := s.askNode(node)
		if err == nil {
			return p, nil
		}
		failures = append(failures, err)
	}
	if problem := refusal(failures); problem != nil {
		return nil, problem
	}
	// Not wrapped: what one node said doesn't count as an answer of all.
	return nil, errors.New(errors.Join(failures...).Error())
}

func (s *search) askNode(node string) (*feedpb.Partition, error) {
	conn, err := grpc.NewClient(node, dialOptions(s.dial)...)
	if err != nil {
		return nil, fmt.Errorf("feed: node %s: %w", node, err)
	}
	defer conn.Close()
	return askPartition(s.ctx, conn, node, s.namespace, s.partition)
}

// askPartition asks a node, over a connection to it, where a partition's replicas are.
func askPartition(ctx context.Context, conn *grpc.ClientConn, node, namespace string, partition uint32) (*feedpb.Partition, error) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	resp, err := feedpb.NewFeedClient(conn).Partitions(ctx, &feedpb.PartitionsRequest{Namespace: namespace})
	if problem, ok := fromStatus(err); ok {
		return nil, problem
	}
	if err != nil {
		return nil, fmt.Errorf("feed: ask %s for the partitions of %s: %w", node, namespace, err)
	}
	for _, p := range resp.Partitions {
		if p.Number == partition && len(p.Replicas) > 0 {
			return p, nil
		}
	}
	return nil, &Error{Kind: Unknown,
		What: fmt.Sprintf("feed %s-%d: %s knows no such partition; the namespace has %d", namespace, partition, node, len(resp.Partitions))}
}

// connection is a stream from one replica.
type connection[T any] struct {
	address string
	conn    *grpc.ClientConn
	stream  grpc.ServerStreamingClient[T]
	cancel  context.CancelFunc
	silent  *time.Timer
}

// connect opens a stream to a replica. One that says nothing for silence is given up.
func connect[T any](s *search, address string, silence time.Duration,
	call func(context.Context, feedpb.FeedClient) (grpc.ServerStreamingClient[T], error)) (*connection[T], error) {
	conn, err := grpc.NewClient(address, streamOptions(s.dial)...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	c := &connection[T]{address: address, conn: conn, cancel: cancel, silent: time.AfterFunc(silence, cancel)}
	c.stream, err = call(ctx, feedpb.NewFeedClient(conn))
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// streamOptions are those of a connection for a stream.
func streamOptions(more []grpc.DialOption) []grpc.DialOption {
	return append(dialOptions(more),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageBytes)),
		grpc.WithInitialWindowSize(windowBytes), grpc.WithInitialConnWindowSize(windowBytes), grpc.WithReadBufferSize(batchBytes),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}))
}

func (c *connection[T]) close() {
	c.silent.Stop()
	c.cancel()
	c.conn.Close()
}

// receive waits for a message, but not longer than silence: a replica that hangs says nothing and closes nothing.
func (c *connection[T]) receive(silence time.Duration) (*T, error) {
	c.silent.Reset(silence)
	m, err := c.stream.Recv()
	if !c.silent.Stop() && err != nil {
		return nil, fmt.Errorf("feed: %s said nothing for %s", c.address, silence)
	}
	return m, err
}
