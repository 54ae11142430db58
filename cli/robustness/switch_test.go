package robustness

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/cluster/datanode/config"
)

// wholeLog keeps the whole feed for those who check.
func wholeLog(int) processes.Configure {
	return func(_ int, c *config.Config) { c.WALRetainBytes = 1 << 30 }
}

// switching is a pair whose target only the syncer writes to, under load.
type switching struct {
	*Pair
	shared  Shared
	tallies *Tallies
	stop    context.CancelFunc
	ended   chan struct{}
}

func startSwitching(t *testing.T, ctx context.Context) *switching {
	t.Helper()
	shared := Shared{Name: "shared", Partitions: [2]int{3, 4}}
	p := startPair(t, ctx, PairOptions{Nodes: 1, Replicas: 1, Shared: []Shared{shared}, Configure: wholeLog})
	if err := errors.Join(p.Adopt(ctx, 0), SetSyncerOnly(ctx, p.Clusters[1].Nodes[0], true), p.Carry(0)); err != nil {
		t.Fatal(err)
	}
	s := &switching{Pair: p, shared: shared}
	s.write(t, ctx, 0)
	if _, err := p.AwaitCarried(ctx, shared, 0); err != nil {
		t.Fatalf("%v\n%s", err, p.Logs())
	}
	s.progress(t, ctx)
	return s
}

// write begins to write to a cluster, with an account that begins anew.
func (s *switching) write(t *testing.T, ctx context.Context, cluster int) {
	ctx, s.stop = context.WithCancel(ctx)
	w := NewWorkload(seed(t), 0, boundTo(s.Clusters[cluster], s.shared.Name))
	s.tallies, s.ended = NewTallies(w, 4), make(chan struct{})
	go func() { defer close(s.ended); s.tallies.Run(ctx) }()
}

func (s *switching) quiet() {
	s.stop()
	<-s.ended
}

func (s *switching) progress(t *testing.T, ctx context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.tallies.Progress(ctx, during); err != nil {
		t.Fatalf("%v\n%s", err, s.Logs())
	}
}

// whole wants a cluster to have all that was acknowledged.
func (s *switching) whole(t *testing.T, ctx context.Context, cluster int) {
	t.Helper()
	content, err := ReadStore(ctx, s.Clusters[cluster].Nodes[0].Bound(s.shared.Name))
	if err == nil {
		err = s.tallies.Check(content)
	}
	if err != nil {
		t.Errorf("%s: %v", s.Clusters[cluster].ClusterID, err)
	}
	t.Logf("%s has %d keys: %s", s.Clusters[cluster].ClusterID, len(content), s.tallies.Summary())
}

// followed wants the other cluster to have become equal, when clients have come on in one.
func (s *switching) followed(t *testing.T, ctx context.Context) {
	t.Helper()
	s.quiet()
	if _, err := s.AwaitEqual(ctx, s.shared); err != nil {
		t.Errorf("%v\n%s", errors.Join(err, s.differences(ctx)), s.Logs())
	}
}

// A planned switch-over, under load: what A acknowledged before it is in B when B is open, and from then on A follows B.
func TestPlannedSwitch(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), inAll)
	defer cancel()
	s := startSwitching(t, ctx)
	run, err := startRepair(ctx, s.Clusters[0].Repair, "switchover", "--from", s.Clusters[0].Nodes[0].GRPC(), "--to", s.Clusters[1].Nodes[0].GRPC(),
		"--namespace", s.shared.Name, "--state", filepath.Join(t.TempDir(), "state.json"), "--timeout", "2m", "--json")
	if err != nil {
		t.Fatal(err)
	}
	if err := run.reaches(ctx, "reverse", "running"); err != nil {
		t.Error(err)
	}
	if err := s.Carry(1); err != nil {
		t.Error(err)
	}
	steps, err := run.wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Logs())
	}
	t.Logf("%+v", steps)
	s.quiet()
	if !strings.Contains(s.tallies.Troubles(), "only allowing syncer write") {
		t.Error("no client was refused by A: none wrote when it was closed")
	}
	s.whole(t, ctx, 1)
	s.write(t, ctx, 1)
	s.progress(t, ctx)
	s.followed(t, ctx)
}

// The same, step by step by the API, as the operations guide has it.
func TestSwitchByAPI(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), inAll)
	defer cancel()
	s := startSwitching(t, ctx)
	a, b := s.Clusters[0].Nodes[0], s.Clusters[1].Nodes[0]
	if err := SetSyncerOnly(ctx, a, true); err != nil {
		t.Fatal(err)
	}
	s.quiet()
	if _, err := s.AwaitEqual(ctx, s.shared); err != nil {
		t.Fatalf("%v\n%s", errors.Join(err, s.differences(ctx)), s.Logs())
	}
	for _, syncer := range s.Syncers[0] {
		if err := syncer.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	s.Syncers[0] = nil
	if err := postOK(ctx, "http://"+a.HTTP()+"/syncer/normalinit?source="+b.GRPC()+"&namespace="+s.shared.Name); err != nil {
		t.Fatal(err)
	}
	if err := s.Carry(1); err != nil {
		t.Fatal(err)
	}
	if err := SetSyncerOnly(ctx, b, false); err != nil {
		t.Fatal(err)
	}
	s.whole(t, ctx, 1)
	s.write(t, ctx, 1)
	s.progress(t, ctx)
	s.followed(t, ctx)
}

// An unplanned switch-over: A is gone at once, under load. What B lacks then is what A's log holds beyond B's places, no more and no less.
func TestUnplannedSwitch(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), inAll)
	defer cancel()
	s := startSwitching(t, ctx)
	a, b := s.Clusters[0], s.Clusters[1]
	a.Nodes[0].Kill()
	a.Etcd.Kill()
	s.quiet()
	run, err := startRepair(ctx, a.Repair, "failover", "--to", b.Nodes[0].GRPC(), "--from", a.ClusterID, "--from-nodes", a.Nodes[0].GRPC(),
		"--namespace", s.shared.Name, "--state", filepath.Join(t.TempDir(), "state.json"), "--json")
	if err != nil {
		t.Fatal(err)
	}
	steps, err := run.wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Logs())
	}
	t.Logf("%+v", steps)
	for _, syncer := range s.Syncers[0] {
		syncer.Kill()
	}
	now := time.Now()
	content, err := ReadStore(ctx, b.Nodes[0].Bound(s.shared.Name))
	if err != nil {
		t.Fatal(err)
	}
	client := boundTo(b, s.shared.Name)(0, 0)
	defer client.Close()
	if err := client.redis.Set(ctx, "open", "1", 0).Err(); err != nil {
		t.Errorf("B isn't open: %v", err)
	}
	if err := errors.Join(a.Etcd.Start(), (&Faults{Cluster: a}).restart(ctx, a.Nodes...)); err != nil {
		t.Fatal(err)
	}
	s.whole(t, ctx, 0)
	folds, beyond, err := s.foldsUpTo(ctx, s.shared)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("A's log holds %d changes beyond B's places", beyond)
	if err := CompareFold(folds, content, now); err != nil {
		t.Errorf("what B has isn't what A's log has up to B's places: %v", err)
	}
}
