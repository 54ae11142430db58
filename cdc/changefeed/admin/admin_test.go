package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedtest"
	"github.com/zankv/zankv/cluster/meta/memmeta"
	"github.com/zankv/zankv/cluster/meta/metatest"
)

// source reads a cell's feed, and notes what is held.
type source struct {
	cell *feedtest.Cell
	mu   sync.Mutex
	held map[string]event.Position
}

func (s *source) Cluster() string { return "dc-a" }

func (s *source) Partitions(context.Context, string) (uint32, error) { return 4, nil }

func (s *source) Open(_ context.Context, namespace string, partition uint32, at changefeed.Place) (changefeed.Stream, error) {
	from, err := feed.ParseFrom("earliest")
	if !at.After.IsZero() {
		from = feed.AfterPosition(at.After)
	} else if at.From != "" {
		from, err = feed.ParseFrom(at.From)
	}
	if err != nil {
		return nil, err
	}
	r, err := feed.Open(context.Background(), feed.Config{Nodes: s.cell.Addresses(), Namespace: namespace, Partition: partition, From: from, Follow: true})
	return &stream{r}, err
}

func (s *source) Snapshot(context.Context, string, uint32, changefeed.Want) (changefeed.Rows, error) {
	return nil, io.EOF
}

func (s *source) Head(context.Context, string, uint32) (changefeed.Head, error) {
	return changefeed.Head{}, nil
}

func (s *source) Hold(_ context.Context, namespace string, partition uint32, consumer string, p event.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[consumer+"/"+event.Position{Index: uint64(partition)}.String()] = p; p.IsZero() {
		delete(s.held, consumer+"/"+event.Position{Index: uint64(partition)}.String())
	}
	return nil
}

func (s *source) Preference(string, uint32) time.Duration { return 0 }

type stream struct{ *feed.Reader }

func (s *stream) Next(context.Context) (*changefeed.Item, error) {
	i, err := s.Reader.Next()
	if err != nil {
		return nil, err
	}
	return &changefeed.Item{Event: i.Event, Stamp: i.Stamp, Names: i.Names, Position: i.Bookmark, Time: i.ServerTime.UnixNano()}, nil
}

// bench is a node's service over a registry in memory, and a client.
type bench struct {
	*Client
	store   *memmeta.Store
	history *feedtest.History
	source  *source
	server  *Server
	address string
}

func serve(t *testing.T, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	s.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return l.Addr().String()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{store: memmeta.New(), history: feedtest.NewHistory()}
	b.history.Fill(2, 12)
	b.source = &source{cell: feedtest.NewCell(t, b.history, 1), held: map[string]event.Position{}}
	b.server = NewServer(Options{
		Registry: b.store.Changefeeds(), Source: b.source, PauseWithin: 2 * time.Second,
		Partitions: func(ns string) (uint32, bool) { return 4, ns == "default" },
		Sinks: map[string]func(context.Context, *changefeed.Spec) error{"kafka": func(_ context.Context, s *changefeed.Spec) error {
			if !strings.Contains(s.SinkURI, ":9092") {
				return &changefeed.Error{Code: changefeed.CodeSinkConfig, What: "no port", Action: "give the broker's port"}
			}
			return nil
		}},
	})
	b.address = serve(t, b.server)
	b.Client = dial(t, b.address)
	return b
}

func dial(t *testing.T, nodes ...string) *Client {
	t.Helper()
	c, err := Dial(nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b *bench) create(t *testing.T) Status {
	t.Helper()
	s, err := b.Create(t.Context(), metatest.Changefeed("f"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantCode(t *testing.T, err error, code Code, mention string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.What, mention) {
		t.Fatalf("got %v, want %s mentioning %q", err, code, mention)
	}
}

// What is created is shown as it is by every question, with defaults, and once only.
func TestCreateListGet(t *testing.T) {
	b := newBench(t)
	s := b.create(t)
	want := metatest.Changefeed("f")
	want.Created, want.Generation = s.Spec.Created, 1
	if !reflect.DeepEqual(s.Spec, want) || s.Partitions != 4 || time.Since(time.Unix(0, s.Spec.Created)) > time.Minute {
		t.Fatalf("got %+v, want %+v", s, want)
	}
	_, err := b.Create(t.Context(), want)
	wantCode(t, err, Exists, "f")
	bare := changefeed.Spec{ID: "a", Namespace: "default", SinkURI: "kafka://h:9092", Paused: true}
	if s, err = b.Create(t.Context(), bare); err != nil || s.Spec.From != "earliest" || s.Spec.Format != changefeed.JSON || s.Spec.Heartbeat == 0 || s.State != changefeed.Paused {
		t.Fatalf("got %+v, %v", s, err)
	}
	all, err := b.List(t.Context(), "")
	if err != nil || len(all) != 2 || all[0].Spec.ID != "a" || !reflect.DeepEqual(all[1].Spec, want) {
		t.Fatalf("got %+v, %v", all, err)
	}
	if all, err = b.List(t.Context(), "other"); err != nil || len(all) != 0 {
		t.Fatalf("of another namespace: %+v, %v", all, err)
	}
	_, err = b.Get(t.Context(), "none")
	wantCode(t, err, NotFound, "none")
}

// Progress and owners come through as they are.
func TestGetProgress(t *testing.T) {
	b := newBench(t)
	b.create(t)
	c, err := b.store.Changefeeds().Claim(t.Context(), "f", 2, "node-1")
	if err != nil {
		t.Fatal(err)
	}
	want := metatest.Progress(9)
	want.Generation, want.Updated = 1, time.Now().UnixNano()
	if err := c.Save(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	s, err := b.Get(t.Context(), "f")
	if err != nil || !reflect.DeepEqual(s.Progress, map[uint32]changefeed.Progress{2: want}) {
		t.Fatalf("got %+v, %v, want %+v", s.Progress, err, want)
	}
	if !reflect.DeepEqual(s.Owners, map[uint32]changefeed.Owner{2: {Process: "node-1", Epoch: 1}}) || s.State != changefeed.Warning {
		t.Fatalf("owners %+v, state %s", s.Owners, s.State)
	}
}

// A definition that can't be run isn't stored, and the error says what is wrong.
func TestCreateInvalid(t *testing.T) {
	b := newBench(t)
	for mention, spoil := range map[string]func(*changefeed.Spec){
		"no namespace \"none\"":  func(s *changefeed.Spec) { s.Namespace = "none" },
		"changefeed id":          func(s *changefeed.Spec) { s.ID = "a b" },
		"no place to begin":      func(s *changefeed.Spec) { s.From = "yesterday" },
		"no place to end":        func(s *changefeed.Spec) { s.To = "latest" },
		"partition 4":            func(s *changefeed.Spec) { s.From = "0=2-1,4=2-1" },
		"named twice":            func(s *changefeed.Spec) { s.To = "0=2-1,0=2-2" },
		"want a list":            func(s *changefeed.Spec) { s.From = "x=2-1" },
		"give the broker's port": func(s *changefeed.Spec) { s.SinkURI = "kafka://h" },
		"no sink is called ftp":  func(s *changefeed.Spec) { s.SinkURI = "ftp://h:9092" },
		"before the first colon": func(s *changefeed.Spec) { s.Filter.Tables = []string{"a:b"} },
		"op \"fly\"":             func(s *changefeed.Spec) { s.Filter.Ops = []string{"fly"} },
		"0 bytes":                func(s *changefeed.Spec) { s.Filter.Keys = []string{""} },
		"257 keys":               func(s *changefeed.Spec) { s.Filter.Keys = make([]string, 257) },
		"format \"xml\"":         func(s *changefeed.Spec) { s.Format = "xml" },
		"heartbeat":              func(s *changefeed.Spec) { s.Heartbeat = 1 },
		"bandwidth":              func(s *changefeed.Spec) { s.BandwidthBytes = -1 },
	} {
		s := metatest.Changefeed("bad")
		spoil(&s)
		code := Invalid
		if strings.Contains(mention, "namespace") {
			code = NotFound
		}
		_, err := b.Create(t.Context(), s)
		wantCode(t, err, code, mention)
	}
	if v := b.store.Changefeeds().View(); len(v.Feeds) != 0 {
		t.Fatalf("stored: %+v", v.Feeds)
	}
}

func TestUpdate(t *testing.T) {
	b := newBench(t)
	b.create(t)
	beat, digests, width, to := time.Second, false, int64(1000), ""
	s, err := b.Update(t.Context(), "f", Change{Heartbeat: &beat, Digests: &digests, BandwidthBytes: &width, To: &to, Filter: &changefeed.Filter{}})
	if err != nil {
		t.Fatal(err)
	}
	want := metatest.Changefeed("f")
	want.Generation, want.Created = 2, s.Spec.Created
	want.Heartbeat, want.Digests, want.BandwidthBytes, want.To, want.Filter = changefeed.Duration(beat), false, width, "", changefeed.Filter{}
	if !reflect.DeepEqual(s.Spec, want) {
		t.Fatalf("got %+v, want %+v", s.Spec, want)
	}
	sink, debezium, from, bad := "kafka://other:9092/x", changefeed.Debezium, "latest", "kafka://x"
	syncer := changefeed.RunBySyncer
	for name, c := range map[string]Change{"sink": {SinkURI: &sink}, "format": {Format: &debezium}, "begins": {From: &from}, "who runs": {Runner: &syncer}} {
		_, err := b.Update(t.Context(), "f", c)
		wantCode(t, err, NotPaused, name)
	}
	_, err = b.Update(t.Context(), "f", Change{To: &to, Generation: 1})
	wantCode(t, err, Stale, "generation 2")
	_, err = b.Update(t.Context(), "none", Change{To: &to})
	wantCode(t, err, NotFound, "none")
	if _, err := b.Pause(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if s, err = b.Update(t.Context(), "f", Change{SinkURI: &sink, Format: &debezium, From: &from, Runner: &syncer, Generation: 3}); err != nil || s.Spec.SinkURI != sink || s.Spec.Runner != syncer || s.Spec.Format != debezium || s.Spec.From != from {
		t.Fatalf("got %+v, %v", s.Spec, err)
	}
	_, err = b.Update(t.Context(), "f", Change{SinkURI: &bad})
	wantCode(t, err, Invalid, "port")
}

// Pause waits for the owners, within bounds; resume makes a new generation whether it was paused or not.
func TestPauseResume(t *testing.T) {
	b := newBench(t)
	b.create(t)
	c, err := b.store.Changefeeds().Claim(t.Context(), "f", 1, "node-1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Pause(t.Context(), "f")
	wantCode(t, err, Taken, "node-1")
	if !b.store.Changefeeds().View().Feeds["f"].Spec.Paused {
		t.Fatal("not paused")
	}
	paused := make(chan error, 1)
	go func() {
		_, err := b.Pause(t.Context(), "f")
		paused <- err
	}()
	// It is told of the second pause, and then lets go.
	metatest.UntilFeeds(t, b.store.Changefeeds(), "the second pause", func(v *changefeed.View) bool { return v.Feeds["f"].Spec.Generation == 3 })
	select {
	case err := <-paused:
		t.Fatalf("paused while somebody owns a partition: %v", err)
	default:
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-paused; err != nil {
		t.Fatal(err)
	}
	for want := uint64(4); want <= 5; want++ {
		s, err := b.Resume(t.Context(), "f")
		if err != nil || s.Spec.Paused || s.Spec.Generation != want {
			t.Fatalf("got %+v, %v, want generation %d", s.Spec, err, want)
		}
	}
}

// Removing lets go of the log.
func TestRemove(t *testing.T) {
	b := newBench(t)
	b.create(t)
	for n := range uint32(4) {
		if err := b.source.Hold(t.Context(), "default", n, changefeed.ConsumerID("f"), event.Position{Term: 2, Index: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Remove(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if len(b.source.held) != 0 {
		t.Fatalf("still held: %v", b.source.held)
	}
	wantCode(t, b.Remove(t.Context(), "f"), NotFound, "f")
	_, err := b.Get(t.Context(), "f")
	wantCode(t, err, NotFound, "f")
}

// Checkpoints are those before the place wanted, with the chain there.
func TestSetCheckpoint(t *testing.T) {
	b := newBench(t)
	b.create(t)
	const n = 3 // the partition that the cell has
	set := func(at string) (changefeed.Progress, error) {
		s, err := b.SetCheckpoint(t.Context(), "f", Checkpoint{Partitions: []uint32{n}, At: at})
		return s.Progress[n], err
	}
	_, err := set("latest")
	wantCode(t, err, NotPaused, "pause it first")
	if _, err := b.Pause(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	stamps := b.history.Stamps()
	third := stamps[2]
	when := time.Unix(0, feedtest.StartTime).Add(time.Duration(third.Position.Index) * time.Second).UTC().Format(time.RFC3339Nano)
	last := stamps[len(stamps)-1]
	for at, want := range map[string]event.Stamp{
		third.Position.String(): third,
		when:                    {Position: third.Prev, Chain: third.PrevChain},
		"latest":                {Position: event.Position{Term: 2, Index: 12}, Chain: last.Chain},
		"earliest":              {},
	} {
		p, err := set(at)
		if err != nil || p.Position != want.Position || p.Chain != want.Chain || !p.Forced || p.State != changefeed.Paused {
			t.Errorf("%s: got %+v, %v, want %s with chain %s", at, p, err, want.Position, want.Chain)
		}
	}
	s, err := b.SetCheckpoint(t.Context(), "f", Checkpoint{At: "3=2-2"})
	if err != nil || s.Progress[n].Position.Index != 2 {
		t.Fatalf("got %+v, %v", s.Progress, err)
	}
	for mention, at := range map[string]Checkpoint{
		"beyond":                {At: "3=2-99"},
		"history":               {At: "3=9-2"},
		"one partition":         {At: "2-2"},
		"no place to begin":     {At: "3=never"},
		"named twice":           {At: "3=2-2", Partitions: []uint32{3}},
		"partition 7":           {At: "7=2-2"},
		"namespace default has": {At: "latest", Partitions: []uint32{4}},
	} {
		_, err := b.SetCheckpoint(t.Context(), "f", at)
		code := Invalid
		if at.At == "latest" {
			code = NotFound
		}
		wantCode(t, err, code, mention)
	}
}

// A place that is gone is refused, unless it is wanted unchecked; and one that nothing comes before needs a definition that begins there.
func TestSetCheckpointCompacted(t *testing.T) {
	b := newBench(t)
	b.create(t)
	from := "latest"
	if _, err := b.Pause(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Update(t.Context(), "f", Change{From: &from}); err != nil {
		t.Fatal(err)
	}
	_, err := b.SetCheckpoint(t.Context(), "f", Checkpoint{At: "3=earliest"})
	wantCode(t, err, Invalid, "set that to earliest first")
	oldest := b.source.cell.Nodes[0].Replica.Truncate(8)
	_, err = b.SetCheckpoint(t.Context(), "f", Checkpoint{At: "3=2-1"})
	wantCode(t, err, Invalid, "compacted")
	s, err := b.SetCheckpoint(t.Context(), "f", Checkpoint{At: "3=earliest"})
	if err != nil || s.Progress[3].Position != oldest.LastEvent || s.Progress[3].Chain != oldest.Chain {
		t.Fatalf("got %+v, %v, want %+v", s.Progress, err, oldest)
	}
	s, err = b.SetCheckpoint(t.Context(), "f", Checkpoint{At: "3=2-1", Unchecked: true})
	if err != nil || s.Progress[3].Position.Index != 1 || !s.Progress[3].Chain.IsZero() {
		t.Fatalf("got %+v, %v", s.Progress, err)
	}
	c, err := b.store.Changefeeds().Claim(t.Context(), "f", 3, "node-1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Release(t.Context()) }()
	_, err = b.SetCheckpoint(t.Context(), "f", Checkpoint{At: "3=earliest"})
	wantCode(t, err, Taken, "partition 3")
}

// The next node is asked when one is down; a node that doesn't know the service isn't taken for one that failed.
func TestClientNodes(t *testing.T) {
	b := newBench(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c := dial(t, down, b.address)
	if _, err := c.Create(t.Context(), metatest.Changefeed("f")); err != nil {
		t.Fatalf("a change wasn't sent to the node that is up: %v", err)
	}
	if all, err := c.List(t.Context(), ""); err != nil || len(all) != 1 {
		t.Fatalf("got %+v, %v", all, err)
	}
	_, err = dial(t, down).List(t.Context(), "")
	wantCode(t, err, Unavailable, down)
	other := dial(t, b.source.cell.Addresses()[0]) // which serves the feed alone
	_, err = other.List(t.Context(), "")
	wantCode(t, err, NotSupported, "")
	if _, err := Dial(nil); err == nil {
		t.Fatal("a client of no nodes")
	}
}

// A change whose answer is lost isn't sent to another node.
func TestClientNeverRepeats(t *testing.T) {
	b := newBench(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var g *grpc.Server
	stopped := make(chan struct{})
	g = grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		go func() { g.Stop(); close(stopped) }() // which breaks the connection, and waits for this call
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	b.server.Register(g)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	c := dial(t, l.Addr().String(), b.address)
	_, err = c.Create(t.Context(), metatest.Changefeed("f"))
	wantCode(t, err, Unavailable, "isn't known")
	if v := b.store.Changefeeds().View(); len(v.Feeds) != 0 {
		t.Fatal("another node was asked to do it again")
	}
	<-stopped
	<-done
}

// The state of a changefeed is the worst of its partitions'.
func TestState(t *testing.T) {
	now := time.Unix(1000, 0)
	partition := func(states ...changefeed.State) *changefeed.Feed {
		f := &changefeed.Feed{Spec: metatest.Changefeed("f"), Progress: map[uint32]changefeed.Progress{}, Owners: map[uint32]changefeed.Owner{}}
		for n, s := range states {
			f.Progress[uint32(n)] = changefeed.Progress{State: s, Generation: 1, Updated: now.UnixNano()}
			if s != changefeed.Failed && s != changefeed.Finished {
				f.Owners[uint32(n)] = changefeed.Owner{Process: "a"}
			}
		}
		return f
	}
	const n, w, x, e = changefeed.Normal, changefeed.Warning, changefeed.Failed, changefeed.Finished
	for want, f := range map[changefeed.State]*changefeed.Feed{
		n: partition(n, e), w: partition(n, w, e), x: partition(w, x, n), e: partition(e, e),
	} {
		if got := State(f, uint32(len(f.Progress)), now); got != want {
			t.Errorf("got %s, want %s for %+v", got, want, f.Progress)
		}
	}
	paused := partition(n, w)
	paused.Spec.Paused = true
	if got := State(paused, 2, now); got != changefeed.Paused {
		t.Errorf("got %s for a paused one", got)
	}
	if got := State(partition(n), 0, now); got != changefeed.Warning {
		t.Errorf("got %s without a namespace", got)
	}
}
