package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin/adminpb"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
)

// atOnce is how many partitions are asked in parallel.
const atOnce = 16

func eachPartition(partitions uint32, do func(n uint32)) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for n := range partitions {
		group.Go(func() error { do(n); return nil })
	}
	_ = group.Wait() // none returns an error
}

// SetCheckpoint implements the service. It looks all places up before it writes the first.
func (s *Server) SetCheckpoint(ctx context.Context, r *adminpb.SetCheckpointRequest) (*adminpb.Changefeed, error) {
	f, err := s.find(ctx, r.GetId())
	if err != nil {
		return nil, err
	}
	if !f.Spec.Paused {
		return nil, failure(NotPaused, "changefeed %s: a checkpoint can be set only while it is paused: pause it first", f.Spec.ID)
	}
	wanted, err := s.wanted(&f.Spec, r)
	if err != nil {
		return nil, err
	}
	found, err := s.lookUp(ctx, &f.Spec, wanted, r.GetUnchecked())
	if err != nil {
		return nil, err
	}
	for n, p := range found {
		if err := s.opts.Registry.SetProgress(ctx, f.Spec.ID, n, p); err != nil {
			return nil, named(err)
		}
	}
	s.opts.Logger.Info("checkpoints were set by hand", "changefeed", f.Spec.ID, "partitions", len(found), "at", r.GetAt())
	v := s.await(ctx, s.opts.ShowWithin, func(v *changefeed.View) bool { return shows(v.Feeds[f.Spec.ID], found) })
	if now := v.Feeds[f.Spec.ID]; now != nil {
		f = now
	}
	return s.show(f), nil
}

func shows(f *changefeed.Feed, progress map[uint32]changefeed.Progress) bool {
	for n, p := range progress {
		if f != nil && (f.Progress[n].Position != p.Position || f.Progress[n].Updated < p.Updated) {
			return false
		}
	}
	return true
}

// wanted says which partition is to go where.
func (s *Server) wanted(spec *changefeed.Spec, r *adminpb.SetCheckpointRequest) (map[uint32]string, error) {
	partitions, ok := s.opts.Partitions(spec.Namespace)
	if !ok {
		return nil, failure(NotFound, "changefeed %s: there is no namespace %q in this cluster any more", spec.ID, spec.Namespace)
	}
	places, err := parsePlaces(r.GetAt(), partitions)
	if err != nil {
		return nil, failure(Invalid, "checkpoint: %v", err)
	}
	all, one := places[everywhere]
	if one {
		delete(places, everywhere)
		numbers := r.GetPartitions()
		for n := uint32(0); len(r.GetPartitions()) == 0 && n < partitions; n++ {
			numbers = append(numbers, n)
		}
		for _, n := range numbers {
			places[n] = all
		}
	} else if len(r.GetPartitions()) > 0 {
		return nil, failure(Invalid, "checkpoint: partitions are named twice: in the list of places, and beside it")
	}
	for n, place := range places {
		if n >= partitions {
			return nil, failure(NotFound, "checkpoint: partition %d: namespace %s has %d, from 0", n, spec.Namespace, partitions)
		}
		if _, err := feed.ParseFrom(place); err != nil {
			return nil, failure(Invalid, "checkpoint: %v", err)
		}
	}
	if one && isPosition(all) && len(places) > 1 {
		return nil, failure(Invalid, "checkpoint: %s is a position of one partition: name it, or give a list as 0=2-1041,1=2-99", all)
	}
	return places, nil
}

func isPosition(place string) bool {
	_, err := event.ParsePosition(place)
	return err == nil
}

// lookUp finds the checkpoints that places stand for.
func (s *Server) lookUp(ctx context.Context, spec *changefeed.Spec, wanted map[uint32]string, unchecked bool) (map[uint32]changefeed.Progress, error) {
	var mu sync.Mutex
	found := map[uint32]changefeed.Progress{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for n, place := range wanted {
		group.Go(func() error {
			p, err := s.checkpoint(ctx, spec, n, place, unchecked)
			mu.Lock()
			defer mu.Unlock()
			found[n] = p
			return err
		})
	}
	return found, group.Wait()
}

// checkpoint is the one after which the stream of one partition is to go on.
func (s *Server) checkpoint(ctx context.Context, spec *changefeed.Spec, n uint32, place string, unchecked bool) (changefeed.Progress, error) {
	p := changefeed.Progress{Forced: true, State: changefeed.Paused, Owner: "set by hand", Updated: s.now().UnixNano(), Generation: spec.Generation}
	at := changefeed.Place{From: place}
	if position, err := event.ParsePosition(place); err == nil {
		if p.Position = position; unchecked {
			return p, nil
		}
		at = changefeed.Place{After: position}
	}
	reached, err := s.before(ctx, spec, n, at)
	if err != nil {
		return p, err
	}
	p.Chain, p.Time = reached.Chain, reached.Time
	if p.Position.IsZero() {
		p.Position = reached.Position
	}
	if p.Position.IsZero() && !beginsEarliest(spec, n) {
		return p, failure(Invalid, "checkpoint: partition %d: nothing comes before the place wanted, and the changefeed begins at %s where there is no checkpoint: set that to earliest first",
			n, spec.From)
	}
	return p, nil
}

// beginsEarliest says whether a partition without a checkpoint begins with the first event.
func beginsEarliest(spec *changefeed.Spec, n uint32) bool {
	if !strings.Contains(spec.From, "=") {
		return spec.From == "earliest"
	}
	places, err := parsePlaces(spec.From, everywhere)
	place, listed := places[n]
	return err == nil && (!listed || place == "earliest")
}

// lookWithin bounds the wait for a partition's answer: an idle one says within a second where its end is.
const lookWithin = 15 * time.Second

// before is what lies before the first thing that a stream from a place on gives.
func (s *Server) before(ctx context.Context, spec *changefeed.Spec, n uint32, at changefeed.Place) (r changefeed.Reached, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	stream, err := s.opts.Source.Open(ctx, spec.Namespace, n, at)
	if err != nil {
		return r, placeError(n, err)
	}
	defer stream.Close()
	item, err := stream.Next(ctx)
	if err != nil {
		return r, placeError(n, err)
	}
	if item.Event == nil {
		return changefeed.Reached{Position: item.Position, Chain: item.Stamp.Chain, Time: item.Time}, nil
	}
	return changefeed.Reached{Position: item.Stamp.Prev, Chain: item.Stamp.PrevChain, Time: item.Event.Time}, nil
}

// placeError says that a place can't be had, or that the partition can't be asked.
func placeError(n uint32, err error) error {
	var problem *feed.Error
	if errors.As(err, &problem) && slices.Contains([]feed.Kind{feed.Compacted, feed.Ahead, feed.Mismatch}, problem.Kind) {
		return failure(Invalid, "checkpoint: partition %d: %v", n, err)
	}
	return failure(Unavailable, "checkpoint: partition %d can't be asked: %v", n, err)
}
