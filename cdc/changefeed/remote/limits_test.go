package remote

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/remote/remotepb"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/meta/metatest"
)

func rawClient(t testing.TB, address string) remotepb.RegistryClient {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return remotepb.NewRegistryClient(conn)
}

// What doesn't begin as it should isn't served.
func TestHello(t *testing.T) {
	n := newNode(t, newStore(t).Changefeeds(), "dc-a")
	for name, c := range map[string]struct {
		first *remotepb.ClientMessage
		code  codes.Code
	}{
		"nothing":       {&remotepb.ClientMessage{}, codes.InvalidArgument},
		"a beat":        {&remotepb.ClientMessage{What: &remotepb.ClientMessage_Beat{Beat: &remotepb.Beat{}}}, codes.InvalidArgument},
		"a later one":   {helloOf(Version+1, "s"), codes.FailedPrecondition},
		"no name":       {helloOf(Version, ""), codes.InvalidArgument},
		"a long name":   {helloOf(Version, strings.Repeat("x", 256)), codes.InvalidArgument},
		"not even that": {nil, codes.DeadlineExceeded},
	} {
		stream, err := rawClient(t, n.address).Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.first != nil {
			if err := stream.Send(c.first); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := stream.Recv(); status.Code(err) != c.code && (c.first != nil || err == nil) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
}

func helloOf(version uint32, process string) *remotepb.ClientMessage {
	return &remotepb.ClientMessage{What: &remotepb.ClientMessage_Hello{Hello: &remotepb.Hello{Version: version, Process: process}}}
}

// A view comes in messages of bounded size, and is the same at the other end; so is what changes in it.
func TestLargeViews(t *testing.T) {
	const many = 300
	was := &changefeed.View{Revision: 1, Feeds: map[string]*changefeed.Feed{}}
	for _, id := range []string{"large", "gone", "same"} {
		f := &changefeed.Feed{Spec: metatest.Changefeed(id), Progress: map[uint32]changefeed.Progress{}, Owners: map[uint32]changefeed.Owner{}}
		for n := range uint32(many) {
			p := metatest.Progress(uint64(n))
			p.Trouble.Reason = strings.Repeat("y", 4<<10)
			f.Progress[n], f.Owners[n] = p, changefeed.Owner{Process: fmt.Sprint("p", n), Epoch: uint64(n)}
		}
		was.Feeds[id] = f
	}
	now := &changefeed.View{Revision: 2, Feeds: map[string]*changefeed.Feed{"same": was.Feeds["same"]}}
	f := &changefeed.Feed{Spec: was.Feeds["large"].Spec, Progress: map[uint32]changefeed.Progress{}, Owners: map[uint32]changefeed.Owner{}}
	for n := range uint32(many) {
		if p, o := was.Feeds["large"].Progress[n], was.Feeds["large"].Owners[n]; n != 5 {
			f.Progress[n], f.Owners[n] = p, o
		}
	}
	f.Spec.Paused = true
	now.Feeds["large"] = f
	var got *changefeed.View
	follow := newFollower()
	messages, bytes := 0, 0
	d := newDiffer(func(c *remotepb.Changes) error {
		size := proto.Size(c)
		if messages, bytes = messages+1, bytes+size; size > 2*messageBytes {
			t.Errorf("a message of %d bytes", size)
		}
		var err error
		got, err = follow.apply(c)
		if c.GetMore() != (got == nil) {
			t.Error("a view that isn't whole was shown")
		}
		return err
	})
	if err := d.show(was); err != nil {
		t.Fatal(err)
	}
	sameView(t, got, was)
	if messages < 5 {
		t.Errorf("%d messages", messages)
	}
	messages, bytes = 0, 0
	if err := d.show(now); err != nil {
		t.Fatal(err)
	}
	sameView(t, got, now)
	if messages != 1 || bytes > 4<<10 {
		t.Errorf("%d messages of %d bytes for little", messages, bytes)
	}
}

func sameView(t *testing.T, got, want *changefeed.View) {
	t.Helper()
	if len(got.Feeds) != len(want.Feeds) || got.Revision != want.Revision {
		t.Fatalf("%d changefeeds at %d", len(got.Feeds), got.Revision)
	}
	for id, f := range want.Feeds {
		g := got.Feeds[id]
		if g == nil || g.Spec.Paused != f.Spec.Paused || len(g.Progress) != len(f.Progress) || len(g.Owners) != len(f.Owners) {
			t.Fatalf("%s is %+v", id, g)
		}
		for n, p := range f.Progress {
			if *g.Progress[n].Trouble != *p.Trouble || g.Progress[n].Position != p.Position || g.Owners[n] != f.Owners[n] {
				t.Fatalf("%s, partition %d: %+v", id, n, g.Progress[n])
			}
		}
	}
}

// What makes no sense in changes ends the session, and shows nothing.
func TestBadChanges(t *testing.T) {
	for name, f := range map[string]*remotepb.Feed{
		"id":        {Id: "a/b"},
		"spec":      {Id: "f", Spec: []byte("{")},
		"partition": {Id: "f", Partitions: []*remotepb.Partition{{Number: meta.MaxPartitions}}},
		"progress":  {Id: "f", Partitions: []*remotepb.Partition{{Progress: &remotepb.Partition_Saved{Saved: []byte("[]")}}}},
	} {
		if v, err := newFollower().apply(&remotepb.Changes{Revision: 1, Feeds: []*remotepb.Feed{f}}); err == nil || v != nil {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

// A request that is larger than anything that could be stored is refused by its size.
func TestLargeRequest(t *testing.T) {
	n := newNode(t, newStore(t).Changefeeds(), "dc-a")
	stream := rawSession(t, n.address)
	remove := &remotepb.Request_Remove{Remove: strings.Repeat("x", maxRequest)}
	if err := stream.Send(&remotepb.ClientMessage{What: &remotepb.ClientMessage_Request{Request: &remotepb.Request{Id: 7, What: remove}}}); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if r := m.GetResponse(); r != nil {
			if r.GetId() != 7 || r.GetProblem() != remotepb.Response_TOO_LARGE {
				t.Fatalf("got %v", r)
			}
			return
		}
	}
}
