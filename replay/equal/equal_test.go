package equal

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// node is a cluster of one node and one partition, whose watermark and content are what a test says.
type node struct {
	replaypb.UnimplementedReplayServer
	t         *testing.T
	id        string
	grpc      string
	http      *httptest.Server
	watermark atomic.Int64
	rises     int64 // by how much the watermark goes on with each sum
	slots     map[uint16]store.Sum
	follows   atomic.Int32 // so many times Places says that it doesn't lead
	strays    atomic.Int32 // so many times a sum says so
	adopted   atomic.Pointer[replaypb.AdoptRequest]
	pairs     sync.Map // of the sender's partition and this one's, that were adopted
	cut       int      // partitions, if not one
	confirmed atomic.Int32
	sums      atomic.Int32
}

func startNode(t *testing.T, id string) *node {
	t.Helper()
	n := &node{t: t, id: id, slots: map[uint16]store.Sum{3: {Lo: 5}, 9: {Hi: 1}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	replaypb.RegisterReplayServer(g, n)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	n.grpc, n.http = l.Addr().String(), httptest.NewServer(http.HandlerFunc(n.checksum))
	t.Cleanup(func() {
		n.http.Close()
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *node) dial() *Cluster {
	n.t.Helper()
	c, err := Dial([]string{"127.0.0.1:1", n.grpc}) // the first one is down
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (n *node) Topology(context.Context, *replaypb.TopologyRequest) (*replaypb.TopologyResponse, error) {
	top := &replaypb.TopologyResponse{
		Cluster: n.id, Hash: "crc16", Nodes: []*replaypb.Node{{Grpc: n.grpc, Http: strings.TrimPrefix(n.http.URL, "http://")}},
	}
	for i := range max(n.cut, 1) {
		top.Partitions = append(top.Partitions, &replaypb.Partition{Number: uint32(i), Leader: n.grpc})
	}
	return top, nil
}

func (n *node) Places(context.Context, *replaypb.PlacesRequest) (*replaypb.PlacesResponse, error) {
	return &replaypb.PlacesResponse{Cluster: n.id, Leading: n.follows.Add(-1) < 0, Watermark: n.watermark.Load()}, nil
}

func (n *node) Confirm(context.Context, *replaypb.ConfirmRequest) (*replaypb.ConfirmResponse, error) {
	if n.sums.Load() > 0 {
		n.t.Error("confirmed after sums were made")
	}
	n.confirmed.Add(1)
	return &replaypb.ConfirmResponse{}, nil
}

func (n *node) Adopt(_ context.Context, r *replaypb.AdoptRequest) (*replaypb.OpenResponse, error) {
	n.adopted.Store(r)
	n.pairs.Store([2]uint32{r.Sender.Partition, r.Partition}, true)
	return &replaypb.OpenResponse{}, nil
}

func (n *node) checksum(w http.ResponseWriter, r *http.Request) {
	n.sums.Add(1)
	query := func(name string) int64 {
		v, _ := strconv.ParseInt(r.URL.Query().Get(name), 10, 64)
		return v
	}
	at, _ := event.ParsePosition(r.URL.Query().Get("at"))
	if at.IsZero() {
		at = event.Position{Term: 2, Index: 8}
	}
	mark := n.watermark.Add(n.rises)
	_ = json.NewEncoder(w).Encode(checksumReply{
		Cluster: n.id, IsLeader: n.strays.Add(-1) < 0, LastEvent: event.Position{Term: 2, Index: 7}, Clock: 70, Now: int64(time.Hour),
		Checksum: store.Checksum{Position: at, Wall: query("wall"), Watermark: max(mark, query("watermark")), Keys: 4, Slots: n.slots},
	})
}

func TestCompare(t *testing.T) {
	a, b := startNode(t, "dc-a"), startNode(t, "dc-b")
	a.watermark.Store(100)
	b.follows.Store(2) // elections
	a.strays.Store(2)
	r, err := Compare(t.Context(), a.dial(), b.dial(), "default", Options{AtA: At{0: {Term: 1, Index: 5}}})
	if err != nil || !r.Equal() || r.Differing != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if p := r.A.Partitions[0]; p.Position.Index != 5 || p.LastEvent.Index != 7 || p.By.Watermark != 100 || r.A.Keys != 4 || r.A.Cluster != "dc-a" {
		t.Errorf("%+v", p)
	}
	if a.sums.Load() != 3 {
		t.Errorf("%d sums were asked for, the first two of who didn't lead", a.sums.Load())
	}
	if p := r.B.Partitions[0]; p.By != r.A.Partitions[0].By || p.Position.Index != 8 {
		t.Errorf("%+v", p)
	}
	b.slots = map[uint16]store.Sum{3: {Lo: 6}, 9: {Hi: 1}, 1000: {Lo: 1}}
	if r, err = Compare(t.Context(), a.dial(), b.dial(), "default", Options{Tries: 2, Pause: time.Millisecond}); err != nil || !slices.Equal(r.Differing, []uint16{3, 1000}) {
		t.Errorf("%+v, %v", r, err)
	}
	if more := r.B.Differ(r.A); !slices.Equal(more, r.Differing) {
		t.Errorf("the other way round: %v", more)
	}
}

// Sums that weren't made by the same watermark say nothing.
func TestCompareUnsettled(t *testing.T) {
	a, b := startNode(t, "dc-a"), startNode(t, "dc-b")
	b.rises = 10
	if r, err := Compare(t.Context(), a.dial(), b.dial(), "default", Options{}); !errors.Is(err, ErrUnsettled) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAdopt(t *testing.T) {
	a, b := startNode(t, "dc-a"), startNode(t, "dc-b")
	done, err := Adopt(t.Context(), a.dial(), b.dial(), "default", AdoptOptions{})
	if err != nil || !done.Equal || a.confirmed.Load() != 1 {
		t.Fatalf("%+v, %v, confirmed %d times", done, err, a.confirmed.Load())
	}
	got := b.adopted.Load()
	if s := got.GetSender(); s.GetCluster() != "dc-a" || s.Partitions != 1 || s.Hash != "crc16" || got.Position.Index != 8 || got.Time != 70 {
		t.Errorf("%v", got)
	}
	if _, err := Adopt(t.Context(), a.dial(), a.dial(), "default", AdoptOptions{}); err == nil || !strings.Contains(err.Error(), "one cluster") {
		t.Errorf("with itself: %v", err)
	}
}

// A place is adopted where keys can be shared, and nowhere else.
func TestAdoptPairs(t *testing.T) {
	a, b := startNode(t, "dc-a"), startNode(t, "dc-b")
	a.cut, b.cut = 4, 8
	done, err := Adopt(t.Context(), a.dial(), b.dial(), "default", AdoptOptions{Force: true, Tries: 1}) // each partition has the same here, so that the sums differ
	if err != nil || len(done.Places) != 4 || done.Targets != 8 {
		t.Fatalf("%+v, %v", done, err)
	}
	pairs := 0
	b.pairs.Range(func(pair, _ any) bool {
		pairs++
		if p := pair.([2]uint32); p[1]/2 != p[0] {
			t.Errorf("partition %d is adopted in %d of twice as many", p[0], p[1])
		}
		return true
	})
	if pairs != 8 {
		t.Errorf("%d pairs, want 8", pairs)
	}
}

func TestAdoptDiffering(t *testing.T) {
	a, b := startNode(t, "dc-a"), startNode(t, "dc-b")
	b.slots = nil
	done, err := Adopt(t.Context(), a.dial(), b.dial(), "default", AdoptOptions{Tries: 1})
	if !errors.Is(err, ErrDiffer) || done.Differing != 2 || b.adopted.Load() != nil {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	c, err := Dial([]string{"127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Topology(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "no node answers") {
		t.Errorf("%v", err)
	}
	for _, nodes := range [][]string{nil, {"nonsense"}} {
		if _, err := Dial(nodes); err == nil {
			t.Errorf("%v: no error", nodes)
		}
	}
	n := startNode(t, "dc-a")
	_, _, err = n.dial().Leader(t.Context(), "default", 7)
	if p, ok := problem.Of(err); !ok || p.Kind != problem.Unknown {
		t.Errorf("%v", err)
	}
}
