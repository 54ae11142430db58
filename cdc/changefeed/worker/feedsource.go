package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// FeedSourceOptions are a FeedSource's. Cluster and Nodes have to be given.
type FeedSourceOptions struct {
	// Cluster is the id of the cluster that the nodes are of.
	Cluster string
	// Nodes are addresses of the feed, host:port, of any of the cluster's nodes; the first that answers is asked.
	Nodes []string
	// Dial are added to the gRPC options; without any, connections are not encrypted.
	Dial []grpc.DialOption
	// Preference says how long this process should leave a partition to others; nil: not at all.
	Preference func(namespace string, partition uint32) time.Duration
	// GiveUp is how long replicas may not serve before that counts as a failure; 0 is 5 s.
	GiveUp time.Duration
	// Linger is feed.Config's.
	Linger time.Duration
	// Logger is told of replicas that can't serve; nil is for nobody.
	Logger *slog.Logger
}

// FeedSource is a cluster that is read by its gRPC feed. Close it.
type FeedSource struct {
	o         FeedSourceOptions
	consumers *feed.Consumers
}

var _ changefeed.Source = (*FeedSource)(nil)

// NewFeedSource makes one. It connects when it is used.
func NewFeedSource(o FeedSourceOptions) (*FeedSource, error) {
	if o.Cluster == "" || len(o.Nodes) == 0 {
		return nil, errors.New("changefeed worker: a source wants the cluster's id and at least one node, host:port")
	}
	o.GiveUp = cmp.Or(o.GiveUp, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &FeedSource{o: o, consumers: feed.NewConsumers(o.Nodes, o.Dial...)}, nil
}

// Close ends the connections that aren't a stream's.
func (s *FeedSource) Close() error { return s.consumers.Close() }

// Cluster is changefeed.Source's.
func (s *FeedSource) Cluster() string { return s.o.Cluster }

// Preference is changefeed.Source's.
func (s *FeedSource) Preference(namespace string, partition uint32) time.Duration {
	if s.o.Preference == nil {
		return 0
	}
	return s.o.Preference(namespace, partition)
}

// Partitions asks one node after the other.
func (s *FeedSource) Partitions(ctx context.Context, namespace string) (uint32, error) {
	var failures []error
	for _, node := range s.o.Nodes {
		n, err := s.askPartitions(ctx, node, namespace)
		if err == nil && n > 0 {
			return n, nil
		}
		failures = append(failures, err)
	}
	for _, err := range failures {
		if err == nil || status.Code(err) == codes.NotFound {
			return 0, fmt.Errorf("namespace %q: %w", namespace, feed.ErrUnknown)
		}
	}
	return 0, errors.Join(failures...)
}

func (s *FeedSource) askPartitions(ctx context.Context, node, namespace string) (uint32, error) {
	options := append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, s.o.Dial...)
	conn, err := grpc.NewClient(node, options...)
	if err != nil {
		return 0, fmt.Errorf("node %s: %w", node, err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	resp, err := feedpb.NewFeedClient(conn).Partitions(ctx, &feedpb.PartitionsRequest{Namespace: namespace})
	if err != nil {
		return 0, fmt.Errorf("ask %s for the partitions of %s: %w", node, namespace, err)
	}
	return uint32(len(resp.Partitions)), nil
}

// Open begins a stream that follows the log. It connects at the first Next.
func (s *FeedSource) Open(_ context.Context, namespace string, partition uint32, at changefeed.Place) (changefeed.Stream, error) {
	from, err := ReadFrom(at)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := feed.Open(ctx, feed.Config{
		Nodes: s.o.Nodes, Namespace: namespace, Partition: partition, From: from, Follow: true, GiveUp: s.o.GiveUp,
		Linger: s.o.Linger, Dial: s.o.Dial, Logger: s.o.Logger,
	})
	if err != nil {
		cancel()
		return nil, err
	}
	return &feedStream{reader: r, cancel: cancel}, nil
}

// ReadFrom is a place as readers of the feed know it.
func ReadFrom(at changefeed.Place) (feed.From, error) {
	switch {
	case at.After.IsZero():
		return feed.ParseFrom(cmp.Or(at.From, "earliest"))
	case at.ChainKnown:
		return feed.After(at.After, at.Chain), nil
	}
	return feed.AfterPosition(at.After), nil
}

// feedStream is a feed.Reader whose waits end by a context.
type feedStream struct {
	reader *feed.Reader
	cancel context.CancelFunc
	item   changefeed.Item
}

func (f *feedStream) Buffered() bool { return f.reader.Buffered() }

func (f *feedStream) Next(ctx context.Context) (*changefeed.Item, error) {
	if !f.reader.Buffered() {
		stop := context.AfterFunc(ctx, f.cancel)
		defer stop()
	}
	item, err := f.reader.Next()
	if err != nil {
		return nil, err
	}
	f.item = changefeed.Item{Event: item.Event, Stamp: item.Stamp, Names: item.Names, Position: item.Bookmark}
	if item.Event == nil {
		f.item.Time = item.ServerTime.UnixNano()
	}
	return &f.item, nil
}

func (f *feedStream) Close() error {
	f.cancel()
	return f.reader.Close()
}

// Snapshot waits for a replica that has the position.
func (s *FeedSource) Snapshot(ctx context.Context, namespace string, partition uint32, want changefeed.Want) (changefeed.Rows, error) {
	life, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	r, err := feed.OpenSnapshot(life, feed.SnapshotConfig{
		Nodes: s.o.Nodes, Namespace: namespace, Partition: partition, AtLeast: want.AtLeast, AfterKey: want.AfterKey, Tombstones: want.Tombstones,
		GiveUp: s.o.GiveUp, Dial: s.o.Dial, Logger: s.o.Logger,
	})
	if err != nil {
		cancel()
		return nil, err
	}
	b := r.Base()
	stamp := event.Stamp{Cluster: b.Cluster, Namespace: b.Namespace, Partition: b.Partition, Position: b.Position, Chain: b.Chain}
	if want.Tombstones && stamp.Position.IsZero() { // of a log without events: who takes the state over has to have a place in it
		stamp.Position = b.Applied
	}
	return &feedRows{reader: r, cancel: cancel, base: changefeed.Base{Stamp: stamp, Time: b.Time, Horizons: b.Horizons, Keys: b.Keys}}, nil
}

type feedRows struct {
	reader *feed.SnapshotReader
	cancel context.CancelFunc
	base   changefeed.Base
}

func (f *feedRows) Base() *changefeed.Base { return &f.base }

func (f *feedRows) Next(ctx context.Context) (*event.Event, event.Names, error) {
	stop := context.AfterFunc(ctx, f.cancel)
	defer stop()
	return f.reader.Next()
}

func (f *feedRows) Close() error {
	f.cancel()
	return f.reader.Close()
}

// Head asks the partition's leader.
func (s *FeedSource) Head(ctx context.Context, namespace string, partition uint32) (changefeed.Head, error) {
	r, err := s.consumers.Retained(ctx, namespace, partition)
	if err != nil {
		return changefeed.Head{}, err
	}
	h := changefeed.Head{Applied: event.Position{Term: r.Last.Term, Index: r.Applied}, Oldest: r.Oldest, HeadroomBytes: -1, Headroom: map[string]int64{}, Held: map[string]uint64{}}
	if r.Applied >= r.First && r.First > 0 {
		h.BytesPerEntry = float64(r.Bytes) / float64(r.Applied-r.First+1)
	}
	for _, c := range r.Consumers {
		h.Held[c.ID] = c.LagBytes
		h.Headroom[c.ID] = changefeed.Headroom(c.HeadroomBytes, c.HeadroomDisk, c.Lost)
	}
	return h, nil
}

// Hold registers, moves or removes a consumer.
func (s *FeedSource) Hold(ctx context.Context, namespace string, partition uint32, consumer string, p event.Position) error {
	if p.IsZero() {
		return s.consumers.Remove(ctx, namespace, partition, consumer)
	}
	_, err := s.consumers.Set(ctx, namespace, partition, consumer, p)
	return err
}
