package datanode

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// begin begins a full sync at the far cluster's last event.
func (f *far) begin(number uint32, anew bool) (*replaypb.OpenResponse, error) {
	return f.replay.Begin(f.context(), &replaypb.BeginRequest{
		Namespace: "default", Partition: number, Sender: f.sender(), Base: f.at(), Time: f.clock, Horizons: map[string]int64{f.cluster: f.clock}, Anew: anew,
	})
}

// chunk sends rows of the state at the last event.
func (f *far) chunk(h *replaypb.ChunkHeader, rows ...event.Mutation) (*replaypb.ApplyResponse, error) {
	f.t.Helper()
	h.Base = f.at()
	var c replaypb.Chunk
	for _, m := range rows {
		c.Events = append(c.Events, event.Append(nil, &event.Event{Time: f.clock, Mutations: []event.Mutation{m}}))
	}
	content, err := proto.Marshal(&c)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.apply(&replaypb.Header{
		Namespace: "default", Sender: f.sender(), Names: []string{"", f.cluster}, Size: uint64(len(content)), PlainSize: uint64(len(content)),
		Covers: &replaypb.Header_Chunk{Chunk: h},
	}, content)
}

// A full sync comes in chunks, each call says how far it is, and afterwards the log goes on at its base.
func TestReplayFullSync(t *testing.T) {
	c := startCluster(t, 2, 1, 2, 0)
	leader, follower := c.leading(0, nil)
	f := c.far(leader)
	place, err := f.begin(0, false)
	if err != nil || !place.NeedsSync || place.Base.GetIndex() != f.index || len(place.Through) != 0 {
		t.Fatalf("%v, %v", place, err)
	}
	_, err = c.far(follower).begin(0, false)
	wantProblem(t, err, problem.Elsewhere)
	_, err = f.send(0, set("t:1", "early", f.clock))
	if p := wantProblem(t, err, problem.NeedsSync); !p.Place.NeedsSync || p.Place.Base.GetIndex() != f.index-1 {
		t.Errorf("place %v", p.Place)
	}
	f.index--
	done, err := f.chunk(&replaypb.ChunkHeader{Through: []byte("t:1")}, set("t:1", "one", f.clock-5))
	if err != nil || done.Applied != 1 || string(done.Through) != "t:1" || done.Part != 0 {
		t.Fatalf("%v, %v", done, err)
	}
	_, err = f.chunk(&replaypb.ChunkHeader{After: []byte("t:5"), Through: []byte("t:9")}, set("t:7", "x", f.clock-5))
	if p := wantProblem(t, err, problem.Gap); string(p.Place.Through) != "t:1" || p.Place.Base.GetIndex() != f.index {
		t.Errorf("place %v", p.Place)
	}
	place, err = f.begin(0, false)
	if err != nil || string(place.Through) != "t:1" || !place.NeedsSync {
		t.Errorf("again: %v, %v", place, err)
	}
	done, err = f.chunk(&replaypb.ChunkHeader{After: []byte("t:1"), End: true}, set("t:2", "two", f.clock-4))
	if err != nil || done.Reached.GetPosition().GetIndex() != f.index {
		t.Fatalf("%v, %v", done, err)
	}
	if done, err = f.send(0, set("t:3", "three", f.clock)); err != nil || done.Applied != 1 {
		t.Fatalf("%v, %v", done, err)
	}
	for key, want := range map[string]string{"1": "one", "2": "two", "3": "three"} {
		if got := ask(t, follower, "GET", "default:t:"+key); got != want {
			t.Errorf("t:%s is %q, want %q", key, got, want)
		}
	}
	_, err = f.chunk(&replaypb.ChunkHeader{End: true})
	if p := wantProblem(t, err, problem.Superseded); p.Place.NeedsSync {
		t.Errorf("place %v", p.Place)
	}
}
