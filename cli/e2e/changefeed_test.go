package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/message"
	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/cli/robustness"
)

var (
	brokerStarted bool
	theBroker     = sync.OnceValues(func() (*processes.Kafka, error) {
		brokerStarted = true
		return processes.StartKafka(context.Background(), processes.KafkaOptions{Dir: filepath.Join(sharedDir, "kafka")})
	})
)

// sharedBroker is the broker of tests that don't harm it.
func sharedBroker(t *testing.T) *processes.Kafka {
	t.Helper()
	k, err := theBroker()
	if err != nil {
		t.Fatal(err)
	}
	showLogs(t, k.LogTail)
	return k
}

func operator(c *processes.Cluster) *robustness.Operator {
	return &robustness.Operator{Binary: c.CDC, Nodes: c.GRPCAddrs()}
}

// feedOf is a changefeed of a namespace into a topic of its own, which is read from its beginning.
type feedOf struct {
	*robustness.Operator
	cluster       *processes.Cluster
	id, namespace string
	sink, source  string // URIs: what create was told, and what verify is
	topic         *robustness.Topic
	bound         *redis.Client
	markers       []string
}

// newFeed creates a changefeed named after its topic, and reads that.
func newFeed(t *testing.T, c *processes.Cluster, k *processes.Kafka, namespace, id, options string, more ...string) *feedOf {
	t.Helper()
	f := createFeed(t, c, k, namespace, id, options, more...)
	f.follow(t)
	return f
}

func createFeed(t *testing.T, c *processes.Cluster, k *processes.Kafka, namespace, id, options string, more ...string) *feedOf {
	t.Helper()
	f := &feedOf{Operator: operator(c), cluster: c, id: id, namespace: namespace, bound: plain(t, c.Nodes[0].Bound(namespace))}
	f.source = fmt.Sprintf("kafka://%s/%s", k.Addr(), id)
	f.sink = f.source + options
	created, err := f.Create(bounded(t), id, namespace, f.sink, more...)
	must(t, "create", err)
	if created.ID != id || created.State != changefeed.Normal || created.Spec.SinkURI != f.sink || created.Spec.Namespace != namespace {
		t.Fatalf("created %+v", created)
	}
	return f
}

func (f *feedOf) follow(t *testing.T) {
	t.Helper()
	var err error
	f.topic, err = robustness.FollowTopic(bounded(t), f.sink, "", "")
	must(t, "the topic", err)
	f.markers, err = robustness.MarkerKeys(bounded(t), f.bound, len(f.topic.Partitions))
	must(t, "marker keys", err)
	t.Cleanup(func() { _, _ = f.topic.Stop() })
}

// caughtUp returns when all that was written before has come to the topic.
func (f *feedOf) caughtUp(t *testing.T) {
	t.Helper()
	m, err := robustness.Mark(bounded(t), f.bound, f.markers)
	must(t, "mark", err)
	must(t, "the topic", f.topic.Await(bounded(t), m))
}

// equal holds what the topic folds to against the store, and has zankv-cdc verify look at the topic. Nobody writes any more. It returns what is there.
func (f *feedOf) equal(t *testing.T) map[string]robustness.Entry {
	t.Helper()
	f.caughtUp(t)
	now := time.Now()
	content, err := robustness.ReadStore(bounded(t), f.cluster.Nodes[len(f.cluster.Nodes)-1].Bound(f.namespace))
	must(t, "read", err)
	folds, err := f.topic.Stop()
	must(t, "the topic", err)
	must(t, "compare", robustness.CompareFold(folds, content, now))
	report, err := f.Verify(bounded(t), f.source)
	must(t, "verify", err)
	t.Logf("%s: %d keys\n%s", f.id, len(content), report)
	return content
}

// until asks for the changefeed until it is as it should be.
func (f *feedOf) until(t *testing.T, what string, ok func(*robustness.Feed) bool) *robustness.Feed {
	t.Helper()
	var last robustness.Feed
	err := robustness.Until(bounded(t), func(ctx context.Context) error {
		q, err := f.Query(ctx, f.id)
		if err != nil {
			return err
		}
		if last = q; !ok(&last) {
			return errors.New("it isn't")
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v; %s was %+v with trouble %+v", what, err, f.id, last, last.Trouble)
	}
	return &last
}

// clients writes keys of all types, counters and such as expire, by some clients at once, until so many commands were answered.
func clients(t *testing.T, c *processes.Cluster, namespace string, commands int64) {
	t.Helper()
	w := robustness.NewWorkload(1, 4, func(node, kind int) *robustness.Client {
		return robustness.Dial(c.Nodes[node%len(c.Nodes)].Bound(namespace), "", 2+kind%2)
	})
	collections := robustness.NewCollections(w, 4)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	running.Go(func() { collections.Run(ctx) })
	err := w.Progress(bounded(t), commands)
	cancel()
	running.Wait()
	must(t, "the clients", err)
}

// What clients write comes to the topic: all types, with deletions, expiries and counters, whichever node runs the changefeed. Kafka's partitions are the
// namespace's, and what each folds to is what clients read.
func TestChangefeedIntoKafka(t *testing.T) {
	t.Parallel()
	c, k := sharedCluster(t), sharedBroker(t)
	namespace(t, c, nsFeeds, "--partitions", "4", "--replicas", "3")
	clients(t, c, nsFeeds, 500)
	f := newFeed(t, c, k, nsFeeds, "into-kafka", "", "--heartbeat", "200ms")
	clients(t, c, nsFeeds, 2500)
	f.caughtUp(t)
	f.idles(t)
	q := f.until(t, "it has caught up", func(q *robustness.Feed) bool { return q.Totals.LagEntries == 0 && q.Totals.Owned == 4 })
	for p, part := range q.Partitions {
		if part.State != changefeed.Normal || part.Trouble != nil || part.Figures.Events == 0 || part.Epoch == 0 || robustness.NodeOf(c, part.Owner) < 0 {
			t.Errorf("partition %d: %+v", p, part)
		}
	}
	f.seenElsewhere(t, q)
	f.equal(t)
}

// idles wants partitions without changes to say how far they are.
func (f *feedOf) idles(t *testing.T) {
	t.Helper()
	before := make([]int, len(f.topic.Kinds))
	for p := range before {
		before[p], _ = f.topic.Kinds[p].Of(message.Heartbeat)
	}
	for p, k := range f.topic.Kinds {
		await(t, "heartbeats", func() error {
			if n, _ := k.Of(message.Heartbeat); n < before[p]+3 {
				return fmt.Errorf("partition %d: %d more heartbeats", p, n-before[p])
			}
			return nil
		})
	}
}

// seenElsewhere: /metrics and INFO of the owners name it, too.
func (f *feedOf) seenElsewhere(t *testing.T, q *robustness.Feed) {
	t.Helper()
	n := f.cluster.Nodes[robustness.NodeOf(f.cluster, q.Partitions[0].Owner)]
	if text := succeeds(t, "curl", "-sf", "http://"+n.HTTP()+"/metrics"); !strings.Contains(text, `changefeed="`+f.id+`"`) {
		t.Errorf("/metrics of the owner doesn't name the changefeed")
	}
	info, err := plain(t, n.Bound(f.namespace)).Info(bounded(t), "cdc").Result()
	if err != nil || !strings.Contains(info, f.id) {
		t.Errorf("INFO cdc of the owner doesn't name the changefeed: %v\n%s", err, info)
	}
}

// Whatever is in a key or a value, and however large: it comes to the topic, in parts where the broker takes less at a time, in either format; into a
// compacted topic with a tombstone where a key is gone; and into an archive.
func TestChangefeedOfOddContent(t *testing.T) {
	t.Parallel()
	c, k := sharedCluster(t), sharedBroker(t)
	namespace(t, c, nsFeedContent, "--partitions", "1", "--replicas", "3")
	whole := newFeed(t, c, k, nsFeedContent, "content", "")
	envelope := newFeed(t, c, k, nsFeedContent, "content-debezium", "", "--format", "debezium")
	compacted := newFeed(t, c, k, nsFeedContent, "content-compacted", "?topic-config.cleanup.policy=compact")
	archive := "file://" + filepath.Join(sharedDir, "archive")
	_, err := whole.Create(bounded(t), "content-archive", nsFeedContent, archive)
	must(t, "an archive", err)
	client := whole.bound
	for _, line := range append(odd(), []any{"set", "three", strings.Repeat("é", 3<<19)}, []any{"set", "short-lived", "v", "px", "1"},
		[]any{"sadd", "deleted", "m"}, []any{"del", "deleted"}, []any{"hset", "emptied", "f", "v"}, []any{"hdel", "emptied", "f"}) {
		done(t, client, line)
	}
	var content map[string]robustness.Entry
	for _, f := range []*feedOf{whole, envelope, compacted} {
		t.Run(f.id, func(t *testing.T) { content = f.equal(t) })
	}
	t.Run("consumer", func(t *testing.T) { checkConsumer(t, k, whole.id, content) })
	if _, parts := whole.topic.Kinds[0].Of(message.Change); parts < 30 {
		t.Errorf("%d messages are parts of values, want 30 at least: the broker takes 1 MiB", parts)
	}
	for _, key := range []string{"deleted", "emptied", "l"} {
		if !compacted.topic.Kinds[0].Tombstone(key) || whole.topic.Kinds[0].Tombstone(key) {
			t.Errorf("%s is gone: tombstone in the compacted topic: %v, in the other: %v", key, compacted.topic.Kinds[0].Tombstone(key), whole.topic.Kinds[0].Tombstone(key))
		}
	}
	if compacted.topic.Kinds[0].Tombstone("three") {
		t.Error("three is there, and has a tombstone")
	}
	t.Run("archive", func(t *testing.T) { checkArchive(t, whole, archive) })
	t.Run("filtered", func(t *testing.T) { checkFiltered(t, whole) })
}

// checkArchive waits until an archive has what a topic has, and has it verified.
func checkArchive(t *testing.T, f *feedOf, archive string) {
	q := &feedOf{Operator: f.Operator, id: "content-archive"}
	last := f.topic.Partitions[0].Last()
	q.until(t, "the archive has it all", func(q *robustness.Feed) bool { return q.Partitions[0].Position.Compare(last) >= 0 })
	report, err := f.Verify(bounded(t), archive)
	must(t, "verify", err)
	t.Log(report)
}

// checkFiltered: what tail leaves out is named by digests, so that the rest can be verified; and what is left out of that is found.
func checkFiltered(t *testing.T, f *feedOf) {
	tail := strings.Join(append([]string{f.Binary}, tailArgs(f.cluster, f.namespace, 0, "--from", "earliest", "--format", "json", "--op", "set,del")...), " ")
	if out := succeeds(t, "bash", "-o", "pipefail", "-c", fmt.Sprintf("%s | %s verify -", tail, f.Binary)); out == "" {
		t.Error("verify says nothing")
	}
	_, errs, code := program(t, "bash", "-c", fmt.Sprintf("%s | sed 5d | %s verify -", tail, f.Binary))
	if code != 1 {
		t.Errorf("a line is missing: exit code %d, want 1\n%s", code, errs)
	}
}
