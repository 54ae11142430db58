package equal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

const (
	// callWithin bounds one call to a node.
	callWithin = 10 * time.Second
	// findWithin is how long a leader is looked for.
	findWithin = 15 * time.Second
	// pause is between two attempts to find one.
	pause = 50 * time.Millisecond
	// maxNodes bounds the connections to a cluster.
	maxNodes = 4096
)

// Cluster is one that was dialed.
type Cluster struct {
	given []string
	opts  []grpc.DialOption
	http  *http.Client
	mu    struct {
		sync.Mutex
		conns map[string]*grpc.ClientConn
	}
}

// Dial names a cluster by gRPC addresses of some of its nodes. It connects when that is needed. Without options nothing is encrypted.
func Dial(nodes []string, opts ...grpc.DialOption) (*Cluster, error) {
	if len(nodes) == 0 {
		return nil, errors.New("equal: no address of a node is given")
	}
	for _, node := range nodes {
		if _, _, err := net.SplitHostPort(node); err != nil {
			return nil, fmt.Errorf("equal: address %q: want host:port of a node's gRPC: %w", node, err)
		}
	}
	if len(opts) == 0 {
		opts = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	c := &Cluster{given: slices.Clone(nodes), opts: opts, http: &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, MaxIdleConnsPerHost: sumsAtOnce, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.mu.conns = map[string]*grpc.ClientConn{}
	return c, nil
}

// Close ends the connections.
func (c *Cluster) Close() error {
	c.http.CloseIdleConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, conn := range c.mu.conns {
		errs = append(errs, conn.Close())
	}
	clear(c.mu.conns)
	return errors.Join(errs...)
}

// replay is a node's service.
func (c *Cluster) replay(address string) (replaypb.ReplayClient, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.mu.conns[address]
	if conn == nil {
		if len(c.mu.conns) >= maxNodes {
			return nil, fmt.Errorf("equal: over %d nodes", maxNodes)
		}
		var err error
		if conn, err = grpc.NewClient(address, c.opts...); err != nil {
			return nil, err
		}
		c.mu.conns[address] = conn
	}
	return replaypb.NewReplayClient(conn), nil
}

// Topology asks the nodes that were given, one after the other, for their cluster and a namespace; for the cluster alone if the name is empty.
func (c *Cluster) Topology(ctx context.Context, namespace string) (*replaypb.TopologyResponse, error) {
	var errs []error
	for _, node := range c.given {
		client, err := c.replay(node)
		if err != nil {
			return nil, err
		}
		asking, cancel := context.WithTimeout(ctx, callWithin)
		top, err := client.Topology(asking, &replaypb.TopologyRequest{Namespace: namespace})
		cancel()
		if err == nil {
			return top, nil
		}
		if _, known := problem.Of(err); known {
			return nil, fmt.Errorf("equal: node %s: %w", node, err)
		}
		errs = append(errs, fmt.Errorf("node %s: %w", node, err))
	}
	return nil, fmt.Errorf("equal: no node answers: %w", errors.Join(errs...))
}

// Leader finds who leads a partition, and waits a while for one. The address is its gRPC's.
func (c *Cluster) Leader(ctx context.Context, namespace string, partition uint32) (client replaypb.ReplayClient, address string, err error) {
	err = c.atLeader(ctx, namespace, partition, func(_ context.Context, found replaypb.ReplayClient, at *place) error {
		client, address = found, at.grpc
		return nil
	})
	return client, address, err
}

// place is where a partition's leader is reached.
type place struct{ grpc, http string }

// atLeader calls a partition's leader, and looks for another as long as that is what the answer asks for. call must bear repeating.
func (c *Cluster) atLeader(ctx context.Context, namespace string, partition uint32, call func(context.Context, replaypb.ReplayClient, *place) error) error {
	finding, cancel := context.WithTimeout(ctx, findWithin)
	defer cancel()
	for {
		err := c.tryLeader(ctx, namespace, partition, call)
		if err == nil || !movable(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-finding.Done():
			return fmt.Errorf("equal: partition %s-%d: %w", namespace, partition, err)
		}
	}
}

var errLeaderless = errors.New("it has no leader at the moment")

func (c *Cluster) tryLeader(ctx context.Context, namespace string, partition uint32, call func(context.Context, replaypb.ReplayClient, *place) error) error {
	top, err := c.Topology(ctx, namespace)
	if err != nil {
		return err
	}
	if int64(partition) >= int64(len(top.Partitions)) {
		return problem.New(problem.Unknown, "equal: namespace %s of cluster %s has %d partitions: there is no %d", namespace, top.Cluster, len(top.Partitions), partition)
	}
	leader := top.Partitions[partition].Leader
	if leader == "" {
		return errLeaderless
	}
	client, err := c.replay(leader)
	if err != nil {
		return err
	}
	at := &place{grpc: leader}
	for _, node := range top.Nodes {
		if node.Grpc == leader {
			at.http = node.Http
		}
	}
	return call(ctx, client, at)
}

// movable says whether an error may pass when somebody else leads, or the leader is back.
func movable(err error) bool {
	if p, ok := problem.Of(err); ok {
		return p.Kind == problem.Elsewhere || p.Kind == problem.Outcome || p.Kind == problem.Overload
	}
	return errors.Is(err, errLeaderless) || status.Code(err) == codes.Unavailable
}

// Places are what the leaders of a namespace's partitions know of senders and peers, by partition.
func (c *Cluster) Places(ctx context.Context, namespace string) ([]*replaypb.PlacesResponse, error) {
	top, err := c.Topology(ctx, namespace)
	if err != nil {
		return nil, err
	}
	all := make([]*replaypb.PlacesResponse, len(top.Partitions))
	err = each(ctx, len(all), func(ctx context.Context, i int) error {
		return c.atLeader(ctx, namespace, uint32(i), func(ctx context.Context, client replaypb.ReplayClient, at *place) error {
			asking, cancel := context.WithTimeout(ctx, callWithin)
			defer cancel()
			got, err := client.Places(asking, &replaypb.PlacesRequest{Namespace: namespace, Partition: uint32(i)})
			if err == nil && !got.Leading {
				err = &problem.Error{Kind: problem.Elsewhere, What: at.grpc + " doesn't lead it"}
			}
			all[i] = got
			return err
		})
	})
	return all, err
}
