package datanode

import (
	"context"
	"errors"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/partition"
)

// feedSource is the cluster as the changefeeds of this node read it: from the node's own replica where there is one, which costs a third of what a
// stream does (no gRPC, no second decoding and check of the chain), and over gRPC otherwise.
type feedSource struct {
	n   *Node
	far *worker.FeedSource
	// patience is how long a replica here may know no leader, or not have reached the place to begin, before it is left for another.
	patience time.Duration
}

var _ changefeed.Source = (*feedSource)(nil)

// Cluster implements changefeed.Source.
func (s *feedSource) Cluster() string { return s.n.opts.ClusterID }

// Partitions implements changefeed.Source.
func (s *feedSource) Partitions(_ context.Context, namespace string) (uint32, error) {
	n, ok := s.n.partitionsOf(namespace)
	if !ok {
		return 0, feed.ErrUnknown
	}
	return n, nil
}

func (n *Node) partitionsOf(namespace string) (uint32, bool) {
	ns := n.opts.Meta.View().Namespaces[namespace]
	if ns == nil {
		return 0, false
	}
	return uint32(len(ns.Partitions)), true
}

// How long this node leaves a partition to others that are nearer to it: a follower reads from its own replica and spares the leader; the leader
// reads from its own; who has no replica needs gRPC.
const (
	leaderDelay  = 100 * time.Millisecond
	strangeDelay = 400 * time.Millisecond
)

// Preference implements changefeed.Source.
func (s *feedSource) Preference(namespace string, number uint32) time.Duration {
	r := s.n.replica(namespace, number)
	switch {
	case r == nil:
		return strangeDelay
	case r.Leading():
		return leaderDelay
	}
	return 0
}

// replica is this node's; nil if it has none.
func (n *Node) replica(namespace string, number uint32) *partition.Replica {
	ns := n.table.lookup(namespace)
	if ns == nil || int64(number) >= int64(len(ns.replicas)) {
		return nil
	}
	return ns.replicas[number].Load()
}

// Open implements changefeed.Source.
func (s *feedSource) Open(ctx context.Context, namespace string, number uint32, at changefeed.Place) (changefeed.Stream, error) {
	from, err := worker.ReadFrom(at)
	if err != nil {
		return nil, err
	}
	r := s.n.replica(namespace, number)
	if r == nil {
		return s.far.Open(ctx, namespace, number, at)
	}
	local, err := s.n.feed.Local(namespace, number, from)
	if err != nil {
		return s.far.Open(ctx, namespace, number, at)
	}
	now := time.Now()
	return &nearStream{source: s, replica: r, namespace: namespace, number: number, at: at, local: local, led: now, opened: now}, nil
}

// Snapshot implements changefeed.Source.
func (s *feedSource) Snapshot(ctx context.Context, namespace string, number uint32, want changefeed.Want) (changefeed.Rows, error) {
	return s.far.Snapshot(ctx, namespace, number, want)
}

// Head implements changefeed.Source. A replica here knows it without being asked over gRPC: the one that is read from.
func (s *feedSource) Head(ctx context.Context, namespace string, number uint32) (changefeed.Head, error) {
	r := s.n.replica(namespace, number)
	if r == nil {
		return s.far.Head(ctx, namespace, number)
	}
	state, ok := r.State()
	h, err := r.Holding()
	if !ok || err != nil {
		return s.far.Head(ctx, namespace, number)
	}
	head := changefeed.Head{Applied: state.Applied, Oldest: h.Oldest, HeadroomBytes: -1, Headroom: make(map[string]int64, len(h.Consumers)),
		Held: make(map[string]uint64, len(h.Consumers))}
	if state.Applied.Index >= h.First && h.First > 0 {
		head.BytesPerEntry = float64(h.Bytes) / float64(state.Applied.Index-h.First+1)
	}
	for _, c := range h.Consumers {
		head.Held[c.ID] = c.LagBytes
		head.Headroom[c.ID] = changefeed.Headroom(c.HeadroomBytes, c.HeadroomDisk, c.Lost)
	}
	return head, nil
}

// Hold implements changefeed.Source: on the leader, which is often here.
func (s *feedSource) Hold(ctx context.Context, namespace string, number uint32, consumer string, p event.Position) error {
	if r := s.n.replica(namespace, number); r != nil && r.Leading() {
		err := r.MoveConsumer(ctx, consumer, p)
		if !errors.Is(err, partition.ErrNotLeader) && !errors.Is(err, partition.ErrClosed) {
			return err
		}
	}
	return s.far.Hold(ctx, namespace, number, consumer, p)
}

const (
	// bookmarkEvery is how often an idle replica says how far it is, as the feed does.
	bookmarkEvery = time.Second
	// gather is how long after a wake-up the next one comes at the earliest: a busy partition applies thousands of entries a second, and each would be
	// a wake-up of its own.
	gather = 5 * time.Millisecond
	// patience is a feedSource's.
	patience = 5 * time.Second
)

// nearStream reads a replica of this node; if that has no more what comes next, goes away, or has lost its leader, it goes on over gRPC.
type nearStream struct {
	source    *feedSource
	replica   *partition.Replica
	namespace string
	number    uint32
	at        changefeed.Place // where another stream would go on

	local *feed.Local // nil once it was left
	far   changefeed.Stream
	item  changefeed.Item
	woken time.Time
	led   time.Time // when the replica last knew a leader

	opened time.Time
}

// Buffered implements changefeed.Stream.
func (s *nearStream) Buffered() bool {
	if s.local == nil {
		return s.far != nil && s.far.Buffered()
	}
	return s.local.Buffered()
}

// Next implements changefeed.Stream.
func (s *nearStream) Next(ctx context.Context) (*changefeed.Item, error) {
	if s.local != nil {
		item, err := s.near(ctx)
		if err == nil || ctx.Err() != nil || final(err) {
			return item, err
		}
		s.source.n.opts.Logger.Info("a changefeed goes on at another replica", "partition", s.replica.Name(), "after", s.at.After.String(), "reason", err)
		s.local.Close()
		s.local = nil
	}
	if s.far == nil {
		far, err := s.source.far.Open(ctx, s.namespace, s.number, s.at)
		if err != nil {
			return nil, err
		}
		s.far = far
	}
	return s.far.Next(ctx)
}

// final says whether another replica wouldn't change an error.
func final(err error) bool {
	var problem *feed.Error
	return errors.As(err, &problem) && problem.Kind != feed.Elsewhere
}

var (
	errLeaderless = errors.New("the replica here has no leader")
	errBehind     = errors.New("the replica here hasn't reached the place to begin")
)

// near gives the next event, or a bookmark where there is none. As soon as an entry was passed that is no event, a bookmark says so: Buffered
// counted it.
func (s *nearStream) near(ctx context.Context) (*changefeed.Item, error) {
	for {
		found, err := s.local.Next(ctx)
		if err != nil {
			return nil, err
		}
		if found != nil {
			return s.give(found), nil
		}
		if b := s.bookmark(); b != nil && b.Bookmark.Index > s.at.After.Index {
			return s.give(b), nil
		}
		idle, err := s.wait(ctx)
		if err != nil {
			return nil, err
		}
		if b := s.bookmark(); idle && b != nil {
			return s.give(b), nil
		}
		if time.Since(s.led) > s.source.patience {
			return nil, errLeaderless
		}
		if s.local.Bookmark() == nil && time.Since(s.opened) > s.source.patience {
			return nil, errBehind
		}
	}
}

// bookmark is where the replica is. It says nothing while it knows no leader: the others may be further.
func (s *nearStream) bookmark() *feed.Item {
	if s.replica.Leadership().Leader == 0 {
		return nil
	}
	s.led = time.Now()
	return s.local.Bookmark()
}

// wait returns when there is more, or after bookmarkEvery: then it is idle.
func (s *nearStream) wait(ctx context.Context) (idle bool, err error) {
	timeout, cancel := context.WithTimeout(ctx, bookmarkEvery)
	defer cancel()
	err = s.local.Wait(timeout)
	switch {
	case err == nil:
		return false, s.linger(ctx)
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return true, nil
	}
	return false, err
}

func (s *nearStream) linger(ctx context.Context) error {
	left := gather - time.Since(s.woken)
	if left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.woken = time.Now()
	return nil
}

// give hands out what the replica gave, and remembers where to go on after it.
func (s *nearStream) give(i *feed.Item) *changefeed.Item {
	s.item = changefeed.Item{Event: i.Event, Stamp: i.Stamp, Names: i.Names, Position: i.Bookmark}
	if i.Event == nil {
		s.item.Time = i.ServerTime.UnixNano()
	}
	s.at = changefeed.Place{After: i.Bookmark, Chain: i.Stamp.Chain, ChainKnown: true}
	return &s.item
}

// Close implements changefeed.Stream.
func (s *nearStream) Close() error {
	if s.local != nil {
		s.local.Close()
	}
	if s.far != nil {
		return s.far.Close()
	}
	return nil
}

// partitionName is a partition as metrics and INFO name it.
func partitionName(namespace string, number uint32) string {
	return meta.PartitionID{Namespace: namespace, Number: int(number)}.String()
}
