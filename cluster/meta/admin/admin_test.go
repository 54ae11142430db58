package admin

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/meta/memmeta"
	"github.com/zankv/zankv/cluster/meta/metatest"
	"github.com/zankv/zankv/cluster/placement"
)

func namespace(partitions, replicas int) meta.Namespace {
	ns := meta.DefaultNamespace()
	ns.Name, ns.Partitions, ns.Replicas = "default", partitions, replicas
	return ns
}

func addNode(t *testing.T, s *memmeta.Store) meta.NodeID {
	t.Helper()
	id, err := s.AllocateNodeID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.RegisterNode(t.Context(), metatest.Node(id)); err != nil {
		t.Fatal(err)
	}
	return id
}

// The creation waits for the number of nodes asked for, and uses all of them.
func TestWaitsForNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memmeta.New()
		addNode(t, s)
		type result struct {
			ns  meta.Namespace
			err error
		}
		done := make(chan result)
		go func() {
			ns, err := CreateNamespace(t.Context(), s, CreateOptions{Namespace: namespace(4, 2), MinNodes: 4, Wait: time.Minute})
			done <- result{ns, err}
		}()
		for range 3 {
			synctest.Wait()
			select {
			case r := <-done:
				t.Fatalf("created with too few nodes: %+v", r)
			default:
			}
			addNode(t, s)
		}
		r := <-done
		if r.err != nil || r.ns.MinGID == 0 || r.ns.MagicCode == 0 {
			t.Fatalf("got %+v", r)
		}
		for id := meta.NodeID(1); id <= 4; id++ {
			if n := len(s.View().PlacedOn(id)); n != 2 {
				t.Errorf("node %d holds %d replicas, want 2", id, n)
			}
		}
	})
}

func TestCreateErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memmeta.New()
		addNode(t, s)
		_, err := CreateNamespace(t.Context(), s, CreateOptions{Namespace: namespace(1, 3), Wait: time.Minute})
		if !errors.Is(err, placement.ErrTooFewNodes) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want too few nodes in time", err)
		}
		if _, err := CreateNamespace(t.Context(), s, CreateOptions{Namespace: namespace(0, 1)}); err == nil {
			t.Fatal("created with no partition")
		}
		if _, err := CreateNamespace(t.Context(), s, CreateOptions{Namespace: namespace(1, 1)}); err != nil {
			t.Fatal(err)
		}
		// An existing name is told at once, though the nodes for it aren't there.
		if _, err := CreateNamespace(t.Context(), s, CreateOptions{Namespace: namespace(1, 3)}); !errors.Is(err, meta.ErrExists) {
			t.Fatalf("got %v, want %v", err, meta.ErrExists)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := CreateNamespace(t.Context(), s, CreateOptions{Namespace: namespace(1, 1)}); !errors.Is(err, meta.ErrClosed) {
			t.Fatalf("got %v, want %v", err, meta.ErrClosed)
		}
	})
}

func TestWaitReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memmeta.New()
		id := addNode(t, s)
		if _, err := CreateNamespace(t.Context(), s, CreateOptions{Namespace: namespace(2, 1)}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- WaitReady(t.Context(), s, "default") }()
		for p := range 2 {
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatalf("ready without the leader of partition %d: %v", p, err)
			default:
			}
			l := meta.Leader{Partition: meta.PartitionID{Namespace: "default", Number: p}, Node: id, Term: 1}
			if err := s.SetLeader(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		s.Expire(id)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := WaitReady(ctx, s, "default"); !errors.Is(err, ErrNotReady) {
			t.Fatalf("with a dead leader: got %v, want %v", err, ErrNotReady)
		}
		if err := WaitReady(ctx, s, "other"); !errors.Is(err, meta.ErrNotFound) {
			t.Fatalf("another namespace: got %v, want %v", err, meta.ErrNotFound)
		}
	})
}
