package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/kafka"
	"github.com/zankv/zankv/cdc/kafka/kafkabench"
	"github.com/zankv/zankv/cli/internal/processes"
)

// kafkaSections measure changefeeds into a real Kafka: the sink against kafka-go's own producer, and a cluster of 3 nodes with a changefeed
// over all its partitions. Broker, cluster and load generator share the machine.
func kafkaSections(o *Options) []Section {
	broker := &kafkaBroker{o: o}
	z := newZankvLocal(o, "zankvkafka", 3, 3)
	k := &kafkaFeed{o: o, z: z, broker: broker, cost: feedCost{o: o, z: z}}
	k.cost.watchKafka = k.watch
	return []Section{
		{
			Name: "kafka-sink", About: "the Kafka sink against kafka-go's producer, same messages, acks=all", Systems: []System{broker},
			Measurements: []Measurement{{Name: "kafka.sink", Turn: turnKafka, Run: k.sink}},
			Rows: []Row{
				{What: "messages of 128 bytes' values, /s", Of: "kafka.sink.ours.mps", Over: "kafka.sink.bare.mps", AtLeast: 0.7},
				{What: "the same, MB/s", Of: "kafka.sink.ours.mbps", Over: "kafka.sink.bare.mbps", AtLeast: 0.7},
			},
		},
		{
			Name: "kafka-feed", About: "a changefeed of 4 partitions into Kafka, 3 nodes, 3 replicas", Systems: []System{broker, z},
			Prepare: z.direct.fill,
			Measurements: []Measurement{
				{Name: "kafka.follow", Turn: turnKafka, Run: k.follow},
				{Name: "kafka.cost", Turn: turnKafka, Run: k.writersCost},
				{Name: "kafka.delay", Turn: turnKafka, Run: k.delay},
			},
			Rows: []Row{
				{What: "mutations in Kafka / written, SET, 50 clients, pipeline 16, /s", Of: "kafka.follow.feed.rps", Over: "kafka.follow.write.rps", AtLeast: 0.95},
				{What: "the same, MB/s of keys and values of messages", Of: "kafka.follow.feed.mbps"},
				{What: "SET, 50 clients, with the changefeed / without, /s", Of: "kafka.cost.kafka.rps", Over: "kafka.cost.none.rps", AtLeast: 0.95},
				{What: "the cluster's processor time a SET, with / without, µs", Of: "kafka.cost.kafka.cpu.us", Over: "kafka.cost.none.cpu.us", AtMost: 1.05},
				{What: "SET at half that rate, median latency, with / without, µs", Of: "kafka.delay.with.p50us", Over: "kafka.delay.without.p50us", AtMost: 1.05},
				{What: "commit to consumer at half load, p50, ms", Of: "kafka.delay.p50.ms", AtMost: 20},
				{What: "commit to consumer at half load, p99, ms", Of: "kafka.delay.p99.ms", AtMost: 100},
			},
		},
	}
}

// kafkaBroker is one broker of Apache Kafka.
type kafkaBroker struct {
	o *Options
	k *processes.Kafka
}

func (b *kafkaBroker) Name() string { return "Apache Kafka, 1 broker" }

// Check has nothing to say: Start names what is missing.
func (b *kafkaBroker) Check() error { return nil }

func (b *kafkaBroker) Version(context.Context) (string, error) {
	version, err := processes.KafkaVersion()
	return "Apache Kafka " + version, err
}

func (b *kafkaBroker) Start(ctx context.Context) (err error) {
	b.k, err = processes.StartKafka(ctx, processes.KafkaOptions{Dir: b.o.Dir + "/kafka", LongLived: true})
	return err
}

func (b *kafkaBroker) Stop() {
	if b.k != nil {
		b.k.Kill()
	}
}

// sinkMessages is how many messages each side sends in a second of Options.Each.
const sinkMessages = 150_000

func (k *kafkaFeed) sink(ctx context.Context) (Samples, error) {
	k.runs++
	r, err := kafkabench.Run(ctx, kafkabench.Options{Broker: k.broker.k.Addr(), Prefix: fmt.Sprintf("sink-%d", k.runs),
		Compression: kafka.DefaultCompression, Messages: int(sinkMessages * k.o.Each.Seconds()), ValueBytes: len(value), Seed: uint64(k.runs)})
	if err != nil {
		return nil, err
	}
	return Samples{"kafka.sink.ours.mps": r.Sink.PerSecond(), "kafka.sink.bare.mps": r.Bare.PerSecond(),
		"kafka.sink.ours.mbps": r.Sink.MBPerSecond(), "kafka.sink.bare.mbps": r.Bare.MBPerSecond()}, nil
}

// kafkaFeed measures a cluster with a changefeed.
type kafkaFeed struct {
	o      *Options
	z      *zankvLocal
	broker *kafkaBroker
	cost   feedCost
	runs   int
}

// followTimes is for how many times Options.Each the fastest writer is followed: long enough that the last batch counts for little.
const followTimes = 4

// follow lets the fastest writer of this benchmark write, and looks when Kafka has the last of it.
func (k *kafkaFeed) follow(ctx context.Context) (Samples, error) {
	l := load{"SET", 50, 16}
	n, err := k.z.direct.requests(ctx, l, followTimes*k.o.Each)
	if err != nil {
		return nil, err
	}
	watchers, err := k.watch(ctx)
	defer func() { stopAll(watchers) }()
	if err != nil {
		return nil, err
	}
	if err := k.cost.mark(ctx, watchers); err != nil {
		return nil, err
	}
	began := time.Now()
	rps, _, err := k.z.direct.run(ctx, l, n)
	if err != nil {
		return nil, err
	}
	if err := k.cost.mark(ctx, watchers); err != nil {
		return nil, err
	}
	took := time.Since(began).Seconds() // the start of the load generators, and the marks, included
	if err := sawAll(watchers, n); err != nil {
		return nil, err
	}
	size, err := messageBytes(watchers)
	if err != nil {
		return nil, err
	}
	return Samples{"kafka.follow.write.rps": rps, "kafka.follow.feed.rps": float64(n) / took, "kafka.follow.feed.mbps": float64(n) * size / 1e6 / took}, nil
}

// writersCost measures writers with and without the changefeed.
func (k *kafkaFeed) writersCost(ctx context.Context) (Samples, error) {
	s, err := k.cost.compare(ctx, []string{"none", "kafka"})
	if err != nil {
		return nil, err
	}
	return Samples{"kafka.cost.none.rps": s["none"].rps(), "kafka.cost.kafka.rps": s["kafka"].rps(),
		"kafka.cost.none.cpu.us": s["none"].cpuMicros(), "kafka.cost.kafka.cpu.us": s["kafka"].cpuMicros()}, nil
}

func stopAll(watchers []watcher) {
	for _, w := range watchers {
		w.stop()
	}
}

// watch creates a changefeed from now on, into a topic of its own, and gives a watcher for each partition of the topic. The first watcher's stop
// removes it.
func (k *kafkaFeed) watch(ctx context.Context) ([]watcher, error) {
	k.runs++
	id := fmt.Sprintf("bench-%d", k.runs)
	spec := changefeed.Spec{ID: id, Namespace: localNamespace, SinkURI: "kafka://" + k.broker.k.Addr() + "/" + id, From: "latest", Digests: true}
	spec.SetDefaults()
	return watchTopic(ctx, k.z.grpc(), spec)
}
