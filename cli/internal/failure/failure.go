package failure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/feed"
	"github.com/zankv/zankv/cli/internal/nodes"
)

// Failure is an error with its code.
type Failure struct {
	Code Code
	// Message says what happened and to what, Action what to do; "" if that is clear.
	Message, Action string
	// Stage and Cause are a changefeed's, if the failure is of one.
	Stage changefeed.Stage
	Cause changefeed.Code
	Err   error
}

func (f *Failure) Error() string { return f.Message }

// Unwrap gives what is behind it.
func (f *Failure) Unwrap() error { return f.Err }

// New makes a failure.
func New(code Code, action, format string, args ...any) *Failure {
	err := fmt.Errorf(format, args...)
	return &Failure{Code: code, Message: err.Error(), Action: action, Err: errors.Unwrap(err)}
}

// Misuse is a mistake in the command line.
func Misuse(err error) error {
	if err == nil {
		return nil
	}
	return &Failure{Code: Usage, Message: err.Error(), Err: err}
}

// Of finds the code of an error.
func Of(err error) *Failure {
	if found, ok := errors.AsType[*Failure](err); ok {
		f := *found
		f.Message = err.Error()
		return &f
	}
	f := &Failure{Code: Error, Message: err.Error(), Err: err}
	if problem, ok := errors.AsType[*feed.Error](err); ok {
		f.ofFeed(problem)
		return f
	}
	if problem, ok := errors.AsType[*changefeed.Error](err); ok {
		f.ofChangefeed(problem)
		return f
	}
	if problem, ok := errors.AsType[*admin.Error](err); ok {
		f.ofAdmin(problem)
		return f
	}
	if _, ok := errors.AsType[*event.Violation](err); ok {
		f.Code = Violation
		return f
	}
	for _, known := range sentinels {
		if errors.Is(err, known.err) {
			f.Code, f.Action = known.code, known.action
			break
		}
	}
	return f
}

var sentinels = []struct {
	err    error
	code   Code
	action string
}{
	{changefeed.ErrNotFound, NotFound, "zankv-cdc changefeed list names those that there are"},
	{changefeed.ErrExists, Exists, "take another id, or update the one that is there"},
	{changefeed.ErrTaken, Conflict, "pause the changefeed first, and wait until no process owns the partition"},
	{changefeed.ErrFenced, Conflict, "somebody else changed it meanwhile: look at it again"},
	{changefeed.ErrStale, Conflict, "somebody else changed it meanwhile: look at it again"},
	{nodes.ErrUnavailable, Unavailable, "check that --nodes names the gRPC addresses of running nodes"},
}

func (f *Failure) ofFeed(problem *feed.Error) {
	switch problem.Kind {
	case feed.Compacted:
		f.Code, f.Action = Compacted, "--from earliest begins with the oldest event left"
	case feed.Unknown:
		f.Code, f.Action = NotFound, "check --namespace and --partition"
	case feed.Ahead:
		f.Code = Ahead
	case feed.Mismatch:
		f.Code, f.Action = Mismatch, "take the position from this cluster's own feed"
	default:
		f.Code, f.Action = Unavailable, "try again when a replica that has the position serves"
	}
}

func (f *Failure) ofChangefeed(problem *changefeed.Error) {
	f.Action, f.Stage, f.Cause = problem.Action, problem.Stage, problem.Code
	switch {
	case problem.Code == changefeed.CodeLogCompacted:
		f.Code = Compacted
	case problem.Code == changefeed.CodeCorrupt, problem.Code == changefeed.CodeSinkDiverged:
		f.Code = Violation
	case problem.Code == changefeed.CodeHistory:
		f.Code = Mismatch
	case problem.Final:
		f.Code = Invalid
	default:
		f.Code = Unavailable
	}
}

// actions say what to do about what a node refuses, where its message doesn't say it.
var actions = map[admin.Code]string{
	admin.Exists:       "take another id, or update the one that is there",
	admin.NotFound:     "zankv-cdc changefeed list names the changefeeds that there are",
	admin.Stale:        "somebody else changed it meanwhile: look at it again",
	admin.Taken:        "try again when the process that has it has let go of it",
	admin.NotPaused:    "zankv-cdc changefeed pause has it rest",
	admin.Unavailable:  "check that --nodes names the gRPC addresses of running nodes, and that these reach etcd",
	admin.NotSupported: "ask a node of a newer version",
}

func (f *Failure) ofAdmin(problem *admin.Error) {
	f.Action = actions[problem.Code]
	switch problem.Code {
	case admin.Exists:
		f.Code = Exists
	case admin.NotFound:
		f.Code = NotFound
	case admin.Invalid:
		f.Code = Invalid
	case admin.Stale, admin.Taken, admin.NotPaused:
		f.Code = Conflict
	case admin.Unavailable:
		f.Code = Unavailable
	case admin.NotSupported:
		f.Code = NotSupported
	}
}

// Print writes a failure for people, in lines that begin with the command's name.
func (f *Failure) Print(w io.Writer, command string) {
	fmt.Fprintf(w, "%s: %s\n", command, f.Message)
	if f.Action != "" {
		fmt.Fprintf(w, "%s: %s\n", command, f.Action)
	}
}

// PrintJSON writes a failure as one line of JSON: {"error":{"code":…,"message":…,"action":…}}, with stage and cause where it is a changefeed's.
func (f *Failure) PrintJSON(w io.Writer) error {
	type body struct {
		Code    Code             `json:"code"`
		Message string           `json:"message"`
		Action  string           `json:"action,omitempty"`
		Stage   changefeed.Stage `json:"stage,omitempty"`
		Cause   changefeed.Code  `json:"cause,omitempty"`
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(struct {
		Error body `json:"error"`
	}{body{f.Code, f.Message, f.Action, f.Stage, f.Cause}})
}
