package robustness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/zankv/zankv/cli/internal/processes"
)

// slotSums is what /cluster/checksum says of a replica.
type slotSums struct {
	Checksum struct {
		Position  string
		Keys      int64
		Wall      int64
		Watermark int64
		Slots     map[string]string // sums by hash slot
	} `json:"checksum"`
}

// basis is what sums have to be made by so that they can be compared: the tombstone watermark (ns), and the time that decides what has expired (ms).
// Zero is each replica's own.
type basis struct{ watermark, wall int64 }

// raise takes the later of what it has and what a replica has.
func (b *basis) raise(s *slotSums) {
	b.watermark, b.wall = max(b.watermark, s.Checksum.Watermark), max(b.wall, s.Checksum.Wall)
}

// SlotSums are the checksums of a namespace's hash slots over all its partitions, by slot. Replicas that don't agree are an error.
func SlotSums(ctx context.Context, c *processes.Cluster, namespace string, partitions int) (map[string]string, error) {
	var by basis
	if err := by.raiseAll(ctx, c, namespace, partitions); err != nil {
		return nil, err
	}
	return by.sums(ctx, c, namespace, partitions)
}

// raiseAll takes the latest that any replica of a namespace has.
func (b *basis) raiseAll(ctx context.Context, c *processes.Cluster, namespace string, partitions int) error {
	for n := range partitions {
		err := basis{}.eachReplica(ctx, c, fmt.Sprintf("%s-%d", namespace, n), func(_ *processes.Node, s *slotSums) error {
			b.raise(s)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b basis) sums(ctx context.Context, c *processes.Cluster, namespace string, partitions int) (map[string]string, error) {
	all := map[string]string{}
	for n := range partitions {
		sums, err := b.replicaSums(ctx, c, fmt.Sprintf("%s-%d", namespace, n))
		if err != nil {
			return nil, err
		}
		for slot, sum := range sums {
			if _, twice := all[slot]; twice {
				return nil, fmt.Errorf("robustness: slot %s is in partition %d of %s and in another", slot, n, namespace)
			}
			all[slot] = sum
		}
	}
	return all, nil
}

// replicaSums asks each node that has a replica of a partition; all have to say the same.
func (b basis) replicaSums(ctx context.Context, c *processes.Cluster, partition string) (map[string]string, error) {
	var first *slotSums
	err := b.eachReplica(ctx, c, partition, func(n *processes.Node, sums *slotSums) error {
		if first == nil {
			first = sums
		}
		if !maps.Equal(first.Checksum.Slots, sums.Checksum.Slots) {
			return fmt.Errorf("robustness: replicas of %s differ: %d keys at %s, and %d keys at %s on %s", partition,
				first.Checksum.Keys, first.Checksum.Position, sums.Checksum.Keys, sums.Checksum.Position, n.Name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if first == nil {
		return nil, fmt.Errorf("robustness: no node has a replica of %s", partition)
	}
	return first.Checksum.Slots, nil
}

// eachReplica shows what each replica of a partition says.
func (b basis) eachReplica(ctx context.Context, c *processes.Cluster, partition string, visit func(*processes.Node, *slotSums) error) error {
	for _, n := range c.Nodes {
		sums, err := b.sumsOf(ctx, n, partition)
		if errors.Is(err, errNoReplica) {
			continue
		}
		if err == nil {
			err = visit(n, sums)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errNoReplica = errors.New("robustness: the node has no replica")

func (b basis) sumsOf(ctx context.Context, n *processes.Node, partition string) (*slotSums, error) {
	body, status, err := getPage(ctx, fmt.Sprintf("http://%s/cluster/checksum/%s?watermark=%d&wall=%d", n.HTTP(), partition, b.watermark, b.wall))
	if err != nil {
		return nil, err
	}
	if status == http.StatusNotFound {
		return nil, errNoReplica
	}
	s := new(slotSums)
	if err := json.Unmarshal(body, s); err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("robustness: checksum of %s on %s: status %d, %w: %s", partition, n.Name, status, err, body)
	}
	return s, nil
}

// getPage asks for a page.
func getPage(ctx context.Context, url string) (body []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	return answer(req)
}

// answer is what a request gets.
func answer(req *http.Request) (body []byte, status int, err error) {
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("robustness: %w", err)
	}
	defer r.Body.Close()
	body, err = io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		return nil, 0, fmt.Errorf("robustness: %s %s: %w", req.Method, req.URL, err)
	}
	return body, r.StatusCode, nil
}

// compareSums says which slots differ.
func compareSums(sums [2]map[string]string) error {
	var differ []string
	for slot, sum := range sums[0] {
		if sums[1][slot] != sum {
			differ = append(differ, slot)
		}
	}
	for slot := range sums[1] {
		if _, ok := sums[0][slot]; !ok {
			differ = append(differ, slot)
		}
	}
	if len(differ) == 0 {
		return nil
	}
	slices.Sort(differ)
	return fmt.Errorf("robustness: %d slots differ of %d and %d: %v", len(differ), len(sums[0]), len(sums[1]), differ[:min(10, len(differ))])
}

// postOK posts, which has to succeed.
func postOK(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	body, status, err := answer(req)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("robustness: POST %s: status %d: %s", url, status, body)
	}
	return err
}

// firstIndex is where the log of a partition begins, as a node's /stats has it.
func firstIndex(ctx context.Context, n *processes.Node, namespace string, partition int) (uint64, error) {
	body, status, err := getPage(ctx, "http://"+n.HTTP()+"/stats?leader_only=false")
	if err != nil || status != http.StatusOK {
		return 0, fmt.Errorf("robustness: stats of %s: status %d: %w", n.Name, status, err)
	}
	var stats struct {
		Stats struct {
			Partitions []struct {
				Name string
				Log  struct {
					First uint64 `json:"first_index"`
				}
			} `json:"ns_stats"`
		}
	}
	if err := json.Unmarshal(body, &stats); err != nil {
		return 0, fmt.Errorf("robustness: stats of %s: %w: %s", n.Name, err, body)
	}
	for _, p := range stats.Stats.Partitions {
		if p.Name == fmt.Sprintf("%s-%d", namespace, partition) {
			return p.Log.First, nil
		}
	}
	return 0, fmt.Errorf("robustness: stats of %s have no partition %d of %s", n.Name, partition, namespace)
}
