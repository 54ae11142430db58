package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/message"
)

const (
	// batchTarget is how large a record batch becomes, before compression, when there is more to send: beyond it the broker doesn't get faster.
	batchTarget = 512 << 10
	// maxBatchBytes is the largest record batch that we send, whatever the topic takes: the broker takes requests of 100 MiB.
	maxBatchBytes = 64 << 20
	// renewAfter is how often an owner asks for a new producer epoch, so that the broker doesn't forget its transactional id
	// (transactional.id.expiration.ms, 7 days): then the next owner would get another producer id, which fences nobody.
	renewAfter = time.Hour
)

// stream appends record batches to one partition of a topic, one in flight at a time. It is the message.Appender of the sink, for one
// goroutine; Close may be called from any.
type stream struct {
	sink      *Sink
	topic     string
	partition uint32
	id        identity
	budget    *changefeed.Budget
	meter     *changefeed.Meter

	encoder  *recordEncoder
	request  []byte // the Produce request's header
	limit    int    // the most that a record batch may be
	producer producer
	renewed  time.Time // when the epoch was given out

	leader    string    // "": to be asked for
	holdUntil time.Time // the broker wants no request before
	failed    error     // what ended it
	closed    atomic.Bool
}

var _ message.Appender = (*stream)(nil)

// MaxBytes is what is left of a record batch for one message's key and value.
func (s *stream) MaxBytes() int { return s.limit - s.encoder.overhead() }

// Close ends it. The connections are the sink's.
func (s *stream) Close() error {
	s.closed.Store(true)
	return nil
}

// Append writes a batch, as one record batch or several.
func (s *stream) Append(ctx context.Context, b *message.Batch) error {
	if s.failed == nil && s.closed.Load() {
		s.failed = &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeInternal, What: "kafka: append to a closed stream", Action: actionBug}
	}
	for rest := b.Messages; len(rest) > 0 && s.failed == nil; {
		n := s.span(rest)
		s.failed = s.write(ctx, rest[:n])
		rest = rest[n:]
	}
	return s.failed
}

// span is how many messages make the next record batch: at least one.
func (s *stream) span(messages []message.Message) int {
	most := min(s.limit, batchTarget)
	size := batchHeader + len(s.encoder.closing)
	for i := range messages {
		size += s.encoder.bound(&messages[i])
		if i > 0 && size > most {
			return i
		}
	}
	return len(messages)
}

// write makes one record batch of messages and sends it.
func (s *stream) write(ctx context.Context, messages []message.Message) error {
	if time.Since(s.renewed) > renewAfter {
		if err := s.renew(ctx); err != nil {
			return err
		}
	}
	size := int64(len(s.request) + batchHeader + len(s.encoder.closing))
	for i := range messages {
		size += int64(s.encoder.bound(&messages[i]))
	}
	buf, err := s.sink.memory.acquire(ctx, s.budget, 2*size)
	if err != nil {
		return problem(err, "partition %d of topic %s: waiting for memory to encode a batch", s.partition, s.topic)
	}
	defer s.sink.memory.release(buf)
	request := s.encode(buf, messages, int(size))
	if len(request)-len(s.request) > s.limit {
		return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeInternal, Action: actionBug,
			What: fmt.Sprintf("kafka: a message of %d bytes, for a record batch of at most %d", len(request), s.limit)}
	}
	if wait := time.Until(s.holdUntil); wait > 0 && !sleep(ctx, wait) {
		return s.refused(ctx.Err(), len(request))
	}
	if _, err := s.send(ctx, request); err != nil {
		return s.refused(err, len(request))
	}
	s.producer.sequence = s.producer.after(len(messages))
	return nil
}

// encode makes the Produce request of messages.
func (s *stream) encode(buf *buffers, messages []message.Message, size int) []byte {
	body := len(s.request) + batchHeader
	b := room(buf.encoded, size, s.request)
	now := time.Now()
	first := recordTime(&messages[0], now)
	latest := first
	for i := range messages {
		at := recordTime(&messages[i], now)
		latest = max(latest, at)
		b = s.encoder.append(b, &messages[i], first, at, i, i == len(messages)-1)
	}
	buf.encoded = b
	c := CompressNone
	if s.sink.config.Compression != CompressNone {
		z, ok := appendCompressed(room(buf.compressed, 0, s.request), b[body:], s.sink.config.Compression)
		buf.compressed = z
		if ok {
			b, c = z, s.sink.config.Compression
		}
	}
	putHeader(b[len(s.request):], &s.producer, c, len(messages), first, latest)
	return b
}

// room begins a buffer: the request's header, and room for the batch's.
func room(buf []byte, size int, request []byte) []byte {
	if cap(buf) < size {
		buf = make([]byte, 0, size)
	}
	buf = append(buf[:0], request...)
	return append(buf, make([]byte, batchHeader)...)
}

// send writes one request until the broker has it, and returns the offset of its first record. Repeats carry the same sequence number: of a batch that
// the broker has already it only says so.
func (s *stream) send(ctx context.Context, request []byte) (offset int64, err error) {
	err = s.persist(ctx, func(ctx context.Context) error {
		if err := s.findLeader(ctx); err != nil {
			return err
		}
		var answer produced
		err := s.sink.cluster.with(ctx, s.leader, func(c *conn) (err error) {
			answer, err = c.produce(ctx, request, len(s.request))
			return err
		})
		if err != nil {
			return err
		}
		s.throttled(answer.throttled)
		offset = answer.offset
		if answer.code == int16(kafkago.DuplicateSequenceNumber) {
			return nil
		}
		return answer.err()
	})
	return offset, err
}

// persist repeats a request, and has the meter show why while it does: whoever watches doesn't wait for patience to end.
func (s *stream) persist(ctx context.Context, do func(context.Context) error) error {
	err := persist(ctx, s.retrying, do)
	if err == nil {
		s.meter.Trying.Store(nil)
	}
	return err
}

// retrying notes that a request is repeated; the leader may be another one by then.
func (s *stream) retrying(err error) {
	s.leader = ""
	s.meter.Retries.Add(1)
	s.meter.Trying.Store(problem(err, "partition %d of topic %s: a request is repeated", s.partition, s.topic))
	s.sink.log.Debug("kafka: a request is repeated", "topic", s.topic, "partition", s.partition, "error", err)
}

func (s *stream) findLeader(ctx context.Context) (err error) {
	if s.leader == "" {
		s.leader, err = s.sink.cluster.leader(ctx, s.topic, s.partition)
	}
	return err
}

// throttled heeds a quota: the broker held its answer's successor back for so long.
func (s *stream) throttled(d time.Duration) {
	if d <= 0 {
		return
	}
	s.meter.Throttled.Add(int64(d))
	s.holdUntil = time.Now().Add(d)
}

// refused makes the error of a batch that wasn't taken.
func (s *stream) refused(err error, size int) error {
	e := problem(err, "partition %d of topic %s: writing a batch of %d bytes", s.partition, s.topic, size)
	if e.Code == changefeed.CodeMessageTooLarge {
		s.sink.learn(s.limit / 2)
	}
	return e
}
