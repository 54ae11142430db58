package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// Consumer is one that is registered in a partition, and how far it is from losing its place in the log of the replica that answered. Sizes
// and ages are exact to the places that the log remembers: see feed.proto.
type Consumer struct {
	ID       string
	Position event.Position // everything up to it was read
	// LagEntries are those after the position, up to the last event, LagBytes what all entries after it take, Lag is the age of the oldest of them.
	// All are 0 when every event was read.
	LagEntries uint64
	LagBytes   uint64
	Lag        time.Duration
	// HeadroomBytes may be written to the partition, Headroom may pass, HeadroomDisk bytes may be written to the node's log by all partitions
	// until the place is lost: with the first of them. 0 and less: as soon as the log is next looked at, which is every 5 s.
	HeadroomBytes int64
	Headroom      time.Duration
	HeadroomDisk  int64 // -1: the log has no cap
	// Lost says that events after the position are gone from that replica's log. It holds nothing back any more, until it is moved on. Another replica
	// may still have the events: reading tells.
	Lost bool
}

// Consumers registers, moves and lists consumers. It remembers who leads which partition, and keeps a connection to each node that it asked, so that a
// call costs a round trip and, if the position moves past an event, one small entry in the partition's log. Its methods may be called from any goroutine.
type Consumers struct {
	nodes []string
	dial  []grpc.DialOption

	mu struct {
		sync.Mutex
		closed  bool
		conns   map[string]*grpc.ClientConn
		leaders map[partitionName]string
	}
}

type partitionName struct {
	namespace string
	number    uint32
}

// NewConsumers makes one. nodes are addresses, host:port, of any of the cluster's nodes. Close it.
func NewConsumers(nodes []string, dial ...grpc.DialOption) *Consumers {
	c := &Consumers{nodes: nodes, dial: dial}
	c.mu.conns, c.mu.leaders = make(map[string]*grpc.ClientConn), make(map[partitionName]string)
	return c
}

// SetConsumer is Consumers.Set for who needs it once.
func SetConsumer(ctx context.Context, nodes []string, namespace string, partition uint32, id string, position event.Position) (Consumer, error) {
	c := NewConsumers(nodes)
	defer c.Close()
	return c.Set(ctx, namespace, partition, id, position)
}

// Set registers a consumer, or moves it: the log keeps what comes after the position, on every replica, as far as the limits allow. It returns
// the consumer as it stands. A position at or below the one where it stands is left: it was sent late. So is one that passes no event: it would
// cost an entry and gain nothing. A position that was lost can be registered, and is returned as Lost.
//
// It looks for the leader until ctx ends. An *Error is final: Unknown, or Ahead for a position that the leader's log doesn't reach.
func (c *Consumers) Set(ctx context.Context, namespace string, partition uint32, id string, position event.Position) (Consumer, error) {
	if position.IsZero() {
		return Consumer{}, fmt.Errorf("feed: consumer %s of %s-%d: position 0-0 is before every event: take Remove to remove the consumer", id, namespace, partition)
	}
	return c.set(ctx, &feedpb.SetConsumerRequest{Namespace: namespace, Partition: partition, Id: id, Position: toPB(position)})
}

// SetBack is Set, but moves a consumer back, too: for an operator who wants events to be read again. What lies there isn't brought back by it.
func (c *Consumers) SetBack(ctx context.Context, namespace string, partition uint32, id string, position event.Position) (Consumer, error) {
	if position.IsZero() {
		return Consumer{}, fmt.Errorf("feed: consumer %s of %s-%d: position 0-0 is before every event: take Remove to remove the consumer", id, namespace, partition)
	}
	return c.set(ctx, &feedpb.SetConsumerRequest{Namespace: namespace, Partition: partition, Id: id, Position: toPB(position), Back: true})
}

// Remove removes a consumer; one that isn't there is no error.
func (c *Consumers) Remove(ctx context.Context, namespace string, partition uint32, id string) error {
	_, err := c.set(ctx, &feedpb.SetConsumerRequest{Namespace: namespace, Partition: partition, Id: id})
	return err
}

func (c *Consumers) set(ctx context.Context, req *feedpb.SetConsumerRequest) (Consumer, error) {
	var found Consumer
	err := c.atLeader(ctx, partitionName{req.Namespace, req.Partition}, func(ctx context.Context, to feedpb.FeedClient) error {
		resp, err := to.SetConsumer(ctx, req)
		if err == nil && resp.Consumer != nil {
			found = consumerFromPB(resp.Consumer)
		}
		return err
	})
	return found, err
}

// List lists a partition's consumers, in the order of their ids.
func (c *Consumers) List(ctx context.Context, namespace string, partition uint32) ([]Consumer, error) {
	var found []Consumer
	err := c.atLeader(ctx, partitionName{namespace, partition}, func(ctx context.Context, to feedpb.FeedClient) error {
		resp, err := to.Consumers(ctx, &feedpb.ConsumersRequest{Namespace: namespace, Partition: partition})
		if err != nil {
			return err
		}
		found = consumersFromPB(resp.Consumers)
		return nil
	})
	return found, err
}

// Retained is what a replica holds of the log, and how far consumers can hold it back.
type Retained struct {
	Oldest     event.Position // the event before the oldest one retained; zero: everything is
	OldestTime time.Time      // the oldest retained event's; zero if there is none
	Last       event.Position // the last event applied
	Applied    uint64         // index of the last entry applied
	First      uint64         // index of the oldest entry left
	Bytes      uint64         // of the entries left
	LimitBytes uint64         // for consumers as many are left at most
	LimitAge   time.Duration  // and none that are older
	Consumers  []Consumer
}

// Retained says what the partition's leader holds.
func (c *Consumers) Retained(ctx context.Context, namespace string, partition uint32) (Retained, error) {
	var found Retained
	err := c.atLeader(ctx, partitionName{namespace, partition}, func(ctx context.Context, to feedpb.FeedClient) error {
		resp, err := to.Status(ctx, &feedpb.StatusRequest{Namespace: namespace, Partition: partition})
		if err != nil {
			return err
		}
		found = Retained{
			Oldest: fromPB(resp.Oldest), Last: fromPB(resp.Last), Applied: resp.Applied, First: resp.FirstIndex, Bytes: resp.Bytes,
			LimitBytes: resp.LimitBytes, LimitAge: time.Duration(resp.LimitMs) * time.Millisecond, Consumers: consumersFromPB(resp.Consumers),
		}
		if resp.OldestTime != 0 {
			found.OldestTime = time.Unix(0, resp.OldestTime)
		}
		return nil
	})
	return found, err
}

// Close closes the connections.
func (c *Consumers) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.closed = true
	var errs []error
	for _, conn := range c.mu.conns {
		errs = append(errs, conn.Close())
	}
	clear(c.mu.conns)
	return errors.Join(errs...)
}

// leaderTimeout is how long one node has to answer: the entry must be committed within it.
const leaderTimeout = 5 * time.Second

// atLeader makes a call to the partition's leader, and looks for it as long as ctx allows. What is called can be repeated: whether an attempt that
// got no answer took effect doesn't matter.
func (c *Consumers) atLeader(ctx context.Context, name partitionName, call func(context.Context, feedpb.FeedClient) error) error {
	s := search{} // its pauses
	for {
		address, err := c.leader(ctx, name)
		if err == nil {
			err = c.attempt(ctx, address, call)
		}
		if err == nil {
			c.remember(name, address)
			return nil
		}
		problem, named := fromStatus(err)
		if !named {
			named = errors.As(err, &problem)
		}
		switch {
		case named && problem.Kind == Elsewhere && len(problem.Addresses) > 0 && s.rounds < 1:
			c.remember(name, problem.Addresses[0])
			s.rounds++ // at once, but not round in circles
			continue
		case named && problem.Kind != Elsewhere:
			return problem
		case refusesCall(err):
			return err
		}
		c.forget(name)
		if wait := pauseFor(ctx, s.pause()); wait != nil {
			return fmt.Errorf("feed: consumers of %s-%d: %w: %w", name.namespace, name.number, wait, err)
		}
		s.rounds++
	}
}

// attempt makes one call.
func (c *Consumers) attempt(ctx context.Context, address string, call func(context.Context, feedpb.FeedClient) error) error {
	conn, err := c.conn(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	return call(ctx, feedpb.NewFeedClient(conn))
}

// leader is who led the partition last, or who does as far as a node knows.
func (c *Consumers) leader(ctx context.Context, name partitionName) (string, error) {
	c.mu.Lock()
	address := c.mu.leaders[name]
	c.mu.Unlock()
	if address != "" {
		return address, nil
	}
	var errs []error
	for _, node := range c.nodes {
		p, err := c.askNode(ctx, node, name)
		switch {
		case err != nil:
			errs = append(errs, err)
		case p.Leader != "":
			return p.Leader, nil
		default: // any replica may know who leads by now
			return p.Replicas[0], nil
		}
	}
	if problem := refusal(errs); problem != nil && len(errs) > 0 {
		return "", problem
	}
	return "", errors.New(errors.Join(errs...).Error())
}

func (c *Consumers) askNode(ctx context.Context, node string, name partitionName) (*feedpb.Partition, error) {
	conn, err := c.conn(node)
	if err != nil {
		return nil, err
	}
	return askPartition(ctx, conn, node, name.namespace, name.number)
}

func (c *Consumers) remember(name partitionName, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.leaders[name] = address
}

func (c *Consumers) forget(name partitionName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.mu.leaders, name)
}

// conn is the connection to a node. There are as many as the cluster has nodes.
func (c *Consumers) conn(address string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return nil, errors.New("feed: consumers: closed")
	}
	if conn := c.mu.conns[address]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.NewClient(address, dialOptions(slices.Clone(c.dial))...)
	if err != nil {
		return nil, fmt.Errorf("feed: node %s: %w", address, err)
	}
	c.mu.conns[address] = conn
	return conn, nil
}

// pauseFor waits, and returns ctx's error if that ends first.
func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
