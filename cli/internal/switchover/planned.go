package switchover

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/zankv/zankv/cli/internal/failure"
)

// The steps' names: they stand in files and in what scripts read.
const (
	stepCheck   = "check"
	stepStop    = "stop-writes"
	stepCatchUp = "catch-up"
	stepVerify  = "verify"
	stepFeed    = "stop-feed"
	stepAdopt   = "adopt"
	stepReverse = "reverse"
	stepOpen    = "open"
)

// PlannedSteps are those of a planned switch.
func PlannedSteps() []Step {
	return []Step{
		{Name: stepCheck, Title: "both clusters are well, and changes go from the one to the other", Do: check},
		{Name: stepStop, Title: "clients may no longer write to the first cluster", Changes: true, Do: stopWrites, Plan: planStop, Undo: allowWrites, Holds: stillClosed},
		{Name: stepCatchUp, Title: "the second cluster gets all that was written to the first", Do: catchUp, Plan: func(r *Run) string {
			return fmt.Sprintf("wait until %s has all events of %s up to there", r.state.To.Cluster, r.state.From.Cluster)
		}},
		{Name: stepVerify, Title: "both clusters hold the same, by checksums of every hash slot", Do: verify, Plan: func(*Run) string {
			return "compare the checksums of every hash slot"
		}},
		{Name: stepFeed, Title: "what carries changes from the first to the second is paused", Changes: true, Do: stopFeeds, Plan: func(r *Run) string {
			return fmt.Sprintf("pause the changefeeds of %s that lead to %s", r.state.From.Cluster, r.state.To.Cluster)
		}, Undo: restartFeeds},
		{Name: stepAdopt, Title: "the way back begins where the second cluster is now, without a full sync", Changes: true, Do: adopt, Plan: func(r *Run) string {
			return fmt.Sprintf("make the present positions of %s the places in %s from which changes come back", r.state.To.Cluster, r.state.From.Cluster)
		}},
		{Name: stepReverse, Title: "changes go from the second to the first", Changes: true, Do: startReverse, Plan: func(r *Run) string {
			if r.NoReverse {
				return "nothing: --no-reverse"
			}
			return fmt.Sprintf("resume the changefeeds of %s that lead to %s, or wait for: %s", r.state.To.Cluster, r.state.From.Cluster, r.syncCommand())
		}, Undo: stopReverse},
		{Name: stepOpen, Title: "clients may write to the second cluster", Changes: true, Do: openTo, Plan: func(r *Run) string {
			return fmt.Sprintf("POST /synceronly?enable=false, on a node of %s", r.state.To.Cluster)
		}},
	}
}

// Plan prepares a planned switch, or goes on with one that was begun. done says that it was finished before, and that the clusters are as it left them.
// Close the Run.
func Plan(ctx context.Context, o Options) (r *Run, done bool, err error) {
	from, err := o.From.Topology(ctx, "")
	if err != nil {
		return nil, false, err
	}
	to, err := o.To.Topology(ctx, "")
	if err != nil {
		return nil, false, err
	}
	if from.Cluster == to.Cluster {
		return nil, false, failure.New(failure.Invalid, "name nodes of two clusters", "--from and --to are the same cluster, %s", from.Cluster)
	}
	fresh := &State{
		Format: stateFormat, Kind: kindPlanned, Began: now(), Namespaces: o.Namespaces,
		From: Party{from.Cluster, o.From.Nodes()}, To: Party{to.Cluster, o.To.Nodes()},
	}
	if len(fresh.Namespaces) == 0 {
		fresh.Namespaces = slices.Sorted(slices.Values(from.Namespaces))
	}
	if len(fresh.Namespaces) == 0 {
		return nil, false, failure.New(failure.NotFound, "", "cluster %s has no namespace", from.Cluster)
	}
	return open(ctx, o, fresh, PlannedSteps())
}

// open opens the file, and takes up what is in it.
func open(ctx context.Context, o Options, fresh *State, steps []Step) (r *Run, done bool, err error) {
	if o.File == "" {
		o.File = fmt.Sprintf("zankv-%s-%s-%s.json", fresh.Kind, fresh.From.Cluster, fresh.To.Cluster)
	}
	f, kept, err := openFile(o.File, o.DryRun)
	if err != nil {
		return nil, false, err
	}
	r = &Run{Options: o, steps: steps, file: f, state: fresh}
	if kept == nil {
		return r, false, nil
	}
	if kept.Kind != fresh.Kind || kept.From.Cluster != fresh.From.Cluster || kept.To.Cluster != fresh.To.Cluster {
		r.Close()
		return nil, false, failure.New(failure.Invalid, "name another file with --state", "%s is the state of a %s from %s to %s", o.File, kept.Kind, kept.From.Cluster, kept.To.Cluster)
	}
	switch {
	case kept.Aborted != "":
	case kept.Finished != "":
		if done, err = r.asLeft(ctx, kept); err != nil {
			r.Close()
			return nil, false, err
		}
		if done {
			r.state = kept
		}
	case len(o.Namespaces) > 0 && !slices.Equal(slices.Sorted(slices.Values(o.Namespaces)), slices.Sorted(slices.Values(kept.Namespaces))):
		r.Close()
		return nil, false, failure.New(failure.Refused, "leave --namespace out to go on with it, or add --abort to take it back first",
			"a %s of namespaces %s is under way, see %s", kept.Kind, strings.Join(kept.Namespaces, ", "), o.File)
	default:
		r.state = kept
	}
	return r, done, nil
}

// asLeft says whether clients can write to To and not to From, as a finished switch has left it: otherwise it was switched back, and a new one may begin.
func (r *Run) asLeft(ctx context.Context, kept *State) (bool, error) {
	for _, ns := range kept.Namespaces {
		to, err := r.To.Roles(ctx, ns)
		if err != nil {
			return false, err
		}
		if to.Closed() {
			return false, nil
		}
	}
	return true, nil
}

// Close lets go of the file.
func (r *Run) Close() { r.file.close() }

// State is what is known of the switch. It is the Run's.
func (r *Run) State() *State { return r.state }

// Steps are those of the Run.
func (r *Run) Steps() []Step { return r.steps }

// Begun says that something was changed that isn't finished, nor taken back.
func (r *Run) Begun() bool { return len(r.state.Steps) > 0 && r.state.Aborted == "" }
