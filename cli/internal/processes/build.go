// Package processes runs a cluster as it runs in production: every part a process of its own, from the binaries that are
// shipped, talking over sockets; and what it talks to, a Kafka broker. It is for tests that look at a whole system from the
// outside and do bad things to it.
//
// Concurrency: a Process may be signalled from any goroutine; starting and ending one is its owner's, one at a time.
package processes

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Binaries are paths of what was built.
type Binaries struct {
	Zankv  string
	CDC    string
	Repair string
}

// Build builds the commands of this source tree into dir. race builds them with the race detector.
func Build(dir string, race bool) (Binaries, error) {
	root, err := sourceRoot()
	if err != nil {
		return Binaries{}, err
	}
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if race {
		args = append(args, "-race")
	}
	args = append(args, "./cli/zankv", "./cli/zankv-cdc", "./cli/zankv-repair")
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return Binaries{}, fmt.Errorf("processes: go %s: %w", strings.Join(args, " "), err)
	}
	return Binaries{Zankv: filepath.Join(dir, "zankv"), CDC: filepath.Join(dir, "zankv-cdc"), Repair: filepath.Join(dir, "zankv-repair")}, nil
}

// seeSources looks into every folder of the sources. go test keeps the outcome of a test until something that it is linked from, or that it
// looked at (within m.Run), changes; what is built here is neither, and a test would be said to pass that never ran with it.
var seeSources = sync.OnceValue(func() error {
	root, err := sourceRoot()
	if err != nil {
		return err
	}
	hidden := func(name string) bool { return strings.HasPrefix(name, ".") || name == "bin" || name == "data" }
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && hidden(d.Name()) {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("processes: sources: %w", err)
	}
	return nil
})

// sourceRoot is the folder of the module that the test belongs to.
func sourceRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("processes: go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
