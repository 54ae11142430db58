package remote

import (
	"errors"
	"fmt"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/remote/remotepb"
	"github.com/zankv/zankv/cluster/meta"
)

// Version is the session's that this package speaks.
const Version = 1

var errInvalid = errors.New("changefeed registry: a request that makes no sense")

// problems are the causes that travel, with the errors that stand for them on both sides.
var problems = []struct {
	problem remotepb.Response_Problem
	err     error
}{
	{remotepb.Response_EXISTS, changefeed.ErrExists},
	{remotepb.Response_NOT_FOUND, changefeed.ErrNotFound},
	{remotepb.Response_TAKEN, changefeed.ErrTaken},
	{remotepb.Response_FENCED, changefeed.ErrFenced},
	{remotepb.Response_STALE, changefeed.ErrStale},
	{remotepb.Response_TOO_LARGE, meta.ErrTooLarge},
	{remotepb.Response_INVALID, errInvalid},
}

// refusal is how a registry's error is answered. What isn't known means that something couldn't be reached.
func refusal(id uint64, err error) *remotepb.Response {
	r := &remotepb.Response{Id: id, Problem: remotepb.Response_UNAVAILABLE, Text: err.Error()}
	for _, p := range problems {
		if errors.Is(err, p.err) {
			r.Problem = p.problem
			break
		}
	}
	return r
}

// answered is an error that a node gave: its words, and what it is.
type answered struct {
	text string
	is   error
}

func (e *answered) Error() string { return e.text }
func (e *answered) Unwrap() error { return e.is }

// problemOf is the error in an answer; nil if there is none.
func problemOf(r *remotepb.Response) error {
	if r.GetProblem() == remotepb.Response_NONE {
		return nil
	}
	for _, p := range problems {
		if r.GetProblem() == p.problem {
			return &answered{r.GetText(), p.err}
		}
	}
	return &answered{r.GetText(), meta.ErrUnavailable}
}

func unavailable(what string, why error) error {
	return fmt.Errorf("%w: %s: %w", meta.ErrUnavailable, what, why)
}
