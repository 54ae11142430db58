package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// connection is a stream from one replica.
type connection struct {
	address string
	conn    *grpc.ClientConn
	stream  grpc.ServerStreamingClient[feedpb.SubscribeResponse]
	cancel  context.CancelFunc
	silent  *time.Timer
}

func (c *connection) close() {
	c.silent.Stop()
	c.cancel()
	c.conn.Close()
}

// receive waits for a message, but not longer than silence: a replica that hangs says nothing and closes nothing.
func (c *connection) receive(silence time.Duration) (*feedpb.SubscribeResponse, error) {
	c.silent.Reset(silence)
	m, err := c.stream.Recv()
	if !c.silent.Stop() && err != nil {
		return nil, fmt.Errorf("feed: %s said nothing for %s", c.address, silence)
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("feed: %s ended the stream without an end of the log", c.address)
	}
	return m, err
}

// trial is the state of looking for a replica: rounds in which each is tried once, with a pause after each round.
type trial struct {
	queue   []string // still to be tried in this round
	current string
	round   []error   // why each of this round failed
	since   time.Time // when the first failure was since something came
	rounds  int       // whole rounds since something came
	refused int       // of those in a row, in which every replica answered, and none could serve, nor will
}

// succeeded forgets what failed, as something came.
func (t *trial) succeeded() {
	if !t.since.IsZero() {
		*t = trial{current: t.current}
	}
}

const (
	backoffLeast = 50 * time.Millisecond
	backoffMost  = 5 * time.Second
	// refusals is how many rounds every replica must have refused before that is taken for final: it may yet come up or catch up.
	refusals = 5
)

// pause is how long to wait before another round: it doubles, and half of it is drawn by lot, so that readers don't come in step.
func (t *trial) pause() time.Duration {
	d := min(backoffLeast<<min(t.rounds, 10), backoffMost)
	return d/2 + rand.N(d/2)
}

// connect subscribes at the next replica to be tried.
func (r *Reader) connect() error {
	if len(r.trial.queue) == 0 {
		queue, err := r.candidates()
		if err != nil {
			return err
		}
		r.trial.queue = queue
	}
	address := r.trial.queue[0]
	r.trial.queue, r.trial.current = r.trial.queue[1:], address
	conn, err := grpc.NewClient(address, r.dialOptions()...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.ctx)
	c := &connection{address: address, conn: conn, cancel: cancel, silent: time.AfterFunc(r.cfg.Silence, cancel)}
	c.stream, err = feedpb.NewFeedClient(conn).Subscribe(ctx, r.request())
	if err != nil {
		c.close()
		return err
	}
	r.conn = c
	return nil
}

func (r *Reader) dialOptions() []grpc.DialOption {
	return append(dialOptions(r.cfg.Dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageBytes)),
		grpc.WithInitialWindowSize(windowBytes), grpc.WithInitialConnWindowSize(windowBytes), grpc.WithReadBufferSize(batchBytes),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}))
}

// request asks for what follows the last thing that came.
func (r *Reader) request() *feedpb.SubscribeRequest {
	req := &feedpb.SubscribeRequest{Namespace: r.cfg.Namespace, Partition: r.cfg.Partition, Follow: r.cfg.Follow}
	from := r.cfg.From
	if r.begun {
		from = After(r.reached, r.last.Chain)
	}
	from.fill(req)
	return req
}

// drop closes the stream. Events at hand were checked and stay.
func (r *Reader) drop() {
	if r.conn != nil {
		r.conn.close()
		r.conn = nil
	}
}

// failed decides what becomes of a stream that broke or didn't come about: nil to try the next replica, or what Next returns.
func (r *Reader) failed(err error) error {
	r.drop()
	if ctxErr := r.ctx.Err(); ctxErr != nil {
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
			r.prefer(problem.Addresses)
		}
	}
	r.cfg.Logger.Warn("feed: a replica can't serve", "replica", r.trial.current, "namespace", r.cfg.Namespace, "partition", r.cfg.Partition,
		"after", r.reached.String(), "err", err)
	if r.trial.since.IsZero() {
		r.trial.since = time.Now()
	}
	r.trial.round = append(r.trial.round, err)
	if len(r.trial.queue) > 0 {
		return nil
	}
	return r.endRound()
}

// prefer tries, next and in this round, the replicas that are said to have the position.
func (r *Reader) prefer(addresses []string) {
	for _, address := range addresses {
		i := slices.Index(r.trial.queue, address)
		if i > 0 {
			r.trial.queue = slices.Insert(slices.Delete(r.trial.queue, i, i+1), 0, address)
		}
	}
}

// endRound waits before the next round, or gives up.
func (r *Reader) endRound() error {
	t := &r.trial
	problem := refusal(t.round)
	t.refused++
	if problem == nil || r.passes(problem) {
		t.refused = 0
	}
	if t.refused >= refusals {
		return problem
	}
	if silent := time.Since(t.since); r.cfg.GiveUp > 0 && silent > r.cfg.GiveUp {
		return fmt.Errorf("feed %s: no replica served for %s: %w", r.name(), silent.Round(time.Second), errors.Join(t.round...))
	}
	pause := t.pause()
	t.rounds++
	t.round = nil
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// passes says whether a problem that every replica has with the reader's position ends by itself. Something came up to that position, so it was
// committed; after a restart of all replicas none has applied it again until one of them leads, which may take longer than some rounds.
func (r *Reader) passes(problem *Error) bool {
	return r.begun && (problem.Kind == Ahead || problem.Kind == Elsewhere)
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
func (r *Reader) candidates() ([]string, error) {
	p, err := r.partition()
	if err != nil {
		return nil, err
	}
	order := slices.Clone(p.Replicas)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	// Who reads to the end wants what the leader acknowledged; who follows spares it.
	rank := func(address string) int {
		if (address == p.Leader) != r.cfg.Follow {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(order, func(a, b string) int { return rank(a) - rank(b) })
	if !r.begun && r.cfg.From.kind == fromEarliest {
		order = r.oldestFirst(order)
	}
	return order, nil
}

// oldestFirst puts the replicas first that retain most.
func (r *Reader) oldestFirst(order []string) []string {
	answers := askStatus(r.ctx, order, &feedpb.StatusRequest{Namespace: r.cfg.Namespace, Partition: r.cfg.Partition}, r.cfg.Dial)
	oldest := make(map[string]uint64, len(order))
	for i, answer := range answers {
		oldest[order[i]] = ^uint64(0)
		if answer.err == nil {
			oldest[order[i]] = answer.status.Oldest.GetIndex()
		}
	}
	slices.SortStableFunc(order, func(a, b string) int {
		switch x, y := oldest[a], oldest[b]; {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return order
}

// partition asks the given nodes, one after the other, for the partition's replicas.
func (r *Reader) partition() (*feedpb.Partition, error) {
	var failures []error
	for _, node := range r.cfg.Nodes {
		p, err := r.askPartition(node)
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

func (r *Reader) askPartition(node string) (*feedpb.Partition, error) {
	r.trial.current = node
	conn, err := grpc.NewClient(node, dialOptions(r.cfg.Dial)...)
	if err != nil {
		return nil, fmt.Errorf("feed: node %s: %w", node, err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(r.ctx, peerTimeout)
	defer cancel()
	resp, err := feedpb.NewFeedClient(conn).Partitions(ctx, &feedpb.PartitionsRequest{Namespace: r.cfg.Namespace})
	if problem, ok := fromStatus(err); ok {
		return nil, problem
	}
	if err != nil {
		return nil, fmt.Errorf("feed: ask %s for the partitions of %s: %w", node, r.cfg.Namespace, err)
	}
	for _, p := range resp.Partitions {
		if p.Number == r.cfg.Partition && len(p.Replicas) > 0 {
			return p, nil
		}
	}
	return nil, &Error{Kind: Unknown, What: fmt.Sprintf("feed %s: %s knows no such partition; the namespace has %d", r.name(), node, len(resp.Partitions))}
}
