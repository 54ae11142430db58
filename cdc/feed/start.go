package feed

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// start places a cursor before the first event that the request asks for. want is the position that it named, for the
// entries to come to be checked against.
func (s *subscription) start(ctx context.Context, st State) (c *cursor, want event.Position, err error) {
	switch from := s.req.From.(type) {
	case *feedpb.SubscribeRequest_Earliest:
		return s.cursor(st, st.Oldest), want, nil
	case *feedpb.SubscribeRequest_Latest:
		return s.cursor(st, st.Head), want, nil
	case *feedpb.SubscribeRequest_After:
		return s.startAfter(ctx, st, fromPB(from.After.GetPosition()), from.After.GetChain())
	case *feedpb.SubscribeRequest_At:
		want = fromPB(from.At)
		if want.Index > st.Applied.Index {
			return nil, want, ahead(s.name(), want, st.Applied.Index)
		}
		c, err = s.seek(ctx, st, max(want.Index, 1), want)
		return c, want, err
	case *feedpb.SubscribeRequest_Time:
		c, err = s.startAtTime(ctx, st, from.Time)
		return c, want, err
	}
	return nil, want, status.Error(codes.InvalidArgument, "feed: subscribe: no starting point: give one of earliest, latest, after, at, time")
}

func (s *subscription) cursor(st State, from Mark) *cursor {
	c := newCursor(s.src, s.req.Namespace, s.req.Partition, from, st.Names)
	if from.Index == st.Applied.Index {
		c.at = st.Applied
	}
	return c
}

func (s *subscription) startAfter(ctx context.Context, st State, want event.Position, chain []byte) (*cursor, event.Position, error) {
	if want.Index > st.Applied.Index {
		return nil, want, ahead(s.name(), want, st.Applied.Index)
	}
	c, err := s.seek(ctx, st, want.Index+1, want)
	if err != nil {
		return nil, want, err
	}
	if len(chain) > 0 && string(chain) != string(c.stamp.Chain[:]) {
		c.close()
		return nil, want, mismatch(s.name(), want, fmt.Sprintf("the chain there is %s, not %x", c.stamp.Chain, chain))
	}
	return c, want, nil
}

// seek places a cursor so that it passes every event from index first on. It can when no event at first or later was truncated: entries that
// are no events may have been.
func (s *subscription) seek(ctx context.Context, st State, first uint64, want event.Position) (*cursor, error) {
	wanted := "position " + want.String()
	has := func(r *feedpb.StatusResponse) bool { return r.Oldest.GetIndex() < first }
	from, ok, err := s.src.Mark(first - 1)
	if err != nil {
		return nil, err
	}
	if !ok || from.Index < st.Oldest.Index {
		if from = st.Oldest; from.LastEvent.Index >= first {
			return nil, s.lacks(ctx, st, wanted, has)
		}
	}
	c := s.cursor(st, from)
	if err = c.check(want); err == nil {
		err = c.skipTo(first-1, want)
	}
	if err == nil {
		return c, nil
	}
	c.close()
	if truncated(err) {
		return nil, s.lacks(ctx, st, wanted, has)
	}
	return nil, err
}

// startAtTime finds the last mark before the first event of a time or later, by halves: times rise along the log.
func (s *subscription) startAtTime(ctx context.Context, st State, t int64) (*cursor, error) {
	wanted := time.Unix(0, t).UTC().Format(time.RFC3339Nano)
	has := func(r *feedpb.StatusResponse) bool {
		return fromPB(r.Oldest).IsZero() || r.OldestTime != 0 && r.OldestTime <= t
	}
	from := st.Oldest
	oldest, err := firstTime(s.src, s.req.Namespace, s.req.Partition, st, from)
	if err != nil {
		return nil, err
	}
	if !from.LastEvent.IsZero() && oldest > t {
		return nil, s.lacks(ctx, st, wanted, has)
	}
	for low, high := from.Index, st.Applied.Index; low < high; {
		middle := low + (high-low+1)/2
		m, ok, err := s.src.Mark(middle)
		if err != nil {
			return nil, err
		}
		if !ok || m.Index <= from.Index {
			low = middle
			continue
		}
		at, err := firstTime(s.src, s.req.Namespace, s.req.Partition, st, m)
		if err != nil {
			return nil, err
		}
		if at != 0 && at < t {
			from, low = m, middle
		} else {
			high = m.Index - 1
		}
	}
	return s.passUntil(st, from, t)
}

// passUntil places a cursor from a mark on just before the first event of time t or later.
func (s *subscription) passUntil(st State, from Mark, t int64) (*cursor, error) {
	probe := s.cursor(st, from)
	defer probe.close()
	for {
		found, err := probe.next(st.Applied.Index)
		if err != nil {
			return nil, err
		}
		if found && probe.ev.Time < t {
			from = Mark{Index: probe.at.Index, LastEvent: probe.stamp.Position, Chain: probe.stamp.Chain}
			continue
		}
		return s.cursor(st, from), nil
	}
}

// lacks says what becomes of a reader that wants what this replica doesn't have: the replicas that do; if none does, that it is
// compacted; and if some don't answer, those.
func (s *subscription) lacks(ctx context.Context, st State, wanted string, has func(*feedpb.StatusResponse) bool) error {
	replicas, err := s.server.replicas(ctx, s.req.Namespace, s.req.Partition)
	if err != nil {
		return err
	}
	answers := askStatus(ctx, replicas, &feedpb.StatusRequest{Namespace: s.req.Namespace, Partition: s.req.Partition}, s.server.opts.PeerDial)
	oldest := st.Oldest.LastEvent
	var have, silent []string
	for i, answer := range answers {
		switch {
		case answer.err != nil:
			silent = append(silent, replicas[i])
		case has(answer.status):
			have = append(have, replicas[i])
		case fromPB(answer.status.Oldest).Compare(oldest) < 0:
			oldest = fromPB(answer.status.Oldest)
		}
	}
	if len(have) == 0 {
		have = silent
	}
	if len(have) == 0 {
		return compacted(s.name(), wanted, oldest)
	}
	return elsewhere(s.name(), wanted, oldest, have)
}

type statusAnswer struct {
	status *feedpb.StatusResponse
	err    error
}

// peerTimeout is how long a replica has to say what it holds.
const peerTimeout = 2 * time.Second

// askStatus asks replicas what they hold, all at once. Answers are in the order of the addresses. One that has no such replica any more has
// nothing to say: its answer is an empty log.
func askStatus(ctx context.Context, addresses []string, req *feedpb.StatusRequest, dial []grpc.DialOption) []statusAnswer {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	answers := make([]statusAnswer, len(addresses))
	var group sync.WaitGroup
	for i, address := range addresses {
		group.Go(func() { answers[i] = askOne(ctx, address, req, dial) })
	}
	group.Wait()
	return answers
}

func askOne(ctx context.Context, address string, req *feedpb.StatusRequest, dial []grpc.DialOption) statusAnswer {
	conn, err := grpc.NewClient(address, dialOptions(dial)...)
	if err != nil {
		return statusAnswer{err: err}
	}
	defer conn.Close()
	resp, err := feedpb.NewFeedClient(conn).Status(ctx, req)
	if problem, ok := fromStatus(err); ok && (problem.Kind == Elsewhere || problem.Kind == Unknown) {
		return statusAnswer{status: &feedpb.StatusResponse{Oldest: &feedpb.Position{Term: ^uint64(0), Index: ^uint64(0)}}}
	}
	return statusAnswer{status: resp, err: err}
}

func dialOptions(more []grpc.DialOption) []grpc.DialOption {
	return append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, more...)
}
