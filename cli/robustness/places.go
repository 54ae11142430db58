package robustness

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/replay/replaypb"
)

// replicaPlaces is what each replica of a partition knows of senders, peers and conflicts, as text, without what is the leader's alone.
func replicaPlaces(ctx context.Context, c *processes.Cluster, namespace string, partition int) ([]string, error) {
	var all []string
	for _, n := range c.Nodes {
		places, err := placesOf(ctx, n.GRPC(), namespace, partition)
		if err != nil {
			return nil, err
		}
		places.Leading, places.Outcomes = false, nil
		text, err := protojson.Marshal(places)
		if err != nil {
			return nil, err
		}
		all = append(all, string(text))
	}
	return all, nil
}

func placesOf(ctx context.Context, addr, namespace string, partition int) (*replaypb.PlacesResponse, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	places, err := replaypb.NewReplayClient(conn).Places(ctx, &replaypb.PlacesRequest{Namespace: namespace, Partition: uint32(partition)})
	if err != nil {
		return nil, fmt.Errorf("robustness: places of %s-%d at %s: %w", namespace, partition, addr, err)
	}
	return places, nil
}

// leaderPlaces is what the replica that leads a partition knows.
func leaderPlaces(ctx context.Context, c *processes.Cluster, namespace string, partition int) (*replaypb.PlacesResponse, error) {
	var errs []error
	for _, n := range c.Nodes {
		places, err := placesOf(ctx, n.GRPC(), namespace, partition)
		if err == nil && places.Leading {
			return places, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("robustness: nobody leads %s-%d of %s: %w", namespace, partition, c.ClusterID, errors.Join(errs...))
}
