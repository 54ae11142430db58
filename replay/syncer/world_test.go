package syncer

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cdc/changefeed/remote"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/meta/memmeta"
	"github.com/zankv/zankv/replay"
	"github.com/zankv/zankv/replay/replaypb"
)

// limit is how long anything may take that happens by itself.
const limit = 20 * time.Second

// side is a cluster of one node that says what it is, and has a registry; it carries and takes nothing.
type side struct {
	replaypb.UnimplementedReplayServer
	cluster, address string
	registry         changefeed.Registry
	mu               struct {
		sync.Mutex
		namespaces []string
	}
}

func newSide(t *testing.T, cluster string, namespaces ...string) *side {
	t.Helper()
	store := memmeta.New()
	t.Cleanup(func() { _ = store.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &side{cluster: cluster, address: l.Addr().String(), registry: store.Changefeeds()}
	s.mu.namespaces = namespaces
	g := grpc.NewServer()
	replaypb.RegisterReplayServer(g, s)
	sessions := remote.NewServer(remote.ServerOptions{Registry: s.registry, Cluster: cluster})
	sessions.Register(g)
	admin.NewServer(admin.Options{
		Registry: s.registry, Source: nothing{}, PauseWithin: time.Second,
		Partitions: func(n string) (uint32, bool) { return 2, slices.Contains(s.names(), n) },
		Sinks: map[string]func(context.Context, *changefeed.Spec) error{
			"zankv": func(_ context.Context, spec *changefeed.Spec) error { return replay.Check(spec) },
			"file":  func(context.Context, *changefeed.Spec) error { return nil },
		},
	}).Register(g)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = g.Serve(l)
	}()
	t.Cleanup(func() {
		sessions.Close()
		g.Stop()
		<-served
	})
	return s
}

func (s *side) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mu.namespaces)
}

func (s *side) set(namespaces ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.namespaces = namespaces
}

// Topology implements the service.
func (s *side) Topology(context.Context, *replaypb.TopologyRequest) (*replaypb.TopologyResponse, error) {
	return &replaypb.TopologyResponse{Cluster: s.cluster, Namespaces: s.names()}, nil
}

// nothing is a source of which the log is let go.
type nothing struct{ changefeed.Source }

func (nothing) Hold(context.Context, string, uint32, string, event.Position) error { return nil }

// log is what a syncer said.
type log struct {
	sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.Lock()
	defer l.Unlock()
	return l.text.String()
}

// open opens a syncer between two sides.
func open(t *testing.T, a, b *side, change func(*Options)) (*Syncer, *log, error) {
	t.Helper()
	said := &log{}
	o := Options{Source: []string{a.address}, Target: []string{b.address}, Name: "s", Logger: slog.New(slog.NewTextHandler(said, nil)), LookEvery: 20 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	s, err := Open(ctx, o)
	if err == nil {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return s, said, err
}

func mustOpen(t *testing.T, a, b *side, change func(*Options)) (*Syncer, *log) {
	t.Helper()
	s, said, err := open(t, a, b, change)
	if err != nil {
		t.Fatal(err)
	}
	return s, said
}

// until waits for a view of the source's changefeeds.
func until(t *testing.T, s *side, what string, ok func(map[string]*changefeed.Feed) bool) map[string]*changefeed.Feed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for v := range s.registry.Watch(ctx) {
		if ok(v.Feeds) {
			return v.Feeds
		}
	}
	t.Fatalf("no view with %s", what)
	return nil
}
