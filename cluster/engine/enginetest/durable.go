package enginetest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/engine"
)

func testFlushIsDurable(t *testing.T, target Target) {
	r := Seed(t)
	e, dir := open(t, target)
	write(t, e, "+a=1", "+b=1")
	must(t, e.Flush())
	write(t, e, "-a", "+c=1")
	must(t, e.Flush())
	crashed := dir + "-crashed"
	target.Crash(t, e, dir, crashed, r)
	wantContent(t, reopened(t, target, crashed), "", "", "[b=1 c=1]")
}

// testCrash crashes after random batches. Batch n writes n to "last", to a key of its own, and removes the key of batch
// n-3: so what is left says by itself which prefix it is, and whether it is whole.
func testCrash(t *testing.T, target Target) {
	r := Seed(t)
	e, dir := open(t, target)
	padding := strings.Repeat("p", 1+target.SmallMemtables/16)
	flushed := 0
	for n := 1; n <= 300; n++ {
		write(t, e, numbered(n, padding)...)
		if r.IntN(25) == 0 {
			must(t, e.Flush())
			flushed = n
		}
		if r.IntN(30) == 0 {
			crashed := fmt.Sprintf("%s-crashed-%d", dir, n)
			target.Crash(t, e, dir, crashed, r)
			wantPrefix(t, target, crashed, padding, flushed, n)
		}
	}
}

func numbered(n int, padding string) []string {
	changes := []string{fmt.Sprintf("+last=%d", n), fmt.Sprintf("+batch%06d=%s", n, padding)}
	if n > 3 {
		changes = append(changes, fmt.Sprintf("-batch%06d", n-3))
	}
	return changes
}

// wantPrefix opens dir and checks that it holds the first n batches for a least ≤ n ≤ most.
func wantPrefix(t *testing.T, target Target, dir, padding string, least, most int) {
	t.Helper()
	e := target.Open(t, dir)
	defer func() { must(t, e.Close()) }()
	last := 0
	if value, ok, err := e.Get(nil, []byte("last")); err != nil {
		t.Fatal(err)
	} else if ok {
		last, err = strconv.Atoi(string(value))
		must(t, err)
	}
	if last < least || last > most {
		t.Fatalf("after a crash %d batches are there; %d were written, %d of them flushed", last, most, least)
	}
	var want []string
	for n := max(1, last-2); n <= last; n++ {
		want = append(want, fmt.Sprintf("batch%06d=%s", n, padding))
	}
	wantContent(t, e, "batch", "batch~", fmt.Sprint(want))
}

func testCheckpoint(t *testing.T, target Target) {
	r := Seed(t)
	e, dir := open(t, target)
	m := model{}
	var b engine.Batch
	for i := range 3 {
		for range 50 {
			b.Reset()
			m.change(r, &b, target.SmallMemtables/64)
			must(t, e.Write(&b))
		}
		copied := fmt.Sprintf("%s-checkpoint-%d", dir, i)
		must(t, e.Checkpoint(copied))
		want := m.text("", "")
		write(t, e, "+a=after", "!b..d")
		moved := copied + "-moved"
		must(t, os.Rename(copied, moved))
		alone := target.Open(t, moved)
		wantContent(t, alone, "", "", want)
		write(t, alone, "+own=1") // it takes writes of its own, which the engine doesn't see
		must(t, alone.Flush())
		wantAbsent(t, e, "own")
		must(t, alone.Close())
		m["a"] = "after"
		for _, gone := range m.between("b", "d") {
			delete(m, gone)
		}
		wantContent(t, e, "", "", m.text("", ""))
	}
}

func testCheckpointRefused(t *testing.T, target Target) {
	e, dir := open(t, target)
	write(t, e, "+a=1")
	there := dir + "-there"
	must(t, os.Mkdir(there, 0o755))
	if err := e.Checkpoint(there); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("checkpoint to a directory that exists: got %v, want %v", err, fs.ErrExist)
	}
	missing := filepath.Join(dir+"-missing", "checkpoint")
	if err := e.Checkpoint(missing); err == nil {
		t.Fatal("checkpoint below a directory that doesn't exist: got no error")
	}
	write(t, e, "+b=1") // and the engine goes on
	must(t, e.Checkpoint(dir+"-new"))
	wantContent(t, reopened(t, target, dir+"-new"), "", "", "[a=1 b=1]")
}

func testCloseRefused(t *testing.T, target Target) {
	e, _ := open(t, target)
	write(t, e, "+a=1")
	it, err := e.NewIterator(nil, nil)
	must(t, err)
	snapshot := e.NewSnapshot()
	under, err := snapshot.NewIterator(nil, nil)
	must(t, err)
	views := []interface{ Close() }{it, snapshot, under}
	for _, view := range views {
		if err := e.Close(); !errors.Is(err, engine.ErrInUse) {
			t.Fatalf("close with open views: got %v, want %v", err, engine.ErrInUse)
		}
		if !under.First() || string(under.Key()) != "a" {
			t.Fatal("a refused close ended an iterator")
		}
		wantValue(t, e, "a", "1")
		view.Close()
		view.Close() // once more does nothing
	}
}

func testClosed(t *testing.T, target Target) {
	dir := t.TempDir() + "/db"
	e := target.Open(t, dir)
	write(t, e, "+a=1")
	must(t, e.Flush())
	must(t, e.Close())
	var b engine.Batch
	b.Put([]byte("b"), nil)
	_, _, getErr := e.Get(nil, []byte("a"))
	_, iteratorErr := e.NewIterator(nil, nil)
	snapshot := e.NewSnapshot()
	_, _, snapshotErr := snapshot.Get(nil, []byte("a"))
	_, underErr := snapshot.NewIterator(nil, nil)
	snapshot.Close()
	for call, err := range map[string]error{
		"Get": getErr, "NewIterator": iteratorErr, "Snapshot.Get": snapshotErr, "Snapshot.NewIterator": underErr,
		"Write": e.Write(&b), "Flush": e.Flush(), "Checkpoint": e.Checkpoint(dir + "-checkpoint"), "Close": e.Close(),
	} {
		if !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%s after Close: got %v, want %v", call, err, engine.ErrClosed)
		}
	}
	if m := e.Metrics(); m.WriteStopped {
		t.Errorf("metrics after Close: %+v", m)
	}
	wantContent(t, reopened(t, target, dir), "", "", "[a=1]")
}
