package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// OpenSink makes the sink of a changefeed. An error that isn't a *changefeed.Error counts as one of the definition.
type OpenSink func(spec *changefeed.Spec) (changefeed.Sink, error)

// OpenArchive opens the archive that spec.Archive names, after a place. Its stream gives io.EOF where the archive ends. A *changefeed.Error of
// CodeLogCompacted says that the archive hasn't the place; any other final one fails the partition, the rest is tried again.
type OpenArchive func(ctx context.Context, spec *changefeed.Spec, partition uint32, at changefeed.Place) (changefeed.Stream, error)

// Options are what a Manager works with. Registry, Source and Process have to be given.
type Options struct {
	Registry changefeed.Registry
	Source   changefeed.Source
	// Sinks are by the scheme of their URIs.
	Sinks map[string]OpenSink
	// OpenArchive is nil where archives can't be read: then a lost place is made good by a snapshot alone.
	OpenArchive OpenArchive
	// Process names this process for people: a node's address.
	Process string
	// Runner is whose changefeeds this process runs: those with this Spec.Runner.
	Runner string
	// Takes says which of these it takes; nil: all. For a definition it says always the same.
	Takes func(*changefeed.Spec) bool
	// Budget is shared by all writers; nil is 256 MiB.
	Budget *changefeed.Budget
	// Logger is told of claims, failures and lost places; nil is for nobody.
	Logger *slog.Logger

	// SaveEvery is how often the checkpoint of a partition is saved when events moved it (5 s), RestEvery when nothing but bookmarks did (15 s).
	SaveEvery, RestEvery time.Duration
	// HeadEvery is how often the source is asked how far the log reaches (2 s); a partition at rest asks a fifth as often.
	HeadEvery time.Duration
	// StopWithin bounds how long a worker that has to stop waits for the sink to have what it took (5 s).
	StopWithin time.Duration
}

// DefaultBudget is what the writers of a process may hold, in bytes, when nothing else is said.
const DefaultBudget = 256 << 20

func (o *Options) setDefaults() error {
	if o.Registry == nil || o.Source == nil || o.Process == "" {
		return errors.New("changefeed worker: want a registry, a source and the process's name")
	}
	if o.Budget == nil {
		o.Budget = changefeed.NewBudget(DefaultBudget)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.SaveEvery = cmp.Or(o.SaveEvery, 5*time.Second)
	o.RestEvery = cmp.Or(o.RestEvery, 15*time.Second)
	o.HeadEvery = cmp.Or(o.HeadEvery, 2*time.Second)
	o.StopWithin = cmp.Or(o.StopWithin, 5*time.Second)
	return nil
}

// Fixed times.
const (
	observeEvery = time.Second
	restFactor   = 5 // of HeadEvery
	callTimeout  = 5 * time.Second
	// warnAfter is how long something may fail, and warnFailures how often in a row, before people are told.
	warnAfter    = 10 * time.Second
	warnFailures = 2
	backoffLeast = 100 * time.Millisecond
	backoffMost  = 30 * time.Second
	// patience is how long an unknown partition, or a position beyond the log, may be one that the replicas have yet to hear of.
	patience = time.Minute
)
