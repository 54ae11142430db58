package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// Deadlines of calls.
const (
	askTimeout  = 5 * time.Second
	callTimeout = 20 * time.Second
	// tooFresh is how old a topology must be before nodes are asked again: of many calls that miss a leader at once, one asks.
	tooFresh = 50 * time.Millisecond
)

// ClientOptions are a Client's. Nodes have to be given.
type ClientOptions struct {
	// Nodes are gRPC addresses, host:port, of any of the cluster's nodes.
	Nodes []string
	// Dial are added to the gRPC options; without any, connections are not encrypted.
	Dial []grpc.DialOption
	// Logger is told of leaders that move; nil is for nobody.
	Logger *slog.Logger
}

// Client calls the partitions' leaders of one cluster, whichever nodes those are on. Its methods may be called from any goroutine. Close it.
type Client struct {
	nodes   []string
	options []grpc.DialOption
	log     *slog.Logger

	mu struct {
		sync.Mutex
		conns  map[string]*grpc.ClientConn
		spaces map[string]*space
		known  []string // nodes that a topology named, and that aren't among nodes
		closed bool
	}
}

// space is what is known of a namespace.
type space struct {
	asking sync.Mutex // held while nodes are asked

	mu      sync.Mutex
	asked   time.Time
	topo    *replaypb.TopologyResponse
	leaders []string // by partition; "" if not known
}

// NewClient makes one. It connects when it is used.
func NewClient(o ClientOptions) *Client {
	c := &Client{nodes: slices.Clone(o.Nodes), log: o.Logger}
	c.options = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 5 * time.Second,
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}}),
	}, o.Dial...)
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.mu.conns, c.mu.spaces = map[string]*grpc.ClientConn{}, map[string]*space{}
	return c
}

// Close ends the connections; calls under way fail.
func (c *Client) Close() error {
	c.mu.Lock()
	conns := c.mu.conns
	c.mu.conns, c.mu.closed = nil, true
	c.mu.Unlock()
	var errs []error
	for _, conn := range conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

func (c *Client) conn(node string) (replaypb.ReplayClient, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return nil, &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeInternal, What: "the client of the cluster was closed"}
	}
	conn := c.mu.conns[node]
	if conn == nil {
		var err error
		if conn, err = grpc.NewClient(node, c.options...); err != nil {
			return nil, fmt.Errorf("node %s: %w", node, err)
		}
		c.mu.conns[node] = conn
	}
	return replaypb.NewReplayClient(conn), nil
}

func (c *Client) space(namespace string) *space {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.spaces[namespace]
	if s == nil {
		s = &space{}
		c.mu.spaces[namespace] = s
	}
	return s
}

// Topology asks nodes for a namespace until one answers, for as long as patience; "" asks for the nodes and the names of namespaces. The error is a
// *changefeed.Error.
func (c *Client) Topology(ctx context.Context, namespace string) (*replaypb.TopologyResponse, error) {
	var topo *replaypb.TopologyResponse
	err := persist(ctx, nil, func(ctx context.Context) (err error) {
		topo, err = c.refresh(ctx, namespace, time.Now())
		return err
	})
	if err != nil {
		what := "which namespaces there are"
		if namespace != "" {
			what = fmt.Sprintf("how %q is cut", namespace)
		}
		return nil, failure(err, "the cluster at %v: no node says %s", c.nodes, what)
	}
	return topo, nil
}

// refresh asks one node after the other, unless that was done since.
func (c *Client) refresh(ctx context.Context, namespace string, since time.Time) (*replaypb.TopologyResponse, error) {
	s := c.space(namespace)
	s.asking.Lock()
	defer s.asking.Unlock()
	s.mu.Lock()
	topo := s.topo
	fresh := topo != nil && s.asked.After(since.Add(-tooFresh))
	s.mu.Unlock()
	if fresh {
		return topo, nil
	}
	var errs []error
	for _, node := range c.candidates() {
		topo, err := c.ask(ctx, node, namespace)
		if err == nil {
			s.take(topo)
			c.remember(topo)
			return topo, nil
		}
		errs = append(errs, &nodeError{node, err})
		if ctx.Err() != nil {
			break
		}
	}
	return nil, worst(errs)
}

// worst is the error that says most: what a node named, rather than that one can't be reached.
func worst(errs []error) error {
	for _, err := range errs {
		if p, ok := problem.Of(err); ok && p.Kind == problem.Unknown {
			return err
		}
	}
	return errors.Join(errs...)
}

func (c *Client) ask(ctx context.Context, node, namespace string) (*replaypb.TopologyResponse, error) {
	rc, err := c.conn(node)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return rc.Topology(ctx, &replaypb.TopologyRequest{Namespace: namespace})
}

// candidates are the nodes that were named to us, and then those that a topology named.
func (c *Client) candidates() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Concat(c.nodes, c.mu.known)
}

// maxKnown bounds how many nodes are kept besides those that were named.
const maxKnown = 16

func (c *Client) remember(topo *replaypb.TopologyResponse) {
	var known []string
	for _, n := range topo.Nodes {
		if n.Alive && n.Grpc != "" && !slices.Contains(c.nodes, n.Grpc) && len(known) < maxKnown {
			known = append(known, n.Grpc)
		}
	}
	c.mu.Lock()
	c.mu.known = known
	c.mu.Unlock()
}

func (s *space) take(topo *replaypb.TopologyResponse) {
	leaders := make([]string, len(topo.Partitions))
	for _, p := range topo.Partitions {
		if int(p.Number) < len(leaders) {
			leaders[p.Number] = p.Leader
		}
	}
	s.mu.Lock()
	s.topo, s.leaders, s.asked = topo, leaders, time.Now()
	s.mu.Unlock()
}

// leader is who is believed to lead a partition.
func (c *Client) leader(ctx context.Context, namespace string, partition uint32) (string, error) {
	s := c.space(namespace)
	if leader := s.leader(partition); leader != "" {
		return leader, nil
	}
	topo, err := c.refresh(ctx, namespace, time.Now())
	if err != nil {
		return "", err
	}
	if int(partition) >= len(topo.Partitions) {
		return "", problem.New(problem.Unknown, "%s has %d partitions: there is no %s-%d", namespace, len(topo.Partitions), namespace, partition)
	}
	if leader := s.leader(partition); leader != "" {
		return leader, nil
	}
	return "", errNoLeader
}

func (s *space) leader(partition uint32) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(partition) < len(s.leaders) {
		return s.leaders[partition]
	}
	return ""
}

// learn takes from an error who leads, or that asked no longer does.
func (c *Client) learn(namespace string, partition uint32, asked string, err error) {
	hint := ""
	p, ok := problem.Of(err)
	if ok && p.Kind != problem.Elsewhere {
		return
	}
	if ok && p.Leader != asked {
		hint = p.Leader
	}
	s := c.space(namespace)
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(partition) < len(s.leaders) && s.leaders[partition] == asked {
		s.leaders[partition] = hint
		c.log.Debug("replay: a partition's leader is elsewhere", "namespace", namespace, "partition", partition, "asked", asked, "leader", hint)
	}
}

// once makes one call to a partition's leader.
func (c *Client) once(ctx context.Context, namespace string, partition uint32, timeout time.Duration, do func(context.Context, replaypb.ReplayClient) error) error {
	leader, err := c.leader(ctx, namespace, partition)
	if err != nil {
		return err
	}
	rc, err := c.conn(leader)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err = do(ctx, rc); err != nil {
		c.learn(namespace, partition, leader, err)
		return &nodeError{leader, err}
	}
	return nil
}

// call repeats a call that may be made several times, for as long as patience. told is persist's.
func (c *Client) call(ctx context.Context, namespace string, partition uint32, told func(error), do func(context.Context, replaypb.ReplayClient) error) error {
	err := persist(ctx, told, func(ctx context.Context) error { return c.once(ctx, namespace, partition, callTimeout, do) })
	if err != nil {
		return failure(err, "%s-%d of the cluster at %v", namespace, partition, c.nodes)
	}
	return nil
}

// Confirm tells a partition of this cluster what a peer has of it: see Replay.Confirm.
func (c *Client) Confirm(ctx context.Context, namespace string, partition uint32, peer string, time int64) (at Moment, err error) {
	err = c.call(ctx, namespace, partition, nil, func(ctx context.Context, rc replaypb.ReplayClient) error {
		r, err := rc.Confirm(ctx, &replaypb.ConfirmRequest{Namespace: namespace, Partition: partition, Peer: peer, Time: time})
		at = Moment{Position: positionOf(r.GetApplied()), Time: r.GetTime()}
		return err
	})
	return at, err
}

// Hash is how a namespace is cut: crc16 or murmur3.
func (c *Client) Hash(ctx context.Context, namespace string) (string, error) {
	topo, err := c.Topology(ctx, namespace)
	if err != nil {
		return "", err
	}
	return topo.Hash, nil
}

// Open says where a sender stands; see Replay.Open. As of the others the error is a *changefeed.Error, after repeating it for as long as patience.
func (c *Client) Open(ctx context.Context, req *replaypb.OpenRequest) (*replaypb.OpenResponse, error) {
	return c.place(ctx, req.Namespace, req.Partition, nil, func(ctx context.Context, rc replaypb.ReplayClient) (*replaypb.OpenResponse, error) {
		return rc.Open(ctx, req)
	})
}

// Begin is Replay.Begin.
func (c *Client) Begin(ctx context.Context, req *replaypb.BeginRequest) (*replaypb.OpenResponse, error) {
	return c.place(ctx, req.Namespace, req.Partition, nil, func(ctx context.Context, rc replaypb.ReplayClient) (*replaypb.OpenResponse, error) {
		return rc.Begin(ctx, req)
	})
}

// Adopt is Replay.Adopt.
func (c *Client) Adopt(ctx context.Context, req *replaypb.AdoptRequest) (*replaypb.OpenResponse, error) {
	return c.place(ctx, req.Namespace, req.Partition, nil, func(ctx context.Context, rc replaypb.ReplayClient) (*replaypb.OpenResponse, error) {
		return rc.Adopt(ctx, req)
	})
}

// Forget is Replay.Forget.
func (c *Client) Forget(ctx context.Context, req *replaypb.ForgetRequest) error {
	return c.call(ctx, req.Namespace, req.Partition, nil, func(ctx context.Context, rc replaypb.ReplayClient) error {
		_, err := rc.Forget(ctx, req)
		return err
	})
}

func (c *Client) place(ctx context.Context, namespace string, partition uint32, told func(error),
	do func(context.Context, replaypb.ReplayClient) (*replaypb.OpenResponse, error)) (resp *replaypb.OpenResponse, err error) {
	err = c.call(ctx, namespace, partition, told, func(ctx context.Context, rc replaypb.ReplayClient) (err error) {
		resp, err = do(ctx, rc)
		return err
	})
	return resp, err
}
