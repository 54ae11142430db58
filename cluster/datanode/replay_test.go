package datanode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// far is another cluster, dc-b, that sends this one changes: a partition of a namespace that is cut in one.
type far struct {
	t       *testing.T
	replay  replaypb.ReplayClient
	log     replaypb.ConflictsClient
	cluster string
	index   uint64 // of its last event
	clock   int64
}

func (c *testCluster) far(n *testNode) *far {
	c.t.Helper()
	conn, err := grpc.NewClient(n.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	return &far{t: c.t, replay: replaypb.NewReplayClient(conn), log: replaypb.NewConflictsClient(conn), cluster: "dc-b", index: 10, clock: time.Now().UnixNano()}
}

func (f *far) context() context.Context {
	ctx, cancel := context.WithTimeout(f.t.Context(), limit)
	f.t.Cleanup(cancel)
	return ctx
}

func (f *far) sender() *replaypb.Sender {
	return &replaypb.Sender{Cluster: f.cluster, Namespace: "default", Partitions: 1, Hash: meta.HashCRC16}
}

func (f *far) at() *replaypb.Position { return &replaypb.Position{Term: 1, Index: f.index} }

// adopt gives the far cluster a place in a partition.
func (f *far) adopt(number uint32) *replaypb.OpenResponse {
	f.t.Helper()
	p, err := f.replay.Adopt(f.context(), &replaypb.AdoptRequest{Namespace: "default", Partition: number, Sender: f.sender(), Position: f.at(), Time: f.clock})
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// set is a SET at the far cluster, at a time.
func set(key, value string, at int64) event.Mutation {
	v := event.Version{Time: at, Cluster: 1}
	return event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte(key), Value: []byte(value), Version: v, Floor: v, ExpiryVersion: v, Command: "set"}
}

// send sends an event of the far cluster's to a partition.
func (f *far) send(number uint32, mutations ...event.Mutation) (*replaypb.ApplyResponse, error) {
	f.t.Helper()
	from := &replaypb.Cursor{Position: f.at(), Done: math.MaxUint32}
	f.index++
	f.clock += 1000
	ev := event.Event{Time: f.clock, Term: 1, Mutations: mutations}
	content, err := proto.Marshal(&replaypb.Range{Slices: []*replaypb.Slice{{Term: 1, Index: f.index, Event: event.Append(nil, &ev)}}})
	if err != nil {
		f.t.Fatal(err)
	}
	return f.apply(&replaypb.Header{
		Namespace: "default", Partition: number, Sender: f.sender(), Names: []string{"", f.cluster}, Size: uint64(len(content)), PlainSize: uint64(len(content)),
		Covers: &replaypb.Header_Range{Range: &replaypb.RangeHeader{From: from, To: &replaypb.Cursor{Position: f.at(), Done: math.MaxUint32}, Time: f.clock}},
	}, content)
}

func (f *far) apply(h *replaypb.Header, content []byte) (*replaypb.ApplyResponse, error) {
	f.t.Helper()
	stream, err := f.replay.Apply(f.context())
	if err != nil {
		f.t.Fatal(err)
	}
	_ = stream.Send(&replaypb.ApplyRequest{Header: h, Data: content, Last: true}) // the answer says what went wrong
	return stream.CloseAndRecv()
}

func wantProblem(t *testing.T, err error, kind problem.Kind) *problem.Error {
	t.Helper()
	p, ok := problem.Of(err)
	if !ok || p.Kind != kind {
		t.Fatalf("got %v, want %s", err, kind)
	}
	return p
}

// Every node describes the cluster as it is.
func TestReplayTopology(t *testing.T) {
	c := startCluster(t, 2, 3, 2, 0)
	for number := range uint32(3) {
		c.leading(number, nil)
	}
	for _, n := range c.nodes {
		top, err := c.far(n).replay.Topology(t.Context(), &replaypb.TopologyRequest{Namespace: "default"})
		if err != nil {
			t.Fatal(err)
		}
		if top.Cluster != "dc-a" || top.Hash != meta.HashCRC16 || top.ConflictPolicy != meta.ConflictDefault || len(top.Namespaces) != 1 || len(top.Nodes) != 2 || len(top.Partitions) != 3 {
			t.Errorf("%v", top)
		}
		for i, node := range top.Nodes {
			if want := c.nodes[i]; node.Grpc != want.grpc || node.Http != want.http || node.Redis != want.redis || !node.Alive || node.NamespacePorts["default"] == 0 {
				t.Errorf("node %d: %v", i, node)
			}
		}
		for i, p := range top.Partitions {
			leader, _ := c.leading(uint32(i), nil)
			if p.Number != uint32(i) || p.Leader != leader.grpc || len(p.Replicas) != 2 {
				t.Errorf("partition %d: %v, led by %s", i, p, leader.grpc)
			}
		}
	}
	_, err := c.far(c.nodes[0]).replay.Topology(t.Context(), &replaypb.TopologyRequest{Namespace: "none"})
	wantProblem(t, err, problem.Unknown)
	if top, err := c.far(c.nodes[0]).replay.Topology(t.Context(), &replaypb.TopologyRequest{}); err != nil || len(top.Partitions) != 0 || len(top.Nodes) != 2 {
		t.Errorf("%v, %v", top, err)
	}
}

// What another cluster sends is here, once, wherever it is sent to; what doesn't fit is refused with what to do about it.
func TestReplay(t *testing.T) {
	c := startCluster(t, 2, 1, 2, 0)
	leader, follower := c.leading(0, nil)
	f := c.far(leader)
	open, err := f.replay.Open(f.context(), &replaypb.OpenRequest{Namespace: "default", Sender: f.sender()})
	if err != nil || !open.NeedsSync || open.Why == "" || open.Cluster != "dc-a" || open.MaxEventBytes == 0 {
		t.Fatalf("open: %v, %v", open, err)
	}
	_, err = f.send(0, set("t:1", "early", f.clock))
	wantProblem(t, err, problem.NeedsSync)
	if place := f.adopt(0); place.NeedsSync || place.Reached.Position.Index != f.index {
		t.Fatalf("adopted: %v", place)
	}
	done, err := f.send(0, set("t:1", "one", f.clock), set("t:2", "two", f.clock+1))
	if err != nil || done.Applied != 2 || done.Reached.Position.Index != f.index {
		t.Fatalf("%v, %v", done, err)
	}
	for _, n := range c.nodes {
		if got := ask(t, n, "GET", "default:t:2"); got != "two" {
			t.Errorf("got %q", got)
		}
	}
	f.index-- // once more
	if done, err = f.send(0, set("t:1", "one", f.clock), set("t:2", "two", f.clock+1)); err != nil || done.Applied != 0 {
		t.Errorf("again: %v, %v", done, err)
	}
	f.index += 5
	_, err = f.send(0, set("t:3", "x", f.clock))
	if p := wantProblem(t, err, problem.Gap); p.Place.GetReached().GetPosition().GetIndex() != f.index-6 {
		t.Errorf("gap: place %v, sent to %d", p.Place, f.index)
	}
	f.index -= 6
	_, err = f.send(0, set("t:3", "x", time.Now().Add(time.Hour).UnixNano()))
	if p := wantProblem(t, err, problem.Clock); p.Offset < 59*time.Minute {
		t.Errorf("offset %s", p.Offset)
	}
	f.index--
	other := c.far(follower)
	other.index = f.index
	_, err = other.send(0, set("t:3", "x", f.clock))
	if p := wantProblem(t, err, problem.Elsewhere); p.Leader != leader.grpc {
		t.Errorf("leader %q, want %q", p.Leader, leader.grpc)
	}
	if got := ask(t, leader, "GET", "default:t:3"); got != "" {
		t.Errorf("got %q", got)
	}
}

// What is another partition's isn't taken, whichever way it comes.
func TestReplayOfAnotherPartitionsKey(t *testing.T) {
	c := startCluster(t, 1, 2, 1, 0)
	leader, _ := c.leading(0, nil)
	c.leading(1, nil)
	f := c.far(leader)
	mine, other := "t:1", "t:1"
	for i := 2; store.PartitionBySlot([]byte(mine), 2) != 0 || store.PartitionBySlot([]byte(other), 2) != 1; i++ {
		if key := fmt.Sprintf("t:%d", i); store.PartitionBySlot([]byte(key), 2) == 0 {
			mine = key
		} else {
			other = key
		}
	}
	f.adopt(0)
	_, err := f.send(0, set(mine, "v", f.clock), set(other, "v", f.clock+1))
	wantProblem(t, err, problem.Invalid)
	f.index--
	if done, err := f.send(0, set(mine, "v", f.clock)); err != nil || done.Applied != 1 {
		t.Errorf("%v, %v", done, err)
	}
	if _, err := f.replay.Begin(f.context(), &replaypb.BeginRequest{Namespace: "default", Sender: f.sender(), Base: f.at(), Time: f.clock}); err != nil {
		t.Fatal(err)
	}
	chunk := func(key string) error {
		content, err := proto.Marshal(&replaypb.Chunk{Events: [][]byte{event.Append(nil, &event.Event{Time: f.clock, Term: 1, Mutations: []event.Mutation{set(key, "v", f.clock)}})}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.apply(&replaypb.Header{
			Namespace: "default", Sender: f.sender(), Names: []string{"", f.cluster}, Size: uint64(len(content)), PlainSize: uint64(len(content)),
			Covers: &replaypb.Header_Chunk{Chunk: &replaypb.ChunkHeader{Base: f.at(), End: true}},
		}, content)
		return err
	}
	wantProblem(t, chunk(other), problem.Invalid)
	if err := chunk(mine); err != nil {
		t.Error(err)
	}
}

// Places are what all replicas know; a sender and a peer can be taken away.
func TestReplayPlaces(t *testing.T) {
	c := startCluster(t, 2, 1, 2, 0)
	leader, follower := c.leading(0, nil)
	f := c.far(leader)
	f.adopt(0)
	since, err := f.replay.Confirm(f.context(), &replaypb.ConfirmRequest{Namespace: "default", Peer: "dc-c", Time: 5})
	if err != nil || since.Since.GetIndex() == 0 {
		t.Fatalf("%v, %v", since, err)
	}
	_, err = c.far(follower).replay.Confirm(f.context(), &replaypb.ConfirmRequest{Namespace: "default", Peer: "dc-c", Time: 5})
	wantProblem(t, err, problem.Elsewhere)
	get := func(n *testNode) *replaypb.PlacesResponse {
		p, err := c.far(n).replay.Places(f.context(), &replaypb.PlacesRequest{Namespace: "default"})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := get(leader)
	if !p.Leading || !p.Replicates || len(p.Senders) != 1 || len(p.Peers) != 1 || p.Peers[0].Confirmed != 5 || p.Cluster != "dc-a" {
		t.Fatalf("%v", p)
	}
	if s := p.Senders[0]; s.Sender.Cluster != "dc-b" || s.Sender.Partitions != 1 || s.Reached.Position.Index != f.index || s.Time != f.clock {
		t.Errorf("%v", s)
	}
	eventuallyHas(t, "the follower", func() string {
		return fmt.Sprint(len(get(follower).Senders), len(get(follower).Peers), get(follower).Leading)
	}, "1 1 false")
	if _, err := f.replay.Forget(f.context(), &replaypb.ForgetRequest{Namespace: "default", Sender: f.sender()}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.replay.Confirm(f.context(), &replaypb.ConfirmRequest{Namespace: "default", Peer: "dc-c", Remove: true}); err != nil {
		t.Fatal(err)
	}
	if p := get(leader); len(p.Senders) != 0 || len(p.Peers) != 0 || !p.Replicates {
		t.Errorf("%v", p)
	}
}

// A conflict is in the log, listed by the leader, and can be taken out.
func TestReplayConflicts(t *testing.T) {
	c := startCluster(t, 2, 1, 2, 0)
	leader, follower := c.leading(0, nil)
	f := c.far(leader)
	f.adopt(0)
	if got := ask(t, leader, "SET", "default:t:1", "mine"); got != "+OK" {
		t.Fatal(got)
	}
	late := set("t:1", "theirs", time.Now().Add(time.Second).UnixNano())
	if done, err := f.send(0, late); err != nil || done.Conflicts != 1 || done.Applied != 1 {
		t.Fatalf("%v, %v", done, err)
	}
	list := func(f *far, filter *replaypb.Filter) (n int, err error) {
		stream, err := f.log.List(f.context(), &replaypb.ListRequest{Namespace: "default", Filter: filter})
		if err != nil {
			return 0, err
		}
		for {
			resp, err := stream.Recv()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				return n, err
			}
			n += len(resp.Rows)
		}
	}
	if n, err := list(f, &replaypb.Filter{Tables: []string{"t"}}); n != 1 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
	if n, err := list(f, &replaypb.Filter{Tables: []string{"u"}}); n != 0 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
	_, err := list(c.far(follower), nil)
	wantProblem(t, err, problem.Elsewhere)
	got, err := f.log.Purge(f.context(), &replaypb.PurgeRequest{Namespace: "default", Filter: &replaypb.Filter{Keys: []string{"t:*"}}})
	if err != nil || got.Removed != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if n, err := list(f, nil); n != 0 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
}

// After its leader is gone a partition goes on at the same place.
func TestReplayLeaderMoves(t *testing.T) {
	c := startCluster(t, 3, 1, 3, 0)
	leader, _ := c.leading(0, nil)
	f := c.far(leader)
	f.adopt(0)
	if _, err := f.send(0, set("t:1", "one", f.clock)); err != nil {
		t.Fatal(err)
	}
	leader.end(t)
	next, _ := c.leading(0, leader)
	g := c.far(next)
	g.index, g.clock = f.index, f.clock
	open, err := g.replay.Open(g.context(), &replaypb.OpenRequest{Namespace: "default", Sender: g.sender()})
	if err != nil || open.NeedsSync || open.Reached.Position.Index != f.index {
		t.Fatalf("%v, %v", open, err)
	}
	if done, err := g.send(0, set("t:1", "two", f.clock+1)); err != nil || done.Applied != 1 {
		t.Errorf("%v, %v", done, err)
	}
	if got := ask(t, next, "GET", "default:t:1"); got != "two" {
		t.Errorf("got %q", got)
	}
}

// leading waits until a node leads a partition, other than one that is gone, and gives a follower, too.
func (c *testCluster) leading(number uint32, gone *testNode) (leader, follower *testNode) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for leader == nil {
		for _, n := range c.nodes {
			if r := n.replica("default", number); n == gone || r == nil {
				continue
			} else if r.Leading() {
				leader = n
			} else {
				follower = n
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			c.t.Fatal("no leader")
		}
	}
	return leader, follower
}

// The conflict policy that is changed is taken over while the namespace is served: then a member is decided by its time.
func TestConflictPolicyChanges(t *testing.T) {
	c := startCluster(t, 1, 1, 1, 0)
	leader, _ := c.leading(0, nil)
	f := c.far(leader)
	f.adopt(0)
	if got := ask(t, leader, "SADD", "default:t:s", "m"); got != ":1" {
		t.Fatal(got)
	}
	add := func() event.Mutation {
		v := event.Version{Time: time.Now().Add(time.Second).UnixNano(), Cluster: 1}
		return event.Mutation{
			Op: event.OpSAdd, Type: event.TypeSet, Key: []byte("t:s"), Version: v, KeyVersion: v, Count: 1, Generation: 1, Command: "sadd",
			Elements: []event.Element{{Sub: []byte("m")}},
		}
	}
	if done, err := f.send(0, add()); err != nil || done.Applied != 0 || done.Conflicts != 1 {
		t.Fatalf("by default: %v, %v", done, err)
	}
	if _, err := c.store.SetConflictPolicy(t.Context(), "default", meta.ConflictElement); err != nil {
		t.Fatal(err)
	}
	eventuallyHas(t, "topology", func() string {
		top, err := f.replay.Topology(t.Context(), &replaypb.TopologyRequest{Namespace: "default"})
		if err != nil {
			t.Fatal(err)
		}
		return top.ConflictPolicy + fmt.Sprint(leader.table.lookup("default").meta.ConflictPolicy)
	}, meta.ConflictElement+meta.ConflictElement)
	if done, err := f.send(0, add()); err != nil || done.Applied != 1 {
		t.Errorf("by element: %v, %v", done, err)
	}
	if got := ask(t, leader, "SISMEMBER", "default:t:s", "m"); got != ":1" {
		t.Errorf("is a member: %s", got)
	}
}

// A node whose clock is off gives versions that are off by it.
func TestClockOffset(t *testing.T) {
	const offset = 10 * time.Minute
	c := startTuned(t, 1, 1, 1, 0, func(o *Options) {
		o.ClockOffset = offset
		o.Replication = partition.Replication{MaxClockOffset: time.Second}
	})
	c.fill(c.nodes[0], 0, 1)
	state, ok := c.nodes[0].replica("default", 0).State()
	if ahead := time.Duration(state.Clock - time.Now().UnixNano()); !ok || ahead < offset-time.Minute {
		t.Errorf("the hybrid clock is ahead by %s", ahead)
	}
	f := c.far(c.nodes[0])
	f.adopt(0)
	if done, err := f.send(0, set("t:9", "x", time.Now().Add(offset/2).UnixNano())); err != nil || done.Applied != 1 {
		t.Errorf("what is behind that clock is refused: %v, %v", done, err)
	}
}
