package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/replaypb"
)

// Moment is a place of a partition's log and its hybrid clock there (ns): what was made up to Time is at Position or before it, whoever leads afterwards.
type Moment struct {
	Position event.Position
	Time     int64
}

// Confirmer is the source's side. A Client of the source is one.
type Confirmer interface {
	// Confirm tells a partition of the source what a peer, a cluster, has of it: what was made up to a time (ns, the partition's hybrid clock) is there. 0 is
	// nothing yet: it makes the peer known and takes nothing back. The Moment is one of the partition's log: the zero Moment says nothing.
	Confirm(ctx context.Context, namespace string, partition uint32, peer string, time int64) (Moment, error)
	// Hash is how a namespace of the source is cut: crc16 or murmur3.
	Hash(ctx context.Context, namespace string) (string, error)
}

// Options are what a sink's process gives it.
type Options struct {
	// Confirm is the source's side, and has to be given.
	Confirm Confirmer
	// Dial are added to the gRPC options; without any, connections are not encrypted.
	Dial []grpc.DialOption
	// Logger is told what operators have to know; nil is for nobody.
	Logger *slog.Logger
}

// Sink is the changefeed.Sink of zankv:// URIs. Its methods may be called from any goroutine.
type Sink struct {
	config    *Config
	namespace string // the target's
	client    *Client
	confirm   Confirmer
	log       *slog.Logger
	pace      pace
	chunks    chunking
	limit     limiter
	gates     gates
	// opening bounds how many places are asked for at once.
	opening chan struct{}
	// sent and content are in bytes: as they went out, and before compression.
	sent, content atomic.Uint64

	mu struct {
		sync.Mutex
		cluster string // the target's id; "" until it is known
		writers []*Writer
	}
}

var _ changefeed.Sink = (*Sink)(nil)

// defaultBudget is what a writer has that is given none.
const defaultBudget = 64 << 20

// openAtOnce is how many calls of a sink are under way at once that open or begin something.
const openAtOnce = 64

// Open makes the sink of a definition. It connects to nothing. Its error is a *changefeed.Error.
func Open(spec *changefeed.Spec, o Options) (*Sink, error) {
	c, err := ParseURI(spec.SinkURI)
	if err != nil {
		return nil, misconfigured(err)
	}
	if err := suits(spec); err != nil {
		return nil, err
	}
	if o.Confirm == nil {
		return nil, &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeInternal, Final: true, What: "replay: no Confirmer was given: the source wouldn't keep tombstones"}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Sink{config: c, namespace: c.namespaceFor(spec.Namespace), confirm: o.Confirm, log: o.Logger, pace: usualPace, chunks: usualChunks, opening: make(chan struct{}, openAtOnce),
		client: NewClient(ClientOptions{Nodes: c.Nodes, Dial: o.Dial, Logger: o.Logger})}
	s.limit.rate = c.Bandwidth
	return s, nil
}

// Check says what is wrong with a definition, without connecting: a *changefeed.Error, or nil.
func Check(spec *changefeed.Spec) error {
	if _, err := ParseURI(spec.SinkURI); err != nil {
		return misconfigured(err)
	}
	return suits(spec)
}

// suits says what of a definition can't be had here.
func suits(spec *changefeed.Spec) error {
	e := &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeSinkConfig, Final: true}
	switch {
	case !spec.Filter.IsZero():
		e.What = "a changefeed into a cluster has a filter: what it leaves out a full sync would delete there"
		e.Action = "create it without --tables, --keys, --ops and --origins; what the target itself made is left out anyway"
	case spec.Archive != "":
		e.What = "a changefeed into a cluster has an archive: its lines lack what a list's items need to be told apart"
		e.Action = "create it without --archive; what the log has lost comes as a full sync"
	case spec.To != "":
		e.What = "a changefeed into a cluster has an end: the target would wait for what comes after it"
		e.Action = "create it without --to; pause it to stop"
	default:
		return nil
	}
	return e
}

// Close ends the connections. Writers that are open fail.
func (s *Sink) Close() error { return s.client.Close() }

// Open asks where each partition of the target stands that can share keys with the source's. Nothing of an owner before can come in behind that: what doesn't begin at a partition's place is
// refused there, or left out.
func (s *Sink) Open(ctx context.Context, t changefeed.Target) (changefeed.Writer, error) {
	if t.Budget == nil {
		t.Budget = changefeed.NewBudget(defaultBudget)
	}
	if t.Meter == nil {
		t.Meter = new(changefeed.Meter)
	}
	told := func(err error) { t.Meter.Trying.Store(failure(err, "%s: opening it is repeated", s.where())) }
	topo, err := s.topology(ctx, t, told)
	if err != nil {
		return nil, err
	}
	hash, err := hashOf(topo.Hash, uint32(len(topo.Partitions)))
	if err != nil {
		return nil, s.unfit("%v", err)
	}
	if _, err := s.confirm.Confirm(ctx, t.Spec.Namespace, t.Partition, topo.Cluster, 0); err != nil {
		return nil, unconfirmed(err, t, topo.Cluster)
	}
	source, err := s.confirm.Hash(ctx, t.Spec.Namespace)
	if err != nil {
		return nil, unconfirmed(err, t, topo.Cluster)
	}
	cut := store.Cut{Hash: topo.Hash, Partitions: uint32(len(topo.Partitions))}
	w := newWriter(s, t, topo.Cluster, splitter{hash: hash, lanes: store.Cut{Hash: source, Partitions: t.Partitions}.Sharing(t.Partition, cut)}, source)
	if err := w.openLanes(ctx, told); err != nil {
		w.share.Leave()
		return nil, err
	}
	t.Meter.Trying.Store(nil)
	if w.resume.InSnapshot {
		s.log.Info("replay: a full sync follows", "sender", w.id.String(), "target", w.peer, "why", w.why)
	}
	if t.Rewind {
		s.log.Warn("replay: a checkpoint was set by hand: it doesn't move the target's places, which decide", "sender", w.id.String(), "target", w.peer, "place", w.resume.After.String())
	}
	s.mu.Lock()
	s.mu.writers = append(s.mu.writers, w)
	s.mu.Unlock()
	w.start(ctx)
	return w, nil
}

func (s *Sink) where() string {
	return fmt.Sprintf("namespace %s of the cluster at %v", s.namespace, s.config.Nodes)
}

func (s *Sink) unfit(format string, args ...any) *changefeed.Error {
	return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeTargetConfig, What: s.where() + ": " + fmt.Sprintf(format, args...)}
}

// topology asks how the target is cut, and checks that it is one.
func (s *Sink) topology(ctx context.Context, t changefeed.Target, told func(error)) (topo *replaypb.TopologyResponse, err error) {
	err = persist(ctx, told, func(ctx context.Context) (err error) {
		topo, err = s.client.refresh(ctx, s.namespace, time.Now())
		return err
	})
	switch {
	case err != nil:
		return nil, failure(err, "%s: no node says how it is cut", s.where())
	case len(topo.Partitions) == 0 || topo.Cluster == "":
		return nil, s.unfit("it isn't known there")
	case topo.Cluster == t.Cluster:
		e := s.unfit("it is the source itself, %s", t.Cluster)
		e.Final, e.Action = true, "name another cluster in the sink URI; if it is another one, give it a cluster id of its own"
		return nil, e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.mu.cluster; known != "" && known != topo.Cluster {
		e := s.unfit("it is cluster %s now, and was %s", topo.Cluster, known)
		e.Action = "name nodes of one cluster in the sink URI"
		return nil, e
	}
	s.mu.cluster = topo.Cluster
	return topo, nil
}

// unconfirmed is a source that doesn't take what the target has.
func unconfirmed(err error, t changefeed.Target, peer string) *changefeed.Error {
	what := fmt.Sprintf("%s-%d of the source doesn't take what %s has of it", t.Spec.Namespace, t.Partition, peer)
	if known, ok := errors.AsType[*changefeed.Error](err); ok {
		err = known // its code is of a target
	}
	return &changefeed.Error{Stage: changefeed.StageLogRead, Code: changefeed.CodeSourceDown, What: what, Err: err,
		Action: "see that the partition has a leader, and that this process reaches the source's nodes; it goes on trying"}
}

// forget takes a writer that was closed off the list.
func (s *Sink) forget(w *Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.writers = slices.DeleteFunc(s.mu.writers, func(x *Writer) bool { return x == w })
}
