package robustness

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/cluster/datanode/config"
)

// clockOff is by how much the clusters' clocks are off, one ahead and one behind.
const clockOff = 10 * time.Minute

// offset sets clusters' clocks apart.
func offset(cluster, _ int) []string {
	by := clockOff
	if cluster == 1 {
		by = -by
	}
	return []string{"ZANKV_CLOCK_OFFSET=" + by.String()}
}

// tolerant lets versions be that far ahead, and keeps the whole feed for those who check.
func tolerant(int) processes.Configure {
	return func(_ int, c *config.Config) {
		c.MaxClockOffset = int64(3 * clockOff / time.Second)
		c.WALRetainBytes = 1 << 30
	}
}

var cuts = flag.Int("cuts", 2, "how often TestBothAreWritten cuts the links between the clusters")

// The promise to who writes in both clusters: when nobody writes any more both have the same, the latest write of each register; each write that was
// lost has its row in a conflict log; what isn't the same under the default policy is known to have diverged; and no change goes round in a circle.
func TestBothAreWritten(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), inAll)
	defer cancel()
	s := seed(t)
	element := Shared{Name: "element", Partitions: [2]int{4, 3}, Policy: "element"}
	byDefault := Shared{Name: "bydefault", Partitions: [2]int{2, 2}}
	p := startPair(t, ctx, PairOptions{Nodes: 3, Replicas: 3, Shared: []Shared{element, byDefault}, Env: offset, Configure: tolerant})
	err := errors.Join(p.Adopt(ctx, 0), p.Adopt(ctx, 1), p.Carry(0), p.Carry(1))
	for _, ns := range p.Shared {
		if err == nil {
			err = prepareExpiring(ctx, p, ns)
		}
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Logs())
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	var writing sync.WaitGroup
	var rivals []*Rivals
	for i, c := range p.Clusters {
		for j, ns := range p.Shared {
			r := &Rivals{Workload: NewWorkload(s+uint64(2*i+j), 0, boundTo(c, ns.Name)), Clients: 2, Element: ns.Policy == "element"}
			rivals = append(rivals, r)
			writing.Go(func() { r.Run(running) })
		}
	}
	err = cutLinks(ctx, p, rand.New(rand.NewPCG(s, 1)), rivals)
	stop()
	writing.Wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Logs())
	}
	for _, r := range rivals {
		t.Logf("%d commands; what clients met:\n%s", r.acked.Load(), r.Troubles())
	}
	took, err := p.AwaitEqual(ctx, element)
	if err != nil {
		t.Fatalf("%v\n%s", errors.Join(err, p.differences(ctx)), p.Logs())
	}
	t.Logf("equal %v after the last write", took.Round(time.Millisecond))
	if _, err := p.SameContent(ctx, element.Name); err != nil {
		t.Error(err)
	}
	checkLost(t, ctx, p, element)
	checkLost(t, ctx, p, byDefault)
	checkDiverged(t, ctx, p, byDefault)
	checkCircles(t, ctx, p)
	checkAlike(t, ctx, p)
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// prepareExpiring writes the strings whose expiries are in competition.
func prepareExpiring(ctx context.Context, p *Pair, s Shared) error {
	c := boundTo(p.Clusters[0], s.Name)(0, 0)
	defer c.Close()
	for i := range rivalKeys {
		if err := c.redis.Set(ctx, fmt.Sprintf("rx:%d", i), "x", 0).Err(); err != nil {
			return err
		}
	}
	_, err := p.AwaitCarried(ctx, s, 0)
	return err
}

// cutLinks cuts the syncers' way to one cluster, or both, and heals it, while clients come on.
func cutLinks(ctx context.Context, p *Pair, rng *rand.Rand, rivals []*Rivals) error {
	for range *cuts {
		if err := allProgress(ctx, rivals); err != nil {
			return err
		}
		which := rng.IntN(3)
		for i, c := range p.Clusters {
			if which != i {
				p.Link.Cut(c.GRPCAddrs()...)
			}
		}
		err := allProgress(ctx, rivals)
		p.Link.Heal()
		if err != nil {
			return err
		}
	}
	return allProgress(ctx, rivals)
}

// rivalProgress is how many commands clients come on by between cuts.
const rivalProgress = 400

func allProgress(ctx context.Context, rivals []*Rivals) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, r := range rivals {
		if err := r.Progress(ctx, rivalProgress); err != nil {
			return err
		}
	}
	return nil
}

// checkLost holds each register against what was written to it, and what was lost against the conflict logs.
func checkLost(t *testing.T, ctx context.Context, p *Pair, s Shared) {
	t.Helper()
	content, err := ReadStore(ctx, p.Clusters[0].Nodes[0].Bound(s.Name))
	if err != nil {
		t.Error(err)
		return
	}
	logs, err := p.ReadConflicts(ctx, s.Name)
	if err != nil {
		t.Error(err)
		return
	}
	registers, err := p.ReadRegisters(ctx, s)
	if err != nil {
		t.Error(err)
		return
	}
	verdict, err := registers.Check(content, logs)
	if err != nil {
		t.Errorf("%s: %v", s.Name, err)
	}
	t.Logf("%s: %d registers, %d writes, %d lost; rows: %v; diverged: %v", s.Name, verdict.Registers, verdict.Writes, verdict.Lost, logs.Rows, logs.Diverged)
	if verdict.Lost == 0 {
		t.Errorf("%s: no write was lost: clients didn't compete", s.Name)
	}
}

// checkDiverged wants all that differs under the default policy to be known, and strings and fields not to differ.
func checkDiverged(t *testing.T, ctx context.Context, p *Pair, s Shared) {
	t.Helper()
	waiting, cancel := context.WithTimeout(ctx, MaxQuiet)
	defer cancel()
	err := Until(waiting, func(ctx context.Context) error {
		logs, err := p.ReadConflicts(ctx, s.Name)
		if err != nil {
			return err
		}
		var contents [2]map[string]Entry
		for i, c := range p.Clusters {
			if contents[i], err = ReadStore(ctx, c.Nodes[0].Bound(s.Name)); err != nil {
				return err
			}
		}
		for _, key := range differing(contents, time.Now()) {
			if !logs.Diverged[key] || !strings.HasPrefix(key, "d") {
				return fmt.Errorf("robustness: %s differs (%+v, %+v), recorded as diverged: %v", key, contents[0][key], contents[1][key], logs.Diverged[key])
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	logs, err := p.ReadConflicts(ctx, s.Name)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%s: %d keys diverged; rows: %v", s.Name, len(logs.Diverged), logs.Rows)
	if len(logs.Diverged) == 0 {
		t.Errorf("%s: nothing diverged: clients didn't compete", s.Name)
	}
}

// checkCircles wants no feed to have a change of the cluster's own that came back, and no feed to grow any more.
func checkCircles(t *testing.T, ctx context.Context, p *Pair) {
	t.Helper()
	for _, s := range p.Shared {
		for i, c := range p.Clusters {
			before, err := Origins(ctx, c, s.Name, s.Partitions[i])
			if err != nil {
				t.Fatal(err)
			}
			after, err := Origins(ctx, c, s.Name, s.Partitions[i])
			if err != nil {
				t.Fatal(err)
			}
			other := pairIDs[1-i]
			if before[c.ClusterID] != 0 {
				t.Errorf("%s of %s has %d changes of its own that came back", s.Name, c.ClusterID, before[c.ClusterID])
			}
			if before[other] == 0 || before[other] != after[other] || before[""] != after[""] {
				t.Errorf("%s of %s: changes by origin, when nobody writes: %v, then %v", s.Name, c.ClusterID, before, after)
			}
		}
	}
}

// checkAlike wants all replicas to have decided alike, also when all nodes have been killed and come back.
func checkAlike(t *testing.T, ctx context.Context, p *Pair) {
	t.Helper()
	for round := range 2 {
		for _, s := range p.Shared {
			for i, c := range p.Clusters {
				if err := awaitAlike(ctx, c, s.Name, s.Partitions[i]); err != nil {
					t.Error(err)
				}
			}
		}
		if round == 1 {
			return
		}
		for _, c := range p.Clusters {
			for _, n := range c.Nodes {
				n.Kill()
			}
			f := Faults{Cluster: c}
			if err := f.restart(ctx, c.Nodes...); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func awaitAlike(ctx context.Context, c *processes.Cluster, namespace string, partitions int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return Until(ctx, func(ctx context.Context) error {
		if _, err := SlotSums(ctx, c, namespace, partitions); err != nil {
			return err
		}
		for n := range partitions {
			places, err := replicaPlaces(ctx, c, namespace, n)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(places, func(p string) bool { return p != places[0] }) {
				return fmt.Errorf("robustness: replicas of %s-%d of %s differ: %s", namespace, n, c.ClusterID, strings.Join(places, "\n"))
			}
		}
		return nil
	})
}
