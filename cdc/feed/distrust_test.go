package feed_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// scripted is a server that says what a test tells it to: the n-th stream gets the n-th script, later ones the last.
type scripted struct {
	feedpb.UnimplementedFeedServer
	address string
	streams atomic.Int64
	unknown bool
	scripts []func(req *feedpb.SubscribeRequest, send func(*feedpb.SubscribeResponse))
}

func serve(t *testing.T, scripts ...func(*feedpb.SubscribeRequest, func(*feedpb.SubscribeResponse))) *scripted {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{address: l.Addr().String(), scripts: scripts}
	g := grpc.NewServer(feed.ServerOptions()...)
	feedpb.RegisterFeedServer(g, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Serve(l)
	}()
	t.Cleanup(func() { g.Stop(); <-done })
	return s
}

func (s *scripted) Partitions(context.Context, *feedpb.PartitionsRequest) (*feedpb.PartitionsResponse, error) {
	if s.unknown {
		return nil, (&feed.Error{Kind: feed.Unknown, What: "no such namespace"}).GRPCStatus().Err()
	}
	return &feedpb.PartitionsResponse{Partitions: []*feedpb.Partition{{Number: 3, Leader: s.address, Replicas: []string{s.address}}}}, nil
}

func (s *scripted) Subscribe(req *feedpb.SubscribeRequest, stream grpc.ServerStreamingServer[feedpb.SubscribeResponse]) error {
	n := min(int(s.streams.Add(1)), len(s.scripts))
	s.scripts[n-1](req, func(m *feedpb.SubscribeResponse) { stream.Send(m) })
	return nil
}

func (s *scripted) read(t *testing.T) *feed.Reader {
	return s.readConfig(t, feed.Config{GiveUp: 50 * time.Millisecond})
}

func (s *scripted) readConfig(t *testing.T, cfg feed.Config) *feed.Reader {
	cfg.Nodes, cfg.Namespace, cfg.Partition, cfg.From = []string{s.address}, "default", 3, feed.AfterPosition(event.Position{})
	r, err := feed.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// truth is a run of events of one mutation each.
type truth struct {
	stamps []event.Stamp
	data   [][]byte
}

func newTruth(n int, value string) *truth {
	tr := &truth{}
	st := event.Stamp{Cluster: "dc-a", Namespace: "default", Partition: 3}
	var scratch event.Scratch
	for i := range n {
		v := event.Version{Time: int64(i + 1), Cluster: 1}
		ev := &event.Event{Time: v.Time, Term: 2, Mutations: []event.Mutation{{Op: event.OpSet, Key: []byte("k"), Value: []byte(value), Version: v}}}
		if i == 0 {
			ev.Clusters = []event.ClusterName{{Number: 1, ID: "dc-a"}}
		}
		st.Prev, st.PrevChain, st.Position = st.Position, st.Chain, event.Position{Term: 2, Index: uint64(i + 1)}
		st.Chain = event.NextChain(st.PrevChain, &st, ev, event.Names{"", "dc-a"}, &scratch)
		tr.stamps, tr.data = append(tr.stamps, st), append(tr.data, event.Append(nil, ev))
	}
	return tr
}

func position(p event.Position) *feedpb.Position {
	return &feedpb.Position{Term: p.Term, Index: p.Index}
}

// base begins before event i. Event 0 assigns cluster number 1.
func (tr *truth) base(i int) *feedpb.SubscribeResponse {
	names := []string{"", "dc-a"}[:min(i+1, 2)]
	return &feedpb.SubscribeResponse{Body: &feedpb.SubscribeResponse_Base{Base: &feedpb.Base{Cluster: "dc-a", Namespace: "default", Partition: 3,
		Prev: position(tr.stamps[i].Prev), PrevChain: tr.stamps[i].PrevChain[:], Names: names}}}
}

// batch has the events given by number, as generated code encodes them; change may alter it.
func (tr *truth) batch(change func(*feedpb.Batch, []*feedpb.Record), numbers ...int) *feedpb.SubscribeResponse {
	var records []*feedpb.Record
	b := &feedpb.Batch{Count: uint32(len(numbers))}
	for _, i := range numbers {
		st := &tr.stamps[i]
		records = append(records, &feedpb.Record{Term: st.Position.Term, Index: st.Position.Index, PrevTerm: st.Prev.Term, PrevIndex: st.Prev.Index,
			Event: bytes.Clone(tr.data[i])})
		b.Chain = bytes.Clone(st.Chain[:])
	}
	if change != nil {
		change(b, records)
	}
	var buf bytes.Buffer
	for _, r := range records {
		if _, err := protodelim.MarshalTo(&buf, r); err != nil {
			panic(err)
		}
	}
	b.Records = append(b.Records, buf.Bytes()...)
	return &feedpb.SubscribeResponse{Body: &feedpb.SubscribeResponse_Batch{Batch: b}}
}

func end() *feedpb.SubscribeResponse {
	return &feedpb.SubscribeResponse{Body: &feedpb.SubscribeResponse_End{End: &feedpb.End{}}}
}

// outcome reads to the end or the first error.
func outcome(r *feed.Reader) (positions []uint64, err error) {
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			return positions, nil
		}
		if err != nil {
			return positions, err
		}
		if item.Event != nil {
			positions = append(positions, item.Stamp.Position.Index)
		}
	}
}

func TestReaderRefusesWhatIsNotRight(t *testing.T) {
	tr := newTruth(4, "v")
	for _, c := range []struct {
		name  string
		batch *feedpb.SubscribeResponse
		says  string
	}{
		{"gap", tr.batch(nil, 0, 1, 3), "a gap: event 2-4 names 2-3"},
		{"first one missing", tr.batch(nil, 1, 2), "a gap"},
		{"twice", tr.batch(nil, 0, 1, 1), "a gap"},
		{"out of order", tr.batch(func(_ *feedpb.Batch, r []*feedpb.Record) { r[1].Index = 1 }, 0, 1), "out of order"},
		{"gap hidden by its name", tr.batch(func(_ *feedpb.Batch, r []*feedpb.Record) { r[1].PrevIndex = 1 }, 0, 2), "content was altered"},
		{"altered content", tr.batch(func(_ *feedpb.Batch, r []*feedpb.Record) {
			r[1].Event = bytes.Replace(r[1].Event, []byte("v"), []byte("w"), 1)
		}, 0, 1), "content was altered"},
		{"altered chain", tr.batch(func(b *feedpb.Batch, _ []*feedpb.Record) { b.Chain[0]++ }, 0, 1), "content was altered"},
		{"short chain", tr.batch(func(b *feedpb.Batch, _ []*feedpb.Record) { b.Chain = b.Chain[1:] }, 0, 1), "content was altered"},
		{"wrong count", tr.batch(func(b *feedpb.Batch, _ []*feedpb.Record) { b.Count = 3 }, 0, 1), "content was altered"},
		{"an entry that was rejected", tr.batch(func(_ *feedpb.Batch, r []*feedpb.Record) { r[1].Term = 3 }, 0, 1), "is no event"},
		{"unknown format", tr.batch(func(_ *feedpb.Batch, r []*feedpb.Record) { r[0].Event[0] = 9 }, 0), "unknown event format 9"},
		{"not records", tr.batch(func(b *feedpb.Batch, _ []*feedpb.Record) { b.Records = []byte{0xFF} }, 0), "a record"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, func(_ *feedpb.SubscribeRequest, send func(*feedpb.SubscribeResponse)) {
				send(tr.base(0))
				send(c.batch)
				send(end())
			})
			got, err := outcome(s.read(t))
			if len(got) > 0 || err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("handed out %v, then %v; want nothing and %q", got, err, c.says)
			}
		})
	}
}

// After a reconnect: repeats are dropped when they are what came before, and are refused when they aren't.
func TestReaderAfterReconnect(t *testing.T) {
	tr, other := newTruth(8, "v"), newTruth(8, "w")
	first := func(_ *feedpb.SubscribeRequest, send func(*feedpb.SubscribeResponse)) {
		send(tr.base(0))
		send(tr.batch(nil, 0, 1, 2, 3))
	}
	for _, c := range []struct {
		name   string
		second []*feedpb.SubscribeResponse
		want   int
		says   string
	}{
		{"goes on", []*feedpb.SubscribeResponse{tr.base(4), tr.batch(nil, 4, 5), end()}, 6, ""},
		{"repeats", []*feedpb.SubscribeResponse{tr.base(1), tr.batch(nil, 1, 2), tr.batch(nil, 3, 4, 5), end()}, 6, ""},
		{"repeats other content", []*feedpb.SubscribeResponse{tr.base(0), other.batch(nil, 0, 1, 2, 3, 4), end()}, 4, "isn't of this partition's history"},
		{"begins too late", []*feedpb.SubscribeResponse{tr.base(6), tr.batch(nil, 6, 7), end()}, 4, "isn't of this partition's history"},
		{"another history", []*feedpb.SubscribeResponse{other.base(4), other.batch(nil, 4, 5), end()}, 4, "isn't of this partition's history"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Pointer[feedpb.SubscribeRequest]
			s := serve(t, first, func(req *feedpb.SubscribeRequest, send func(*feedpb.SubscribeResponse)) {
				asked.Store(req)
				for _, m := range c.second {
					send(m)
				}
			})
			got, err := outcome(s.read(t))
			if len(got) != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("handed out %v, then %v; want %d and %q", got, err, c.want, c.says)
			}
			for i, index := range got {
				if index != uint64(i+1) {
					t.Fatalf("handed out %v", got)
				}
			}
			if after := asked.Load().GetAfter(); after.GetPosition().GetIndex() != 4 || !bytes.Equal(after.GetChain(), tr.stamps[3].Chain[:]) {
				t.Fatalf("it asked for %v, want what follows 2-4 with its chain", asked.Load())
			}
		})
	}
}

func TestReaderRefusesAnotherPartitionsStream(t *testing.T) {
	tr := newTruth(2, "v")
	base := tr.base(0)
	base.GetBase().Partition = 2
	s := serve(t, func(_ *feedpb.SubscribeRequest, send func(*feedpb.SubscribeResponse)) { send(base); send(end()) })
	if _, err := outcome(s.read(t)); err == nil || !strings.Contains(err.Error(), "asked for default-3, got default-2") {
		t.Fatalf("got %v", err)
	}
}

// A bookmark moves the place to resume from; one that goes back doesn't.
func TestReaderResumesAfterBookmarks(t *testing.T) {
	tr := newTruth(3, "v")
	mark := func(index uint64) *feedpb.SubscribeResponse {
		return &feedpb.SubscribeResponse{Body: &feedpb.SubscribeResponse_Bookmark{Bookmark: &feedpb.Bookmark{Position: &feedpb.Position{Term: 2, Index: index}}}}
	}
	var asked atomic.Pointer[feedpb.SubscribeRequest]
	s := serve(t, func(_ *feedpb.SubscribeRequest, send func(*feedpb.SubscribeResponse)) {
		send(tr.base(0))
		send(tr.batch(nil, 0, 1))
		send(mark(9))
		send(mark(8))
	}, func(req *feedpb.SubscribeRequest, send func(*feedpb.SubscribeResponse)) {
		asked.Store(req)
		send(tr.base(2))
		send(end())
	})
	if got, err := outcome(s.read(t)); err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if after := asked.Load().GetAfter(); after.GetPosition().GetIndex() != 9 || !bytes.Equal(after.GetChain(), tr.stamps[1].Chain[:]) {
		t.Fatalf("it asked for %v, want what follows 2-9 with the chain of 2-2", asked.Load())
	}
}

// A consumer that takes its time doesn't use up the time that there is to find another replica.
func TestGiveUpCountsFromTheFailure(t *testing.T) {
	tr := newTruth(2, "v")
	gone := make(chan struct{})
	s := serve(t, func(_ *feedpb.SubscribeRequest, send func(*feedpb.SubscribeResponse)) {
		send(tr.base(0))
		send(tr.batch(nil, 0))
		close(gone)
	}, func(*feedpb.SubscribeRequest, func(*feedpb.SubscribeResponse)) {
		// fails once more: the end of a round
	}, func(_ *feedpb.SubscribeRequest, send func(*feedpb.SubscribeResponse)) {
		send(tr.base(1))
		send(tr.batch(nil, 1))
		send(end())
	})
	const giveUp = 500 * time.Millisecond
	r := s.readConfig(t, feed.Config{GiveUp: giveUp})
	if item, err := r.Next(); err != nil || item.Event == nil {
		t.Fatal(item, err)
	}
	<-gone
	<-time.After(giveUp) // what the consumer takes
	if got, err := outcome(r); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
}

// That one node knows of no such namespace isn't final while another one can't be asked.
func TestUnknownToOneNode(t *testing.T) {
	s := serve(t)
	s.unknown = true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := l.Addr().String()
	l.Close()
	r, err := feed.Open(t.Context(), feed.Config{Nodes: []string{down, s.address}, Namespace: "default", Partition: 3, GiveUp: 1500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(); err == nil || !strings.Contains(err.Error(), "no replica served") {
		t.Fatalf("got %v", err)
	}
}

// A replica that hangs without closing is left.
func TestReaderLeavesASilentReplica(t *testing.T) {
	tr := newTruth(2, "v")
	release := make(chan struct{})
	s := serve(t, func(_ *feedpb.SubscribeRequest, send func(*feedpb.SubscribeResponse)) {
		send(tr.base(0))
		send(tr.batch(nil, 0))
		<-release
	}, func(_ *feedpb.SubscribeRequest, send func(*feedpb.SubscribeResponse)) {
		send(tr.base(1))
		send(tr.batch(nil, 1))
		send(end())
	})
	defer close(release)
	if got, err := outcome(s.readConfig(t, feed.Config{Silence: 100 * time.Millisecond})); err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
}
