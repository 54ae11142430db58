package robustness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cli/internal/processes"
)

const (
	feedID = "proof"
	// brokerDisk holds all that a run writes.
	brokerDisk = 768 << 20
)

// The promise of a changefeed, on real processes: whatever happens to its owners, to the leaders that it reads and to the broker while clients
// write, the topic has every event once, in order, unaltered, and what it has folds to what the store has.
func TestChangefeedUnderFaults(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), inAll)
	defer cancel()
	s := seed(t)
	dir := artifacts(t)
	f := startFeed(t, ctx, dir, processes.Race, processes.Options{Nodes: 3, Partitions: partitions, Replicas: 3})
	w := NewWorkload(s, clients, connector(f.Cluster))
	f.Faults.Workload, f.Rand = w, rand.New(rand.NewPCG(s, 0))
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	collections := NewCollections(w, clients/2)
	go func() {
		defer close(ended)
		more := make(chan struct{})
		go func() { defer close(more); collections.Run(running) }()
		w.Run(running)
		<-more
	}()
	err := f.progress(ctx, during)
	if err == nil {
		err = f.Round(ctx)
	}
	stop()
	<-ended
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, f.Cluster.Logs(), f.Broker.LogTail())
	}
	t.Logf("%d commands answered; what clients met:\n%s", w.acked.Load(), w.Troubles())
	f.checkTopic(t, ctx)
	if err := f.Cluster.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := f.Cluster.Alarms(); err != nil {
		t.Error(err)
	}
}

// startFeed runs a cluster, a broker on a disk of its own behind a proxy, and a changefeed into it whose topic is read from the beginning.
func startFeed(t *testing.T, ctx context.Context, dir string, race bool, o processes.Options) *FeedFaults {
	t.Helper()
	broker := startBroker(t, ctx, dir)
	bin, err := processes.Build(t.TempDir(), race)
	if err != nil {
		t.Fatal(err)
	}
	o.Binaries, o.Dir, o.Namespace = bin, dir, namespace
	c, err := processes.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	f := &FeedFaults{Faults: &Faults{Cluster: c, Logf: t.Logf}, ID: feedID, Broker: broker}
	bound := redis.NewClient(&redis.Options{Addr: c.Nodes[0].Bound(namespace), MaxRetries: -1})
	defer bound.Close()
	if f.Markers, err = MarkerKeys(ctx, bound, c.Partitions); err != nil {
		t.Fatal(err)
	}
	if _, err := f.operator(nil).Create(ctx, feedID, namespace, sinkURI(broker), "--heartbeat", "1s"); err != nil {
		t.Fatal(err)
	}
	if f.Topic, err = FollowTopic(ctx, topicURI(c, broker), "", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Topic.cancel(); f.Topic.running.Wait() })
	return f
}

func startBroker(t *testing.T, ctx context.Context, dir string) *processes.Kafka {
	t.Helper()
	disk, err := processes.NewDisk(filepath.Join(dir, "broker"), brokerDisk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = disk.Close() })
	proxy, err := processes.NewProxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	broker, err := processes.StartKafka(ctx, processes.KafkaOptions{Dir: filepath.Join(dir, "kafka"), Disk: disk, Proxy: proxy})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Kill)
	return broker
}

func sinkURI(k *processes.Kafka) string {
	return fmt.Sprintf("kafka://%s/{cluster}.{namespace}", k.Addr())
}

// topicURI names the topic that sinkURI's template comes to.
func topicURI(c *processes.Cluster, k *processes.Kafka) string {
	return fmt.Sprintf("kafka://%s/%s.%s", k.Addr(), c.Nodes[0].Config.ClusterID, namespace)
}

// checkTopic holds the topic against its promises and against the store, when nobody writes any more.
func (f *FeedFaults) checkTopic(t *testing.T, ctx context.Context) {
	t.Helper()
	took, err := f.ComesOn(ctx, f.Cluster.Nodes[0])
	if err != nil {
		t.Fatalf("%v\n%s", err, f.Cluster.Logs())
	}
	t.Logf("caught up %v after the last write", took.Round(time.Millisecond))
	now := time.Now()
	content, err := ReadStore(ctx, f.Cluster.Nodes[len(f.Cluster.Nodes)-1].Bound(namespace))
	if err != nil {
		t.Fatal(err)
	}
	folds, err := f.Topic.Stop()
	if err != nil {
		t.Error(err)
	}
	if err := CompareFold(folds, content, now); err != nil {
		t.Error(err)
	}
	report, err := f.operator(nil).Verify(ctx, topicURI(f.Cluster, f.Broker))
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d keys in the store; zankv-cdc verify:\n%s", len(content), report)
	for p, s := range f.Topic.Partitions {
		if events, _, snapshots := s.Counts(); snapshots != 0 {
			t.Errorf("partition %d: %d snapshots, though its place in the log wasn't to be lost", p, snapshots)
		} else {
			t.Logf("partition %d: %d events", p, events)
		}
	}
}
