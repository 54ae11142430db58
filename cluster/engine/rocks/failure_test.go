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

// fillDisk makes dir's disk full for table files: a file that RocksDB is about to create is a link to /dev/full, which takes no
// byte. The returned function makes room.
func fillDisk(t *testing.T, dir string) (makeRoom func()) {
	t.Helper()
	var links []string
	for number := range 1000 {
		link := filepath.Join(dir, fmt.Sprintf("%06d.sst", number))
		if err := os.Symlink("/dev/full", link); err == nil {
			links = append(links, link)
		} else if !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	return func() {
		for _, link := range links {
			if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
}

// TestNoSpace fills the disk, once under a Flush and once under a flush in the background, which RocksDB by itself would
// retry while it takes more writes. Opened again with room, what was flushed before is there, and writes go on.
//
// Debian's build asserts that table files are no devices, so there the test ends early: `make rocksdb` first for all of it.
func TestNoSpace(t *testing.T) {
	if !strings.Contains(rocks.Library(), "release") {
		t.Logf("RocksDB %s takes no device for a table file", rocks.Library())
		return
	}
	value := strings.Repeat("v", smallMemtable/8)
	for name, provoke := range map[string]func(e *rocks.Engine) error{
		"Flush": (*rocks.Engine).Flush,
		"background": func(e *rocks.Engine) (failed error) {
			for i := 0; i < 10_000 && failed == nil; i++ {
				failed = e.Write(one(fmt.Sprint(i%100), value))
			}
			return failed
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "db")
			s := shared(t, rocks.SharedOptions{})
			e := open(t, dir, s)
			if err := errors.Join(e.Write(one("before", "1")), e.Flush(), e.Write(one("after", "1"))); err != nil {
				t.Fatal(err)
			}
			makeRoom := fillDisk(t, dir)
			failed := provoke(e)
			if !errors.Is(failed, engine.ErrNoSpace) {
				t.Fatalf("on a full disk: got %v, want %v", failed, engine.ErrNoSpace)
			}
			makeRoom()
			if err := e.Write(one("a", "")); !errors.Is(err, failed) {
				t.Errorf("a write after it: got %v, want %v", err, failed)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e = open(t, dir, s)
			if value, ok, err := e.Get(nil, []byte("before")); err != nil || !ok || string(value) != "1" {
				t.Errorf("what was flushed before: %q, %t, %v", value, ok, err)
			}
			if err := errors.Join(e.Write(one("a", "")), e.Flush()); err != nil {
				t.Errorf("with room again: %v", err)
			}
		})
	}
}

// TestFullDiskUnderCompaction lets the fourth flush through and fails the compaction that it sets off. RocksDB by itself would
// take more writes then, and say nothing.
func TestFullDiskUnderCompaction(t *testing.T) {
	if !strings.Contains(rocks.Library(), "release") {
		t.Logf("RocksDB %s takes no device for a table file", rocks.Library())
		return
	}
	dir := filepath.Join(t.TempDir(), "db")
	e := open(t, dir, shared(t, rocks.SharedOptions{}))
	flush := func() error {
		return errors.Join(e.Write(one("a", "1")), e.Write(one("z", "1")), e.Flush())
	}
	if err := errors.Join(flush(), flush(), flush()); err != nil {
		t.Fatal(err)
	}
	defer fillDisk(t, dir)()
	if err := os.Remove(filepath.Join(dir, nextTable(t, dir))); err != nil {
		t.Fatal(err)
	}
	if err := flush(); err != nil && !errors.Is(err, engine.ErrNoSpace) { // the compaction may fail before the flush returns
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for e.Metrics().BackgroundErrors == 0 {
		if time.Now().After(deadline) {
			t.Fatal("no compaction failed in a minute")
		}
		runtime.Gosched()
	}
	if err := e.Write(one("a", "2")); !errors.Is(err, engine.ErrNoSpace) {
		t.Errorf("a write after a failed compaction: got %v, want %v", err, engine.ErrNoSpace)
	}
}

// nextTable is the name that RocksDB will give to the next table file: numbers go up over files of every kind.
func nextTable(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	highest := 0
	for _, entry := range entries {
		name := strings.TrimPrefix(strings.TrimPrefix(entry.Name(), "MANIFEST-"), "OPTIONS-")
		var number int
		if _, err := fmt.Sscanf(name, "%06d", &number); err == nil && entry.Type().IsRegular() {
			highest = max(highest, number)
		}
	}
	return fmt.Sprintf("%06d.sst", highest+1)
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
// Flushes run behind the writes, so that the budget is exceeded for a while; any write after that asks for the next flush.
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
	write := func(key int, value string) {
		if err := engines[key%4].Write(one(fmt.Sprint(key), value)); err != nil {
			t.Fatal(err)
		}
	}
	value := strings.Repeat("v", 1000)
	for i := range 16_000 {
		write(i, value)
	}
	if s.MemtableBytes() < budget/4 {
		t.Fatalf("%d bytes of 16 MB are said to be in memtables: they aren't counted", s.MemtableBytes())
	}
	deadline := time.Now().Add(time.Minute)
	for i := 0; s.MemtableBytes() > 2*budget; i++ {
		if time.Now().After(deadline) {
			t.Fatalf("of 16 MB %d are in memtables after a minute; the budget is %d", s.MemtableBytes(), budget)
		}
		write(i%1000, "")
		runtime.Gosched()
	}
}

func TestLibrary(t *testing.T) {
	if got := rocks.Library(); !strings.HasPrefix(got, "7.8.") || !strings.Contains(got, "build") {
		t.Errorf("library: got %q, want a version and the kind of build", got)
	}
}
