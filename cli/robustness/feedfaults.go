package robustness

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cli/internal/processes"
)

// FeedFaults does bad things to a changefeed's owners, to the leaders that it reads, and to the broker that it writes to, while a workload runs. Each
// one is over when what was written after it has come through to the topic.
type FeedFaults struct {
	*Faults
	ID     string
	Broker *processes.Kafka // on a Disk, behind a Proxy
	Topic  *Topic
	// Markers are keys, one in each partition.
	Markers []string
}

// feedFault is one kind of it.
type feedFault struct {
	name string
	run  func(*FeedFaults, context.Context) error
}

var feedFaults = []feedFault{
	{"kill -9 of an owner", (*FeedFaults).killOwner},
	{"an owner pauses for longer than its claim", (*FeedFaults).pauseOwner},
	{"kill -9 of a leader", func(f *FeedFaults, ctx context.Context) error { return f.killLeader(ctx) }},
	{"leaders go to others", (*FeedFaults).moveLeaders},
	{"kill -9 of the broker", (*FeedFaults).killBroker},
	{"the broker pauses", (*FeedFaults).pauseBroker},
	{"the broker's disk is full", (*FeedFaults).fillDisk},
	{"the broker is slow", (*FeedFaults).slowBroker},
}

// Round does each of them once, in an order drawn anew.
func (f *FeedFaults) Round(ctx context.Context) error {
	for _, i := range f.Rand.Perm(len(feedFaults)) {
		if err := f.Do(ctx, feedFaults[i]); err != nil {
			return err
		}
	}
	return nil
}

// Do does one, and sees that the feed comes on after it.
func (f *FeedFaults) Do(ctx context.Context, fault feedFault) error {
	before := time.Now()
	if err := fault.run(f, ctx); err != nil {
		return fmt.Errorf("%s: %w", fault.name, err)
	}
	took, err := f.ComesOn(ctx, f.Cluster.Nodes[0])
	if err != nil {
		return fmt.Errorf("after %s: %w", fault.name, err)
	}
	f.Logf("%s: %v; what was written then came %v later", fault.name, time.Since(before).Round(time.Millisecond), took.Round(time.Millisecond))
	return nil
}

// ComesOn writes markers by a node that is up, and returns how long they took to the topic.
func (f *FeedFaults) ComesOn(ctx context.Context, n *processes.Node) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	bound := redis.NewClient(&redis.Options{Addr: n.Bound(f.Cluster.Namespace), MaxRetries: -1})
	defer bound.Close()
	var m Markers
	err := Until(ctx, func(ctx context.Context) (err error) {
		m, err = Mark(ctx, bound, f.Markers)
		return err
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = f.Topic.Await(ctx, m)
	return time.Since(began), err
}

// operator asks all nodes but one, which may not answer.
func (f *FeedFaults) operator(without *processes.Node) *Operator {
	o := &Operator{Binary: f.Cluster.CDC}
	for _, n := range f.Cluster.Nodes {
		if n != without {
			o.Nodes = append(o.Nodes, n.GRPC())
		}
	}
	return o
}

// NodeOf is the node that a changefeed's owner is, -1 if it is none.
func NodeOf(c *processes.Cluster, owner string) int {
	return slices.IndexFunc(c.Nodes, func(n *processes.Node) bool {
		return slices.Contains([]string{n.GRPC(), n.HTTP(), n.Redis()}, owner)
	})
}

// owner is the node that owns a partition that is drawn.
func (f *FeedFaults) owner(ctx context.Context) (*processes.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p := f.Rand.IntN(f.Cluster.Partitions)
	var n *processes.Node
	return n, Until(ctx, func(ctx context.Context) error {
		feed, err := f.operator(nil).Query(ctx, f.ID)
		if err != nil {
			return err
		}
		i := NodeOf(f.Cluster, feed.Partitions[p].Owner)
		if i < 0 {
			return fmt.Errorf("robustness: partition %d is owned by %q, which is no node", p, feed.Partitions[p].Owner)
		}
		n = f.Cluster.Nodes[i]
		return nil
	})
}

// takenOver returns when nothing is owned by a node any more, and all by others.
func (f *FeedFaults) takenOver(ctx context.Context, from *processes.Node) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o := f.operator(from)
	return Until(ctx, func(ctx context.Context) error {
		feed, err := o.Query(ctx, f.ID)
		if err != nil {
			return err
		}
		for p, owner := range feed.Owners() {
			if i := NodeOf(f.Cluster, owner); i < 0 || f.Cluster.Nodes[i] == from {
				return fmt.Errorf("robustness: partition %d is owned by %q", p, owner)
			}
		}
		return nil
	})
}

// other is a node that isn't n.
func (f *FeedFaults) other(n *processes.Node) *processes.Node {
	i := slices.Index(f.Cluster.Nodes, n)
	return f.Cluster.Nodes[(i+1)%len(f.Cluster.Nodes)]
}

// MaxTakeover is how long, after an owner was killed, what is written may take to the sink: "within seconds". A claim runs out after 5 s.
const MaxTakeover = 20 * time.Second

func (f *FeedFaults) killOwner(ctx context.Context) error {
	n, err := f.owner(ctx)
	if err != nil {
		return err
	}
	n.Kill()
	began := time.Now()
	if err := f.takenOver(ctx, n); err != nil {
		return err
	}
	owned := time.Since(began)
	if _, err := f.ComesOn(ctx, f.other(n)); err != nil {
		return err
	}
	through := time.Since(began)
	f.Logf("%s killed: others own its partitions after %v, what was written then is in the topic after %v", n.Name,
		owned.Round(time.Millisecond), through.Round(time.Millisecond))
	if through > MaxTakeover {
		return fmt.Errorf("robustness: a takeover took %v, want at most %v", through, MaxTakeover)
	}
	return f.restart(ctx, n)
}

// pauseOwner stops an owner's clock for longer than its claim lasts. When it goes on, what it was about to write must not come into the topic
// behind what its successor wrote.
func (f *FeedFaults) pauseOwner(ctx context.Context) error {
	n, err := f.owner(ctx)
	if err != nil {
		return err
	}
	n.Signal(syscall.SIGSTOP)
	err = f.takenOver(ctx, n)
	if err == nil {
		_, err = f.ComesOn(ctx, f.other(n))
	}
	if err == nil {
		err = f.progress(ctx, during)
	}
	n.Signal(syscall.SIGCONT)
	if err != nil {
		return err
	}
	return f.Cluster.Ready(ctx, n)
}

// moveLeaders ends each node in order and starts it again: its partitions are led by others first, and its claims are given up.
func (f *FeedFaults) moveLeaders(ctx context.Context) error {
	for _, n := range f.Cluster.Nodes {
		stopping, cancel := context.WithTimeout(ctx, patience)
		err := n.Stop(stopping)
		cancel()
		if err != nil {
			return err
		}
		if err := f.progress(ctx, after); err != nil {
			return err
		}
		if err := f.restart(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (f *FeedFaults) killBroker(ctx context.Context) error {
	f.Broker.Kill()
	if err := f.progress(ctx, during); err != nil {
		return err
	}
	return f.startBroker(ctx)
}

func (f *FeedFaults) startBroker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return f.Broker.Start(ctx)
}

// brokerPause is longer than a broker's session with its controller: it is taken for dead when it goes on.
const brokerPause = 4 * time.Second

func (f *FeedFaults) pauseBroker(ctx context.Context) error {
	f.Broker.Pause()
	err := f.progressFor(ctx, brokerPause)
	f.Broker.Resume()
	return err
}

// progressFor has clients come on for some time.
func (f *FeedFaults) progressFor(ctx context.Context, d time.Duration) error {
	for began := time.Now(); time.Since(began) < d; {
		if err := f.progress(ctx, after); err != nil {
			return err
		}
	}
	return nil
}

// fillDisk: a broker whose disk is full ends.
func (f *FeedFaults) fillDisk(ctx context.Context) error {
	if err := f.Broker.Disk.Fill(); err != nil {
		return err
	}
	ending, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	err := f.Broker.Wait(ending)
	if ending.Err() != nil {
		return fmt.Errorf("robustness: the broker goes on with a full disk: %w", err)
	}
	f.Logf("the broker ended %v after its disk was full", time.Since(began).Round(time.Millisecond))
	if err := f.progress(ctx, during); err != nil {
		return err
	}
	if err := f.Broker.Disk.Free(); err != nil {
		return err
	}
	return f.startBroker(ctx)
}

// slowRate is what a slow broker takes, in bytes a second, and slowFor how long it is slow.
const (
	slowRate = 64 << 10
	slowFor  = 3 * time.Second
)

func (f *FeedFaults) slowBroker(ctx context.Context) error {
	f.Broker.Proxy.Limit(slowRate)
	err := f.progressFor(ctx, slowFor)
	f.Broker.Proxy.Limit(0)
	return err
}
