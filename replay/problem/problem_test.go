package problem

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/replay/replaypb"
)

// Every kind of the proto is known, travels, and comes back as it was.
func TestTravels(t *testing.T) {
	place := &replaypb.OpenResponse{Cluster: "dc-b", Reached: &replaypb.Cursor{Position: &replaypb.Position{Term: 2, Index: 9}, Done: 3}}
	for number, name := range replaypb.Problem_Kind_name {
		e := &Error{Kind: Kind(number), Leader: "h:1", Place: place, Offset: 1500 * time.Millisecond, What: "so it is"}
		if e.Kind.String() != name {
			t.Errorf("%d is %s, want %s", number, e.Kind, name)
		}
		st := e.GRPCStatus()
		if st.Code() == codes.OK || st.Code() == codes.Internal || st.Message() != e.What {
			t.Errorf("%s: status %v", name, st)
		}
		got, ok := Of(fmt.Errorf("call: %w", st.Err()))
		if !ok || got.Kind != e.Kind || got.Leader != e.Leader || got.Offset != e.Offset || !proto.Equal(got.Place, place) {
			t.Errorf("%s: got %+v, %v", name, got, ok)
		}
		if local, ok := Of(fmt.Errorf("here: %w", e)); !ok || !reflect.DeepEqual(local, e) {
			t.Errorf("%s: here %+v", name, local)
		}
	}
}

// What no server of ours said has no kind; what a newer one says is a refusal.
func TestForeign(t *testing.T) {
	for _, err := range []error{nil, errors.New("x"), status.Error(codes.Unavailable, "connection refused")} {
		if got, ok := Of(err); ok {
			t.Errorf("%v: got %+v", err, got)
		}
	}
	st, err := status.New(codes.FailedPrecondition, "new").WithDetails(&replaypb.Problem{Kind: 77, OffsetMs: math.MaxInt64})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := Of(st.Err()); !ok || got.Kind != Refused || got.Offset < 0 {
		t.Errorf("got %+v, %v", got, ok)
	}
}

// Words are bounded, as a status goes into headers.
func TestLongWords(t *testing.T) {
	if n := len(New(Invalid, "%s", strings.Repeat("ö\xff", 1<<20)).GRPCStatus().Message()); n > maxWhat+8 {
		t.Errorf("%d bytes", n)
	}
}

// A partition's refusals have the numbers of the kinds.
func TestRefusalsAreKinds(t *testing.T) {
	for refusal, kind := range map[partition.Refusal]Kind{
		partition.RefusedGap: Gap, partition.RefusedSuperseded: Superseded, partition.RefusedNeedsSync: NeedsSync,
		partition.RefusedClock: Clock, partition.RefusedWaits: Waits, partition.RefusedState: Refused,
	} {
		if Kind(refusal) != kind {
			t.Errorf("refusal %d isn't %s", refusal, kind)
		}
	}
}
