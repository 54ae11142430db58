package switchover_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cli/internal/switchover"
	"github.com/zankv/zankv/cluster/local"
	"github.com/zankv/zankv/replay/equal"
	"github.com/zankv/zankv/replay/syncer"
)

// side is one of two real clusters.
type side struct {
	id      string
	cluster *local.Cluster
	grpc    string
	client  *redis.Client
	peer    *peers.Cluster
	stop    func() // ends it; more than once is once
}

func newSide(t *testing.T, id string, partitions int) *side {
	t.Helper()
	c, err := local.Start(t.Context(), local.Options{
		ClusterID: id, DataDir: t.TempDir(), Nodes: 1, Partitions: partitions, Replicas: 1, FreePorts: true, Logger: slog.New(slog.DiscardHandler), OptimizedFsync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	at := c.Addresses()[0]
	s := &side{id: id, cluster: c, grpc: at.GRPC, peer: peers.Dial([]string{at.GRPC})}
	s.client = redis.NewClient(&redis.Options{Addr: at.Redis, Username: local.Namespace, Password: "none", Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	s.stop = sync.OnceFunc(func() {
		s.client.Close()
		s.peer.Close()
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *side) close(t *testing.T, closed bool) {
	t.Helper()
	if _, err := s.peer.SetRole(t.Context(), local.Namespace, closed); err != nil {
		t.Fatal(err)
	}
}

// world is two clusters that know of each other: clients write to the first, and what they write goes to the second.
type world struct {
	a, b *side
	dir  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{a: newSide(t, "dc-a", 2), b: newSide(t, "dc-b", 3), dir: t.TempDir()}
	w.b.close(t, true)
	w.equal(t, func(a, b *equal.Cluster) error {
		_, err := equal.Adopt(t.Context(), a, b, local.Namespace, equal.AdoptOptions{})
		return err
	})
	return w
}

func (w *world) equal(t *testing.T, do func(a, b *equal.Cluster) error) {
	t.Helper()
	a, err := equal.Dial([]string{w.a.grpc})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := equal.Dial([]string{w.b.grpc})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := do(a, b); err != nil {
		t.Fatal(err)
	}
}

// carry carries what is written to from into to, as `zankv-cdc sync` does, until the test or what it returns ends it.
func carry(t *testing.T, from, to *side) (stop func()) {
	t.Helper()
	s, err := syncer.Open(t.Context(), syncer.Options{Source: []string{from.grpc}, Target: []string{to.grpc}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("sync from %s to %s: %v", from.id, to.id, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func set(ctx context.Context, s *side, key, value string) error {
	return s.client.Set(ctx, key, value, 0).Err()
}

func mustSet(t *testing.T, s *side, key, value string) {
	t.Helper()
	if err := set(t.Context(), s, key, value); err != nil {
		t.Fatalf("%s: %v", s.id, err)
	}
}

// arrives waits until a key has a value in a cluster.
func arrives(t *testing.T, s *side, key, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		got, err := s.client.Get(ctx, key).Result()
		if err == nil && got == value {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s of %s is %q (%v), want %q", key, s.id, got, err, value)
		}
	}
}

// closedTo says whether clients can't write to a cluster.
func closedTo(t *testing.T, s *side) bool {
	t.Helper()
	err := set(t.Context(), s, "probe", "x")
	if err != nil && !strings.Contains(err.Error(), "only allowing syncer write") {
		t.Fatalf("%s: %v", s.id, err)
	}
	return err != nil
}

// options are those of a planned switch.
func (w *world) options(t *testing.T, from, to *side, say func(switchover.Line)) switchover.Options {
	t.Helper()
	equality, err := switchover.Checksums([]string{from.grpc}, []string{to.grpc})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { equality.Close() })
	return switchover.Options{
		From: from.peer, To: to.peer, File: filepath.Join(w.dir, from.id+"-"+to.id+".json"), MaxLag: time.Minute, Equality: equality,
		Say: func(l switchover.Line) {
			t.Logf("%s %s %s (%d ms)", l.Step, l.State, l.Message, l.TookMS)
			if say != nil {
				say(l)
			}
		},
	}
}

// planned carries out a planned switch.
func planned(ctx context.Context, o switchover.Options) error {
	r, done, err := switchover.Plan(ctx, o)
	if err != nil {
		return err
	}
	defer r.Close()
	if done {
		return errors.New("it was done before")
	}
	return r.Do(ctx)
}

func abort(ctx context.Context, o switchover.Options) error {
	r, _, err := switchover.Plan(ctx, o)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Abort(ctx)
}

// load writes numbered keys to a cluster until it is refused, and says how many were acknowledged.
func load(ctx context.Context, s *side, prefix string, counts chan<- int) {
	n := 0
	for ctx.Err() == nil && set(ctx, s, fmt.Sprintf("%s:%d", prefix, n), fmt.Sprint(n)) == nil {
		n++
	}
	counts <- n
}
