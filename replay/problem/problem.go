// Package problem is what a call between two clusters is refused with: the kind that the caller goes by, what goes with it, and words for people.
//
// It travels as the detail of a gRPC status (replay.proto, Problem). A server returns an *Error; a caller finds it again with Of.
package problem

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/replay/replaypb"
)

// Kind is what the caller has to know. The numbers are Problem.Kind's of replay.proto.
type Kind uint8

const (
	Invalid    Kind = Kind(replaypb.Problem_INVALID)    // it can't be meant: the same call is refused for ever
	Elsewhere  Kind = Kind(replaypb.Problem_ELSEWHERE)  // stale: another node leads the partition
	Unknown    Kind = Kind(replaypb.Problem_UNKNOWN)    // there is no such namespace or partition
	Gap        Kind = Kind(replaypb.Problem_GAP)        // it doesn't begin at the place: Place says where that is
	Superseded Kind = Kind(replaypb.Problem_SUPERSEDED) // a full sync was begun at another base meanwhile
	NeedsSync  Kind = Kind(replaypb.Problem_NEEDS_SYNC) // the place can't be gone on from
	Clock      Kind = Kind(replaypb.Problem_CLOCK)      // a version is too far ahead of the clock there: see Offset
	Waits      Kind = Kind(replaypb.Problem_WAITS)      // a third cluster's change has to come first: the same again, later
	Overload   Kind = Kind(replaypb.Problem_OVERLOAD)   // too much waits there already: the same again, later
	Outcome    Kind = Kind(replaypb.Problem_OUTCOME)    // whether it took effect isn't known: Open tells
	Refused    Kind = Kind(replaypb.Problem_REFUSED)    // it doesn't fit the state there
)

// codesOf gives each kind the status code that it travels with.
var codesOf = map[Kind]codes.Code{
	Invalid: codes.InvalidArgument, Elsewhere: codes.Unavailable, Unknown: codes.NotFound, Gap: codes.FailedPrecondition,
	Superseded: codes.FailedPrecondition, NeedsSync: codes.FailedPrecondition, Clock: codes.FailedPrecondition, Waits: codes.Unavailable,
	Overload: codes.ResourceExhausted, Outcome: codes.Aborted, Refused: codes.FailedPrecondition,
}

// String is the kind's name, as metrics have it.
func (k Kind) String() string {
	if name, ok := replaypb.Problem_Kind_name[int32(k)]; ok {
		return name
	}
	return fmt.Sprintf("KIND_%d", uint8(k))
}

// Error is a problem that a server names. Nothing was changed, except that Outcome doesn't know.
type Error struct {
	Kind Kind
	// Leader, of Elsewhere, is the gRPC address of who leads, empty if that isn't known.
	Leader string
	// Place is where the sender stands, if the server said so.
	Place *replaypb.OpenResponse
	// Offset, of Clock, is by how much the version is ahead of the clock there.
	Offset time.Duration
	What   string
}

func (e *Error) Error() string { return e.What }

// New makes an Error of a kind without details.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, What: fmt.Sprintf(format, args...)}
}

// maxWhat bounds the words, so that a status always fits into gRPC's headers.
const maxWhat = 2 << 10

// GRPCStatus is how gRPC sends it.
func (e *Error) GRPCStatus() *status.Status {
	what := strings.ToValidUTF8(e.What[:min(len(e.What), maxWhat)], "?")
	code, ok := codesOf[e.Kind]
	if !ok {
		code = codes.Internal
	}
	st := status.New(code, what)
	detail := &replaypb.Problem{Kind: replaypb.Problem_Kind(e.Kind), Leader: e.Leader, Place: e.Place, OffsetMs: e.Offset.Milliseconds()}
	if with, err := st.WithDetails(detail); err == nil {
		return with
	}
	return st
}

// Of finds the problem in an error of a call, or in one of this process. False: no server named one; the call may not have come to any, or its
// answer was lost, so that its outcome isn't known.
func Of(err error) (*Error, bool) {
	var known *Error
	if errors.As(err, &known) {
		return known, true
	}
	st, ok := status.FromError(err)
	if !ok {
		return nil, false
	}
	for _, detail := range st.Details() {
		if p, ok := detail.(*replaypb.Problem); ok {
			return &Error{
				Kind: kindOf(p.Kind), Leader: p.Leader, Place: p.Place, Offset: offset(p.OffsetMs), What: st.Message(),
			}, true
		}
	}
	return nil, false
}

// kindOf takes kinds of a newer server for a refusal: what it says is for people.
func kindOf(k replaypb.Problem_Kind) Kind {
	if k < 0 || k > math.MaxUint8 {
		return Refused
	}
	if _, ok := codesOf[Kind(k)]; !ok {
		return Refused
	}
	return Kind(k)
}

func offset(ms int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(min(max(ms, -most), most)) * time.Millisecond
}
