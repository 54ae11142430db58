package serve

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
	"github.com/zankv/zankv/replay/replaypb"
)

// limit is how long anything may take that happens by itself.
const limit = 30 * time.Second

// target is a replica that writes down what it is given, and answers what the test says.
type target struct {
	mu       sync.Mutex
	follows  bool
	fail     error
	replayed []partition.Range
	chunks   []partition.Chunk
	begun    []partition.Begin
	adopted  event.Position
	peers    map[string]int64
	forgot   []store.SenderID
	rows     []Row
	hold     chan struct{} // if there is one, Replay waits for it
	entered  chan struct{} // Replay has begun
}

func (t *target) Leading() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.follows
}

func (t *target) place(id store.SenderID) Place {
	return Place{
		Sender: store.Sender{Reached: store.Cursor{Position: event.Position{Term: 1, Index: uint64(id.Partition) + 1}, Done: 2}, Time: 7},
		Why:    "fine", Watermark: 5, MaxEventBytes: 64 << 20,
	}
}

func (t *target) Open(_ context.Context, s SenderCut) (Place, error) { return t.place(s.ID), t.fail }

func (t *target) Replay(ctx context.Context, r *partition.Range) (partition.Replayed, error) {
	if t.hold != nil {
		t.entered <- struct{}{}
		select {
		case <-t.hold:
		case <-ctx.Done():
			return partition.Replayed{}, fmt.Errorf("%w: %w", partition.ErrUnknownOutcome, ctx.Err())
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replayed = append(t.replayed, *r)
	n := 0
	for _, s := range r.Slices {
		n += len(s.Event.Mutations)
	}
	return partition.Replayed{Sender: store.Sender{Reached: r.To, Time: r.Time}, Applied: uint64(n), Skipped: 1, Conflicts: 2}, t.fail
}

func (t *target) Begin(_ context.Context, s SenderCut, b *partition.Begin) (Place, error) {
	t.begun = append(t.begun, *b)
	p := t.place(s.ID)
	p.NeedsSync = true
	p.Sender.Sync = &store.FullSync{Base: b.Base, Through: []byte("k"), Parts: 3}
	p.Sender.Regions = []store.Region{{Base: event.Position{Term: 1, Index: 1}}}
	return p, t.fail
}

func (t *target) ReplayChunk(_ context.Context, c *partition.Chunk) (partition.Replayed, error) {
	t.chunks = append(t.chunks, *c)
	return partition.Replayed{Sender: store.Sender{Sync: &store.FullSync{Base: c.Base, Through: c.Through, Parts: 4}}, Applied: uint64(len(c.Rows))}, t.fail
}

func (t *target) Adopt(_ context.Context, s SenderCut, position event.Position, _ int64) (Place, error) {
	t.adopted = position
	return t.place(s.ID), t.fail
}

func (t *target) Forget(_ context.Context, id store.SenderID) error {
	t.forgot = append(t.forgot, id)
	return t.fail
}

func (t *target) Confirm(_ context.Context, peer string, time int64) (Confirmed, error) {
	t.peers[peer] = time
	return Confirmed{Since: event.Position{Term: 3, Index: 4}, Applied: event.Position{Term: 5, Index: 6}, Clock: 7}, t.fail
}

func (t *target) RemovePeer(_ context.Context, peer string) error {
	delete(t.peers, peer)
	return t.fail
}

func (t *target) Places() (Places, error) {
	id := store.SenderID{Cluster: "dc-a", Namespace: "default", Partition: 3}
	return Places{
		Leading: true, Replicates: true, Watermark: 9, ConflictRows: 1, ConflictBytes: 2, Diverged: 3, Outcomes: map[string]uint64{"older": 4},
		Senders: []SenderPlace{{ID: id, Sender: t.place(id).Sender}}, Peers: []PeerPlace{{Cluster: "dc-c", Peer: store.Peer{Confirmed: 6}}},
		Applied: event.Position{Term: 2, Index: 8}, LastEvent: event.Position{Term: 2, Index: 7},
	}, t.fail
}

// Conflicts gives two rows a page at most.
func (t *target) Conflicts(after []byte, limit int, pass func(*conflict.Record, *conflict.Diverged) bool) (rows []Row, next []byte, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, row := range t.rows {
		if bytes.Compare(row.ID, after) <= 0 {
			continue
		}
		if len(rows) == min(limit, 2) {
			return rows, rows[len(rows)-1].ID, nil
		}
		rec, d, err := conflict.Row(row.ID, row.Value)
		if err != nil {
			return nil, nil, err
		}
		if pass(rec, d) {
			rows = append(rows, row)
		}
	}
	return rows, nil, t.fail
}

func (t *target) PurgeConflicts(_ context.Context, ids [][]byte) (removed int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var left []Row
	for _, row := range t.rows {
		gone := false
		for _, id := range ids {
			gone = gone || bytes.Equal(id, row.ID)
		}
		if gone {
			removed++
		} else {
			left = append(left, row)
		}
	}
	t.rows = left
	return removed, t.fail
}

// directory has namespace default with one partition, 0, led here, and partition 1 elsewhere.
type directory struct{ t *target }

func (directory) Cluster() string { return "dc-b" }

func (d directory) Target(namespace string, number uint32) (Target, string, error) {
	if namespace != "default" || number > 1 {
		return nil, "", ErrUnknown
	}
	if number == 1 {
		return nil, "10.0.0.9:1", nil
	}
	return d.t, "10.0.0.8:1", nil
}

func (directory) Topology(_ context.Context, namespace string) (*replaypb.TopologyResponse, error) {
	if namespace == "none" {
		return nil, ErrUnknown
	}
	return &replaypb.TopologyResponse{Cluster: "dc-b", Hash: "crc16"}, nil
}

// world is a server behind a real connection.
type world struct {
	t         *testing.T
	target    *target
	server    *Server
	replay    replaypb.ReplayClient
	conflicts replaypb.ConflictsClient
}

func start(t *testing.T, o Options) *world {
	t.Helper()
	w := &world{t: t, target: &target{peers: map[string]int64{}}}
	w.server = NewServer(directory{w.target}, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	w.server.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		w.server.Wait()
		if used, _ := w.server.Memory(); used != 0 || w.server.Calls() != 0 {
			t.Errorf("%d bytes and %d calls are left", used, w.server.Calls())
		}
	})
	w.replay, w.conflicts = replaypb.NewReplayClient(conn), replaypb.NewConflictsClient(conn)
	return w
}

func (w *world) context() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	w.t.Cleanup(cancel)
	return ctx
}

// sender is a partition of cluster dc-a.
func sender() *replaypb.Sender {
	return &replaypb.Sender{Cluster: "dc-a", Namespace: "default", Partition: 3, Partitions: 4, Hash: "crc16"}
}

// logged is an event with n mutations by cluster number 1.
func logged(n int) []byte {
	ev := event.Event{Time: 1000, Term: 2}
	for i := range n {
		v := event.Version{Time: 1000 + int64(i), Cluster: 1}
		ev.Mutations = append(ev.Mutations, event.Mutation{
			Op: event.OpSet, Type: event.TypeString, Key: fmt.Appendf(nil, "k%d", i), Value: []byte("v"), Version: v, Floor: v, Command: "set",
		})
	}
	return event.Append(nil, &ev)
}

// oneSlice is a range's content with an event of n mutations.
func oneSlice(t *testing.T, n int) []byte {
	t.Helper()
	b, err := proto.Marshal(&replaypb.Range{Slices: []*replaypb.Slice{{Term: 2, Index: 9, Event: logged(n)}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func cursor(index uint64, done uint32) *replaypb.Cursor {
	return &replaypb.Cursor{Position: &replaypb.Position{Term: 2, Index: index}, Done: done}
}

// header is that of a range with a content.
func header(content []byte) *replaypb.Header {
	return &replaypb.Header{
		Namespace: "default", Sender: sender(), Names: []string{"", "dc-a"}, Size: uint64(len(content)), PlainSize: uint64(len(content)),
		Covers: &replaypb.Header_Range{Range: &replaypb.RangeHeader{From: cursor(8, store.AllDone), To: cursor(9, store.AllDone), Time: 2000}},
	}
}

// apply sends parts, the first with a header, and returns what comes of it.
func (w *world) apply(h *replaypb.Header, parts ...[]byte) (*replaypb.ApplyResponse, error) {
	w.t.Helper()
	stream, err := w.replay.Apply(w.context())
	if err != nil {
		w.t.Fatal(err)
	}
	for i, data := range parts {
		req := &replaypb.ApplyRequest{Data: data, Last: i == len(parts)-1}
		if i == 0 {
			req.Header = h
		}
		if err := stream.Send(req); err != nil {
			break // the answer is there already
		}
	}
	return stream.CloseAndRecv()
}
