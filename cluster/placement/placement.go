// Package placement decides which nodes hold which partitions' replicas: pure functions over a picture of the cluster.
//
// Model. A namespace is placed over candidates, each with what it carries already. Nodes with the same tag dc_info are
// one data centre; nodes without it are one too.
//
// Invariants (properties tested over random clusters):
//
//  1. A partition's replicas are on different nodes.
//  2. Its replicas are spread over the data centres as evenly as their numbers of nodes allow. This comes before load:
//     a data centre with few nodes carries more a node.
//  3. Within a data centre no node has more than one replica more than another, of this namespace. The same holds over
//     all nodes when there is one data centre.
//  4. The preferred leaders are spread as evenly as any choice among the replicas allows; over nodes of one data centre
//     the numbers differ by one at most.
//  5. The result depends on the arguments only, and not on the order of the candidates.
//
// Where a namespace's own balance leaves a choice, the node that carries less of other namespaces is taken, so that
// many small namespaces don't pile up on the first nodes.
//
// Cost: O(partitions · replicas · nodes), and for leaders O(partitions · nodes) a shift, at most as many shifts as
// partitions.
package placement

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/zankv/zankv/cluster/meta"
)

// ErrTooFewNodes: the namespace wants more replicas than there are nodes for it.
var ErrTooFewNodes = errors.New("placement: too few nodes")

// dcTag is the node tag that names its data centre.
const dcTag = "dc_info"

// Candidate is a node that may take replicas, and what it carries of other namespaces.
type Candidate struct {
	ID       meta.NodeID
	DC       string
	Replicas int
	Leaders  int // for which it is the preferred leader
}

// Candidates are a view's nodes that may hold the namespace's replicas: live, without a learner's role, and with every
// tag that the namespace wants.
func Candidates(v *meta.View, ns meta.Namespace) []Candidate {
	var cs []Candidate
	for _, n := range v.LiveNodes() {
		if n.Role != "" || !hasTags(n.Tags, ns.Tags) {
			continue
		}
		c := Candidate{ID: n.ID, DC: n.Tags[dcTag]}
		for _, p := range v.PlacedOn(n.ID) {
			c.Replicas++
			if p.Placement.Nodes[0] == n.ID {
				c.Leaders++
			}
		}
		cs = append(cs, c)
	}
	return cs
}

func hasTags(has, wants map[string]string) bool {
	for name, want := range wants {
		got, ok := has[name]
		if !ok || (want != "" && got != want) {
			return false
		}
	}
	return true
}

// Initial places a namespace that has no replica yet. The raft ids are 1 to the number of replicas, in the order of
// Nodes, of which the first is the preferred leader.
func Initial(ns meta.Namespace, candidates []Candidate) ([]meta.Placement, error) {
	if len(candidates) < ns.Replicas {
		return nil, fmt.Errorf("%w: namespace %s wants %d replicas on nodes with tags %v, and %d nodes are live and fit: start more nodes, or ask for fewer replicas",
			ErrTooFewNodes, ns.Name, ns.Replicas, slices.Sorted(maps.Keys(ns.Tags)), len(candidates))
	}
	pl := newPlan(candidates)
	for range ns.Partitions {
		pl.place(ns.Replicas)
	}
	pl.chooseLeaders()
	placements := make([]meta.Placement, ns.Partitions)
	for i := range placements {
		placements[i] = pl.placement(meta.PartitionID{Namespace: ns.Name, Number: i})
	}
	return placements, nil
}

// plan is a namespace's placement in the making. Nodes are meant by their place in the list, which is in order of ids.
type plan struct {
	nodes    []Candidate
	replicas []int   // of this namespace, by node
	leads    []int   // of this namespace, by node
	on       [][]int // the nodes of each partition
	leader   []int   // of each partition
}

func newPlan(candidates []Candidate) *plan {
	nodes := slices.SortedFunc(slices.Values(candidates), func(a, b Candidate) int { return cmp.Compare(a.ID, b.ID) })
	return &plan{nodes: nodes, replicas: make([]int, len(nodes)), leads: make([]int, len(nodes))}
}

// place chooses one more partition's nodes, each time the one whose data centre has the fewest of its replicas, then the
// one that has the fewest of the namespace's, then of all.
func (pl *plan) place(replicas int) {
	chosen := make([]int, 0, replicas)
	inDC := map[string]int{}
	for range replicas {
		best := -1
		for n := range pl.nodes {
			if !slices.Contains(chosen, n) && (best < 0 || pl.compare(inDC, n, best) < 0) {
				best = n
			}
		}
		chosen = append(chosen, best)
		inDC[pl.nodes[best].DC]++
		pl.replicas[best]++
	}
	pl.on = append(pl.on, chosen)
}

func (pl *plan) compare(inDC map[string]int, a, b int) int {
	return cmp.Or(
		cmp.Compare(inDC[pl.nodes[a].DC], inDC[pl.nodes[b].DC]),
		cmp.Compare(pl.replicas[a], pl.replicas[b]),
		cmp.Compare(pl.nodes[a].Replicas, pl.nodes[b].Replicas),
	)
}

// chooseLeaders takes the least loaded replica of each partition, and then shifts leaders along chains of partitions
// until no chain makes the numbers more even. A chain leads from a node to one with two fewer; as every shift lessens
// the sum of squares, it ends, and where it ends the sum is the least there is.
func (pl *plan) chooseLeaders() {
	for _, on := range pl.on {
		best := slices.MinFunc(on, func(a, b int) int {
			return cmp.Or(
				cmp.Compare(pl.leads[a], pl.leads[b]),
				cmp.Compare(pl.nodes[a].Leaders, pl.nodes[b].Leaders),
				cmp.Compare(a, b),
			)
		})
		pl.leader = append(pl.leader, best)
		pl.leads[best]++
	}
	for n := 0; n < len(pl.nodes); {
		if !pl.shiftFrom(n) {
			n++
		} else {
			n = 0
		}
	}
}

// shiftFrom moves one leader's weight from a node to one that has at least two fewer, through as many partitions as it
// takes; false if there is no such chain.
func (pl *plan) shiftFrom(from int) bool {
	via := make([]int, len(pl.nodes)) // partition through which a node was reached
	for i := range via {
		via[i] = -1
	}
	queue := []int{from}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if pl.leads[at] <= pl.leads[from]-2 {
			pl.shift(from, at, via)
			return true
		}
		for p, on := range pl.on {
			if pl.leader[p] != at {
				continue
			}
			for _, next := range on {
				if next != from && via[next] < 0 {
					via[next] = p
					queue = append(queue, next)
				}
			}
		}
	}
	return false
}

func (pl *plan) shift(from, to int, via []int) {
	pl.leads[from]--
	pl.leads[to]++
	for to != from {
		p := via[to]
		pl.leader[p], to = to, pl.leader[p]
	}
}

func (pl *plan) placement(id meta.PartitionID) meta.Placement {
	on, leader := pl.on[id.Number], pl.leader[id.Number]
	p := meta.Placement{Partition: id, Nodes: []meta.NodeID{pl.nodes[leader].ID}, RaftIDs: map[meta.NodeID]uint64{}}
	for _, n := range on {
		if n != leader {
			p.Nodes = append(p.Nodes, pl.nodes[n].ID)
		}
	}
	for i, n := range p.Nodes {
		p.RaftIDs[n] = uint64(i + 1)
	}
	p.MaxRaftID = uint64(len(p.Nodes))
	return p
}
