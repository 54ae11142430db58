package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// subscription is one stream being served.
type subscription struct {
	server *Server
	src    Source
	req    *feedpb.SubscribeRequest
	stream grpc.ServerStreamingServer[feedpb.SubscribeResponse]

	records []byte // the batch being filled
	count   uint32
	sent    time.Time // when the last batch or bookmark went out
	batch   time.Time // when the last batch went out
	asOf    time.Time // when what is being copied was all there was; zero: that isn't known
	led     time.Time // when a leader was known last, or the stream began
	names   int       // how many cluster numbers the reader knows of
}

func (s *subscription) name() string { return fmt.Sprintf("%s-%d", s.req.Namespace, s.req.Partition) }

func (s *subscription) serve(ctx context.Context) error {
	s.led = time.Now()
	s.current()
	st, err := s.src.State()
	if err != nil {
		return err
	}
	c, want, err := s.start(ctx, st)
	if err != nil {
		return err
	}
	defer c.close()
	if err := s.sendBase(c, st); err != nil {
		return err
	}
	for {
		if err := s.copy(ctx, c, want, st.Applied.Index); err != nil {
			return err
		}
		if !s.req.Follow {
			return s.send(&feedpb.SubscribeResponse{Body: &feedpb.SubscribeResponse_End{End: &feedpb.End{Position: toPB(c.at)}}})
		}
		if st.Applied.Index, err = s.wait(ctx, c); err != nil {
			return err
		}
		s.current()
	}
}

func (s *subscription) sendBase(c *cursor, st State) error {
	s.names = len(c.names)
	return s.send(&feedpb.SubscribeResponse{Body: &feedpb.SubscribeResponse_Base{Base: &feedpb.Base{
		Cluster: c.stamp.Cluster, Namespace: c.stamp.Namespace, Partition: c.stamp.Partition,
		Prev: toPB(c.stamp.Position), PrevChain: c.stamp.Chain[:], Names: c.names, Oldest: toPB(st.Oldest.LastEvent),
	}}})
}

// copy sends the events up to index.
func (s *subscription) copy(ctx context.Context, c *cursor, want event.Position, index uint64) error {
	for c.at.Index < index {
		entries, err := c.reader.Next(index)
		if truncated(err) {
			return s.overtaken(ctx, c)
		}
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return fmt.Errorf("feed %s: the log ends at %d, before %d, which is applied", s.name(), c.at.Index, index)
		}
		for i := range entries {
			is, err := c.step(&entries[i])
			if err == nil {
				err = c.check(want)
			}
			if err != nil {
				return err
			}
			if is {
				if err := s.add(c, entries[i].Data); err != nil {
					return err
				}
			}
		}
		if time.Since(s.sent) > s.server.opts.Bookmark {
			if err := s.report(c); err != nil {
				return err
			}
		}
	}
	return s.flush(c, c.stamp.Chain)
}

// current notes that there is nothing behind what was applied. A replica that knows no leader can't tell: others may have committed what it doesn't hear of.
func (s *subscription) current() {
	if now := time.Now(); led(s.src) {
		s.asOf, s.led = now, now
	}
}

// report sends what there is, a bookmark if there is nothing: on a long way without events too, the reader hears of its stream.
func (s *subscription) report(c *cursor) error {
	if s.count > 0 {
		return s.flush(c, c.stamp.Chain)
	}
	if s.asOf.IsZero() {
		return nil
	}
	s.sent = time.Now()
	mark := &feedpb.Bookmark{Position: toPB(c.at), Time: s.asOf.UnixNano()}
	return s.send(&feedpb.SubscribeResponse{Body: &feedpb.SubscribeResponse_Bookmark{Bookmark: mark}})
}

// overtaken answers a reader that was too slow: the log was truncated under it.
func (s *subscription) overtaken(ctx context.Context, c *cursor) error {
	if err := s.flush(c, c.stamp.Chain); err != nil {
		return err
	}
	st, err := s.src.State()
	if err != nil {
		return err
	}
	first := c.at.Index + 1
	return s.lacks(ctx, st, "what follows position "+c.stamp.Position.String(), func(r *feedpb.StatusResponse) bool { return r.Oldest.GetIndex() < first })
}

// add puts the event that the cursor stands at into the batch. A batch that is full without it goes out first.
func (s *subscription) add(c *cursor, data []byte) error {
	if s.count > 0 && len(s.records)+len(data) > batchBytes {
		if err := s.flush(c, c.stamp.PrevChain); err != nil {
			return err
		}
	}
	if s.records == nil {
		// gRPC may look at a message after it was sent, so each batch has memory of its own.
		s.records = make([]byte, 0, s.batchSize(len(data)))
	}
	s.records = appendRecord(s.records, c.stamp.Position, c.stamp.Prev, data)
	s.count++
	return nil
}

// batchSize is what to allocate for a batch: little for a stream that follows, as its batches are mostly small.
func (s *subscription) batchSize(first int) int {
	const overhead = 64
	if s.lingering() {
		return max(batchBytes, first) + overhead
	}
	return first + overhead
}

// flush sends the batch, after whose last event the chain is the one given.
func (s *subscription) flush(c *cursor, chain event.Chain) error {
	if s.count == 0 {
		return nil
	}
	s.server.metrics.Events.Add(uint64(s.count))
	s.server.metrics.Bytes.Add(uint64(len(s.records)))
	batch := &feedpb.Batch{Records: s.records, Chain: chain[:], Count: s.count}
	if len(c.names) > s.names {
		batch.Names, s.names = slices.Clone(c.names), len(c.names)
	}
	s.records, s.count = nil, 0
	err := s.send(&feedpb.SubscribeResponse{Body: &feedpb.SubscribeResponse_Batch{Batch: batch}})
	s.sent = time.Now()
	s.batch = s.sent
	return err
}

// send waits until gRPC takes the message, which is what bounds the memory of a stream whose reader is slow.
func (s *subscription) send(m *feedpb.SubscribeResponse) error {
	if err := s.stream.Send(m); err != nil {
		return fmt.Errorf("feed %s: send: %w", s.name(), err)
	}
	return nil
}

// wait returns the applied index when it is above the cursor's. Until then it sends bookmarks.
func (s *subscription) wait(ctx context.Context, c *cursor) (uint64, error) {
	for {
		timeout, cancel := context.WithTimeout(ctx, s.server.opts.Bookmark)
		index, err := s.src.WaitApplied(timeout, c.at.Index)
		cancel()
		switch {
		case err == nil && s.lingering():
			if err := s.linger(ctx); err != nil {
				return 0, err
			}
			return s.src.WaitApplied(ctx, c.at.Index) // it went on meanwhile
		case err == nil:
			return index, nil
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case !errors.Is(err, context.DeadlineExceeded):
			return 0, err
		}
		if s.current(); time.Since(s.led) > s.server.opts.Leaderless {
			return 0, status.Errorf(codes.Unavailable, "feed %s: this replica has known no leader for %s: ask another one", s.name(), s.server.opts.Leaderless)
		}
		if err := s.report(c); err != nil {
			return 0, err
		}
	}
}

func (s *subscription) lingering() bool { return time.Since(s.batch) < s.gathering() }

// gathering is the least time between two batches.
func (s *subscription) gathering() time.Duration {
	if s.req.LingerMs == 0 {
		return s.server.opts.Linger
	}
	return min(time.Duration(s.req.LingerMs)*time.Millisecond, s.server.opts.Linger)
}

// linger lets a batch gather on a busy partition.
func (s *subscription) linger(ctx context.Context) error {
	timer := time.NewTimer(s.gathering() - time.Since(s.batch))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
