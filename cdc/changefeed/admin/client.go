package admin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin/adminpb"
)

// Client calls the service on any of a cluster's nodes: the first that answers.
type Client struct {
	nodes []string
	dial  []grpc.DialOption
	mu    struct {
		sync.Mutex
		conns map[string]*grpc.ClientConn
		first int // the node that answered last
	}
}

// How long a client waits for one node before it tries the next: for a connection, and for the answer to a question that changes nothing.
const (
	connectWithin = 3 * time.Second
	answerWithin  = 10 * time.Second
)

// maxAnswer bounds an answer: a list of changefeeds with a thousand partitions each is a few MiB.
const maxAnswer = 64 << 20

// Dial makes a client of nodes, host:port of their gRPC. It connects at the first call. Close it. Without options connections aren't encrypted.
func Dial(nodes []string, opts ...grpc.DialOption) (*Client, error) {
	if len(nodes) == 0 {
		return nil, failure(Invalid, "changefeeds: no nodes given: name at least one, host:port")
	}
	c := &Client{nodes: nodes, dial: append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
	}, opts...)}
	c.mu.conns = map[string]*grpc.ClientConn{}
	return c, nil
}

// Close ends the connections.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for node, conn := range c.mu.conns {
		errs = append(errs, conn.Close())
		delete(c.mu.conns, node)
	}
	return errors.Join(errs...)
}

// Create defines a changefeed. See the service for this and what follows. Errors are *Error.
func (c *Client) Create(ctx context.Context, s changefeed.Spec) (Status, error) {
	return c.one(ctx, func(ctx context.Context, svc adminpb.ChangefeedsClient) (*adminpb.Changefeed, error) {
		return svc.Create(ctx, &adminpb.CreateRequest{Spec: specToPB(&s)})
	})
}

// Update changes a definition.
func (c *Client) Update(ctx context.Context, id string, change Change) (Status, error) {
	return c.one(ctx, func(ctx context.Context, svc adminpb.ChangefeedsClient) (*adminpb.Changefeed, error) {
		return svc.Update(ctx, change.toPB(id))
	})
}

// Pause has a changefeed rest, and returns when nobody works on it any more.
func (c *Client) Pause(ctx context.Context, id string) (Status, error) {
	return c.one(ctx, func(ctx context.Context, svc adminpb.ChangefeedsClient) (*adminpb.Changefeed, error) {
		return svc.Pause(ctx, &adminpb.PauseRequest{Id: id})
	})
}

// Resume has it go on, also where it failed.
func (c *Client) Resume(ctx context.Context, id string) (Status, error) {
	return c.one(ctx, func(ctx context.Context, svc adminpb.ChangefeedsClient) (*adminpb.Changefeed, error) {
		return svc.Resume(ctx, &adminpb.ResumeRequest{Id: id})
	})
}

// Remove takes it away.
func (c *Client) Remove(ctx context.Context, id string) error {
	return c.call(ctx, false, func(ctx context.Context, svc adminpb.ChangefeedsClient) error {
		_, err := svc.Remove(ctx, &adminpb.RemoveRequest{Id: id})
		return err
	})
}

// Checkpoint says where partitions are to go on.
type Checkpoint struct {
	// Partitions are those that At is for; none: all.
	Partitions []uint32
	// At is a position that is taken as done ("2-1041"), earliest, latest, a time, or a list as "0=2-1041,1=2-99".
	At string
	// Unchecked takes positions without asking the partitions for them.
	Unchecked bool
}

// SetCheckpoint moves partitions of a paused changefeed.
func (c *Client) SetCheckpoint(ctx context.Context, id string, to Checkpoint) (Status, error) {
	return c.one(ctx, func(ctx context.Context, svc adminpb.ChangefeedsClient) (*adminpb.Changefeed, error) {
		return svc.SetCheckpoint(ctx, &adminpb.SetCheckpointRequest{Id: id, Partitions: to.Partitions, At: to.At, Unchecked: to.Unchecked})
	})
}

// Get shows one changefeed.
func (c *Client) Get(ctx context.Context, id string) (s Status, err error) {
	err = c.call(ctx, true, func(ctx context.Context, svc adminpb.ChangefeedsClient) error {
		pb, err := svc.Get(ctx, &adminpb.GetRequest{Id: id})
		if err == nil {
			s, err = statusFromPB(pb)
		}
		return err
	})
	return s, err
}

// List shows all changefeeds, or those of a namespace, by id.
func (c *Client) List(ctx context.Context, namespace string) (all []Status, err error) {
	err = c.call(ctx, true, func(ctx context.Context, svc adminpb.ChangefeedsClient) error {
		resp, err := svc.List(ctx, &adminpb.ListRequest{Namespace: namespace})
		if err != nil {
			return err
		}
		all = make([]Status, len(resp.Changefeeds))
		for i, pb := range resp.Changefeeds {
			if all[i], err = statusFromPB(pb); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// one is a change that is answered with the changefeed.
func (c *Client) one(ctx context.Context, do func(context.Context, adminpb.ChangefeedsClient) (*adminpb.Changefeed, error)) (s Status, err error) {
	err = c.call(ctx, false, func(ctx context.Context, svc adminpb.ChangefeedsClient) error {
		pb, err := do(ctx, svc)
		if err == nil {
			s, err = statusFromPB(pb)
		}
		return err
	})
	return s, err
}

// call tries the nodes in turn, from the one that answered last, until one has answered. A change that may have come to a node is not sent to another.
func (c *Client) call(ctx context.Context, question bool, do func(context.Context, adminpb.ChangefeedsClient) error) error {
	c.mu.Lock()
	first := c.mu.first
	c.mu.Unlock()
	last := failure(Unavailable, "no node answers")
	for i := range c.nodes {
		at := (first + i) % len(c.nodes)
		conn, err := c.connect(ctx, c.nodes[at])
		if err != nil {
			last = failure(Unavailable, "%s can't be reached: %v", c.nodes[at], err)
			continue
		}
		err = c.ask(ctx, conn, question, do)
		if err == nil {
			c.answered(at)
			return nil
		}
		problem, here := fromStatus(err)
		if here {
			c.answered(at)
			return problem
		}
		if last = problem; problem.Code == Unavailable {
			last = failure(Unavailable, "%s: %s", c.nodes[at], problem.What)
			if !question {
				return failure(Unavailable, "%s: %s: whether it was done isn't known: look before you repeat it", c.nodes[at], problem.What)
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return last
}

func (c *Client) answered(at int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.first = at
}

func (c *Client) ask(ctx context.Context, conn *grpc.ClientConn, question bool, do func(context.Context, adminpb.ChangefeedsClient) error) error {
	if question {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerWithin)
		defer cancel()
	}
	return do(ctx, adminpb.NewChangefeedsClient(conn))
}

// connect gives a connection that stands, so that a call that fails over one that doesn't is known not to have come to the node.
func (c *Client) connect(ctx context.Context, node string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	conn := c.mu.conns[node]
	if conn == nil {
		var err error
		if conn, err = grpc.NewClient(node, c.dial...); err != nil {
			c.mu.Unlock()
			return nil, err
		}
		c.mu.conns[node] = conn
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	if conn.GetState() == connectivity.TransientFailure { // of an earlier call: try at once, however long it would rest
		conn.ResetConnectBackoff()
		conn.WaitForStateChange(ctx, connectivity.TransientFailure)
	}
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure || state == connectivity.Shutdown {
			return nil, errors.New("no connection")
		}
		if !conn.WaitForStateChange(ctx, state) {
			return nil, fmt.Errorf("no connection: %w", ctx.Err())
		}
		conn.Connect()
	}
	return conn, nil
}
