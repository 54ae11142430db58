package mem_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/engine/enginetest"
	"github.com/zankv/zankv/cluster/engine/mem"
)

func open(t testing.TB, dir string) engine.Engine {
	t.Helper()
	e, err := mem.Open(dir, mem.Options{CrashPoints: true})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func crash(t testing.TB, e engine.Engine, _, to string, r *rand.Rand) {
	t.Helper()
	if err := e.(*mem.Engine).Crash(to, r.IntN); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	enginetest.Run(t, enginetest.Target{Open: open, Crash: crash})
}

// TestDamage cuts the state file at every length and flips every byte: each time it must be refused, not read.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	var b engine.Batch
	b.Put([]byte("key"), []byte("value"))
	b.Put([]byte("other"), []byte("one"))
	if err := errors.Join(e.Write(&b), e.Flush(), e.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "state")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, at int, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if e, err := mem.Open(dir, mem.Options{}); err == nil {
			_ = e.Close()
			t.Errorf("%s at %d of %d: opened", what, at, len(whole))
		} else if at >= 8 && !errors.Is(err, engine.ErrCorrupt) {
			t.Errorf("%s at %d of %d: got %v, want %v", what, at, len(whole), err, engine.ErrCorrupt)
		}
	}
	for at := range whole {
		refused("cut", at, whole[:at])
		flipped := append([]byte(nil), whole...)
		flipped[at] ^= 0x40
		refused("flip", at, flipped)
	}
}

// TestNoDisk runs without a directory: a crash then leaves the last flush.
func TestNoDisk(t *testing.T) {
	e, err := mem.Open("", mem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b engine.Batch
	b.Put([]byte("a"), nil)
	if err := errors.Join(e.Write(&b), e.Flush()); err != nil {
		t.Fatal(err)
	}
	b.Put([]byte("b"), nil)
	to := filepath.Join(t.TempDir(), "crashed")
	if err := errors.Join(e.Write(&b), e.Crash(to, nil)); err != nil {
		t.Fatal(err)
	}
	left := open(t, to)
	if m := left.Metrics(); m.EstimatedKeys != 1 {
		t.Fatalf("after a crash %d keys are left, want the 1 that was flushed", m.EstimatedKeys)
	}
}

// TestFailedFlushIsFinal makes the directory vanish: after the failed flush no write may claim success.
func TestFailedFlushIsFinal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	e := open(t, dir)
	var b engine.Batch
	b.Put([]byte("a"), nil)
	if err := errors.Join(e.Write(&b), os.RemoveAll(dir)); err != nil {
		t.Fatal(err)
	}
	failed := e.Flush()
	if failed == nil {
		t.Fatal("flush into a directory that is gone: got no error")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := e.Write(&b); !errors.Is(err, failed) {
		t.Errorf("write after a failed flush: got %v, want %v", err, failed)
	}
	if err := e.Flush(); !errors.Is(err, failed) {
		t.Errorf("flush after a failed flush: got %v, want %v", err, failed)
	}
}
