package equal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

const (
	// sumsAtOnce is how many partitions of a cluster are summed up, or asked, at the same time.
	sumsAtOnce = 4
	// maxReply bounds a checksum as it comes: 16384 slots.
	maxReply = 4 << 20
)

// At gives partitions positions.
type At map[uint32]event.Position

// By is what sums are made by, so that those of two clusters can be compared.
type By struct {
	// Watermark (ns): what is at or below it was forgotten. Wall (ms): keys that have expired by it are left out. Each partition's own if that is higher.
	Watermark int64 `json:"watermark"`
	Wall      int64 `json:"wall"`
}

// Sums are what a namespace of a cluster holds.
type Sums struct {
	Cluster    string         `json:"cluster"`
	Namespace  string         `json:"namespace"`
	Hash       string         `json:"hash"`
	Partitions []PartitionSum `json:"partitions"`
	Keys       int64          `json:"keys"`
	Total      store.Sum      `json:"total"`
	// Slots are those with something in them.
	Slots map[uint16]store.Sum `json:"-"`
}

// Cut is how the namespace is cut.
func (s *Sums) Cut() store.Cut { return store.Cut{Hash: s.Hash, Partitions: uint32(len(s.Partitions))} }

// PartitionSum is one partition's, as its leader made it.
type PartitionSum struct {
	Partition uint32         `json:"partition"`
	Position  event.Position `json:"position"`
	// LastEvent is the last event that the partition had when the leader began: at or before Position.
	LastEvent event.Position `json:"last_event"`
	// Clock (ns): everything that was made here up to then, by the partition's hybrid clock, is in. Now (ns) is the leader's wall clock when it began.
	Clock int64     `json:"clock"`
	Now   int64     `json:"now"`
	By    By        `json:"by"`
	Keys  int64     `json:"keys"`
	Total store.Sum `json:"total"`
	slots map[uint16]store.Sum
}

// Sums are made by the leaders at the positions that at has; of others, at what is applied then. A position that is past can't be had any more.
func (c *Cluster) Sums(ctx context.Context, namespace string, at At, by By) (*Sums, error) {
	top, err := c.Topology(ctx, namespace)
	if err != nil {
		return nil, err
	}
	all := &Sums{Cluster: top.Cluster, Namespace: namespace, Hash: top.Hash, Partitions: make([]PartitionSum, len(top.Partitions)), Slots: map[uint16]store.Sum{}}
	err = each(ctx, len(all.Partitions), func(ctx context.Context, i int) error {
		return c.atLeader(ctx, namespace, uint32(i), func(ctx context.Context, _ replaypb.ReplayClient, leader *place) (err error) {
			all.Partitions[i], err = c.sum(ctx, leader, namespace, uint32(i), at[uint32(i)], by)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	for i := range all.Partitions {
		p := &all.Partitions[i]
		all.Keys += p.Keys
		all.Total = all.Total.Add(p.Total)
		for slot, sum := range p.slots {
			all.Slots[slot] = all.Slots[slot].Add(sum)
		}
		p.slots = nil
	}
	return all, nil
}

// each runs f for 0 to n-1, a few at once.
func each(ctx context.Context, n int, f func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sumsAtOnce)
	for i := range n {
		group.Go(func() error { return f(ctx, i) })
	}
	return group.Wait()
}

// checksumReply is /cluster/checksum's.
type checksumReply struct {
	Partition string         `json:"partition"`
	Cluster   string         `json:"cluster_id"`
	Checksum  store.Checksum `json:"checksum"`
	IsLeader  bool           `json:"is_leader"`
	LastEvent event.Position `json:"last_event"`
	Clock     int64          `json:"clock"`
	Now       int64          `json:"now"`
}

func (c *Cluster) sum(ctx context.Context, leader *place, namespace string, partition uint32, at event.Position, by By) (PartitionSum, error) {
	name := fmt.Sprintf("%s-%d", namespace, partition)
	query := url.Values{"watermark": {strconv.FormatInt(by.Watermark, 10)}, "wall": {strconv.FormatInt(by.Wall, 10)}}
	if !at.IsZero() {
		query.Set("at", at.String())
	}
	where := url.URL{Scheme: "http", Host: leader.http, Path: "/cluster/checksum/" + name, RawQuery: query.Encode()}
	var got checksumReply
	if err := c.get(ctx, where.String(), &got); err != nil {
		return PartitionSum{}, err
	}
	if !got.IsLeader {
		return PartitionSum{}, &problem.Error{Kind: problem.Elsewhere, What: fmt.Sprintf("%s doesn't lead %s", leader.http, name)}
	}
	sum := got.Checksum
	return PartitionSum{
		Partition: partition, Position: sum.Position, LastEvent: got.LastEvent, Clock: got.Clock, Now: got.Now,
		By: By{Watermark: sum.Watermark, Wall: sum.Wall}, Keys: sum.Keys, Total: sum.Total, slots: sum.Slots,
	}, nil
}

// get asks a node's HTTP API. That no answer comes at all is Unavailable: another leader may be found.
func (c *Cluster) get(ctx context.Context, where string, got any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return status.Errorf(codes.Unavailable, "equal: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return status.Errorf(codes.Unavailable, "equal: %s: %v", where, err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound: // the replica isn't there any more, or not yet
		return status.Errorf(codes.Unavailable, "equal: %s: %.400s", where, body)
	default:
		return fmt.Errorf("equal: %s: %s: %.400s", where, resp.Status, body)
	}
	if err := json.Unmarshal(body, got); err != nil {
		return fmt.Errorf("equal: %s: its answer can't be read: %w", where, err)
	}
	return nil
}

// Differ are the slots in which two clusters don't hold the same, in order; nil if there are none.
func (s *Sums) Differ(t *Sums) []uint16 {
	var all []uint16
	for slot, sum := range s.Slots {
		if t.Slots[slot] != sum {
			all = append(all, slot)
		}
	}
	for slot := range t.Slots {
		if _, both := s.Slots[slot]; !both {
			all = append(all, slot)
		}
	}
	slices.Sort(all)
	return all
}

// by is the highest that a partition's sum was made by, and whether all of them were made by it.
func (s *Sums) by() (most By, same bool) {
	for i := range s.Partitions {
		p := s.Partitions[i].By
		most.Watermark, most.Wall = max(most.Watermark, p.Watermark), max(most.Wall, p.Wall)
	}
	for i := range s.Partitions {
		if s.Partitions[i].By != most {
			return most, false
		}
	}
	return most, true
}
