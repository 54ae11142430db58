package feed

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed/feedpb"
)

// Kind is what keeps a stream from going on. The numbers are Problem.Kind's of feed.proto.
type Kind uint8

const (
	Compacted Kind = Kind(feedpb.Problem_COMPACTED) // final: no replica has the position any more
	Elsewhere Kind = Kind(feedpb.Problem_ELSEWHERE) // stale: another replica has it, or may
	Unknown   Kind = Kind(feedpb.Problem_UNKNOWN)   // there is no such namespace or partition
	Ahead     Kind = Kind(feedpb.Problem_AHEAD)     // the position is beyond what is applied
	Mismatch  Kind = Kind(feedpb.Problem_MISMATCH)  // the position isn't of this partition's history
)

// Error is a problem that a server names.
type Error struct {
	Kind Kind
	// Oldest, of Compacted and Elsewhere, is the event before the oldest one left: reading after it works.
	Oldest event.Position
	// Addresses, of Elsewhere, are the replicas that have the position, or may.
	Addresses []string
	// Applied, of Ahead, is the index that the replica has reached.
	Applied uint64
	What    string
}

func (e *Error) Error() string { return e.What }

// kinds gives each kind the status code that it travels with.
var kinds = map[Kind]codes.Code{
	Compacted: codes.OutOfRange, Elsewhere: codes.FailedPrecondition, Unknown: codes.NotFound, Ahead: codes.OutOfRange, Mismatch: codes.FailedPrecondition,
}

// GRPCStatus is how gRPC sends it.
func (e *Error) GRPCStatus() *status.Status {
	st := status.New(kinds[e.Kind], e.What)
	detail := &feedpb.Problem{Kind: feedpb.Problem_Kind(e.Kind), Oldest: toPB(e.Oldest), Addresses: e.Addresses, Applied: e.Applied}
	if with, err := st.WithDetails(detail); err == nil {
		return with
	}
	return st
}

// fromStatus finds the problem in what a call returned.
func fromStatus(err error) (*Error, bool) {
	st, ok := status.FromError(err)
	if !ok {
		return nil, false
	}
	for _, detail := range st.Details() {
		if p, ok := detail.(*feedpb.Problem); ok && kinds[Kind(p.Kind)] != 0 {
			return &Error{Kind: Kind(p.Kind), Oldest: fromPB(p.Oldest), Addresses: p.Addresses, Applied: p.Applied, What: st.Message()}, true
		}
	}
	return nil, false
}

func compacted(name string, wanted string, oldest event.Position) *Error {
	return &Error{Kind: Compacted, Oldest: oldest,
		What: fmt.Sprintf("feed %s: %s was compacted away on every replica; what follows %s is the oldest left: start after it, or take a snapshot first", name, wanted, oldest)}
}

func elsewhere(name, wanted string, oldest event.Position, addresses []string) *Error {
	return &Error{Kind: Elsewhere, Oldest: oldest, Addresses: addresses,
		What: fmt.Sprintf("feed %s: this replica doesn't have %s; ask %s", name, wanted, strings.Join(addresses, ", "))}
}

func ahead(name string, wanted event.Position, applied uint64) *Error {
	return &Error{Kind: Ahead, Applied: applied,
		What: fmt.Sprintf("feed %s: position %s is beyond what is applied here, index %d", name, wanted, applied)}
}

func mismatch(name string, wanted event.Position, found string) *Error {
	return &Error{Kind: Mismatch,
		What: fmt.Sprintf("feed %s: position %s isn't of this partition's history: %s; it is of another cluster or of one that was restored", name, wanted, found)}
}

func toPB(p event.Position) *feedpb.Position {
	return &feedpb.Position{Term: p.Term, Index: p.Index}
}

func fromPB(p *feedpb.Position) event.Position {
	return event.Position{Term: p.GetTerm(), Index: p.GetIndex()}
}

// refusesCall says whether an error is the caller's own: the same call will never succeed.
func refusesCall(err error) bool {
	c := status.Code(err)
	return c == codes.InvalidArgument || c == codes.Unimplemented
}
