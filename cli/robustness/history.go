package robustness

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// History is what clients asked and got.
type History []porcupine.Operation

// never is the time of an answer that didn't come.
const never = math.MaxInt64

// Recorder is one client's part of a history. It is for that client's goroutine.
type Recorder struct {
	Client  int
	began   time.Time // of the whole run: all clients measure from here, on the monotonic clock
	history History
}

// Do runs a command and records it. A read whose answer is unknown says nothing, and a command that certainly wasn't run
// neither: they are left out.
func (r *Recorder) Do(in Input, run func(Input) (Output, error)) error {
	called := time.Since(r.began).Nanoseconds()
	out, err := run(in)
	returned := time.Since(r.began).Nanoseconds()
	if err != nil {
		return err
	}
	if out.Unknown {
		if in.Op == Get {
			return nil
		}
		returned = never
	}
	r.history = append(r.history, porcupine.Operation{ClientId: r.Client, Input: in, Output: out, Call: called, Return: returned})
	return nil
}

// byKey takes the history apart.
func (h History) byKey() map[string]History {
	keys := map[string]History{}
	for _, op := range h {
		key := op.Input.(Input).Key
		keys[key] = append(keys[key], op)
	}
	return keys
}

// CheckLinearizable checks every key's history. What isn't linearizable is described, and drawn as a page in dir. limit is for
// each key; a key that can't be decided in it is an error too.
func CheckLinearizable(h History, limit time.Duration, dir string) error {
	keys := h.byKey()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		ops := keys[key]
		result, info := porcupine.CheckOperationsVerbose(model, ops, limit)
		switch result {
		case porcupine.Ok:
			continue
		case porcupine.Unknown:
			return fmt.Errorf("key %s: %d operations, %d unknown: not decided within %v", key, len(ops), unknowns(ops), limit)
		}
		page := filepath.Join(dir, "history.html")
		if err := draw(info, page); err != nil {
			page = err.Error()
		}
		return fmt.Errorf("key %s isn't linearizable: %d operations, %d unknown, drawn in %s:\n%s", key, len(ops), unknowns(ops), page, list(ops))
	}
	return nil
}

func draw(info porcupine.LinearizationInfo, page string) error {
	f, err := os.Create(page)
	if err != nil {
		return err
	}
	defer f.Close()
	return porcupine.Visualize(model, info, f)
}

func unknowns(h History) (n int) {
	for _, op := range h {
		if op.Output.(Output).Unknown {
			n++
		}
	}
	return n
}

// shown is how many operations of a faulty history are listed.
const shown = 400

func list(h History) string {
	h = slices.Clone(h)
	slices.SortFunc(h, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	text := ""
	for _, op := range h[max(0, len(h)-shown):] {
		end := "…"
		if op.Return != never {
			end = time.Duration(op.Return).String()
		}
		text += fmt.Sprintf("  %v – %s client %d: %s\n", time.Duration(op.Call), end, op.ClientId, describe(op.Input.(Input), op.Output.(Output)))
	}
	return text
}
