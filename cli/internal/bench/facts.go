package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// machineFacts are what a figure means nothing without: the processor and the versions of what is measured, RocksDB's in zankv's.
func machineFacts(ctx context.Context, systems []System) ([]string, error) {
	facts := []string{fmt.Sprintf("%s, %d threads, %s/%s", processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)}
	for _, s := range systems {
		v, err := s.Version(ctx)
		if err != nil {
			return nil, fmt.Errorf("version of %s: %w", s.Name(), err)
		}
		if !slices.Contains(facts, v) {
			facts = append(facts, v)
		}
	}
	return facts, nil
}

// processor is the model's name, where the system tells it.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor unknown"
}
