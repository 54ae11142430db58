package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/remote/remotepb"
	"github.com/zankv/zankv/cluster/meta"
)

// Options are a Registry's. Nodes and Process are required.
type Options struct {
	// Nodes are gRPC addresses of some of the cluster's nodes, host:port; they name the others.
	Nodes []string
	// Cluster is the id of the cluster; "" takes that of the first node that answers. Nodes of another cluster are left out.
	Cluster string
	// Process names this process for people, in the nodes' logs.
	Process string
	// Dial are added to the gRPC options; without any, connections are not encrypted.
	Dial   []grpc.DialOption
	Logger *slog.Logger
}

// How long the search for a node rests after a round that found none, or after a session that broke.
const (
	restLeast = 100 * time.Millisecond
	restMost  = 2 * time.Second
)

// Registry is a cluster's registry of changefeeds, asked for at its nodes. Close it.
type Registry struct {
	*meta.FeedPublisher
	o     Options
	ctx   context.Context // until it is closed
	close context.CancelFunc
	group sync.WaitGroup

	mu struct {
		sync.Mutex
		session *session      // nil while there is none
		changed chan struct{} // closed when session changes
		cluster string
		nodes   []string // candidates: those that were given, then those that were named
		first   int      // the one to begin with
		last    error    // why there is no session
	}
}

var _ changefeed.Registry = (*Registry)(nil)

// Open makes one, and begins to look for a node: see Ready.
func Open(o Options) (*Registry, error) {
	if len(o.Nodes) == 0 || o.Process == "" || len(o.Process) > maxName {
		return nil, errors.New("changefeed registry: want at least one node, host:port, and a name for this process of at most 255 bytes")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Registry{FeedPublisher: meta.NewFeedPublisher(), o: o}
	r.ctx, r.close = context.WithCancel(context.Background())
	r.mu.changed, r.mu.cluster, r.mu.nodes = make(chan struct{}), o.Cluster, slices.Clone(o.Nodes)
	r.group.Go(r.run)
	return r, nil
}

// Close ends the session: claims that weren't released are lost, and the node gives them to others.
func (r *Registry) Close() error {
	r.close()
	r.group.Wait()
	r.FeedPublisher.Close()
	return nil
}

// Ready waits for a session, and says which cluster it is with.
func (r *Registry) Ready(ctx context.Context) (cluster string, err error) {
	if _, err := r.current(ctx); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.cluster, nil
}

// Nodes are the gRPC addresses of the cluster's nodes, as far as they are known: those that were given first.
func (r *Registry) Nodes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mu.nodes)
}

// run has one session after the other.
func (r *Registry) run() {
	rest, told := restLeast, false
	for tried := 1; r.ctx.Err() == nil; tried++ {
		began := time.Now()
		node := r.candidate()
		s := newSession(r, node)
		err := s.run()
		if r.ctx.Err() != nil {
			return
		}
		if s.welcomed.Load() {
			r.o.Logger.Warn("the session with a node for changefeeds is over; another one is looked for", "node", node, "lasted", time.Since(began).Round(time.Millisecond), "err", err)
			rest, tried, told = restLeast, 0, false
		}
		r.failed(err)
		if tried%len(r.Nodes()) == 0 { // all were asked
			if tried > 0 && !told {
				r.o.Logger.Warn("no node answers for changefeeds; they are asked again and again", "nodes", strings.Join(r.Nodes(), ","), "err", err)
				told = true
			}
			r.pause(rest)
			rest = min(2*rest, restMost)
		}
	}
}

func (r *Registry) candidate() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.nodes[r.mu.first%len(r.mu.nodes)]
}

// failed has the next node tried.
func (r *Registry) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.mu.last = fmt.Errorf("%s: %w", r.mu.nodes[r.mu.first], err)
	}
	r.mu.first = (r.mu.first + 1) % len(r.mu.nodes)
}

func (r *Registry) lastFailure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.last
}

// pause is d, half of it by lot.
func (r *Registry) pause(d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.ctx.Done():
	}
}

// set makes a session the current one.
func (r *Registry) set(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.session = s
	close(r.mu.changed)
	r.mu.changed = make(chan struct{})
}

// unset is the end of a session's being the current one.
func (r *Registry) unset(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.session == s {
		r.mu.session = nil
	}
}

// join takes note of what a node says of its cluster: false if it is another one.
func (r *Registry) join(w *remotepb.Welcome) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.cluster = cmp.Or(r.mu.cluster, w.GetCluster())
	if w.GetCluster() != r.mu.cluster {
		return false
	}
	first := r.mu.nodes[r.mu.first]
	nodes := slices.Clone(r.o.Nodes)
	for _, n := range w.GetNodes()[:min(len(w.GetNodes()), maxNodes)] {
		if !slices.Contains(nodes, n) {
			nodes = append(nodes, n)
		}
	}
	r.mu.nodes, r.mu.first = nodes, max(slices.Index(nodes, first), 0)
	return true
}

// current waits for a session.
func (r *Registry) current(ctx context.Context) (*session, error) {
	for {
		r.mu.Lock()
		s, changed := r.mu.session, r.mu.changed
		r.mu.Unlock()
		if s != nil {
			return s, nil
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return nil, meta.ErrClosed
		case <-ctx.Done():
			return nil, unavailable("no node has a session for this process", cmp.Or(r.lastFailure(), ctx.Err()))
		}
	}
}

// ask has a request answered by whatever session there is. One that may have come to a node isn't repeated.
func (r *Registry) ask(ctx context.Context, request *remotepb.Request) (*remotepb.Response, error) {
	for {
		s, err := r.current(ctx)
		if err != nil {
			return nil, err
		}
		answer, err := s.ask(ctx, request, nil)
		if !errors.Is(err, errNotSent) {
			return answer, err
		}
	}
}

// do is ask for what has no answer but an error.
func (r *Registry) do(ctx context.Context, request *remotepb.Request) error {
	_, err := r.ask(ctx, request)
	return err
}

// Create is changefeed.Registry's.
func (r *Registry) Create(ctx context.Context, s changefeed.Spec) error {
	value, err := meta.EncodeFeedValue(&s)
	if err != nil {
		return err
	}
	return r.do(ctx, &remotepb.Request{What: &remotepb.Request_Create{Create: value}})
}

// Update is changefeed.Registry's.
func (r *Registry) Update(ctx context.Context, s changefeed.Spec) (changefeed.Spec, error) {
	value, err := meta.EncodeFeedValue(&s)
	if err != nil {
		return s, err
	}
	answer, err := r.ask(ctx, &remotepb.Request{What: &remotepb.Request_Update{Update: value}})
	if err != nil {
		return s, err
	}
	var next changefeed.Spec
	if err := json.Unmarshal(answer.GetSpec(), &next); err != nil {
		return s, unavailable("a node's answer can't be read", err)
	}
	return next, nil
}

// Remove is changefeed.Registry's.
func (r *Registry) Remove(ctx context.Context, id string) error {
	return r.do(ctx, &remotepb.Request{What: &remotepb.Request_Remove{Remove: id}})
}

// SetProgress is changefeed.Registry's.
func (r *Registry) SetProgress(ctx context.Context, id string, partition uint32, p changefeed.Progress) error {
	value, err := meta.EncodeFeedValue(&p)
	if err != nil {
		return err
	}
	return r.do(ctx, &remotepb.Request{What: &remotepb.Request_SetProgress{SetProgress: &remotepb.SetProgress{Changefeed: id, Partition: partition, Progress: value}}})
}

// Claim is changefeed.Registry's. It needs one round trip to the node beside the node's own.
func (r *Registry) Claim(ctx context.Context, id string, partition uint32, process string) (changefeed.Claim, error) {
	request := &remotepb.Request{What: &remotepb.Request_Claim{Claim: &remotepb.Claim{Changefeed: id, Partition: partition, Process: process}}}
	for {
		s, err := r.current(ctx)
		if err != nil {
			return nil, err
		}
		c, err := s.claim(ctx, request)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, errNotSent) {
			return nil, err
		}
	}
}
