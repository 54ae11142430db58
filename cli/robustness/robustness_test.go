package robustness

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/processes"
)

const (
	namespace  = "default"
	partitions = 4
	clients    = 12
	// inAll bounds the run: it is over much earlier unless something hangs.
	inAll = 8 * time.Minute
	// keyLimit is how long the checker may take for one key.
	keyLimit = 30 * time.Second
)

var rounds = flag.Int("rounds", 3, "how often each fault happens")

// quiet keeps what go-redis says about connections that are refused out of the tests' output.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	os.Exit(m.Run())
}

func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64N(1_000_000_000)
	if text := os.Getenv("ZANKV_SEED"); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("ZANKV_SEED: %v", err)
		}
	}
	t.Logf("seed %d: repeat the draw by ZANKV_SEED=%d", s, s)
	return s
}

// The whole: clients compete for keys while processes are killed and paused, and the feed of every partition is read; then all
// that was seen is held against the promises.
func TestKillProcesses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), inAll)
	defer cancel()
	s := seed(t)
	dir := artifacts(t)
	c := startCluster(t, ctx, dir)
	tails := startTails(t, c)
	w := NewWorkload(s, clients, connector(c))
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
	f := &Faults{Cluster: c, Workload: w, Rand: rand.New(rand.NewPCG(s, 0)), Logf: t.Logf}
	err := f.progress(ctx, during)
	for range *rounds {
		if err == nil {
			err = f.Round(ctx)
		}
	}
	stop()
	<-ended
	if err != nil {
		t.Fatalf("%v\n%s", err, c.Logs())
	}
	t.Logf("%d commands answered, %d on keys in competition; what clients met:\n%s", w.acked.Load(), len(w.mu.history), w.Troubles())

	reader := connector(c)(0, 0)
	defer reader.Close()
	if err := w.ReadAll(ctx, reader); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := CheckLinearizable(w.mu.history, keyLimit, dir); err != nil {
		t.Error(err)
	}
	t.Logf("histories of %d keys checked in %v", len(w.Keys()), time.Since(began).Round(time.Millisecond))
	checkAgreement(t, ctx, c, w, collections, tails)
	if err := c.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := c.Alarms(); err != nil {
		t.Error(err)
	}
}

// artifacts is a directory for data, logs and drawings, which stays when the test has failed.
func artifacts(t *testing.T) string {
	dir := os.Getenv("ZANKV_ARTIFACTS")
	if dir == "" {
		dir = os.TempDir()
	}
	dir, err := os.MkdirTemp(dir, "zankv-robustness")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("data and logs are in %s", dir)
		} else {
			_ = os.RemoveAll(dir)
		}
	})
	return dir
}

func startCluster(t *testing.T, ctx context.Context, dir string) *processes.Cluster {
	t.Helper()
	bin, err := processes.Build(t.TempDir(), processes.Race)
	if err != nil {
		t.Fatal(err)
	}
	c, err := processes.Start(ctx, processes.Options{
		Binaries: bin, Dir: dir, Nodes: 3, Partitions: partitions, Replicas: 3, Namespace: namespace,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c
}

func startTails(t *testing.T, c *processes.Cluster) []*Tail {
	t.Helper()
	tails := make([]*Tail, partitions)
	for p := range tails {
		tail, err := StartTail(c.CDC, c.GRPCAddrs(), namespace, p)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = tail.Stop() })
		tails[p] = tail
	}
	return tails
}

// connector makes clients that come in on the namespace's port and on the shared one, in RESP2 and RESP3.
func connector(c *processes.Cluster) func(node, kind int) *Client {
	return func(node, kind int) *Client {
		n := c.Nodes[node%len(c.Nodes)]
		if kind%2 == 1 {
			return Dial(n.Redis(), namespace+":", 2+kind/2%2)
		}
		return Dial(n.Bound(namespace), "", 2+kind/2%2)
	}
}

// checkAgreement holds store, feeds, replicas and what clients know against each other.
func checkAgreement(t *testing.T, ctx context.Context, c *processes.Cluster, w *Workload, collections *Collections, tails []*Tail) {
	t.Helper()
	bound := redis.NewClient(&redis.Options{Addr: c.Nodes[1].Bound(namespace), MaxRetries: -1})
	defer bound.Close()
	for p, tail := range tails {
		if err := checkReplicas(ctx, c, bound, tail, p); err != nil {
			t.Error(err)
		}
	}
	now := time.Now()
	content, err := ReadStore(ctx, c.Nodes[2].Bound(namespace))
	if err != nil {
		t.Fatal(err)
	}
	var folds []*event.Fold
	for p, tail := range tails {
		fold, err := tail.Stop()
		if err != nil {
			t.Error(err)
		}
		t.Logf("partition %d: %d events, up to %s", p, tail.mu.events, tail.Last())
		folds = append(folds, fold)
	}
	if err := w.CheckKept(content); err != nil {
		t.Error(err)
	}
	if err := collections.Check(content); err != nil {
		t.Error(err)
	}
	t.Log(collections.Summary())
	if err := CompareFold(folds, content, now); err != nil {
		t.Error(err)
	}
	t.Logf("%d keys in the store", len(content))
}

// attempts at a checksum: the removal of expired keys may pass the position in between.
const attempts = 20

// checkReplicas compares all replicas' checksums at the position of an event that it writes, and the feeds that they serve
// up to there. first is the feed as it was read while all this happened.
func checkReplicas(ctx context.Context, c *processes.Cluster, bound *redis.Client, first *Tail, p int) error {
	key, err := markerOf(ctx, c, bound, p)
	if err != nil {
		return err
	}
	for n := range attempts {
		value := strconv.Itoa(n)
		if err := bound.Set(ctx, key, value, 0).Err(); err != nil {
			return fmt.Errorf("robustness: SET %s: %w", key, err)
		}
		at, err := compareFeeds(ctx, c, first, p, key, value)
		if err != nil {
			return err
		}
		if err := compareAt(ctx, c, fmt.Sprintf("%s-%d", namespace, p), at); !errors.Is(err, errPast) {
			return err
		}
	}
	return fmt.Errorf("robustness: partition %d: in %d attempts every position had passed", p, attempts)
}

// compareFeeds reads the feed once more from its beginning, from each replica alone: all have to come to a marker at the same
// position with the same chain, which says that they hold the same events.
func compareFeeds(ctx context.Context, c *processes.Cluster, first *Tail, p int, key, value string) (event.Position, error) {
	var stamps []event.Stamp
	for _, addr := range c.GRPCAddrs() {
		again, err := StartTail(c.CDC, []string{addr}, namespace, p)
		if err != nil {
			return event.Position{}, err
		}
		at, err := again.Await(ctx, key, value)
		if _, stopped := again.Stop(); err == nil {
			err = stopped
		}
		if err != nil {
			return event.Position{}, fmt.Errorf("read again from %s: %w", addr, err)
		}
		stamps = append(stamps, at)
	}
	for i, s := range stamps {
		if s.Position != stamps[0].Position || s.Chain != stamps[0].Chain {
			return s.Position, fmt.Errorf("robustness: partition %d, %s=%s: replica 0 has it at %s, chain %s, replica %d at %s, chain %s",
				p, key, value, stamps[0].Position, stamps[0].Chain, i, s.Position, s.Chain)
		}
	}
	at, err := first.Await(ctx, key, value)
	if err == nil && at.Chain != stamps[0].Chain {
		err = fmt.Errorf("robustness: partition %d at %s: read as it came: chain %s, read again: %s", p, at.Position, at.Chain, stamps[0].Chain)
	}
	return stamps[0].Position, err
}

func compareAt(ctx context.Context, c *processes.Cluster, partition string, at event.Position) error {
	sums := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		var err error
		if sums[i], err = Checksum(ctx, n.HTTP(), partition, at); err != nil {
			return err
		}
	}
	for i := range sums {
		if sums[i] != sums[0] {
			return fmt.Errorf("robustness: partition %s at %s: node 0 has %s, node %d has %s", partition, at, sums[0], i, sums[i])
		}
	}
	return nil
}

// markerOf is a marker key that lies in a partition.
func markerOf(ctx context.Context, c *processes.Cluster, bound *redis.Client, p int) (string, error) {
	for i := range 1000 {
		key := markerPrefix + strconv.Itoa(i)
		slot, err := bound.ClusterKeySlot(ctx, key).Result()
		if err != nil {
			return "", fmt.Errorf("robustness: CLUSTER KEYSLOT %s: %w", key, err)
		}
		if c.Partition(slot) == p {
			return key, nil
		}
	}
	return "", fmt.Errorf("robustness: no marker key lies in partition %d", p)
}
