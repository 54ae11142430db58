package syncer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cdc/changefeed/remote"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/replay"
)

// Syncer is one process between two clusters. Run it, and then close it.
type Syncer struct {
	o                  Options
	log                *slog.Logger
	began              time.Time
	sourceID, targetID string // of the clusters

	registry *remote.Registry
	admin    *admin.Client
	source   *replay.Client
	target   *replay.Client
	feed     *worker.FeedSource
	budget   *changefeed.Budget
	manager  *worker.Manager
	sinks    sinks

	mu struct {
		sync.Mutex
		known map[string]bool // namespaces that were defined
	}
}

// linger is how long events may gather at the source before they are sent on: they gather again on the way, while a range is in flight, so that the feed's
// own 20 ms would only add to the delay.
const linger = 2 * time.Millisecond

// Open reaches both clusters, and defines what is to be carried. ctx bounds that. What isn't as it was told to be is an *Error.
func Open(ctx context.Context, o Options) (_ *Syncer, err error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	s := &Syncer{o: o, log: o.Logger, began: time.Now(), budget: changefeed.NewBudget(o.MemoryBytes)}
	s.sinks.init()
	s.mu.known = map[string]bool{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	s.feed, err = worker.NewFeedSource(worker.FeedSourceOptions{
		Cluster: s.sourceID, Nodes: o.Source, Dial: o.Dial, Linger: linger, Logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.manager, err = worker.New(worker.Options{
		Registry: s.registry, Source: s.feed, Process: o.Name, Runner: changefeed.RunBySyncer, Takes: s.takes, Budget: s.budget, Logger: o.Logger,
		Sinks: map[string]worker.OpenSink{replay.Scheme: s.openSink},
	})
	if err != nil {
		return nil, err
	}
	return s, s.look(ctx)
}

// sayAfter is how long the target may be silent before that is said.
const sayAfter = 3 * time.Second

// connect reaches both clusters, and learns who they are.
func (s *Syncer) connect(ctx context.Context) (err error) {
	if s.admin, err = admin.Dial(s.o.Source, s.o.Dial...); err != nil {
		return err
	}
	s.source = replay.NewClient(replay.ClientOptions{Nodes: s.o.Source, Dial: s.o.Dial, Logger: s.log})
	s.target = replay.NewClient(replay.ClientOptions{Nodes: s.o.Target, Dial: s.o.Dial, Logger: s.log})
	if s.registry, err = remote.Open(remote.Options{Nodes: s.o.Source, Process: s.o.Name, Dial: s.o.Dial, Logger: s.log}); err != nil {
		return err
	}
	if s.sourceID, err = s.registry.Ready(ctx); err != nil {
		return unreachable("source", s.o.Source, err)
	}
	slow := time.AfterFunc(sayAfter, func() {
		s.log.Warn("the target cluster hasn't answered yet; it is asked again and again", "nodes", strings.Join(s.o.Target, ","))
	})
	target, err := s.target.Topology(ctx, "")
	slow.Stop()
	if err != nil {
		return unreachable("target", s.o.Target, err)
	}
	if s.targetID = target.GetCluster(); s.targetID == s.sourceID {
		return &Error{Kind: SameCluster, What: fmt.Sprintf("source and target are one cluster, %s", s.targetID),
			Action: "name nodes of two clusters; if they are two, give each a cluster_id of its own"}
	}
	return nil
}

// takes says whether a changefeed of a syncer's is one for this process.
func (s *Syncer) takes(spec *changefeed.Spec) bool {
	return spec.ID == ChangefeedID(spec.Namespace, s.targetID) && s.wants(spec.Namespace)
}

func (s *Syncer) openSink(spec *changefeed.Spec) (changefeed.Sink, error) {
	sink, err := replay.Open(spec, replay.Options{Confirm: s.source, Dial: s.o.Dial, Logger: s.log})
	if err != nil {
		return nil, err
	}
	return s.sinks.watch(spec, sink), nil
}

// Source and Target are the clusters' ids.
func (s *Syncer) Source() string { return s.sourceID }
func (s *Syncer) Target() string { return s.targetID }

// Name is how people know this process.
func (s *Syncer) Name() string { return s.o.Name }

// Run carries changes until ctx is done. Then it has what it took written, saves how far that is, and gives the partitions up, which takes some seconds at
// most. It is called once.
func (s *Syncer) Run(ctx context.Context) error {
	s.log.Info("syncer started", "source", s.sourceID, "target", s.targetID, "name", s.o.Name, "namespaces", s.names())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.manager.Run(ctx) })
	group.Go(func() error { s.lookOut(ctx); return nil })
	group.Go(func() error { s.sinks.measure(ctx); return nil })
	err := group.Wait()
	s.log.Info("syncer stopped", "source", s.sourceID, "target", s.targetID, "name", s.o.Name)
	return err
}

// Close ends the connections. Run must have returned.
func (s *Syncer) Close() error {
	var errs []error
	if s.feed != nil {
		errs = append(errs, s.feed.Close())
	}
	if s.registry != nil {
		errs = append(errs, s.registry.Close())
	}
	for _, c := range []*replay.Client{s.source, s.target} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	return errors.Join(errs...)
}

// lookOut defines namespaces that come later. What goes wrong is said once.
func (s *Syncer) lookOut(ctx context.Context) {
	tick := time.NewTicker(s.o.LookEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		text := ""
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			text = err.Error()
		}
		if text != "" && text != said {
			s.log.Warn("it can't be seen which namespaces there are, or one can't be carried; it is tried again", "err", text)
		}
		said = text
	}
}

func (s *Syncer) known() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.mu.known)
}

func (s *Syncer) setKnown(known map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.known = known
}

func (s *Syncer) names() string {
	known := s.known()
	names := make([]string, 0, len(known))
	for n := range known {
		names = append(names, n)
	}
	return strings.Join(sorted(names), ",")
}
