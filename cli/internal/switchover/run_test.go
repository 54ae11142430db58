package switchover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cli/internal/failure"
)

// world is what steps change: those that were done and not undone, and what was called.
type world struct {
	calls []string
	is    map[string]bool
	fails string // a step that fails
	lines []Line
}

// steps are like those of a planned switch: some look, some change, all but the last can be undone.
func (w *world) steps() []Step {
	plan := func(*Run) string { return "would" }
	change := func(name string) Step {
		return Step{
			Name: name, Title: name, Changes: true, Plan: plan,
			Do: func(_ context.Context, _ *Run) (string, error) {
				w.calls = append(w.calls, name)
				if w.fails == name {
					return "", errors.New("so it is")
				}
				w.is[name] = true
				return "did " + name, nil
			},
			Undo: func(context.Context, *Run) (string, error) {
				w.calls = append(w.calls, "un"+name)
				delete(w.is, name)
				return "undid " + name, nil
			},
		}
	}
	look := func(name string, dry bool) Step {
		s := change(name)
		s.Changes, s.Undo = false, nil
		if dry {
			s.Plan = nil
		}
		return s
	}
	last := change(stepOpen)
	last.Undo = nil
	return []Step{look(stepCheck, true), change(stepStop), look(stepCatchUp, false), look(stepVerify, false), change(stepFeed), change(stepReverse), last}
}

func newWorld() *world { return &world{is: map[string]bool{}} }

func (w *world) open(t *testing.T, file string, change func(*Options)) *Run {
	t.Helper()
	o := Options{File: file, Say: func(l Line) { w.lines = append(w.lines, l) }}
	if change != nil {
		change(&o)
	}
	r, _, err := open(t.Context(), o, &State{Format: stateFormat, Kind: kindPlanned, From: Party{Cluster: "dc-a"}, To: Party{Cluster: "dc-b"}}, w.steps())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// run carries the steps out until one after which the run is killed.
func (w *world) run(t *testing.T, file, killedAfter string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := w.open(t, file, func(o *Options) {
		o.Say = func(l Line) {
			w.lines = append(w.lines, l)
			if l.State == Done && l.Step == killedAfter {
				cancel()
			}
		}
	})
	defer r.Close()
	return r.Do(ctx)
}

var order = []string{stepCheck, stepStop, stepCatchUp, stepVerify, stepFeed, stepReverse, stepOpen}

func TestOrder(t *testing.T) {
	w, file := newWorld(), filepath.Join(t.TempDir(), "state")
	if err := w.run(t, file, ""); err != nil || !slices.Equal(w.calls, order) {
		t.Fatalf("%v: %q", err, w.calls)
	}
	last := w.lines[len(w.lines)-1]
	if last.Step != "" || last.State != Finished {
		t.Errorf("%+v", last)
	}
}

// Wherever a run ends, the next one goes on there: what changes something is done once, in order, and what looks is done again before anything else changes.
func TestResume(t *testing.T) {
	for i, killed := range order {
		w, file := newWorld(), filepath.Join(t.TempDir(), "state")
		if err := w.run(t, file, killed); i < len(order)-1 && !errors.Is(failure.Of(err).Err, context.Canceled) && !errors.Is(err, context.Canceled) {
			t.Fatalf("killed after %s: %v", killed, err)
		}
		if err := w.run(t, file, ""); err != nil {
			t.Fatalf("killed after %s: %v", killed, err)
		}
		for _, name := range []string{stepStop, stepFeed, stepReverse, stepOpen} {
			if n := count(w.calls, name); n != 1 {
				t.Errorf("killed after %s: %s was done %d times: %q", killed, name, n, w.calls)
			}
		}
		if killed == stepFeed {
			want := append(slices.Clone(order[:5]), stepCheck, stepCatchUp, stepVerify, stepReverse, stepOpen)
			if !slices.Equal(w.calls, want) {
				t.Errorf("killed after %s: %q", killed, w.calls)
			}
		}
	}
}

func count(all []string, what string) (n int) {
	for _, s := range all {
		if s == what {
			n++
		}
	}
	return n
}

// A step that was done, but not noted, is done again.
func TestDoneButNotNoted(t *testing.T) {
	w, file := newWorld(), filepath.Join(t.TempDir(), "state")
	w.fails = stepFeed
	if err := w.run(t, file, ""); err == nil {
		t.Fatal("it failed")
	}
	w.fails = ""
	if err := w.run(t, file, ""); err != nil || count(w.calls, stepFeed) != 2 || count(w.calls, stepStop) != 1 {
		t.Fatalf("%v: %q", err, w.calls)
	}
}

// Before the last step everything that was begun is undone, backwards; after it nothing is.
func TestAbort(t *testing.T) {
	undone := map[string][]string{
		stepCheck: nil, stepStop: {stepStop}, stepVerify: {stepStop}, stepFeed: {stepFeed, stepStop}, stepReverse: {stepReverse, stepFeed, stepStop},
	}
	for killed, want := range undone {
		w, file := newWorld(), filepath.Join(t.TempDir(), "state")
		_ = w.run(t, file, killed)
		w.calls = nil
		r := w.open(t, file, nil)
		if err := r.Abort(t.Context()); err != nil {
			t.Fatalf("after %s: %v", killed, err)
		}
		r.Close()
		for i := range want {
			want[i] = "un" + want[i]
		}
		if !slices.Equal(w.calls, want) || w.is[stepStop] || w.is[stepFeed] || w.is[stepReverse] {
			t.Errorf("after %s: %q, want %q", killed, w.calls, want)
		}
		w.calls = nil
		if err := w.run(t, file, ""); err != nil || !slices.Equal(w.calls, order) {
			t.Errorf("anew after an abort after %s: %v, %q", killed, err, w.calls)
		}
	}
	w, file := newWorld(), filepath.Join(t.TempDir(), "state")
	_ = w.run(t, file, stepOpen)
	w.calls = nil
	if err := w.open(t, file, nil).Abort(t.Context()); failure.Of(err).Code != failure.Refused || len(w.calls) > 0 {
		t.Errorf("after it was opened: %v, %q", err, w.calls)
	}
}

// A step of which nobody knows whether it took effect is undone, too.
func TestAbortUndoesWhatFailed(t *testing.T) {
	w, file := newWorld(), filepath.Join(t.TempDir(), "state")
	w.fails = stepFeed
	err := w.run(t, file, "")
	if f := failure.Of(err); !strings.Contains(f.Message, "step stop-feed: so it is") || !strings.Contains(f.Action, "--abort") || !strings.Contains(f.Action, "neither cluster") {
		t.Fatalf("%+v", failure.Of(err))
	}
	w.calls = nil
	if err := w.open(t, file, nil).Abort(t.Context()); err != nil || !slices.Equal(w.calls, []string{"un" + stepFeed, "un" + stepStop}) {
		t.Errorf("%v, %q", err, w.calls)
	}
}

// Where the outcome of the last step isn't known, the way is onward.
func TestLastStepFails(t *testing.T) {
	w, file := newWorld(), filepath.Join(t.TempDir(), "state")
	w.fails = stepOpen
	if f := failure.Of(w.run(t, file, "")); strings.Contains(f.Action, "--abort") || !strings.Contains(f.Action, "isn't certain") {
		t.Errorf("%+v", f)
	}
}

// A dry run changes nothing, on disk neither; it does what only looks and needs nothing done before it.
func TestDryRun(t *testing.T) {
	dir := t.TempDir()
	w := newWorld()
	r := w.open(t, filepath.Join(dir, "state"), func(o *Options) { o.DryRun = true })
	if err := r.Do(t.Context()); err != nil || !slices.Equal(w.calls, []string{stepCheck}) {
		t.Fatalf("%v: %q", err, w.calls)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) > 0 {
		t.Errorf("%v, %v", all, err)
	}
	var said []string
	for _, l := range w.lines {
		if l.State == Planned {
			said = append(said, l.Step)
		}
	}
	if !slices.Equal(said, order[1:]) {
		t.Errorf("%q", said)
	}
	_ = w.run(t, filepath.Join(dir, "state"), stepFeed)
	before, err := os.ReadFile(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	w.calls = nil
	r = w.open(t, filepath.Join(dir, "state"), func(o *Options) { o.DryRun = true })
	if err := r.Abort(t.Context()); err != nil || len(w.calls) > 0 {
		t.Errorf("%v, %q", err, w.calls)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "state")); err != nil || string(after) != string(before) {
		t.Errorf("%v: the state was changed", err)
	}
}

func TestStateFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state")
	w := newWorld()
	r := w.open(t, file, nil)
	fresh := func(from string) *State {
		return &State{Format: stateFormat, Kind: kindPlanned, From: Party{Cluster: from}, To: Party{Cluster: "dc-b"}}
	}
	if _, _, err := open(t.Context(), Options{File: file}, fresh("dc-a"), nil); failure.Of(err).Code != failure.Conflict {
		t.Errorf("two at once: %v", err)
	}
	if err := r.begin(stepStop); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := os.Stat(file + ".lock"); err == nil {
		t.Error("the lock's file was left")
	}
	if _, _, err := open(t.Context(), Options{File: file}, fresh("dc-c"), nil); failure.Of(err).Code != failure.Invalid {
		t.Errorf("another switch's: %v", err)
	}
	if _, _, err := open(t.Context(), Options{File: file, Namespaces: []string{"other"}}, fresh("dc-a"), nil); failure.Of(err).Code != failure.Refused {
		t.Errorf("other namespaces: %v", err)
	}
	for i, content := range []string{"{", `{"format":2}`} {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := open(t.Context(), Options{File: name}, fresh("dc-a"), nil); failure.Of(err).Code != failure.Invalid {
			t.Errorf("%s: %v", content, err)
		}
	}
}
