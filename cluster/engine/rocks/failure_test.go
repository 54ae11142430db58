package rocks_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/engine/rocks"
)

func open(t testing.TB, dir string, s *rocks.Shared) *rocks.Engine {
	t.Helper()
	e, err := rocks.Open(dir, s, rocks.Options{MemtableBytes: smallMemtable})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil && !errors.Is(err, engine.ErrClosed) {
			t.Error(err)
		}
	})
	return e
}

func one(key, value string) *engine.Batch {
	var b engine.Batch
	b.Put([]byte(key), []byte(value))
	return &b
}

// TestFailedFlushIsFinal takes the directory away: after the failed flush nothing may claim success, even when the directory
// is back, and reads go on.
func TestFailedFlushIsFinal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	e := open(t, dir, shared(t, rocks.SharedOptions{}))
	if err := e.Write(one("a", "1")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	failed := e.Flush()
	if failed == nil || !strings.Contains(failed.Error(), "flush "+dir) {
		t.Fatalf("flush without a directory: got %v, want an error that names operation and directory", failed)
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	for call, err := range map[string]error{
		"Write": e.Write(one("b", "1")), "Flush": e.Flush(), "Checkpoint": e.Checkpoint(dir + "-checkpoint"),
	} {
		if !errors.Is(err, failed) {
			t.Errorf("%s after a failed flush: got %v, want %v", call, err, failed)
		}
	}
	if m := e.Metrics(); m.BackgroundErrors == 0 {
		t.Errorf("metrics after a failed flush: %d background errors, want some", m.BackgroundErrors)
	}
	if value, ok, err := e.Get(nil, []byte("a")); err != nil || !ok || string(value) != "1" {
		t.Errorf("get after a failed flush: %q, %t, %v", value, ok, err)
	}
}

// TestBackgroundErrorStopsWrites takes the directory away and writes on: the flush that fails is nobody's call, and still a
// later write must say so.
func TestBackgroundErrorStopsWrites(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	e := open(t, dir, shared(t, rocks.SharedOptions{}))
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("v", smallMemtable/8)
	var failed error
	for i := 0; i < 100_000 && failed == nil; i++ {
		failed = e.Write(one(fmt.Sprint(i%100), value))
	}
	if failed == nil {
		t.Fatal("writes went on after a flush in the background had failed")
	}
	if err := e.Write(one("a", "")); !errors.Is(err, failed) {
		t.Errorf("the next write: got %v, want %v", err, failed)
	}
	if err := e.Flush(); !errors.Is(err, failed) {
		t.Errorf("a flush after it: got %v, want %v", err, failed)
	}
}

// TestCorruptTable flips a byte of a data block.
func TestCorruptTable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	s := shared(t, rocks.SharedOptions{})
	e := open(t, dir, s)
	if err := errors.Join(e.Write(one("a", strings.Repeat("v", 100))), e.Flush(), e.Close()); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("table files: %q, %v", tables, err)
	}
	data, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	data[10] ^= 1
	if err := os.WriteFile(tables[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	e = open(t, dir, s)
	if _, _, err := e.Get(nil, []byte("a")); !errors.Is(err, engine.ErrCorrupt) {
		t.Errorf("get from a damaged block: got %v, want %v", err, engine.ErrCorrupt)
	}
	it, err := e.NewIterator(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	if it.First() || !errors.Is(it.Err(), engine.ErrCorrupt) {
		t.Errorf("iterate over a damaged block: got %v, want %v", it.Err(), engine.ErrCorrupt)
	}
}

func TestOpenTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	s := shared(t, rocks.SharedOptions{})
	open(t, dir, s)
	if _, err := rocks.Open(dir, s, rocks.Options{}); !errors.Is(err, engine.ErrInUse) {
		t.Errorf("open a second time: got %v, want %v", err, engine.ErrInUse)
	}
}

func TestShared(t *testing.T) {
	s := rocks.NewShared(rocks.SharedOptions{BlockCacheBytes: 1 << 20, WriteBytesPerSecond: 1 << 30})
	e := open(t, filepath.Join(t.TempDir(), "db"), s)
	if err := s.Close(); !errors.Is(err, engine.ErrInUse) {
		t.Fatalf("close what an open database uses: got %v, want %v", err, engine.ErrInUse)
	}
	if err := errors.Join(e.Write(one("a", "1")), e.Flush(), e.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("close again: got %v, want %v", err, engine.ErrClosed)
	}
	if _, err := rocks.Open(t.TempDir(), s, rocks.Options{}); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("open on what was closed: got %v, want %v", err, engine.ErrClosed)
	}
}

// TestMemtableBudget writes to several databases, each far below its own limit: the budget alone must make them flush.
// Flushes run behind the writes, so that the budget may be exceeded for a while.
func TestMemtableBudget(t *testing.T) {
	const budget = 4 << 20
	s := shared(t, rocks.SharedOptions{MemtableBytes: budget})
	dir := t.TempDir()
	var engines []*rocks.Engine
	for i := range 4 {
		e, err := rocks.Open(filepath.Join(dir, fmt.Sprint(i)), s, rocks.Options{MemtableBytes: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		engines = append(engines, e)
	}
	value := strings.Repeat("v", 1000)
	for i := range 16_000 {
		if err := engines[i%4].Write(one(fmt.Sprint(i), value)); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(time.Minute)
	for s.MemtableBytes() > 2*budget {
		if time.Now().After(deadline) {
			t.Fatalf("of 16 MB %d are in memtables after a minute; the budget is %d", s.MemtableBytes(), budget)
		}
		runtime.Gosched()
	}
}

func TestLibrary(t *testing.T) {
	if got := rocks.Library(); !strings.HasPrefix(got, "7.8.") || !strings.Contains(got, "build") {
		t.Errorf("library: got %q, want a version and the kind of build", got)
	}
}
