package feed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedpb"
	"github.com/zankv/zankv/cdc/feed/feedtest"
)

func openSnapshot(t *testing.T, c *feedtest.Cell, tune func(*feed.SnapshotConfig)) *feed.SnapshotReader {
	t.Helper()
	cfg := feed.SnapshotConfig{Nodes: c.Addresses(), Namespace: "default", Partition: 3, GiveUp: 5 * time.Second}
	if tune != nil {
		tune(&cfg)
	}
	r, err := feed.OpenSnapshot(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// readAll folds a snapshot's rows.
func readAll(r *feed.SnapshotReader, fold *event.Fold) error {
	for {
		ev, _, err := r.Next()
		if errors.Is(err, io.EOF) {
			return fold.Err()
		}
		if err != nil {
			return err
		}
		fold.Event(ev)
	}
}

// content is what a fold holds, versions of elements left out: a row of a collection has the key's.
func content(fold *event.Fold) string {
	var b strings.Builder
	for _, key := range fold.Keys() {
		m, _ := fold.Get([]byte(key))
		fmt.Fprintf(&b, "%q %+v\n", key, m)
		for e := range fold.Elements([]byte(key)) {
			fmt.Fprintf(&b, "\t%q %q %v\n", e.Sub, e.Value, e.Score)
		}
	}
	return b.String()
}

// goOn folds the log after a snapshot into it, to the log's end.
func goOn(t *testing.T, c *feedtest.Cell, base *feed.SnapshotBase, fold *event.Fold) {
	t.Helper()
	r := open(t, c, base.After(), false)
	defer r.Close()
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if item.Event != nil {
			fold.Event(item.Event)
		}
	}
}

// A snapshot is the state at its position: the rows, and the log after it, give what the whole log gives, wherever the snapshot was taken.
func TestSnapshotAndTheLogAfterIt(t *testing.T) {
	h := feedtest.NewHistory()
	h.FillCollections(2, 40)
	h.Fill(3, 20)
	c := feedtest.NewCell(t, h, 1)
	var log event.Fold
	goOn(t, c, &feed.SnapshotBase{}, &log)
	want := content(&log)
	for index := uint64(1); index <= 60; index++ {
		c.Nodes[0].Replica.Hold(index)
		var last event.Stamp
		for _, s := range h.Stamps() {
			if s.Position.Index <= index {
				last = s
			}
		}
		r := openSnapshot(t, c, nil)
		b := r.Base()
		if b.Position != last.Position || b.Chain != last.Chain || b.Applied.Index != index {
			t.Fatalf("at %d a snapshot of %s, chain %s, applied %s; the last event was %s, chain %s", index, b.Position, b.Chain, b.Applied, last.Position, last.Chain)
		}
		c.Nodes[0].Replica.Hold(0) // what is applied while it is read isn't in it
		var fold event.Fold
		if err := readAll(r, &fold); err != nil {
			t.Fatal(err)
		}
		if b.Cluster != "dc-a" || b.Names.ID(1) != "dc-a" || b.Keys != uint64(fold.Len()) || b.Replica == "" {
			t.Errorf("base %+v of %d keys", b, fold.Len())
		}
		before := content(&fold)
		goOn(t, c, b, &fold)
		if got := content(&fold); got != want {
			t.Fatalf("the snapshot at %d,\n%sand the log after it give\n%sthe whole log gives\n%s", index, before, got, want)
		}
	}
}

// Resumed after a key, the rows are those of the keys above.
func TestSnapshotAfterAKey(t *testing.T) {
	h := feedtest.NewHistory()
	for _, key := range []string{"a", "a\x00", "b", "c"} {
		h.Set(2, key, key)
	}
	c := feedtest.NewCell(t, h, 1)
	for after, want := range map[string]string{"": `["a" "a\x00" "b" "c"]`, "a": `["a\x00" "b" "c"]`, "b": `["c"]`, "x": `[]`} {
		var fold event.Fold
		if err := readAll(openSnapshot(t, c, func(cfg *feed.SnapshotConfig) { cfg.AfterKey = []byte(after) }), &fold); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%q", fold.Keys()); got != want {
			t.Errorf("after %q: %s, want %s", after, got, want)
		}
	}
}

// Wanted, tombstones and what has expired are among the rows, and the base says up to when the state has what each cluster made. A server that doesn't know
// of tombstones isn't taken for one that has none.
func TestSnapshotWithTombstones(t *testing.T) {
	h := feedtest.NewHistory()
	for _, key := range []string{"a", "b", "c"} {
		h.Set(2, key, key)
	}
	gone := event.Version{Time: 77, Cluster: 1}
	h.Append(2, &event.Event{Time: 77, Wall: 9, Term: 2, Mutations: []event.Mutation{
		{Op: event.OpDel, Type: event.TypeString, Key: []byte("b"), Version: gone, Floor: gone, ExpiryVersion: gone, Before: event.Before{Exists: true, Type: event.TypeString}},
	}})
	c := feedtest.NewCell(t, h, 1)
	for _, wanted := range []bool{false, true} {
		r := openSnapshot(t, c, func(cfg *feed.SnapshotConfig) { cfg.Tombstones = wanted })
		got := ""
		for {
			ev, _, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range ev.Mutations {
				got += fmt.Sprintf("%s %s %v ", ev.Mutations[i].Op, ev.Mutations[i].Key, ev.Mutations[i].Floor == gone)
			}
		}
		if want := map[bool]string{false: "set a false set c false ", true: "set a false del b true set c false "}[wanted]; got != want {
			t.Errorf("tombstones wanted: %v: %s, want %s", wanted, got, want)
		}
		if b := r.Base(); len(b.Horizons) != 1 || b.Horizons["dc-a"] != b.Time || b.Time == 0 {
			t.Errorf("horizons %v at time %d", b.Horizons, b.Time)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := feed.OpenSnapshot(ctx, feed.SnapshotConfig{Nodes: []string{serveSnapshot(t, recordSnapshot(t, c))}, Namespace: "default", Partition: 3, Tombstones: true, GiveUp: time.Millisecond})
	if err == nil {
		r.Close()
		t.Fatal("a server without tombstones was taken")
	}
}

// No replica gives a state from before what the reader has; one that comes to have it does.
func TestSnapshotAtLeast(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 30)
	c := feedtest.NewCell(t, h, 3)
	at := h.Stamps()
	last := at[len(at)-1].Position
	for _, n := range c.Nodes {
		n.Replica.Hold(5)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	cfg := feed.SnapshotConfig{Nodes: c.Addresses(), Namespace: "default", Partition: 3, AtLeast: last}
	if _, err := feed.OpenSnapshot(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v: want the deadline to pass", err)
	}
	conn, err := grpc.NewClient(c.Nodes[0].Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := &feedpb.Position{Term: last.Term, Index: last.Index}
	stream, err := feedpb.NewFeedClient(conn).Snapshot(t.Context(), &feedpb.SnapshotRequest{Namespace: "default", Partition: 3, AtLeast: want})
	if err == nil {
		_, err = stream.Recv()
	}
	if d := status.Convert(err).Details(); len(d) != 1 || d[0].(*feedpb.Problem).Kind != feedpb.Problem_AHEAD || d[0].(*feedpb.Problem).Applied != 5 {
		t.Errorf("a replica that is behind: %v, want AHEAD", err)
	}
	c.Nodes[1].Replica.Hold(0)
	r := openSnapshot(t, c, func(cfg *feed.SnapshotConfig) { cfg.AtLeast = last })
	if b := r.Base(); b.Position != last || b.Replica != c.Nodes[1].Address {
		t.Errorf("a snapshot of %s from %s", b.Position, b.Replica)
	}
}

// A snapshot whose state, or node, goes away in the middle is no snapshot, and says so; the next one is.
func TestSnapshotLost(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 100)
	c := feedtest.NewCell(t, h, 1)
	n := c.Nodes[0]
	n.Replica.StateCalls = 2
	for range 2 {
		var fold event.Fold
		r := openSnapshot(t, c, nil)
		err := readAll(r, &fold)
		if !errors.Is(err, feed.ErrSnapshotLost) || !strings.Contains(err.Error(), "replaced") {
			t.Errorf("the state was replaced: %v after %d keys, want ErrSnapshotLost", err, fold.Len())
		}
		if _, _, again := r.Next(); again == nil || again.Error() != err.Error() {
			t.Errorf("asked again: %v", again)
		}
		n.Replica.StateCalls = 0
		h.Set(2, "large", strings.Repeat("x", 16<<20)) // more than can be under way
		r = openSnapshot(t, c, nil)
		n.Stop()
		if err := readAll(r, &fold); !errors.Is(err, feed.ErrSnapshotLost) {
			t.Errorf("the node stopped: %v, want ErrSnapshotLost", err)
		}
		n.Start(n.Address)
		if err := readAll(openSnapshot(t, c, nil), &event.Fold{}); err != nil {
			t.Error(err)
		}
		n.Replica.StateCalls = 2
	}
}

// recordSnapshot is all that an honest server sends.
func recordSnapshot(t *testing.T, c *feedtest.Cell) (all []*feedpb.SnapshotResponse) {
	t.Helper()
	conn, err := grpc.NewClient(c.Nodes[0].Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := feedpb.NewFeedClient(conn).Snapshot(t.Context(), &feedpb.SnapshotRequest{Namespace: "default", Partition: 3})
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
}

// scriptedSnapshot is a server that sends what it is given.
type scriptedSnapshot struct {
	scripted
	messages []*feedpb.SnapshotResponse
}

func (s *scriptedSnapshot) Snapshot(_ *feedpb.SnapshotRequest, stream grpc.ServerStreamingServer[feedpb.SnapshotResponse]) error {
	for _, m := range s.messages {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func serveSnapshot(t *testing.T, messages []*feedpb.SnapshotResponse) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scriptedSnapshot{messages: messages}
	s.address = l.Addr().String()
	g := grpc.NewServer(feed.ServerOptions()...)
	feedpb.RegisterFeedServer(g, s)
	done := make(chan struct{})
	go func() { defer close(done); g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return s.address
}

// Whatever is lost, repeated, moved or altered on the way, the reader doesn't say that the snapshot is complete.
func TestAlteredSnapshot(t *testing.T) {
	h := feedtest.NewHistory()
	h.FillCollections(2, 40)
	h.Fill(2, 20)
	c := feedtest.NewCell(t, h, 1)
	honest := recordSnapshot(t, c)
	last := len(honest) - 1
	rows := func(m []*feedpb.SnapshotResponse, i int) *feedpb.SnapshotRows { return m[i].GetRows() }
	for name, alter := range map[string]func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse{
		"nothing":       func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { return m },
		"rows lost":     func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { return append(m[:2:2], m[3:]...) },
		"rows repeated": func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { return append(m[:3:3], m[2:]...) },
		"rows moved":    func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { m[2], m[3] = m[3], m[2]; return m },
		"the last rows lost": func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse {
			return append(m[:last-1:last-1], m[last])
		},
		"the end lost":  func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { return m[:last] },
		"the end early": func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { return append(m[:2:2], m[last]) },
		"a bit of rows": func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse {
			e := rows(m, 2).Event
			e[len(e)/2] ^= 1
			return m
		},
		"the first byte":      func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { rows(m, 1).Event[0] ^= 64; return m },
		"the rows' number":    func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { rows(m, 1).Count++; return m },
		"all rows' number":    func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { m[last].GetEnd().Rows++; return m },
		"the digest":          func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { rows(m, 1).Digest[31] ^= 1; return m },
		"the base's chain":    func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { m[0].GetBase().Chain[0] ^= 1; return m },
		"another's partition": func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { m[0].GetBase().Partition++; return m },
		"no base":             func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { return m[1:] },
		"half a chain": func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse {
			m[0].GetBase().Chain = m[0].GetBase().Chain[:16]
			return m
		},
		"nothing at all": func(m []*feedpb.SnapshotResponse) []*feedpb.SnapshotResponse { return nil },
	} {
		copied := make([]*feedpb.SnapshotResponse, len(honest))
		for i := range honest {
			copied[i] = proto.CloneOf(honest[i])
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		r, err := feed.OpenSnapshot(ctx, feed.SnapshotConfig{Nodes: []string{serveSnapshot(t, alter(copied))}, Namespace: "default", Partition: 3, GiveUp: time.Millisecond})
		if err == nil {
			err = readAll(r, &event.Fold{})
			r.Close()
		}
		if (err == nil) != (name == "nothing") || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// watchedState is a replica whose states a test looks at.
type watchedState struct {
	*feedtest.Replica
	wrap func(feed.StateReader) feed.StateReader
}

func (w *watchedState) OpenState(afterKey []byte, tombstones bool) (feed.StateReader, error) {
	r, err := w.Replica.OpenState(afterKey, tombstones)
	if err != nil {
		return nil, err
	}
	return w.wrap(r), nil
}

// closeTold tells when a state is closed.
type closeTold struct {
	feed.StateReader
	closed chan struct{}
}

func (c *closeTold) Close() {
	c.StateReader.Close()
	select {
	case c.closed <- struct{}{}:
	default:
	}
}

// idle gives nothing for some calls.
type idle struct {
	feed.StateReader
	calls int
	tick  *time.Ticker
}

func (i *idle) Next() ([]event.Mutation, error) {
	if i.calls--; i.calls < 0 {
		return i.StateReader.Next()
	}
	<-i.tick.C
	return nil, nil
}

type onlyNode struct {
	*feedtest.Node
	src feed.Source
}

func (o *onlyNode) Source(string, uint32) (feed.Source, error) { return o.src, nil }

// serveState serves a cell's first replica with states that are wrapped, at another address.
func serveState(t testing.TB, c *feedtest.Cell, opts feed.Options, wrap func(feed.StateReader) feed.StateReader) (string, *feed.Server) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := c.Nodes[0]
	n.Stop()
	n.Address = l.Addr().String()
	g := grpc.NewServer(feed.ServerOptions()...)
	s := feed.NewServer(&onlyNode{Node: n, src: &watchedState{Replica: n.Replica, wrap: wrap}}, opts)
	s.Register(g)
	done := make(chan struct{})
	go func() { defer close(done); g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return n.Address, s
}

// A reader that takes nothing loses the snapshot, and what it held is free at once, not when the reader comes back.
func TestSnapshotOfAReaderThatStalls(t *testing.T) {
	h := feedtest.NewHistory()
	for i := range 64 {
		h.Set(2, fmt.Sprintf("k%02d", i), strings.Repeat("x", 512<<10))
	}
	c := feedtest.NewCell(t, h, 1)
	closed := make(chan struct{}, 1)
	serveState(t, c, feed.Options{Patience: 100 * time.Millisecond}, func(r feed.StateReader) feed.StateReader { return &closeTold{r, closed} })
	r := openSnapshot(t, c, nil)
	if _, _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("a state that nobody reads is still open after 10 s")
	}
	if err := readAll(r, &event.Fold{}); !errors.Is(err, feed.ErrSnapshotLost) || !strings.Contains(err.Error(), "took nothing") {
		t.Errorf("%v: want ErrSnapshotLost, and why", err)
	}
}

// A server that finds nothing for long says that it is still at it.
func TestSnapshotThatTakesLong(t *testing.T) {
	h := feedtest.NewHistory()
	h.Fill(2, 10)
	c := feedtest.NewCell(t, h, 1)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	serveState(t, c, feed.Options{Bookmark: 20 * time.Millisecond}, func(r feed.StateReader) feed.StateReader {
		return &idle{StateReader: r, calls: 60, tick: tick}
	})
	if err := readAll(openSnapshot(t, c, func(cfg *feed.SnapshotConfig) { cfg.Silence = 200 * time.Millisecond }), &event.Fold{}); err != nil {
		t.Error(err)
	}
}

// There are only so many snapshots at once; who comes too late goes elsewhere.
func TestTooManySnapshots(t *testing.T) {
	h := feedtest.NewHistory()
	h.Set(2, "large", strings.Repeat("x", 16<<20))
	c := feedtest.NewCell(t, h, 2)
	for _, n := range c.Nodes {
		n.Stop()
		n.Options.MaxSnapshots = 1
		n.Start(n.Address)
	}
	a, b := openSnapshot(t, c, nil), openSnapshot(t, c, nil)
	if a.Base().Replica == b.Base().Replica {
		t.Errorf("both from %s", a.Base().Replica)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := feed.OpenSnapshot(ctx, feed.SnapshotConfig{Nodes: c.Addresses(), Namespace: "default", Partition: 3}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third: %v", err)
	}
	if err := readAll(a, &event.Fold{}); err != nil {
		t.Error(err)
	}
	openSnapshot(t, c, nil)
}

func TestSnapshotRefuses(t *testing.T) {
	h := feedtest.NewHistory()
	c := feedtest.NewCell(t, h, 1)
	for _, cfg := range []feed.SnapshotConfig{{Namespace: "default"}, {Nodes: c.Addresses()}} {
		if _, err := feed.OpenSnapshot(t.Context(), cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	_, err := feed.OpenSnapshot(t.Context(), feed.SnapshotConfig{Nodes: c.Addresses(), Namespace: "none"})
	var problem *feed.Error
	if !errors.As(err, &problem) || problem.Kind != feed.Unknown {
		t.Errorf("%v, want Unknown", err)
	}
}
