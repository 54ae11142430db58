package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/message"
)

// writerBatch is how much a writer collects for one append when there is more to send than the broker takes: some record batches.
const writerBatch = 2 * batchTarget

// Sink is the changefeed.Sink of kafka:// URIs: one changefeed's topic, all its partitions. Its methods may be called from any goroutine.
type Sink struct {
	config  *Config
	cluster *cluster
	memory  *memory
	log     *slog.Logger
	// learned is what a broker took less than it said: the limit of a record batch then, 0 if it never did.
	learned atomic.Int64
}

var _ changefeed.Sink = (*Sink)(nil)

// New makes a sink. It reads the files that the URI names and connects to nothing. logger may be nil. Close gives its connections up.
func New(c *Config, logger *slog.Logger) (*Sink, error) {
	cl, err := newCluster(c)
	if err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Sink{config: c, cluster: cl, memory: newMemory(), log: logger}, nil
}

// OpenSpec is New for a definition: what a worker wants. The error is a *changefeed.Error.
func OpenSpec(spec *changefeed.Spec, logger *slog.Logger) (*Sink, error) {
	c, err := ParseURI(spec.SinkURI)
	if err != nil {
		return nil, misconfigured(err)
	}
	s, err := New(c, logger)
	if err != nil {
		return nil, misconfigured(err)
	}
	return s, nil
}

func misconfigured(err error) error {
	return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeSinkConfig, Final: true, Action: actionConfig,
		What: "the sink's URI can't be used", Err: err}
}

// Check tries what Open will do first, without writing anything into a partition: it reaches the brokers, and has the topic of the namespace's
// number of partitions, creating it if that is wanted. The error is a *changefeed.Error.
func (s *Sink) Check(ctx context.Context, cluster, namespace string, partitions uint32) error {
	topic, err := s.config.Topic(cluster, namespace)
	if err != nil {
		return misconfigured(err)
	}
	_, err = s.cluster.ensureTopic(ctx, s.config, topic, partitions, nil)
	return err
}

// Close closes the connections. Streams that are open fail.
func (s *Sink) Close() error { return s.cluster.Close() }

// Open takes a partition over; see stream.takeOver for why nothing of an earlier owner comes after.
func (s *Sink) Open(ctx context.Context, t changefeed.Target) (changefeed.Writer, error) {
	a, last, err := s.open(ctx, t)
	if err != nil {
		return nil, err
	}
	w, err := message.NewWriter(ctx, message.Options{Target: t, Appender: a, Tail: message.Tail{Last: last},
		Tombstones: s.tombstones(a), BatchBytes: writerBatch, Linger: message.DefaultLinger})
	if err != nil {
		return nil, problem(err, "partition %d of topic %s: going on after its end", t.Partition, a.topic)
	}
	return w, nil
}

func (s *Sink) tombstones(a *stream) bool {
	if s.config.Tombstones != nil {
		return *s.config.Tombstones
	}
	return a.encoder.compacted
}

// Appender is Open without a writer before it: for who has messages already. last is what stands at the partition's end, of kind "" if nothing
// does.
func (s *Sink) Appender(ctx context.Context, t changefeed.Target) (a message.Appender, last message.Message, err error) {
	return s.open(ctx, t)
}

// open gives the stream that appends, and the last message in it (of kind "" if there is none).
func (s *Sink) open(ctx context.Context, t changefeed.Target) (*stream, message.Message, error) {
	var none message.Message
	topic, err := s.config.Topic(t.Cluster, t.Spec.Namespace)
	if err != nil {
		return nil, none, misconfigured(err)
	}
	shape, err := s.cluster.ensureTopic(ctx, s.config, topic, t.Partitions, func(err error) {
		t.Meter.Trying.Store(problem(err, "topic %s: looking it up is repeated", topic))
	})
	if err != nil {
		return nil, none, err
	}
	if n := int(s.learned.Load()); n != 0 {
		shape.limit = min(shape.limit, n)
	}
	id := identity{cluster: t.Cluster, namespace: t.Spec.Namespace, partition: t.Partition, format: string(t.Spec.Format),
		changefeed: t.Spec.ID, epoch: t.Epoch}
	a := &stream{sink: s, topic: topic, partition: t.Partition, id: id, budget: t.Budget, meter: t.Meter,
		encoder: newRecordEncoder(id, shape.compacted), request: produceHeader(topic, t.Partition), limit: shape.limit}
	if a.MaxBytes() < minRoom {
		return nil, none, &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeMessageTooLarge, Final: true,
			What:   fmt.Sprintf("topic %s takes record batches of %d bytes: that is too little for a message's headers and a part of a value", topic, shape.limit),
			Action: fmt.Sprintf("Raise the topic's max.message.bytes: to %d at least, better to 1048588.", a.encoder.overhead()+minRoom)}
	}
	last, err := a.takeOver(ctx)
	if err != nil {
		return nil, none, err
	}
	return a, last.last, nil
}

// minRoom is the least that must be left for key and value: a writer makes no smaller messages.
const minRoom = message.MinMaxBytes

// learn notes that the broker didn't take a record batch that it should have taken.
func (s *Sink) learn(limit int) { s.learned.Store(int64(limit)) }
