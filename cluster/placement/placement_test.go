package placement

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/zankv/zankv/cluster/meta"
)

// random is a cluster and a namespace from small domains.
func random(rng *rand.Rand) (meta.Namespace, []Candidate) {
	dcs := 1 + rng.IntN(3)
	var cs []Candidate
	for dc := range dcs {
		for range 1 + rng.IntN(4) {
			cs = append(cs, Candidate{ID: meta.NodeID(1 + len(cs)*3), DC: fmt.Sprint("dc", dc), Replicas: rng.IntN(3), Leaders: rng.IntN(2)})
		}
	}
	ns := meta.DefaultNamespace()
	ns.Name, ns.Partitions, ns.Replicas = "n", 1+rng.IntN(40), 1+rng.IntN(min(len(cs), meta.MaxReplicas))
	return ns, cs
}

func TestInitialProperties(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		ns, cs := random(rng)
		placements, err := Initial(ns, cs)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := check(ns, cs, placements); err != nil {
			t.Fatalf("seed %d: %d partitions, %d replicas, candidates %+v: %v\n%+v", seed, ns.Partitions, ns.Replicas, cs, err, placements)
		}
		rng.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
		again, err := Initial(ns, cs)
		if err != nil || !reflect.DeepEqual(again, placements) {
			t.Fatalf("seed %d: another order of candidates gives another placement (%v)", seed, err)
		}
	}
}

// spread is the difference of the largest and the smallest.
type spread struct{ min, max int }

func (s *spread) add(n int) { s.min, s.max = min(s.min, n), max(s.max, n) }

func check(ns meta.Namespace, cs []Candidate, placements []meta.Placement) error {
	dcOf, nodesIn := map[meta.NodeID]string{}, map[string]int{}
	for _, c := range cs {
		dcOf[c.ID] = c.DC
		nodesIn[c.DC]++
	}
	replicas, leaders := map[meta.NodeID]int{}, map[meta.NodeID]int{}
	for i, p := range placements {
		if want := (meta.PartitionID{Namespace: ns.Name, Number: i}); p.Partition != want || len(p.Nodes) != ns.Replicas {
			return fmt.Errorf("placement %d is of %s with %d nodes", i, p.Partition, len(p.Nodes))
		}
		if err := p.Validate(); err != nil {
			return err
		}
		if err := checkDCs(p, dcOf, nodesIn); err != nil {
			return err
		}
		leaders[p.Nodes[0]]++
		for _, n := range p.Nodes {
			replicas[n]++
		}
	}
	return checkLoad(cs, replicas, leaders)
}

// checkDCs: no data centre has two replicas more than another that has nodes left.
func checkDCs(p meta.Placement, dcOf map[meta.NodeID]string, nodesIn map[string]int) error {
	in := map[string]int{}
	for _, n := range p.Nodes {
		in[dcOf[n]]++
	}
	for a := range nodesIn {
		for b, n := range nodesIn {
			if in[a] > in[b]+1 && in[b] < n {
				return fmt.Errorf("%s has %d replicas in %s and %d in %s", p.Partition, in[a], a, in[b], b)
			}
		}
	}
	return nil
}

func checkLoad(cs []Candidate, replicas, leaders map[meta.NodeID]int) error {
	inDC := map[string]*spread{}
	lead := spread{min: 1 << 30}
	for _, c := range cs {
		if inDC[c.DC] == nil {
			inDC[c.DC] = &spread{min: 1 << 30}
		}
		inDC[c.DC].add(replicas[c.ID])
		lead.add(leaders[c.ID])
	}
	for dc, s := range inDC {
		if s.max-s.min > 1 {
			return fmt.Errorf("nodes of %s have %d to %d replicas", dc, s.min, s.max)
		}
	}
	if len(inDC) == 1 && lead.max-lead.min > 1 {
		return fmt.Errorf("nodes lead %d to %d partitions", lead.min, lead.max)
	}
	return nil
}

// The leaders are as even as any choice can make them: compared with every choice, in clusters small enough.
func TestLeadersAreOptimal(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		ns, cs := random(rng)
		ns.Partitions = 1 + rng.IntN(5)
		placements, err := Initial(ns, cs)
		if err != nil {
			t.Fatal(err)
		}
		leads := map[meta.NodeID]int{}
		for _, p := range placements {
			leads[p.Nodes[0]]++
		}
		if got, want := squares(leads), least(placements, map[meta.NodeID]int{}); got != want {
			t.Fatalf("seed %d: sum of squares %d, and %d is possible: %+v", seed, got, want, placements)
		}
	}
}

func squares(leads map[meta.NodeID]int) int {
	sum := 0
	for _, n := range leads {
		sum += n * n
	}
	return sum
}

func least(rest []meta.Placement, leads map[meta.NodeID]int) int {
	if len(rest) == 0 {
		return squares(leads)
	}
	best := 1 << 30
	for _, n := range rest[0].Nodes {
		leads[n]++
		best = min(best, least(rest[1:], leads))
		leads[n]--
	}
	return best
}

func TestTooFewNodes(t *testing.T) {
	ns := meta.DefaultNamespace()
	ns.Name, ns.Partitions, ns.Replicas = "n", 1, 3
	if _, err := Initial(ns, []Candidate{{ID: 1}, {ID: 2}}); !errors.Is(err, ErrTooFewNodes) {
		t.Fatalf("got %v, want %v", err, ErrTooFewNodes)
	}
}

// Only live nodes that hold data and have the tags are candidates, with what they carry.
func TestCandidates(t *testing.T) {
	b := meta.NewBuilder()
	for id := meta.NodeID(1); id <= 5; id++ {
		n := meta.Node{ID: id, Tags: map[string]string{"ssd": "", "dc_info": "dc1"}}
		switch id {
		case 3:
			n.Role = "role_log_syncer"
		case 4:
			delete(n.Tags, "ssd")
		case 5:
			n.Tags["dc_info"] = "dc2"
		}
		b.SetNode(id, &n)
		b.SetLive(id, id != 2)
	}
	old := meta.DefaultNamespace()
	old.Partitions = 2
	b.SetNamespace("old", &old)
	for i, nodes := range [][]meta.NodeID{{1, 5}, {5, 1}} {
		id := meta.PartitionID{Namespace: "old", Number: i}
		b.SetPlacement(id, &meta.Placement{Partition: id, Nodes: nodes})
	}
	v, errs := b.View(1)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	ns := meta.Namespace{Tags: map[string]string{"ssd": ""}}
	want := []Candidate{{ID: 1, DC: "dc1", Replicas: 2, Leaders: 1}, {ID: 5, DC: "dc2", Replicas: 2, Leaders: 1}}
	if got := Candidates(v, ns); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	ns.Tags["dc_info"] = "dc2"
	if got := Candidates(v, ns); !reflect.DeepEqual(got, want[1:]) {
		t.Fatalf("with dc_info: got %+v, want %+v", got, want[1:])
	}
}

// Many namespaces of one partition don't pile up on the first nodes.
func TestSmallNamespacesSpread(t *testing.T) {
	cs := make([]Candidate, 6)
	for i := range cs {
		cs[i].ID = meta.NodeID(i + 1)
	}
	for i := range 12 {
		ns := meta.DefaultNamespace()
		ns.Name, ns.Partitions, ns.Replicas = fmt.Sprint("n", i), 1, 3
		placements, err := Initial(ns, cs)
		if err != nil {
			t.Fatal(err)
		}
		for j, n := range placements[0].Nodes {
			cs[n-1].Replicas++
			if j == 0 {
				cs[n-1].Leaders++
			}
		}
	}
	for _, c := range cs {
		if c.Replicas != 6 || c.Leaders != 2 {
			t.Errorf("node %d carries %d replicas and leads %d, want 6 and 2", c.ID, c.Replicas, c.Leaders)
		}
	}
}

func BenchmarkInitial(b *testing.B) {
	ns := meta.DefaultNamespace()
	ns.Name, ns.Partitions, ns.Replicas = "n", meta.MaxPartitions, 3
	cs := make([]Candidate, 50)
	for i := range cs {
		cs[i] = Candidate{ID: meta.NodeID(i + 1), DC: fmt.Sprint(i % 3)}
	}
	for b.Loop() {
		if _, err := Initial(ns, cs); err != nil {
			b.Fatal(err)
		}
	}
}
