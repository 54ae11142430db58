package serve

import (
	"fmt"
	"maps"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// The calls about a place come to the replica as they were meant, and say where the sender stands.
func TestPlace(t *testing.T) {
	w := start(t, Options{})
	want := &replaypb.OpenResponse{Cluster: "dc-b", Reached: &replaypb.Cursor{Position: &replaypb.Position{Term: 1, Index: 4}, Done: 2}, Time: 7, Why: "fine", Watermark: 5, MaxEventBytes: 64 << 20}
	open, err := w.replay.Open(w.context(), &replaypb.OpenRequest{Namespace: "default", Sender: sender()})
	if err != nil || !proto.Equal(open, want) {
		t.Errorf("open: %v, %v", open, err)
	}
	at := &replaypb.Position{Term: 2, Index: 6}
	if _, err := w.replay.Adopt(w.context(), &replaypb.AdoptRequest{Namespace: "default", Sender: sender(), Position: at, Time: 3}); err != nil || w.target.adopted != positionOf(at) {
		t.Errorf("adopted %s, %v", w.target.adopted, err)
	}
	begin := &replaypb.BeginRequest{Namespace: "default", Sender: sender(), Base: at, Time: 4, Horizons: map[string]int64{"dc-a": 4, "dc-c": 1}, Anew: true}
	begun, err := w.replay.Begin(w.context(), begin)
	if err != nil || !begun.NeedsSync || string(begun.Through) != "k" {
		t.Fatalf("begin: %v, %v", begun, err)
	}
	if begun.Base.Index != 1 {
		t.Errorf("base %v: want the first one, where the log goes on", begun.Base)
	}
	got := w.target.begun[0]
	if got.Base != positionOf(at) || got.Time != 4 || !got.Anew || !maps.Equal(got.Horizons, begin.Horizons) || got.Sender.Partition != 3 {
		t.Errorf("begin: %+v", got)
	}
	if _, err := w.replay.Forget(w.context(), &replaypb.ForgetRequest{Namespace: "default", Sender: sender()}); err != nil || len(w.target.forgot) != 1 {
		t.Errorf("forget: %v", err)
	}
}

func TestConfirmAndPlaces(t *testing.T) {
	w := start(t, Options{})
	since, err := w.replay.Confirm(w.context(), &replaypb.ConfirmRequest{Namespace: "default", Peer: "dc-c", Time: 8})
	if err != nil || since.Since.Index != 4 || since.Applied.Index != 6 || since.Time != 7 || w.target.peers["dc-c"] != 8 {
		t.Errorf("%v, %v, %v", since, err, w.target.peers)
	}
	if _, err := w.replay.Confirm(w.context(), &replaypb.ConfirmRequest{Namespace: "default", Peer: "dc-c", Remove: true}); err != nil || len(w.target.peers) != 0 {
		t.Errorf("%v, %v", err, w.target.peers)
	}
	places, err := w.replay.Places(w.context(), &replaypb.PlacesRequest{Namespace: "default"})
	want := &replaypb.PlacesResponse{
		Cluster: "dc-b", Leading: true, Replicates: true, Watermark: 9, ConflictRows: 1, ConflictBytes: 2, Diverged: 3, Outcomes: map[string]uint64{"older": 4},
		Applied: &replaypb.Position{Term: 2, Index: 8}, LastEvent: &replaypb.Position{Term: 2, Index: 7}, Peers: []*replaypb.Peer{{Cluster: "dc-c", Confirmed: 6}},
		Senders: []*replaypb.SenderPlace{{
			Sender:  &replaypb.Sender{Cluster: "dc-a", Namespace: "default", Partition: 3},
			Reached: &replaypb.Cursor{Position: &replaypb.Position{Term: 1, Index: 4}, Done: 2}, Time: 7,
		}},
	}
	if err != nil || !proto.Equal(places, want) {
		t.Errorf("got %v, %v", places, err)
	}
	w.target.follows = true // a follower tells what it knows
	if _, err := w.replay.Places(w.context(), &replaypb.PlacesRequest{Namespace: "default"}); err != nil {
		t.Error(err)
	}
}

// Every call but Places is the leader's, and no call takes what can't be meant.
func TestCallsRefuse(t *testing.T) {
	w := start(t, Options{})
	calls := map[string]func(number uint32, s *replaypb.Sender) error{
		"open": func(n uint32, s *replaypb.Sender) error {
			_, err := w.replay.Open(w.context(), &replaypb.OpenRequest{Namespace: "default", Partition: n, Sender: s})
			return err
		},
		"begin": func(n uint32, s *replaypb.Sender) error {
			_, err := w.replay.Begin(w.context(), &replaypb.BeginRequest{Namespace: "default", Partition: n, Sender: s, Base: &replaypb.Position{Index: 1}})
			return err
		},
		"adopt": func(n uint32, s *replaypb.Sender) error {
			_, err := w.replay.Adopt(w.context(), &replaypb.AdoptRequest{Namespace: "default", Partition: n, Sender: s, Position: &replaypb.Position{Index: 1}})
			return err
		},
		"forget": func(n uint32, s *replaypb.Sender) error {
			_, err := w.replay.Forget(w.context(), &replaypb.ForgetRequest{Namespace: "default", Partition: n, Sender: s})
			return err
		},
		"confirm": func(n uint32, s *replaypb.Sender) error {
			_, err := w.replay.Confirm(w.context(), &replaypb.ConfirmRequest{Namespace: "default", Partition: n, Peer: s.GetCluster()})
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			wants(t, call(0, nil), problem.Invalid, "cluster id")
			own := sender()
			own.Cluster = "dc-b"
			wants(t, call(0, own), problem.Invalid, "this cluster itself")
			wants(t, call(2, sender()), problem.Unknown, "default-2")
			if p := wants(t, call(1, sender()), problem.Elsewhere, "no replica"); p.Leader != "10.0.0.9:1" {
				t.Errorf("leader %q", p.Leader)
			}
			w.target.fail = fmt.Errorf("w: %w", partition.ErrUnknownOutcome)
			wants(t, call(0, sender()), problem.Outcome, "open again")
			w.target.fail = &partition.ReplayError{Refusal: partition.RefusedSuperseded, Sender: store.Sender{Sync: &store.FullSync{Base: event.Position{Index: 5}}}, What: "x"}
			if p := wants(t, call(0, sender()), problem.Superseded, "x"); !p.Place.NeedsSync || p.Place.Base.Index != 5 {
				t.Errorf("place %v", p.Place)
			}
			w.target.fail = nil
			w.target.follows = true
			wants(t, call(0, sender()), problem.Elsewhere, "doesn't lead")
			w.target.follows = false
		})
	}
	_, err := w.replay.Begin(w.context(), &replaypb.BeginRequest{Namespace: "default", Sender: sender()})
	wants(t, err, problem.Invalid, "without base")
	_, err = w.replay.Begin(w.context(), &replaypb.BeginRequest{Namespace: "default", Sender: sender(), Base: &replaypb.Position{Index: 1}, Horizons: map[string]int64{"a b": 1}})
	wants(t, err, problem.Invalid, "horizons")
	_, err = w.replay.Adopt(w.context(), &replaypb.AdoptRequest{Namespace: "default", Sender: sender()})
	wants(t, err, problem.Invalid, "no position")
	_, err = w.replay.Topology(w.context(), &replaypb.TopologyRequest{Namespace: "none"})
	wants(t, err, problem.Unknown, "no namespace none")
	if top, err := w.replay.Topology(w.context(), &replaypb.TopologyRequest{}); err != nil || top.Cluster != "dc-b" {
		t.Errorf("%v, %v", top, err)
	}
}
