//go:build race

package processes

// Race says that this test runs with the race detector: then so should the processes.
const Race = true
