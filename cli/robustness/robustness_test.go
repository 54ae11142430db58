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
	c := startCluster(t, ctx)
	tails := startTails(t, c)
	w := NewWorkload(s, clients, connector(c))
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); w.Run(running) }()
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
	if err := CheckLinearizable(w.mu.history, keyLimit, artifacts(t)); err != nil {
		t.Error(err)
	}
	t.Logf("histories of %d keys checked in %v", len(w.Keys()), time.Since(began).Round(time.Millisecond))
	checkAgreement(t, ctx, c, w, tails)
	if err := c.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := c.Alarms(); err != nil {
		t.Error(err)
	}
}

// artifacts is a directory that stays when the test has failed.
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
		if !t.Failed() {
			_ = os.RemoveAll(dir)
		}
	})
	return dir
}

func startCluster(t *testing.T, ctx context.Context) *processes.Cluster {
	t.Helper()
	bin, err := processes.Build(t.TempDir(), processes.Race)
	if err != nil {
		t.Fatal(err)
	}
	c, err := processes.Start(ctx, processes.Options{
		Binaries: bin, Dir: t.TempDir(), Nodes: 3, Partitions: partitions, Replicas: 3, Namespace: namespace,
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
func checkAgreement(t *testing.T, ctx context.Context, c *processes.Cluster, w *Workload, tails []*Tail) {
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
		second, err := secondTail(ctx, c, tail, p)
		if err != nil {
			t.Error(err)
		}
		fold, err := tail.Stop()
		if err != nil {
			t.Error(err)
		}
		t.Logf("partition %d: %d events, up to %s; %s", p, tail.mu.events, tail.Last(), second)
		folds = append(folds, fold)
	}
	if err := w.CheckKept(content); err != nil {
		t.Error(err)
	}
	if err := CompareFold(folds, content, now); err != nil {
		t.Error(err)
	}
	t.Logf("%d keys in the store", len(content))
}

// attempts at a checksum: the removal of expired keys may pass the position in between.
const attempts = 20

// checkReplicas compares all replicas' checksums at the position of an event that it writes.
func checkReplicas(ctx context.Context, c *processes.Cluster, bound *redis.Client, tail *Tail, p int) error {
	key, err := markerOf(ctx, c, bound, p)
	if err != nil {
		return err
	}
	for n := range attempts {
		value := strconv.Itoa(n)
		if err := bound.Set(ctx, key, value, 0).Err(); err != nil {
			return fmt.Errorf("robustness: SET %s: %w", key, err)
		}
		at, err := tail.Await(ctx, key, value)
		if err != nil {
			return err
		}
		if err := compareAt(ctx, c, fmt.Sprintf("%s-%d", namespace, p), at); !errors.Is(err, errPast) {
			return err
		}
	}
	return fmt.Errorf("robustness: partition %d: in %d attempts every position had passed", p, attempts)
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

// secondTail reads the feed once more from its beginning, now that all is quiet: it has to come to the same position with
// the same chain, which says that it holds the same events.
func secondTail(ctx context.Context, c *processes.Cluster, first *Tail, p int) (string, error) {
	began := time.Now()
	second, err := StartTail(c.CDC, c.GRPCAddrs()[p%3:], namespace, p)
	if err != nil {
		return "", err
	}
	defer func() { _, _ = second.Stop() }()
	for {
		want, chain, firstMoved, err := first.state()
		if err != nil {
			return "", err
		}
		at, got, secondMoved, err := second.state()
		switch {
		case err != nil:
			return "", err
		case at == want && got != chain:
			return "", fmt.Errorf("robustness: partition %d at %s: read as it came: chain %s, read again: %s", p, at, chain, got)
		case at == want:
			return fmt.Sprintf("read again in %v", time.Since(began).Round(time.Millisecond)), nil
		}
		select {
		case <-firstMoved:
		case <-secondMoved:
		case <-ctx.Done():
			return "", fmt.Errorf("robustness: partition %d read again: at %s, want %s: %w", p, at, want, ctx.Err())
		}
	}
}
