package admin

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/changefeed"
)

// Code names a cause. It is stable: scripts go by it.
type Code string

const (
	Exists       Code = "exists"        // there is a changefeed of that id
	NotFound     Code = "not-found"     // no such changefeed, namespace or partition
	Invalid      Code = "invalid"       // what was asked for makes no sense
	Stale        Code = "stale"         // it was changed meanwhile
	Taken        Code = "taken"         // a process still works on it
	NotPaused    Code = "not-paused"    // only a paused one can be changed so
	Unavailable  Code = "unavailable"   // a node, etcd or a replica couldn't be reached: worth a retry
	NotSupported Code = "not-supported" // the node is of an older version
	Internal     Code = "internal"
)

// domain is that of the ErrorInfo in a status.
const domain = "zankv.changefeed"

// grpcCodes are the status codes that causes travel with.
var grpcCodes = map[Code]codes.Code{
	Exists: codes.AlreadyExists, NotFound: codes.NotFound, Invalid: codes.InvalidArgument, Stale: codes.Aborted, Taken: codes.FailedPrecondition,
	NotPaused: codes.FailedPrecondition, Unavailable: codes.Unavailable, NotSupported: codes.Unimplemented, Internal: codes.Internal,
}

// Error is what a call failed with.
type Error struct {
	Code Code
	What string
}

func (e *Error) Error() string { return e.What }

// GRPCStatus is how gRPC sends it.
func (e *Error) GRPCStatus() *status.Status {
	st := status.New(grpcCodes[e.Code], e.What)
	if with, err := st.WithDetails(&errdetails.ErrorInfo{Reason: string(e.Code), Domain: domain}); err == nil {
		return with
	}
	return st
}

func failure(code Code, format string, args ...any) *Error {
	return &Error{Code: code, What: fmt.Sprintf(format, args...)}
}

// named finds the cause in an error of a registry or a source. What isn't known means that something can't be reached.
func named(err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	code := Unavailable
	for _, c := range []struct {
		err  error
		code Code
	}{{changefeed.ErrExists, Exists}, {changefeed.ErrNotFound, NotFound}, {changefeed.ErrStale, Stale}, {changefeed.ErrTaken, Taken}} {
		if errors.Is(err, c.err) {
			code = c.code
		}
	}
	return &Error{Code: code, What: err.Error()}
}

// fromStatus reads what a server answered. remote says that a server of ours named the cause: the call came to it.
func fromStatus(err error) (_ *Error, remote bool) {
	st := status.Convert(err)
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.Domain == domain && grpcCodes[Code(info.Reason)] != 0 {
			return &Error{Code: Code(info.Reason), What: st.Message()}, true
		}
	}
	switch {
	case st.Code() == codes.Unimplemented:
		return &Error{Code: NotSupported, What: st.Message()}, false
	case st.Code() == codes.Unavailable, st.Code() == codes.DeadlineExceeded, st.Code() == codes.Canceled, errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: Unavailable, What: st.Message()}, false
	}
	return &Error{Code: Internal, What: st.Message()}, true
}
