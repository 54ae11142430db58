package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/cli/robustness"
	"github.com/zankv/zankv/cluster/datanode/config"
)

// finding is one of doctor's.
type finding struct {
	Changefeed, Reason, Action string
	Stage                      changefeed.Stage
	Code                       changefeed.Code
	Note                       bool
}

// findings are what doctor says of a changefeed, notes left out. Its exit code must agree.
func (f *feedOf) findings(t *testing.T) ([]finding, error) {
	t.Helper()
	done, err := f.Run(bounded(t), "doctor", "-c", f.id, "--nodes", strings.Join(f.Nodes, ","), "--json")
	if err != nil {
		return nil, err
	}
	var report struct {
		Well     bool
		Findings []finding
	}
	if err := json.Unmarshal([]byte(done.Stdout), &report); err != nil {
		return nil, fmt.Errorf("doctor: %w\n%s%s", err, done.Stdout, done.Stderr)
	}
	if report.Well != (done.Code == 0) {
		t.Errorf("doctor says %v and ends with %d", report.Well, done.Code)
	}
	return slices.DeleteFunc(report.Findings, func(f finding) bool { return f.Note }), nil
}

// named waits until doctor gives a fault its name, with a reason and what to do.
func (f *feedOf) named(t *testing.T, stage changefeed.Stage, code changefeed.Code) {
	t.Helper()
	f.examined(t, string(code), func(found []finding) error {
		if !slices.ContainsFunc(found, func(f finding) bool { return f.Code == code && f.Stage == stage && f.Reason != "" && f.Action != "" }) {
			return fmt.Errorf("it found %+v", found)
		}
		return nil
	})
}

// examineEvery is how often doctor is asked: it is a process, and workers report every five seconds.
const examineEvery = 500 * time.Millisecond

// examined asks doctor until it finds what is wanted.
func (f *feedOf) examined(t *testing.T, want string, check func([]finding) error) {
	t.Helper()
	ctx, began := bounded(t), time.Now()
	tick := time.NewTicker(examineEvery)
	defer tick.Stop()
	for {
		found, err := f.findings(t)
		if err == nil {
			err = check(found)
		}
		if err == nil {
			t.Logf("doctor on %s: %s after %v", f.id, want, time.Since(began).Round(100*time.Millisecond))
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("doctor on %s, want %s: in %v: %v", f.id, want, patience, err)
		}
	}
}

// well waits until doctor finds nothing any more.
func (f *feedOf) well(t *testing.T) {
	t.Helper()
	f.examined(t, "nothing", func(found []finding) error {
		if len(found) > 0 {
			return fmt.Errorf("it found %+v", found)
		}
		return nil
	})
}

// loadEvery is how often load writes 8 KiB: 800 KiB a second, if the cluster takes it.
const loadEvery = 10 * time.Millisecond

// load writes all the time, more than what is held back lets pass.
func load(t *testing.T, c *processes.Cluster) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		client := redis.NewClient(&redis.Options{Addr: c.Nodes[0].Bound("default"), MaxRetries: -1})
		defer client.Close()
		tick := time.NewTicker(loadEvery)
		defer tick.Stop()
		noise, raw := rand.NewChaCha8([32]byte{}), make([]byte, 4<<10) // what compresses badly
		for i := 0; ctx.Err() == nil; i++ {
			<-tick.C
			_, _ = noise.Read(raw)
			_ = client.Set(ctx, fmt.Sprintf("load:%d", i%100), hex.EncodeToString(raw), 0).Err() // the cluster is harmed, too
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// Faults are done to a cluster and its brokers, and doctor calls each by its name.
func TestDoctorNamesFaults(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, processes.Options{Nodes: 3, Partitions: 1, Replicas: 3, Configure: func(_ int, conf *config.Config) {
		conf.RunChangefeeds = false
		conf.ChangefeedMemoryBytes = 8 << 20
	}})
	proxy, err := processes.NewProxy()
	must(t, "proxy", err)
	t.Cleanup(func() { _ = proxy.Close() })
	k := ownBroker(t, processes.KafkaOptions{Proxy: proxy})
	main := createFeed(t, c, k, "default", "main", "")
	main.named(t, changefeed.StageOwner, changefeed.CodeNoOwner)
	for _, n := range c.Nodes {
		n.Config.RunChangefeeds = true
		must(t, "configure", n.WriteConfig())
		must(t, "stop", n.Stop(bounded(t)))
		must(t, "start", n.Start())
		must(t, "ready", c.Ready(bounded(t), n))
	}
	main.well(t)
	main.follow(t)
	stop := load(t, c)

	t.Run("brokers", func(t *testing.T) {
		t.Run("main", func(t *testing.T) { t.Parallel(); namedBroker(t, main, k) })
		t.Run("aside", func(t *testing.T) { t.Parallel(); namedAside(t, c, main.Operator) })
	})
	main.well(t)

	stop()
	for _, n := range c.Nodes[:2] {
		n.Kill()
	}
	main.Nodes = main.Nodes[2:]
	main.named(t, changefeed.StageLogRead, changefeed.CodeSourceDown)
	for _, n := range c.Nodes[:2] {
		must(t, "start", n.Start())
		must(t, "ready", c.Ready(bounded(t), n))
	}
	main.well(t)
	main.equal(t)
}

// namedBroker are faults of a broker behind a proxy, one after the other.
func namedBroker(t *testing.T, f *feedOf, k *processes.Kafka) {
	throttle(t, k, 50<<10)
	f.named(t, changefeed.StageQuota, changefeed.CodeBrokerThrottled)
	throttle(t, k, 0)
	k.Proxy.Limit(50 << 10)
	f.named(t, changefeed.StageBroker, changefeed.CodeBrokerSlow)
	k.Proxy.Limit(0)
	k.Kill()
	f.named(t, changefeed.StageBroker, changefeed.CodeBrokerDown)
	must(t, "the broker", k.Start(bounded(t)))
}

// namedAside are faults that have a changefeed of their own, and disturb no other.
func namedAside(t *testing.T, c *processes.Cluster, o *robustness.Operator) {
	limited, unwritable := &feedOf{Operator: o, id: "limited"}, &feedOf{Operator: o, id: "unwritable"}
	file := filepath.Join(t.TempDir(), "no-folder")
	must(t, "a file", os.WriteFile(file, nil, 0o600))
	for f, sink := range map[*feedOf]string{limited: filepath.Join(t.TempDir(), "limited"), unwritable: filepath.Join(file, "archive")} {
		_, err := o.Create(bounded(t), f.id, "default", "file://"+sink, "--bandwidth", "50KiB")
		must(t, "create", err)
	}
	limited.named(t, changefeed.StageQuota, changefeed.CodeBandwidth)
	unwritable.named(t, changefeed.StageSink, changefeed.CodeSinkStorage)
	refused := secretFeed(t, c)
	refused.named(t, changefeed.StageBroker, changefeed.CodeBrokerAuth)
	for _, f := range []*feedOf{limited, unwritable, refused} {
		f.ask(t, nil, "changefeed", "remove", "-c", f.id, "--no-confirm")
	}
}

// throttle sets how many bytes a second the broker takes from us; 0 takes all.
func throttle(t *testing.T, k *processes.Kafka, bytes float64) {
	t.Helper()
	c := &kafka.Client{Addr: kafka.TCP(k.Addr())}
	answer, err := c.AlterClientQuotas(bounded(t), &kafka.AlterClientQuotasRequest{Entries: []kafka.AlterClientQuotaEntry{{
		Entities: []kafka.AlterClientQuotaEntity{{EntityType: "client-id", EntityName: "zankv-cdc"}},
		Ops:      []kafka.AlterClientQuotaOps{{Key: "producer_byte_rate", Value: bytes, Remove: bytes == 0}},
	}}})
	must(t, "quota", err)
	must(t, "quota", answer.Entries[0].Error)
}

// secretFeed is a changefeed into a broker that wants a password, which changed after it was created.
func secretFeed(t *testing.T, c *processes.Cluster) *feedOf {
	t.Helper()
	const user, right = "zankv", "right"
	file := filepath.Join(t.TempDir(), "password")
	must(t, "password", os.WriteFile(file, []byte(right), 0o600))
	k := ownBroker(t, processes.KafkaOptions{Mechanisms: []string{"PLAIN"}, Users: map[string]string{user: right}})
	f := newFeed(t, c, k, "default", "secret", "?sasl=plain&user="+user+"&password-file="+file)
	f.caughtUp(t)
	must(t, "password", os.WriteFile(file, []byte("wrong"), 0o600))
	f.ask(t, nil, "changefeed", "pause", "-c", f.id)
	f.ask(t, nil, "changefeed", "resume", "-c", f.id)
	return f
}
