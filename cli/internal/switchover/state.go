package switchover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/zankv/zankv/cli/internal/failure"
)

// State is what is kept of a switch in its file: JSON, for people to look at, and for nobody to edit.
type State struct {
	Format     int      `json:"format"` // stateFormat
	Kind       string   `json:"kind"`   // kindPlanned or kindUnplanned
	From       Party    `json:"from"`
	To         Party    `json:"to"`
	Namespaces []string `json:"namespaces"`
	Began      string   `json:"began"`
	// Steps are those that were begun, in their order. One that has no At wasn't finished.
	Steps []Note `json:"steps"`
	// Closed are the positions at which From was closed to clients, Targets its last events then: by namespace, by partition.
	Closed  map[string][]string `json:"closed,omitempty"`
	Targets map[string][]string `json:"targets,omitempty"`
	// Paused are the changefeeds of From that were paused for it, Resumed those of To that were resumed.
	Paused  []string `json:"paused,omitempty"`
	Resumed []string `json:"resumed,omitempty"`
	// Opened are the positions from which on clients could write to To.
	Opened   map[string][]string `json:"opened,omitempty"`
	Report   string              `json:"report,omitempty"`
	Finished string              `json:"finished,omitempty"`
	Aborted  string              `json:"aborted,omitempty"`
}

const (
	stateFormat   = 1
	kindPlanned   = "switchover"
	kindUnplanned = "failover"
)

// Party is one of the two clusters.
type Party struct {
	Cluster string   `json:"cluster"`
	Nodes   []string `json:"nodes,omitempty"`
}

// Note is a step that was begun.
type Note struct {
	Step  string `json:"step"`
	At    string `json:"at,omitempty"` // when it was done
	Found string `json:"found,omitempty"`
}

// begun is a step that was begun; nil if it wasn't.
func (s *State) begun(step string) *Note {
	if i := slices.IndexFunc(s.Steps, func(n Note) bool { return n.Step == step }); i >= 0 {
		return &s.Steps[i]
	}
	return nil
}

// done is a step that was done; nil if it wasn't.
func (s *State) done(step string) *Note {
	if n := s.begun(step); n != nil && n.At != "" {
		return n
	}
	return nil
}

// begin notes that a step may have been done in part from now on.
func (r *Run) begin(step string) error {
	if r.DryRun || r.state.begun(step) != nil {
		return nil
	}
	r.state.Steps = append(r.state.Steps, Note{Step: step})
	return r.save()
}

// note notes that a step is done.
func (r *Run) note(step, found string) error {
	n := r.state.begun(step)
	if n == nil {
		r.state.Steps = append(r.state.Steps, Note{Step: step})
		n = &r.state.Steps[len(r.state.Steps)-1]
	}
	n.At, n.Found = now(), found
	return r.save()
}

// forget takes a step for one that never was.
func (r *Run) forget(step string) error {
	r.state.Steps = slices.DeleteFunc(r.state.Steps, func(n Note) bool { return n.Step == step })
	return r.save()
}

// save writes the state, unless nothing may be changed.
func (r *Run) save() error {
	if r.DryRun {
		return nil
	}
	return r.file.write(r.state)
}

// file is where a state is kept. A lock beside it, held by the process, keeps others out.
type file struct {
	path string
	lock *os.File
}

// openFile locks a state's file, and reads what is in it; nil if there is none. A dry run takes no lock.
func openFile(path string, dry bool) (*file, *State, error) {
	f := &file{path: path}
	if !dry {
		if err := f.take(); err != nil {
			return nil, nil, err
		}
	}
	s, err := f.read()
	if err != nil {
		f.close()
		return nil, nil, err
	}
	return f, s, nil
}

// take locks. Who held the lock before removes its file: what was locked counts only if it still is the one of that name.
func (f *file) take() error {
	for {
		lock, err := os.OpenFile(f.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("the state of the switch: %w", err)
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			lock.Close()
			return failure.New(failure.Conflict, "wait until it ends", "another run holds %s.lock: %w", f.path, err)
		}
		mine, err := lock.Stat()
		if err != nil {
			lock.Close()
			return fmt.Errorf("the state of the switch: %w", err)
		}
		if named, err := os.Stat(lock.Name()); err == nil && os.SameFile(mine, named) {
			f.lock = lock
			return nil
		}
		lock.Close()
	}
}

func (f *file) close() {
	if f.lock != nil {
		_ = os.Remove(f.lock.Name()) // one that stays is no harm
		f.lock.Close()
	}
}

func (f *file) read() (*State, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the state of the switch: %w", err)
	}
	var s State
	switch err := json.Unmarshal(b, &s); {
	case err != nil:
		return nil, failure.New(failure.Invalid, "name another file with --state, or move this one away: without it a switch that was begun can't be gone on with", "%s is no state of a switch: %w", f.path, err)
	case s.Format != stateFormat:
		return nil, failure.New(failure.Invalid, "go on with the program that wrote it", "%s has format %d, this program knows %d", f.path, s.Format, stateFormat)
	}
	return &s, nil
}

// write puts the state in the file's place, durably: what is written next may rely on it.
func (f *file) write(s *State) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = replaceFile(f.path, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("the state of the switch: %w", err)
	}
	return nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, content []byte) error {
	next, err := os.OpenFile(path+".next", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = next.Write(content)
	if err == nil {
		err = next.Sync()
	}
	if err = errors.Join(err, next.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".next", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
