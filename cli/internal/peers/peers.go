// Package peers reaches a cluster by the gRPC addresses of some of its nodes: the other nodes, the partitions' leaders, HTTP and Redis are found
// from there.
//
// Every call looks for what it needs until its context ends, or a bound that stands at it has passed; what is called may be called twice. A Cluster
// is for any number of goroutines. Connections aren't encrypted.
package peers

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

	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

const (
	// askWithin is how long one node has to say what the cluster looks like.
	askWithin = 3 * time.Second
	// leaderWithin bounds the search for a partition's leader, which an election takes a while to find.
	leaderWithin = 15 * time.Second
	// pause is between two looks for a leader.
	pause = 100 * time.Millisecond
	// maxAnswer bounds an answer: the topology of a namespace of a thousand partitions, or a page of the conflict log.
	maxAnswer = 64 << 20
)

// Cluster is a cluster.
type Cluster struct {
	nodes []string
	mu    struct {
		sync.Mutex
		conns map[string]*grpc.ClientConn
	}
}

// Dial makes a Cluster of nodes, host:port of their gRPC. It connects at the first call. Close it.
func Dial(nodes []string) *Cluster {
	c := &Cluster{nodes: slices.Clone(nodes)}
	c.mu.conns = map[string]*grpc.ClientConn{}
	return c
}

// Nodes are those that the cluster was named by.
func (c *Cluster) Nodes() []string { return c.nodes }

// String names the nodes.
func (c *Cluster) String() string { return strings.Join(c.nodes, ",") }

// Close ends the connections.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for address, conn := range c.mu.conns {
		errs = append(errs, conn.Close())
		delete(c.mu.conns, address)
	}
	return errors.Join(errs...)
}

func (c *Cluster) conn(address string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn := c.mu.conns[address]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	c.mu.conns[address] = conn
	return conn, nil
}

// Topology asks the nodes, one after the other, how a namespace is cut and where its nodes are; without a namespace, for the nodes and the names of
// the namespaces. A failure.NotFound says that there is no such namespace, a failure.Unavailable that none of the nodes answered.
func (c *Cluster) Topology(ctx context.Context, namespace string) (*replaypb.TopologyResponse, error) {
	var silent []string
	for _, node := range c.nodes {
		top, err := c.askTopology(ctx, node, namespace)
		if err == nil {
			return top, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if p, ok := problem.Of(err); ok && p.Kind == problem.Unknown {
			return nil, failure.New(failure.NotFound, "check --namespace", "cluster %s: %s", c, p.What)
		}
		silent = append(silent, node+": "+status.Convert(err).Message())
	}
	return nil, failure.New(failure.Unavailable, "check that the gRPC addresses (port 12382 by default) are those of running nodes of this version",
		"none of the nodes %s answered: %s", c, strings.Join(silent, "; "))
}

func (c *Cluster) askTopology(ctx context.Context, node, namespace string) (*replaypb.TopologyResponse, error) {
	conn, err := c.conn(node)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return replaypb.NewReplayClient(conn).Topology(ctx, &replaypb.TopologyRequest{Namespace: namespace})
}

// AtLeader calls do with a connection to the node that leads a partition. It finds another one when do's error says that this doesn't lead, or
// doesn't answer, for at most 15 seconds: do must bear to be called again.
func (c *Cluster) AtLeader(ctx context.Context, namespace string, number uint32, do func(*grpc.ClientConn) error) error {
	deadline := time.Now().Add(leaderWithin)
	leader := ""
	for {
		err := c.atLeader(ctx, namespace, number, &leader, do)
		if err == nil || !again(err) {
			return err
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return failure.New(failure.Unavailable, "see that a majority of the partition's nodes runs (/raft/stats?leader_only=false of any node)",
				"the leader of %s-%d in cluster %s: %s", namespace, number, c, status.Convert(err).Message())
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

// atLeader tries once. leader is who is said to lead, "" to ask; it is changed by what is learnt.
func (c *Cluster) atLeader(ctx context.Context, namespace string, number uint32, leader *string, do func(*grpc.ClientConn) error) error {
	if *leader == "" {
		top, err := c.Topology(ctx, namespace)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(top.Partitions, func(p *replaypb.Partition) bool { return p.Number == number })
		if i < 0 {
			return failure.New(failure.NotFound, fmt.Sprintf("it has %d", len(top.Partitions)), "namespace %s of cluster %s has no partition %d", namespace, top.Cluster, number)
		}
		if *leader = top.Partitions[i].Leader; *leader == "" {
			return status.Error(codes.Unavailable, "it has none at the moment")
		}
	}
	conn, err := c.conn(*leader)
	if err != nil {
		return err
	}
	if err = do(conn); err != nil {
		*leader = ""
		if p, ok := problem.Of(err); ok && p.Kind == problem.Elsewhere {
			*leader = p.Leader
		}
	}
	return err
}

// again says whether another try may help.
func again(err error) bool {
	if _, ok := errors.AsType[*failure.Failure](err); ok {
		return false
	}
	if p, ok := problem.Of(err); ok {
		return p.Kind == problem.Elsewhere || p.Kind == problem.Overload
	}
	return status.Code(err) == codes.Unavailable
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Wrong makes of an error of a call what a command ends with: refused calls keep the server's words.
func Wrong(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*failure.Failure](err); ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, err)
	}
	code := failure.Error
	if p, ok := problem.Of(err); ok {
		switch p.Kind {
		case problem.Unknown:
			code = failure.NotFound
		case problem.Elsewhere, problem.Overload:
			code = failure.Unavailable
		case problem.Invalid:
			code = failure.Invalid
		}
		return failure.New(code, "", "%s: %s", what, p.What)
	}
	switch status.Code(err) {
	case codes.Unavailable:
		code = failure.Unavailable
	case codes.Unimplemented:
		code = failure.NotSupported
	}
	return failure.New(code, "", "%s: %s", what, status.Convert(err).Message())
}
