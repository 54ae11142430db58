// Package nodes asks a cluster's nodes what every command needs before its own work: which partitions a namespace has, and how far the log of
// each replica reaches.
package nodes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// Timeout is how long a node has to answer.
const Timeout = 3 * time.Second

// Split reads addresses that are separated by commas.
func Split(s string) []string {
	var all []string
	for node := range strings.SplitSeq(s, ",") {
		if node = strings.TrimSpace(node); node != "" {
			all = append(all, node)
		}
	}
	return all
}

// ErrUnavailable is what an error is when nobody answered who could have helped.
var ErrUnavailable = errors.New("nobody answered")

// Unavailable makes an error one that is ErrUnavailable. Its text stays.
func Unavailable(err error) error { return unavailable{err} }

type unavailable struct{ error }

func (unavailable) Is(target error) bool { return target == ErrUnavailable }
func (u unavailable) Unwrap() error      { return u.error }

// Partitions asks the nodes, one after the other, for a namespace's partitions, by number. A *feed.Error says that there is no such namespace; an
// error that is ErrUnavailable, with what each node's trouble was, that none answered.
func Partitions(ctx context.Context, nodes []string, namespace string) ([]feed.Partition, error) {
	var failures []error
	for _, node := range nodes {
		all, err := askPartitions(ctx, node, namespace)
		if err == nil {
			return all, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if status.Code(err) == codes.NotFound {
			return nil, &feed.Error{Kind: feed.Unknown, What: status.Convert(err).Message()}
		}
		failures = append(failures, fmt.Errorf("%s: %s", node, status.Convert(err).Message()))
	}
	return nil, Unavailable(fmt.Errorf("none of the nodes %s answered: %w", strings.Join(nodes, ", "), errors.Join(failures...)))
}

func askPartitions(ctx context.Context, node, namespace string) (all []feed.Partition, err error) {
	err = call(ctx, node, func(ctx context.Context, c feedpb.FeedClient) error {
		resp, err := c.Partitions(ctx, &feedpb.PartitionsRequest{Namespace: namespace})
		for _, p := range resp.GetPartitions() {
			all = append(all, feed.Partition{Number: p.Number, Leader: p.Leader, Replicas: p.Replicas})
		}
		return err
	})
	slices.SortFunc(all, func(a, b feed.Partition) int { return int(a.Number) - int(b.Number) })
	return all, err
}

// Ping says whether a node answers, and nil if it does.
func Ping(ctx context.Context, node string) error {
	_, err := askPartitions(ctx, node, "")
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unimplemented:
		return errors.New(status.Convert(err).Message())
	}
	return nil // whatever it said of the namespace without a name
}

// Log is how far a replica's log reaches.
type Log struct {
	Address string
	Leader  bool
	// Oldest is the event before the oldest one retained, Last the last event.
	Oldest, Last event.Position
	// Applied is the index of the last entry applied.
	Applied uint64
	// Consumers are those that it is kept for, by name.
	Consumers map[string]Consumer
	// Err is why the replica didn't say.
	Err error
}

// Consumer is for whom a log is kept: LagBytes of it, until HeadroomBytes more are written or Headroom has passed.
type Consumer struct {
	LagBytes      uint64
	HeadroomBytes int64
	Headroom      time.Duration
}

// Logs asks all replicas of a partition, at once. The answers are in the order of its addresses.
func Logs(ctx context.Context, namespace string, p feed.Partition) []Log {
	logs := make([]Log, len(p.Replicas))
	var group sync.WaitGroup
	for i, address := range p.Replicas {
		group.Go(func() {
			logs[i] = askLog(ctx, address, namespace, p.Number)
			logs[i].Leader = address == p.Leader
		})
	}
	group.Wait()
	return logs
}

func askLog(ctx context.Context, address, namespace string, partition uint32) Log {
	l := Log{Address: address}
	l.Err = call(ctx, address, func(ctx context.Context, c feedpb.FeedClient) error {
		resp, err := c.Status(ctx, &feedpb.StatusRequest{Namespace: namespace, Partition: partition})
		l.Oldest = event.Position{Term: resp.GetOldest().GetTerm(), Index: resp.GetOldest().GetIndex()}
		l.Last = event.Position{Term: resp.GetLast().GetTerm(), Index: resp.GetLast().GetIndex()}
		l.Applied, l.Consumers = resp.GetApplied(), make(map[string]Consumer, len(resp.GetConsumers()))
		for _, one := range resp.GetConsumers() {
			l.Consumers[one.Id] = Consumer{LagBytes: one.LagBytes, HeadroomBytes: one.HeadroomBytes, Headroom: time.Duration(one.HeadroomMs) * time.Millisecond}
		}
		return err
	})
	return l
}

func call(ctx context.Context, node string, f func(context.Context, feedpb.FeedClient) error) error {
	conn, err := grpc.NewClient(node, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return f(ctx, feedpb.NewFeedClient(conn))
}
