// Package kafkabench measures how fast the Kafka sink appends messages, against kafka-go's own producer with the same messages, keys, times and
// headers. Both wait for all acknowledgements, have one batch in flight, and compress the same way.
package kafkabench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/kafka"
	"github.com/zankv/zankv/cdc/message"
)

// Options say what to measure.
type Options struct {
	Broker string // host:port
	// Prefix begins the names of the two topics that are made, of one partition each.
	Prefix      string
	Compression kafka.Compression
	Messages    int // in all
	ValueBytes  int
	Seed        uint64
}

// Rate is what one side reached.
type Rate struct {
	Messages int
	Bytes    int // of keys and values
	Took     time.Duration
}

// PerSecond is in messages; MBPerSecond in 10^6 bytes of keys and values.
func (r Rate) PerSecond() float64   { return float64(r.Messages) / r.Took.Seconds() }
func (r Rate) MBPerSecond() float64 { return float64(r.Bytes) / 1e6 / r.Took.Seconds() }

// Result is what both reached.
type Result struct{ Sink, Bare Rate }

// Ratio is how many times as fast as kafka-go's producer the sink is.
func (r Result) Ratio() float64 { return r.Sink.PerSecond() / r.Bare.PerSecond() }

func (r Result) String() string {
	return fmt.Sprintf("sink %.0f messages/s (%.1f MB/s), kafka-go's writer %.0f messages/s (%.1f MB/s), ratio %.2f",
		r.Sink.PerSecond(), r.Sink.MBPerSecond(), r.Bare.PerSecond(), r.Bare.MBPerSecond(), r.Ratio())
}

const (
	// tuned are the settings with which kafka-go's writer is fastest here.
	tunedBatchBytes   = 1 << 20
	tunedBatchTimeout = time.Millisecond
	// perCall is how many messages it, and the sink, are given at a time.
	bytesPerCall = 512 << 10
	budget       = 64 << 20
)

// Run measures one after the other, each into a fresh topic.
func Run(ctx context.Context, o Options) (Result, error) {
	messages := Generate(o)
	var r Result
	var err error
	if r.Bare, err = Bare(ctx, o, messages); err != nil {
		return r, fmt.Errorf("kafka-go's writer: %w", err)
	}
	if r.Sink, err = Sink(ctx, o, messages); err != nil {
		return r, fmt.Errorf("the sink: %w", err)
	}
	return r, nil
}

// Generate makes the messages: lines of JSON about as compressible as those of changes are.
func Generate(o Options) []message.Message {
	random := rand.New(rand.NewPCG(o.Seed, 1))
	messages := make([]message.Message, o.Messages)
	now := time.Now().UnixNano()
	for i := range messages {
		key := fmt.Sprintf("users:%d", random.Uint32())
		messages[i] = message.Message{Kind: message.Change, Key: []byte(key), Value: line(random, i, key, o.ValueBytes),
			Position: event.Position{Term: 2, Index: uint64(i + 1)}, Of: 1, Time: now + int64(i)*1000}
	}
	return messages
}

// line is as long as a change's with a value of n bytes.
func line(random *rand.Rand, i int, key string, n int) []byte {
	value := make([]byte, 0, n+12)
	for len(value) < n {
		value = strconv.AppendUint(value, random.Uint64(), 36)
	}
	return fmt.Appendf(nil, `{"cluster":"dc-a","namespace":"default","partition":0,"position":"2-%d","seq":0,"of":1,"prev_position":"2-%d",`+
		`"ts":"2026-11-21T10:00:00.%09dZ","op":"set","type":"string","table":"users","key":"%s","value":"%s","version":"1795255200%09d@dc-a",`+
		`"prev":"1795255100%09d@dc-a","group":0,"command":"set","chain":"%016x%016x%016x%016x"}`,
		i+1, i, i, key, value[:n], i, i, random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64())
}

// calls cuts messages into what is handed over at a time.
func calls(messages []message.Message) [][]message.Message {
	var all [][]message.Message
	begin, size := 0, 0
	for i := range messages {
		size += len(messages[i].Key) + len(messages[i].Value)
		if size >= bytesPerCall {
			all = append(all, messages[begin:i+1])
			begin, size = i+1, 0
		}
	}
	return append(all, messages[begin:])
}

func rate(messages []message.Message, took time.Duration) Rate {
	r := Rate{Messages: len(messages), Took: took}
	for i := range messages {
		r.Bytes += len(messages[i].Key) + len(messages[i].Value)
	}
	return r
}

// Sink appends messages through the sink.
func Sink(ctx context.Context, o Options, messages []message.Message) (Rate, error) {
	c, err := kafka.ParseURI(fmt.Sprintf("kafka://%s/%s-sink?compression=%s", o.Broker, o.Prefix, o.Compression))
	if err != nil {
		return Rate{}, err
	}
	s, err := kafka.New(c, nil)
	if err != nil {
		return Rate{}, err
	}
	defer s.Close()
	spec := &changefeed.Spec{ID: "bench", Namespace: "default", Format: changefeed.JSON}
	a, _, err := s.Appender(ctx, changefeed.Target{Spec: spec, Cluster: "dc-a", Partitions: 1, Epoch: 1,
		Budget: changefeed.NewBudget(budget), Meter: &changefeed.Meter{}})
	if err != nil {
		return Rate{}, err
	}
	defer a.Close()
	began := time.Now()
	for _, call := range calls(messages) {
		if err := a.Append(ctx, &message.Batch{Messages: call}); err != nil {
			return Rate{}, err
		}
	}
	return rate(messages, time.Since(began)), nil
}

// Bare appends them through kafka-go's writer.
func Bare(ctx context.Context, o Options, messages []message.Message) (Rate, error) {
	topic := o.Prefix + "-bare"
	client := &kafkago.Client{Addr: kafkago.TCP(o.Broker)}
	r, err := client.CreateTopics(ctx, &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{{Topic: topic, NumPartitions: 1, ReplicationFactor: -1}}})
	if err == nil {
		err = r.Errors[topic]
	}
	if err != nil && !errors.Is(err, kafkago.TopicAlreadyExists) {
		return Rate{}, err
	}
	w := &kafkago.Writer{Addr: kafkago.TCP(o.Broker), Topic: topic, BatchSize: len(messages), BatchBytes: tunedBatchBytes,
		BatchTimeout: tunedBatchTimeout, RequiredAcks: kafkago.RequireAll, Compression: kafkago.Compression(o.Compression)}
	defer w.Close()
	bare := make([]kafkago.Message, len(messages))
	for i := range messages {
		bare[i] = plain(&messages[i])
	}
	if err := w.WriteMessages(ctx, bare[0]); err != nil { // it finds the leader
		return Rate{}, err
	}
	began := time.Now()
	done := 0
	for _, call := range calls(messages) {
		if err := w.WriteMessages(ctx, bare[done:done+len(call)]...); err != nil {
			return Rate{}, err
		}
		done += len(call)
	}
	return rate(messages, time.Since(began)), nil
}

// plain is the record that the sink makes of a message.
func plain(m *message.Message) kafkago.Message {
	text := func(name, value string) kafkago.Header { return kafkago.Header{Key: name, Value: []byte(value)} }
	return kafkago.Message{Key: m.Key, Value: m.Value, Time: time.Unix(0, m.Time), Headers: []kafkago.Header{
		text(kafka.HeaderCluster, "dc-a"), text(kafka.HeaderNamespace, "default"), text(kafka.HeaderPartition, "0"),
		text(kafka.HeaderFormat, string(changefeed.JSON)), text(kafka.HeaderType, string(m.Kind)), text(kafka.HeaderPosition, m.Position.String()),
		text(kafka.HeaderSeq, strconv.Itoa(int(m.Seq))), text(kafka.HeaderOf, strconv.Itoa(int(m.Of)))}}
}
