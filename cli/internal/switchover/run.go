// Package switchover moves clients from one cluster to another: planned, when both are well (Planned), and unplanned, when the first one is dead
// (Unplanned). It is steps that are done one after the other, each of which can be repeated, is checked before the next one begins, and is noted in a file.
//
// Invariants:
//
//  1. Clients can never write to both clusters by what is done here: the one is closed, and that is checked, before the other is opened.
//  2. A step is noted when it is done and was checked. A run that ends in between, wherever, is gone on with by the next one: what was done is done again without
//     effect.
//  3. Until the other cluster is opened everything can be undone; after that nothing is.
//  4. A dry run changes nothing, neither in the clusters nor on disk.
//
// One Run is for one goroutine; a lock on the file keeps a second process out.
package switchover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/peers"
)

// Step is one step of a switch.
type Step struct {
	Name  string
	Title string
	// Do does it, checks it, and says what it found. Done again it changes nothing.
	Do func(ctx context.Context, r *Run) (string, error)
	// Changes says that it changes something: then it isn't done again when it was done. What only looks is done in every run, until To is opened.
	Changes bool
	// Plan says what Do would do; nil: a dry run does it.
	Plan func(r *Run) string
	// Undo takes back what Do may have done, in part as well; nil: there is nothing to take back.
	Undo func(ctx context.Context, r *Run) (string, error)
	// Holds says whether what was done in an earlier run still holds; nil: that can't change.
	Holds func(ctx context.Context, r *Run) error
}

// What is said of a step.
const (
	Running  = "running"
	Done     = "done"
	Skipped  = "skipped" // it was done before
	Planned  = "planned"
	Failed   = "failed"
	Undone   = "undone"
	Warning  = "warning"
	Finished = "finished" // the whole
	Aborted  = "aborted"  // the whole
)

// Line is something that is said while it runs. The last one, of the whole, has no step.
type Line struct {
	Step    string `json:"step"`
	State   string `json:"state"`
	Message string `json:"message,omitempty"`
	TookMS  int64  `json:"took_ms,omitempty"`
}

// Options say what to switch, and how.
type Options struct {
	From, To   *peers.Cluster // From may be nil for an unplanned switch
	FromID     string         // From's cluster id, for an unplanned switch; "" if To tells
	Namespaces []string       // none: all of From's (unplanned: all of To's that have a place for it)
	// File is where the state of the switch is kept; "" is named by the clusters, in the working directory. Report is where an unplanned switch writes what To has
	// of From; "" is beside File.
	File, Report string
	MaxLag       time.Duration
	Force        bool
	DryRun       bool
	// NoReverse leaves out what brings changes back from To to From.
	NoReverse bool
	Equality  Equality
	// Say is told what happens.
	Say func(Line)
}

// Run is a switch under way.
type Run struct {
	Options
	steps []Step
	file  *file
	state *State
	step  *Step // that is done now
}

// Do carries out what is left of the steps.
func (r *Run) Do(ctx context.Context) error {
	for i := range r.steps {
		if err := ctx.Err(); err != nil {
			return r.stopped(err)
		}
		if err := r.do(ctx, &r.steps[i]); err != nil {
			return r.stopped(err)
		}
	}
	if r.DryRun {
		r.say(Line{State: Finished, Message: "dry run: nothing was changed"})
		return nil
	}
	r.state.Finished = now()
	if err := r.save(); err != nil {
		return err
	}
	r.say(Line{State: Finished, Message: r.farewell()})
	return nil
}

func (r *Run) do(ctx context.Context, s *Step) error {
	r.step = s
	began := time.Now()
	if done := r.state.done(s.Name); done != nil && (s.Changes || r.state.begun(stepOpen) != nil) {
		if s.Holds != nil && r.state.begun(stepOpen) == nil {
			if err := s.Holds(ctx, r); err != nil {
				return err
			}
		}
		r.say(Line{Step: s.Name, State: Skipped, Message: "done at " + done.At + ": " + done.Found})
		return nil
	}
	if r.DryRun && s.Plan != nil {
		r.say(Line{Step: s.Name, State: Planned, Message: s.Plan(r)})
		return nil
	}
	r.say(Line{Step: s.Name, State: Running, Message: s.Title})
	if s.Changes {
		if err := r.begin(s.Name); err != nil {
			return err
		}
	}
	found, err := s.Do(ctx, r)
	if err == nil && !r.DryRun {
		err = r.note(s.Name, found)
	}
	if err != nil {
		r.say(Line{Step: s.Name, State: Failed, Message: err.Error(), TookMS: time.Since(began).Milliseconds()})
		return fmt.Errorf("step %s: %w", s.Name, err)
	}
	r.say(Line{Step: s.Name, State: Done, Message: found, TookMS: time.Since(began).Milliseconds()})
	return nil
}

func (r *Run) say(l Line) { r.Say(l) }

// progress says how far the present step is.
func (r *Run) progress(format string, args ...any) {
	r.say(Line{Step: r.step.Name, State: Running, Message: fmt.Sprintf(format, args...)})
}

// warn says what isn't as it should be, and doesn't hold the step up.
func (r *Run) warn(format string, args ...any) {
	r.say(Line{Step: r.step.Name, State: Warning, Message: fmt.Sprintf(format, args...)})
}

// unless refuses something that isn't safe, or warns of it where that is forced.
func (r *Run) unless(problem *failure.Failure) error {
	if !r.Force {
		return problem
	}
	r.warn("%s (going on: --force)", problem.Message)
	return nil
}

// stopped adds to an error what can be done now: go on, or back.
func (r *Run) stopped(err error) error {
	f := failure.Of(err)
	if errors.Is(err, context.DeadlineExceeded) && f.Code == failure.Error {
		f.Code, f.Message = failure.Unavailable, strings.TrimSuffix(f.Message, context.DeadlineExceeded.Error())+"--timeout has passed"
	}
	if errors.Is(err, context.Canceled) {
		f.Message = strings.TrimSuffix(f.Message, context.Canceled.Error()) + "it was interrupted"
	}
	if r.DryRun {
		return f
	}
	if f.Action != "" {
		f.Action += ". "
	}
	f.Action += r.wayOut()
	return f
}

// wayOut says how things stand, and how to go on or back.
func (r *Run) wayOut() string {
	switch {
	case r.state.begun(stepOpen) != nil:
		return fmt.Sprintf("Whether clients may write to %s isn't certain: run the same command again to go on", r.state.To.Cluster)
	case r.state.begun(stepStop) != nil:
		return fmt.Sprintf("Clients can write to neither cluster now. Go on: run the same command again. Go back, to %s as it was: add --abort", r.state.From.Cluster)
	}
	return "Nothing was switched yet: run the same command again"
}

// Abort takes back what was done, in the opposite order. It refuses when clients can write to To.
func (r *Run) Abort(ctx context.Context) error {
	if err := r.mayAbort(ctx); err != nil {
		return err
	}
	for _, s := range slices.Backward(r.steps) {
		if s.Undo == nil || r.state.begun(s.Name) == nil {
			continue
		}
		r.step = &s
		if r.DryRun {
			r.say(Line{Step: s.Name, State: Planned, Message: "would be undone"})
			continue
		}
		found, err := s.Undo(ctx, r)
		if err == nil {
			err = r.forget(s.Name)
		}
		if err != nil {
			r.say(Line{Step: s.Name, State: Failed, Message: err.Error()})
			f := failure.Of(fmt.Errorf("undoing step %s: %w", s.Name, err))
			f.Action += " Run it again with --abort: what is undone isn't undone twice"
			return f
		}
		r.say(Line{Step: s.Name, State: Undone, Message: found})
	}
	if r.DryRun {
		r.say(Line{State: Finished, Message: "dry run: nothing was changed"})
		return nil
	}
	r.state.Aborted = now()
	if err := r.save(); err != nil {
		return err
	}
	r.say(Line{State: Aborted, Message: "clients can write to " + r.state.From.Cluster + " as before"})
	return nil
}

func (r *Run) mayAbort(ctx context.Context) error {
	if r.state.Finished != "" || r.state.done(stepOpen) != nil {
		return r.tooLate()
	}
	for _, ns := range r.state.Namespaces {
		roles, err := r.To.Roles(ctx, ns)
		if err != nil {
			return fmt.Errorf("whether clients can write to %s: %w", r.state.To.Cluster, err)
		}
		if !roles.Closed() && r.state.begun(stepOpen) != nil {
			return r.tooLate()
		}
	}
	return nil
}

func (r *Run) tooLate() error {
	return failure.New(failure.Refused, fmt.Sprintf("go on with it (without --abort), and then switch back: zankv-repair switchover --from %s --to %s", r.To, r.From),
		"clients can write to %s already: what they wrote there would be lost by going back", r.state.To.Cluster)
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }
