package datanode

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/resp"
)

// feedPatience is how long a node that has a partition's events is looked for.
const feedPatience = 5 * time.Second

// streams gives the front end the partitions' change events.
type streams struct{ n *Node }

// OpenFeed implements resp.Feed.
func (s streams) OpenFeed(ctx context.Context, namespace string, partition int, from command.FeedFrom) resp.FeedReader {
	return &stream{n: s.n, ctx: ctx, namespace: namespace, partition: uint32(partition), from: feedFrom(from)}
}

func feedFrom(f command.FeedFrom) feed.From {
	switch {
	case f.Newest:
		return feed.Latest()
	case f.Oldest:
		return feed.Earliest()
	case f.Inclusive:
		return feed.At(f.Position)
	}
	return feed.AfterPosition(f.Position)
}

// stream reads a partition's events from this node's replica as long as that has them, and from other nodes then. It implements resp.FeedReader.
type stream struct {
	n         *Node
	ctx       context.Context
	namespace string
	partition uint32
	from      feed.From // where to go on
	local     *feed.Local
	far       *feed.Reader
	nodes     []string // of far
	stop      func()   // ends far, whatever it waits for
	follows   bool     // far waits at the end of the log
	pending   *feed.Item
	out       resp.FeedEvent
}

// Next implements resp.FeedReader.
func (s *stream) Next() (*resp.FeedEvent, error) {
	item, err := s.next()
	var problem *feed.Error
	if errors.As(err, &problem) {
		switch problem.Kind {
		case feed.Elsewhere:
			s.leave(problem.Addresses)
			item, err = s.nextFar()
		case feed.Ahead:
			return nil, nil
		}
	}
	if err != nil {
		return nil, readable(err)
	}
	if item == nil {
		return nil, nil
	}
	s.from = feed.After(item.Stamp.Position, item.Stamp.Chain)
	s.out = resp.FeedEvent{Stamp: item.Stamp, Event: item.Event, Names: item.Names}
	return &s.out, nil
}

// readable makes an error one for the client.
func readable(err error) error {
	var problem *feed.Error
	if !errors.As(err, &problem) {
		return err
	}
	if problem.Kind == feed.Compacted {
		return resp.FeedError("COMPACTED " + problem.What)
	}
	return resp.FeedError("ERR " + problem.What)
}

func (s *stream) next() (*feed.Item, error) {
	if s.nodes == nil && s.local == nil {
		if err := s.open(); err != nil {
			return nil, err
		}
	}
	if s.local != nil {
		return s.local.Next(s.ctx)
	}
	return s.nextFar()
}

// open begins at this node's replica, or finds who has one.
func (s *stream) open() (err error) {
	s.local, err = s.n.feed.Local(s.namespace, s.partition, s.from)
	if !errors.Is(err, feed.ErrNotHere) {
		return err
	}
	parts, err := directory{s.n}.Partitions(s.ctx, s.namespace)
	if err != nil {
		return err
	}
	if int(s.partition) >= len(parts) || len(parts[s.partition].Replicas) == 0 {
		return feed.ErrUnknown
	}
	s.nodes = parts[s.partition].Replicas
	return nil
}

// leave goes on at other nodes.
func (s *stream) leave(nodes []string) {
	s.Close()
	s.local, s.far, s.nodes = nil, nil, nodes
}

// nextFar reads from another node: to the end of its log, or what has come since while that is followed.
func (s *stream) nextFar() (*feed.Item, error) {
	if item := s.pending; item != nil {
		s.pending = nil
		return item, nil
	}
	if s.follows && !s.far.Buffered() {
		return nil, nil
	}
	if s.far == nil {
		if err := s.connect(false); err != nil {
			return nil, err
		}
	}
	for {
		item, err := s.far.Next()
		switch {
		case errors.Is(err, io.EOF):
			if at, _ := s.far.Position(); at.IsZero() { // nothing there yet: whatever comes is wanted
				s.from = feed.Earliest()
			}
			s.disconnect()
			return nil, nil
		case err != nil:
			s.disconnect()
			return nil, err
		case item.Event != nil:
			return item, nil
		}
	}
}

func (s *stream) connect(follow bool) (err error) {
	ctx, stop := context.WithCancel(s.ctx)
	s.stop = stop
	s.far, err = feed.Open(ctx, feed.Config{
		Nodes: s.nodes, Namespace: s.namespace, Partition: s.partition, From: s.from, Follow: follow, GiveUp: feedPatience, Logger: s.n.opts.Logger,
	})
	if err != nil {
		stop()
	}
	s.follows = follow
	return err
}

// disconnect ends reading from another node, and keeps where it was.
func (s *stream) disconnect() {
	if s.far == nil {
		return
	}
	if at, chain := s.far.Position(); !at.IsZero() && s.pending == nil {
		s.from = feed.After(at, chain)
	}
	s.stop()
	_ = s.far.Close() // nothing that was read depends on it
	s.far, s.follows, s.pending = nil, false, nil
}

// Wait implements resp.FeedReader.
func (s *stream) Wait(ctx context.Context) error {
	if s.local != nil {
		return s.local.Wait(ctx)
	}
	if !s.follows {
		s.disconnect()
		if err := s.connect(true); err != nil {
			return err
		}
	}
	defer context.AfterFunc(ctx, s.stop)()
	for {
		item, err := s.far.Next()
		switch {
		case ctx.Err() != nil:
			s.disconnect()
			return ctx.Err()
		case err != nil:
			s.disconnect()
			var problem *feed.Error
			if errors.As(err, &problem) && problem.Kind == feed.Ahead {
				return nil
			}
			return readable(err)
		case item.Event != nil:
			s.pending = item
			return nil
		}
	}
}

// Close implements resp.FeedReader.
func (s *stream) Close() {
	if s.local != nil {
		s.local.Close()
	}
	s.disconnect()
}
