// Package pairtest is two real clusters in one process, for tests of what goes on between them.
package pairtest

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cluster/local"
	"github.com/zankv/zankv/replay/equal"
	"github.com/zankv/zankv/replay/syncer"
)

// Side is one of two real clusters.
type Side struct {
	ID     string
	GRPC   string
	Client *redis.Client // bound to the namespace
	Peer   *peers.Cluster
	Stop   func() // ends it; more than once is once
}

// NewSide starts a cluster of one node.
func NewSide(t *testing.T, id string, partitions int) *Side {
	t.Helper()
	c, err := local.Start(t.Context(), local.Options{
		ClusterID: id, DataDir: t.TempDir(), Nodes: 1, Partitions: partitions, Replicas: 1, FreePorts: true, Logger: slog.New(slog.DiscardHandler), OptimizedFsync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	at := c.Addresses()[0]
	s := &Side{ID: id, GRPC: at.GRPC, Peer: peers.Dial([]string{at.GRPC})}
	s.Client = redis.NewClient(&redis.Options{Addr: at.Redis, Username: local.Namespace, Password: "none", Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	s.Stop = sync.OnceFunc(func() {
		s.Client.Close()
		s.Peer.Close()
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	})
	t.Cleanup(s.Stop)
	return s
}

// SetClosed closes it to clients, or opens it.
func (s *Side) SetClosed(t *testing.T, closed bool) {
	t.Helper()
	if _, err := s.Peer.SetRole(t.Context(), local.Namespace, closed); err != nil {
		t.Fatal(err)
	}
}

// Pair is two clusters that know of each other: clients write to the first, and what they write goes to the second.
type Pair struct {
	A, B *Side
}

// New starts a Pair: the places are those of two empty clusters, so that no full sync is needed.
func New(t *testing.T) *Pair {
	t.Helper()
	w := &Pair{A: NewSide(t, "dc-a", 2), B: NewSide(t, "dc-b", 3)}
	w.B.SetClosed(t, true)
	Adopt(t, w.A, w.B)
	return w
}

// Adopt has changes go from one cluster to another without a full sync, since both hold the same.
func Adopt(t *testing.T, from, to *Side) {
	t.Helper()
	source, err := equal.Dial([]string{from.GRPC})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := equal.Dial([]string{to.GRPC})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if _, err := equal.Adopt(t.Context(), source, target, local.Namespace, equal.AdoptOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Carry carries what is written to from into to, as `zankv-cdc sync` does, until the test or what it returns ends it.
func Carry(t *testing.T, from, to *Side) (stop func()) {
	t.Helper()
	s, err := syncer.Open(t.Context(), syncer.Options{Source: []string{from.GRPC}, Target: []string{to.GRPC}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("sync from %s to %s: %v", from.ID, to.ID, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// Set writes a key.
func Set(ctx context.Context, s *Side, key, value string) error {
	return s.Client.Set(ctx, key, value, 0).Err()
}

// MustSet writes a key.
func MustSet(t *testing.T, s *Side, key, value string) {
	t.Helper()
	if err := Set(t.Context(), s, key, value); err != nil {
		t.Fatalf("%s: %v", s.ID, err)
	}
}

// Arrives waits until a key has a value in a cluster.
func Arrives(t *testing.T, s *Side, key, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		got, err := s.Client.Get(ctx, key).Result()
		if err == nil && got == value {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s of %s is %q (%v), want %q", key, s.ID, got, err, value)
		}
	}
}

// ClosedTo says whether clients can't write to a cluster.
func ClosedTo(t *testing.T, s *Side) bool {
	t.Helper()
	err := Set(t.Context(), s, "probe", "x")
	if err != nil && !strings.Contains(err.Error(), "only allowing syncer write") {
		t.Fatalf("%s: %v", s.ID, err)
	}
	return err != nil
}
