// Package enginetest is the conformance suite of cluster/engine: what every implementation must pass. Each of the
// engine's invariants has a test here that is named after it; random tests print their seed and draw from it alone.
package enginetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/engine"
)

// Target is an implementation under test.
type Target struct {
	// Open opens the database in dir, anew if there is none.
	Open func(t testing.TB, dir string) engine.Engine
	// Crash makes to, which doesn't exist, what a crash at this moment could leave of e, which was opened in dir. An
	// implementation that may choose draws from r.
	Crash func(t testing.TB, e engine.Engine, dir, to string, r *rand.Rand)
	// SmallMemtables says that Open gives memtables of about this many bytes, zero if it has none: tests then write enough
	// for flushes and compactions to happen on their own.
	SmallMemtables int
}

// Run runs the whole suite.
func Run(t *testing.T, target Target) {
	tests := []struct {
		name string
		run  func(*testing.T, Target)
	}{
		{"Values", testValues},
		{"BatchOrder", testBatchOrder},
		{"RangeDelete", testRangeDelete},
		{"IteratorBounds", testIteratorBounds},
		{"IteratorTurns", testIteratorTurns},
		{"IteratorSkip", testIteratorSkip},
		{"Model", testModel},
		{"Snapshot", testSnapshot},
		{"IteratorIsolation", testIteratorIsolation},
		{"Readers", testReaders},
		{"FlushIsDurable", testFlushIsDurable},
		{"CrashLeavesPrefix", testCrash},
		{"Checkpoint", testCheckpoint},
		{"CheckpointRefused", testCheckpointRefused},
		{"CloseRefused", testCloseRefused},
		{"Closed", testClosed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, target) })
	}
}

// Seed is the random source of a test. It is printed, and ZANKV_TEST_SEED replays it.
func Seed(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("ZANKV_TEST_SEED"); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("ZANKV_TEST_SEED=%q: %v", text, err)
		}
		seed = given
	}
	t.Logf("ZANKV_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// open opens a new database and closes it with the test.
func open(t testing.TB, target Target) (e engine.Engine, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "db")
	e = target.Open(t, dir)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e, dir
}

// reopened opens dir and closes it with the test.
func reopened(t testing.TB, target Target, dir string) engine.Engine {
	t.Helper()
	e := target.Open(t, dir)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

// write applies changes, given as "+key=value", "-key" and "!start..end", as one batch.
func write(t testing.TB, e engine.Engine, changes ...string) {
	t.Helper()
	var b engine.Batch
	for _, change := range changes {
		text := []byte(change[1:])
		switch change[0] {
		case '+':
			key, value, _ := bytes.Cut(text, []byte("="))
			b.Put(key, value)
		case '-':
			b.Delete(text)
		case '!':
			start, end, _ := bytes.Cut(text, []byte(".."))
			b.DeleteRange(start, end)
		}
	}
	must(t, e.Write(&b))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// content lists r between two bounds as "key=value …", forward, and checks that backward is the same.
func content(t testing.TB, r engine.Reader, lower, upper string) string {
	t.Helper()
	it, err := r.NewIterator([]byte(lower), []byte(upper))
	must(t, err)
	defer it.Close()
	var forward, backward []string
	for ok := it.First(); ok; ok = it.Next() {
		forward = append(forward, fmt.Sprintf("%s=%s", it.Key(), it.Value()))
	}
	must(t, it.Err())
	for ok := it.Last(); ok; ok = it.Prev() {
		backward = append([]string{fmt.Sprintf("%s=%s", it.Key(), it.Value())}, backward...)
	}
	must(t, it.Err())
	if f, b := fmt.Sprint(forward), fmt.Sprint(backward); f != b {
		t.Fatalf("forward %s, backward %s", f, b)
	}
	return fmt.Sprint(forward)
}

func wantContent(t testing.TB, r engine.Reader, lower, upper, want string) {
	t.Helper()
	if got := content(t, r, lower, upper); got != want {
		t.Fatalf("between %q and %q: got %s, want %s", lower, upper, got, want)
	}
}

func wantValue(t testing.TB, r engine.Reader, key, want string) {
	t.Helper()
	value, ok, err := r.Get(nil, []byte(key))
	must(t, err)
	if !ok || string(value) != want {
		t.Fatalf("get %q: got %q (present: %t), want %q", key, value, ok, want)
	}
}

func wantAbsent(t testing.TB, r engine.Reader, key string) {
	t.Helper()
	value, ok, err := r.Get([]byte("dst"), []byte(key))
	must(t, err)
	if ok || string(value) != "dst" {
		t.Fatalf("get %q: got %q (present: %t), want absent and dst unchanged", key, value, ok)
	}
}
