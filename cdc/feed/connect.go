package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// connect subscribes at the next replica to be tried.
func (r *Reader) connect() error {
	address, err := r.search.next(r.candidates)
	if err != nil {
		return err
	}
	r.conn, err = connect(&r.search, address, r.cfg.Silence, func(ctx context.Context, c feedpb.FeedClient) (grpc.ServerStreamingClient[feedpb.SubscribeResponse], error) {
		return c.Subscribe(ctx, r.request())
	})
	return err
}

// request asks for what follows the last thing that came.
func (r *Reader) request() *feedpb.SubscribeRequest {
	req := &feedpb.SubscribeRequest{Namespace: r.cfg.Namespace, Partition: r.cfg.Partition, Follow: r.cfg.Follow, LingerMs: uint32(r.cfg.Linger.Milliseconds())}
	from := r.cfg.From
	if r.begun {
		from = After(r.reached, r.last.Chain)
	}
	from.fill(req)
	return req
}

// message waits for the next message of the stream.
func (r *Reader) message() (*feedpb.SubscribeResponse, error) {
	m, err := r.conn.receive(r.cfg.Silence)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("feed: %s ended the stream without an end of the log", r.conn.address)
	}
	return m, err
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
	return r.search.failed(err, r.passes, r.reached.String())
}

// passes says whether a problem that every replica has with the reader's position ends by itself. Something came up to that position, so it was
// committed; after a restart of all replicas none has applied it again until one of them leads, which may take longer than some rounds.
func (r *Reader) passes(problem *Error) bool {
	return r.begun && (problem.Kind == Ahead || problem.Kind == Elsewhere)
}

// candidates are the replicas, in the order in which to try them.
func (r *Reader) candidates() ([]string, error) {
	order, err := r.search.candidates()
	if err == nil && !r.begun && r.cfg.From.kind == fromEarliest {
		order = r.oldestFirst(order)
	}
	return order, err
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
