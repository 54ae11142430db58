package replay

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/replay/problem"
)

// verdict is what an error of a call means.
type verdict struct {
	code changefeed.Code
	// again says that the same call may succeed a little later; doubt, that what it was to do may have been done.
	again, doubt bool
}

// verdicts are of what a node of the target names.
var verdicts = map[problem.Kind]verdict{
	problem.Invalid:    {code: changefeed.CodeTargetRefused},
	problem.Elsewhere:  {code: changefeed.CodeTargetDown, again: true},
	problem.Unknown:    {code: changefeed.CodeTargetConfig},
	problem.Gap:        {code: changefeed.CodeTargetGap},
	problem.Superseded: {code: changefeed.CodeFenced},
	problem.NeedsSync:  {code: changefeed.CodeNeedsSync},
	problem.Clock:      {code: changefeed.CodeClock},
	problem.Waits:      {code: changefeed.CodeTargetWaits, again: true},
	problem.Overload:   {code: changefeed.CodeTargetOverload, again: true},
	problem.Outcome:    {code: changefeed.CodeTargetDown, again: true, doubt: true},
	problem.Refused:    {code: changefeed.CodeTargetRefused},
}

// errNoLeader is that the target names no leader of a partition.
var errNoLeader = errors.New("nobody leads it at the moment")

// judge says what an error of a call means. What no server named may be anything between a call that came nowhere and a lost answer.
func judge(err error) verdict {
	if errors.Is(err, errNoLeader) {
		return verdict{code: changefeed.CodeTargetDown, again: true}
	}
	if known, ok := errors.AsType[*changefeed.Error](err); ok {
		return verdict{code: known.Code}
	}
	if p, ok := problem.Of(err); ok {
		return verdicts[p.Kind]
	}
	switch status.Code(err) {
	case codes.Unimplemented:
		return verdict{code: changefeed.CodeTargetConfig}
	case codes.InvalidArgument, codes.ResourceExhausted, codes.Internal: // gRPC's own: too large a message, one that can't be read
		return verdict{code: changefeed.CodeTargetRefused, again: true, doubt: true}
	}
	return verdict{code: changefeed.CodeTargetDown, again: true, doubt: true}
}

// failure makes the error that the operator reads.
func failure(err error, format string, args ...any) *changefeed.Error {
	if known, ok := errors.AsType[*changefeed.Error](err); ok {
		return known
	}
	e := &changefeed.Error{Stage: changefeed.StageSink, Code: judge(err).code, What: fmt.Sprintf(format, args...), Err: err}
	if p, ok := problem.Of(err); ok && p.Kind == problem.Clock {
		e.What += fmt.Sprintf(": the target takes no change that is %s ahead of its clock", p.Offset)
	}
	if status.Code(err) == codes.Unimplemented {
		e.Action = "name the gRPC addresses of data nodes whose version takes other clusters' changes"
	}
	return e
}

// nodeError is what a call of a node ended with, told in the node's own words.
type nodeError struct {
	node string
	err  error
}

func (e *nodeError) Error() string {
	if st, ok := status.FromError(e.err); ok {
		return fmt.Sprintf("%s: %s (%s)", e.node, st.Message(), st.Code())
	}
	return fmt.Sprintf("%s: %v", e.node, e.err)
}

func (e *nodeError) Unwrap() error { return e.err }

const actionURI = "correct the sink URI: zankv://HOST:GRPC[,HOST:GRPC…][?namespace=NAME&bandwidth=50MiB&compression=zstd|none&range-bytes=1MiB&idle=10s]"

// misconfigured is what only another definition helps against.
func misconfigured(err error) *changefeed.Error {
	return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeSinkConfig, Final: true, What: "the sink's URI can't be used", Action: actionURI, Err: err}
}

// errClosed is what a writer answers that was closed.
func errClosed() *changefeed.Error {
	return &changefeed.Error{Code: changefeed.CodeInternal, What: "the writer was closed", Action: "open another one"}
}
