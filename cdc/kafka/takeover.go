package kafka

import (
	"context"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/initproducerid"

	"github.com/zankv/zankv/cdc/changefeed"
)

const (
	// transactionTimeout is part of the request for an epoch. There are no transactions: it has no effect.
	transactionTimeout = time.Minute
	// noProducer asks for an epoch as a new owner, whoever had one before.
	noProducer = -1
	// maxFences bounds how many earlier producers a takeover fences. There is more than one only if the broker forgot ours several times while
	// their owners lived on.
	maxFences = 8
)

// transactionalID names a partition of a changefeed to Kafka. All its owners share it: that is what makes their epochs follow each other.
func transactionalID(id identity) string {
	return fmt.Sprintf("zankv/%s/%s/%s-%d", id.cluster, id.changefeed, id.namespace, id.partition)
}

// takeOver makes this process the partition's only writer, and returns what stands at the end. The order is what makes it safe:
//
//  1. The coordinator gives out the next epoch of our producer id. The partition's leader doesn't know of it yet: the owner before may still write.
//  2. A fence, a record without content, is written with that epoch. From then on the leader refuses lower ones.
//  3. What stands before the fence is read. All that the owner before had in flight is there, or was refused, or will be.
//  4. If another producer id stands there last, because Kafka forgot ours meanwhile, that one is fenced by a record with its next epoch,
//     and what came between the two fences is read, too.
//
// Kafka's epochs follow the order of takeovers, not of claims: an owner that was stopped before 1 and goes on much later gets the highest
// epoch. It sees then that the last batch, or a fence after it, names a claim above its own, and gives up; the true owner opens again.
func (s *stream) takeOver(ctx context.Context) (*tail, error) {
	if err := s.initProducer(ctx, noProducer, noProducer); err != nil {
		return nil, err
	}
	s.sink.log.Debug("kafka: takes a partition over", "topic", s.topic, "partition", s.partition, "producer", s.producer.id, "epoch", s.producer.epoch)
	fence, err := s.fence(ctx, &s.producer)
	if err != nil {
		return nil, err
	}
	s.producer.sequence = s.producer.after(1)
	t := newTail(s.id)
	if err := s.readTail(ctx, t, fence); err != nil {
		return nil, err
	}
	for range maxFences {
		if err := t.check(s); err != nil {
			return nil, err
		}
		other, ok := t.unfenced(s.producer.id)
		if !ok {
			return t, nil
		}
		s.sink.log.Info("kafka: fences an earlier producer", "topic", s.topic, "partition", s.partition, "producer", other.id, "epoch", other.epoch)
		next, err := s.fence(ctx, &other)
		if err != nil {
			return nil, err
		}
		t.fenced(other)
		if err := s.scan(ctx, t, fence+1, next); err != nil {
			return nil, err
		}
		fence = max(fence, next)
	}
	return nil, &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeSinkDiverged, Action: actionForeign,
		What: fmt.Sprintf("partition %d of topic %s is written by others all the time", s.partition, s.topic)}
}

// initProducer gets the epoch with which to write: a new owner's, or a renewed one if id and epoch are those that it has.
func (s *stream) initProducer(ctx context.Context, id int64, epoch int16) error {
	tid := transactionalID(s.id)
	err := s.persist(ctx, func(ctx context.Context) error {
		addr, err := s.sink.cluster.coordinator(ctx, tid)
		if err != nil {
			return err
		}
		answer, err := s.sink.cluster.ask(ctx, addr, &initproducerid.Request{TransactionalID: tid,
			TransactionTimeoutMs: int32(transactionTimeout.Milliseconds()), ProducerID: id, ProducerEpoch: epoch})
		if err != nil {
			return err
		}
		r := answer.(*initproducerid.Response)
		if err := code(r.ErrorCode); err != nil {
			return err
		}
		s.producer = producer{id: r.ProducerID, epoch: r.ProducerEpoch}
		return nil
	})
	if err != nil {
		return problem(err, "partition %d of topic %s: asking for a producer epoch for %s", s.partition, s.topic, tid)
	}
	s.renewed = time.Now()
	return nil
}

// renew gets a further epoch, which nobody may have got but us. The broker's answer to a request that was repeated after its answer was lost is
// the same epoch again.
func (s *stream) renew(ctx context.Context) error {
	return s.initProducer(ctx, s.producer.id, s.producer.epoch)
}

// fence writes a record with a producer's epoch, whose first it is, and returns its offset.
func (s *stream) fence(ctx context.Context, p *producer) (int64, error) {
	b := room(nil, 0, s.request)
	b = s.encoder.fence(b)
	now := time.Now().UnixMilli()
	putHeader(b[len(s.request):], p, CompressNone, 1, now, now)
	offset, err := s.send(ctx, b)
	if err == nil && offset < 0 { // a repeat of which the broker doesn't know any more where it stands
		err = kafkaCode(kafkago.DuplicateSequenceNumber)
	}
	if err != nil {
		return 0, problem(err, "partition %d of topic %s: fencing earlier owners off", s.partition, s.topic)
	}
	return offset, nil
}

// readTail reads backwards from the fence until it has the last record that isn't one, in windows that grow: before it stand as many fences as
// owners had nothing to write.
func (s *stream) readTail(ctx context.Context, t *tail, fence int64) error {
	for window := int64(1); ; window *= 8 {
		from := max(fence-window, 0)
		first, err := s.scanFrom(ctx, t, from, fence)
		if err != nil {
			return err
		}
		if t.found || first >= from {
			return nil
		}
	}
}
