package robustness

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/zankv/zankv/cli/internal/processes"
)

var kills = flag.Int("kills", 12, "how many processes TestSyncUnderKills kills; for a run of 500: -run TestSyncUnderKills -kills 500 -timeout 60m")

// killTime is what a kill may take on a busy machine, all told.
const killTime = 6 * time.Second

// The promise of the syncer, on real processes: whatever is killed, of syncers and of leaders on both sides, everything that clients of A were
// promised is in B, once: sums, lengths, contents, in namespaces that are cut equally and unequally.
func TestSyncUnderKills(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), inAll+time.Duration(*kills)*killTime)
	defer cancel()
	s := seed(t)
	shared := []Shared{
		{Name: "four", Partitions: [2]int{4, 4}}, {Name: "more", Partitions: [2]int{4, 8}}, {Name: "fewer", Partitions: [2]int{8, 3}},
	}
	p := startPair(t, ctx, PairOptions{Nodes: 3, Replicas: 3, Shared: shared})
	if err := p.Carry(0); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	var writing sync.WaitGroup
	var tallies []*Tallies
	for i, ns := range shared {
		tally := NewTallies(NewWorkload(s+uint64(i), 0, boundTo(p.Clusters[0], ns.Name)), 3)
		tallies = append(tallies, tally)
		writing.Go(func() { tally.Run(running) })
	}
	var err error
	for _, ns := range shared { // from here on changes come as a stream: what a full sync brings is nobody's proof
		if err == nil {
			_, err = p.AwaitCarried(ctx, ns, 0)
		}
	}
	f := NewSyncFaults(p, rand.New(rand.NewPCG(s, 0)), t.Logf)
	if err == nil {
		err = f.Run(ctx, *kills)
	}
	stop()
	writing.Wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Logs())
	}
	t.Logf("killed: %v", f.Kills())
	if p.Link.Passing(p.Clusters[1].GRPCAddrs()...) == 0 {
		t.Error("no syncer reaches B by the link")
	}
	took, err := p.AwaitEqual(ctx, shared...)
	if err != nil {
		t.Fatalf("%v\n%s", errors.Join(err, p.differences(ctx)), p.Logs())
	}
	t.Logf("equal %v after the last write", took.Round(time.Millisecond))
	for i, ns := range shared {
		t.Logf("%s: %s", ns.Name, tallies[i].Summary())
		content, err := p.SameContent(ctx, ns.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := tallies[i].Check(content); err != nil {
			t.Errorf("%s: %v", ns.Name, err)
		}
		t.Logf("%s: %d keys", ns.Name, len(content))
	}
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// startPair runs a pair until the test ends.
func startPair(t *testing.T, ctx context.Context, o PairOptions) *Pair {
	t.Helper()
	bin, err := processes.Build(t.TempDir(), processes.Race)
	if err != nil {
		t.Fatal(err)
	}
	o.Binaries, o.Dir = bin, artifacts(t)
	p, err := StartPair(ctx, o)
	t.Cleanup(p.Kill)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
