package admin

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin/adminpb"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/cdc/event"
)

// Options of a Server. All but the durations and the logger are required.
type Options struct {
	Registry changefeed.Registry
	// Source is where checkpoints are looked up, and the log is let go of.
	Source changefeed.Source
	// Partitions says how many a namespace has; false: there is none.
	Partitions func(namespace string) (uint32, bool)
	// Sinks check a definition's sink, by the URI's scheme.
	Sinks  map[string]func(ctx context.Context, s *changefeed.Spec) error
	Logger *slog.Logger
	// PauseWithin is how long Pause waits for owners to let go (15 s).
	PauseWithin time.Duration
	// ShowWithin is how long a change waits until this node's view has it (2 s).
	ShowWithin time.Duration
}

// Server serves the service Changefeeds.
type Server struct {
	adminpb.UnimplementedChangefeedsServer
	opts Options
	now  func() time.Time
}

// NewServer makes a server.
func NewServer(o Options) *Server {
	o.PauseWithin = cmp.Or(o.PauseWithin, 15*time.Second)
	o.ShowWithin = cmp.Or(o.ShowWithin, 2*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{opts: o, now: time.Now}
}

// Register adds the service to g.
func (s *Server) Register(g grpc.ServiceRegistrar) { adminpb.RegisterChangefeedsServer(g, s) }

// Create implements the service.
func (s *Server) Create(ctx context.Context, r *adminpb.CreateRequest) (*adminpb.Changefeed, error) {
	spec := specFromPB(r.GetSpec())
	spec.Created, spec.Generation = s.now().UnixNano(), 1
	spec.SetDefaults()
	if err := s.validate(ctx, &spec); err != nil {
		return nil, err
	}
	if err := s.opts.Registry.Create(ctx, spec); err != nil {
		return nil, named(err)
	}
	s.opts.Logger.Info("changefeed is defined", "changefeed", spec.ID, "namespace", spec.Namespace)
	return s.shown(ctx, spec)
}

// shown waits until the view has a definition, and shows it.
func (s *Server) shown(ctx context.Context, spec changefeed.Spec) (*adminpb.Changefeed, error) {
	f := s.await(ctx, s.opts.ShowWithin, func(v *changefeed.View) bool {
		f := v.Feeds[spec.ID]
		return f != nil && f.Spec.Generation >= spec.Generation && f.Spec.Created >= spec.Created
	}).Feeds[spec.ID]
	if f == nil || f.Spec.Generation < spec.Generation {
		f = &changefeed.Feed{Spec: spec}
	}
	return s.show(f), nil
}

// await returns the first view that ok accepts, or the last one if there is none in time.
func (s *Server) await(ctx context.Context, within time.Duration, ok func(*changefeed.View) bool) *changefeed.View {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for v := range s.opts.Registry.Watch(ctx) {
		if ok(v) {
			return v
		}
	}
	return s.opts.Registry.View()
}

func (s *Server) show(f *changefeed.Feed) *adminpb.Changefeed {
	partitions, _ := s.opts.Partitions(f.Spec.Namespace)
	return statusToPB(&Status{Feed: *f, Partitions: partitions, State: State(f, partitions, s.now())})
}

// State is the worst of a changefeed's partitions'.
func State(f *changefeed.Feed, partitions uint32, now time.Time) changefeed.State {
	if partitions == 0 { // the namespace is gone
		return changefeed.Warning
	}
	there := map[changefeed.State]bool{}
	for n := range partitions {
		state, _ := worker.Standing(f, n, now)
		there[state] = true
	}
	for _, state := range []changefeed.State{changefeed.Failed, changefeed.Warning, changefeed.Paused, changefeed.Normal} {
		if there[state] {
			return state
		}
	}
	return changefeed.Finished
}

// find looks a changefeed up, and gives one that another node has just made a moment to be seen here.
func (s *Server) find(ctx context.Context, id string) (*changefeed.Feed, error) {
	const moment = 500 * time.Millisecond
	if f := s.opts.Registry.View().Feeds[id]; f != nil {
		return f, nil
	}
	v := s.await(ctx, moment, func(v *changefeed.View) bool { return v.Feeds[id] != nil })
	if f := v.Feeds[id]; f != nil {
		return f, nil
	}
	if v.Revision == 0 {
		return nil, failure(Unavailable, "changefeed %s: this node hasn't reached etcd yet", id)
	}
	return nil, failure(NotFound, "changefeed %s: %v", id, changefeed.ErrNotFound)
}

// List implements the service.
func (s *Server) List(_ context.Context, r *adminpb.ListRequest) (*adminpb.ListResponse, error) {
	v := s.opts.Registry.View()
	if v.Revision == 0 {
		return nil, failure(Unavailable, "changefeeds: this node hasn't reached etcd yet")
	}
	resp := &adminpb.ListResponse{}
	for _, id := range slices.SortedFunc(maps.Keys(v.Feeds), strings.Compare) {
		if f := v.Feeds[id]; r.GetNamespace() == "" || f.Spec.Namespace == r.GetNamespace() {
			resp.Changefeeds = append(resp.Changefeeds, s.show(f))
		}
	}
	return resp, nil
}

// Get implements the service.
func (s *Server) Get(ctx context.Context, r *adminpb.GetRequest) (*adminpb.Changefeed, error) {
	f, err := s.find(ctx, r.GetId())
	if err != nil {
		return nil, err
	}
	return s.show(f), nil
}

// Update implements the service.
func (s *Server) Update(ctx context.Context, r *adminpb.UpdateRequest) (*adminpb.Changefeed, error) {
	return s.change(ctx, r.GetId(), r.GetGeneration(), func(old changefeed.Spec) (changefeed.Spec, error) {
		next, beside := changed(old, r)
		if beside != "" && !old.Paused {
			return next, failure(NotPaused, "changefeed %s: %s can be changed only while it is paused: pause it, change it, resume it", old.ID, beside)
		}
		return next, s.validate(ctx, &next)
	})
}

// Pause implements the service.
func (s *Server) Pause(ctx context.Context, r *adminpb.PauseRequest) (*adminpb.Changefeed, error) {
	pb, err := s.setPaused(ctx, r.GetId(), true)
	if err != nil {
		return nil, err
	}
	v := s.await(ctx, s.opts.PauseWithin, func(v *changefeed.View) bool { return v.Feeds[r.GetId()] == nil || len(v.Feeds[r.GetId()].Owners) == 0 })
	f := v.Feeds[r.GetId()]
	if f == nil {
		return pb, nil // somebody removed it
	}
	for n, o := range f.Owners {
		return nil, failure(Taken, "changefeed %s is paused, but %s hasn't let go of partition %d after %s (%d partitions in all): it flushes what it has; look again",
			r.GetId(), o.Process, n, s.opts.PauseWithin, len(f.Owners))
	}
	return s.show(f), nil
}

// Resume implements the service. The definition gets a new generation even if it wasn't paused: what failed is tried again.
func (s *Server) Resume(ctx context.Context, r *adminpb.ResumeRequest) (*adminpb.Changefeed, error) {
	return s.setPaused(ctx, r.GetId(), false)
}

func (s *Server) setPaused(ctx context.Context, id string, paused bool) (*adminpb.Changefeed, error) {
	return s.change(ctx, id, 0, func(old changefeed.Spec) (changefeed.Spec, error) {
		old.Paused = paused
		return old, nil
	})
}

// tries is how often a change is decided anew after somebody else's came between.
const tries = 10

// change replaces a definition by what decide makes of it. generation, unless 0, is the one that it must have.
func (s *Server) change(ctx context.Context, id string, generation uint64, decide func(changefeed.Spec) (changefeed.Spec, error)) (*adminpb.Changefeed, error) {
	f, err := s.find(ctx, id)
	for range tries {
		if err != nil {
			return nil, err
		}
		if generation != 0 && f.Spec.Generation != generation {
			return nil, failure(Stale, "changefeed %s: %v: it is of generation %d, not %d", id, changefeed.ErrStale, f.Spec.Generation, generation)
		}
		next, err := decide(f.Spec)
		if err != nil {
			return nil, named(err)
		}
		next, err = s.opts.Registry.Update(ctx, next)
		if err == nil {
			return s.shown(ctx, next)
		}
		if !errors.Is(err, changefeed.ErrStale) {
			return nil, named(err)
		}
		f, err = s.newer(ctx, f)
		if err != nil {
			return nil, err
		}
	}
	return nil, failure(Stale, "changefeed %s: %v, again and again", id, changefeed.ErrStale)
}

// newer waits for another definition than one that is outdated.
func (s *Server) newer(ctx context.Context, than *changefeed.Feed) (*changefeed.Feed, error) {
	id := than.Spec.ID
	f := s.await(ctx, s.opts.ShowWithin, func(v *changefeed.View) bool {
		return v.Feeds[id] == nil || v.Feeds[id].Spec.Generation != than.Spec.Generation
	}).Feeds[id]
	if f == nil {
		return nil, failure(NotFound, "changefeed %s: %v", id, changefeed.ErrNotFound)
	}
	return f, nil
}

// Remove implements the service.
func (s *Server) Remove(ctx context.Context, r *adminpb.RemoveRequest) (*adminpb.RemoveResponse, error) {
	f, err := s.find(ctx, r.GetId())
	if err != nil {
		return nil, err
	}
	if err := s.opts.Registry.Remove(ctx, r.GetId()); err != nil {
		return nil, named(err)
	}
	s.opts.Logger.Info("changefeed is removed", "changefeed", f.Spec.ID, "namespace", f.Spec.Namespace)
	s.await(ctx, s.opts.ShowWithin, func(v *changefeed.View) bool { return v.Feeds[r.GetId()] == nil })
	s.letGo(ctx, &f.Spec)
	return &adminpb.RemoveResponse{}, nil
}

// letGoWithin is how long Remove tries to have the logs no longer kept. What it doesn't reach ends by the limits of consumers.
const letGoWithin = 5 * time.Second

// letGo ends the hold of a removed changefeed on the partitions' logs.
func (s *Server) letGo(ctx context.Context, spec *changefeed.Spec) {
	ctx, cancel := context.WithTimeout(ctx, letGoWithin)
	defer cancel()
	partitions, _ := s.opts.Partitions(spec.Namespace)
	eachPartition(partitions, func(n uint32) {
		err := s.opts.Source.Hold(ctx, spec.Namespace, n, changefeed.ConsumerID(spec.ID), event.Position{})
		if err != nil {
			s.opts.Logger.Warn("the log is still kept for a changefeed that was removed; it ends by the limits for consumers",
				"changefeed", spec.ID, "namespace", spec.Namespace, "partition", n, "error", err)
		}
	})
}
