package peers

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// Places asks the leaders of a namespace's partitions what they know of senders and peers. The answers are by partition number.
func (c *Cluster) Places(ctx context.Context, namespace string) ([]*replaypb.PlacesResponse, error) {
	top, err := c.Topology(ctx, namespace)
	if err != nil {
		return nil, err
	}
	all := make([]*replaypb.PlacesResponse, len(top.Partitions))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, p := range top.Partitions {
		if int(p.Number) >= len(all) {
			return nil, fmt.Errorf("cluster %s: namespace %s has %d partitions, and one of number %d", top.Cluster, namespace, len(all), p.Number)
		}
		group.Go(func() error {
			err := c.AtLeader(ctx, namespace, p.Number, func(conn *grpc.ClientConn) (err error) {
				all[p.Number], err = replaypb.NewReplayClient(conn).Places(ctx, &replaypb.PlacesRequest{Namespace: namespace, Partition: p.Number})
				if err == nil && !all[p.Number].Leading {
					err = problem.New(problem.Elsewhere, "it doesn't lead it any more")
				}
				return err
			})
			return Wrong(fmt.Sprintf("the places of %s-%d in cluster %s", namespace, p.Number, top.Cluster), err)
		})
	}
	return all, group.Wait()
}

// atOnce is how many partitions are asked in parallel.
const atOnce = 16
