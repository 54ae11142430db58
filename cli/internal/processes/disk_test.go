package processes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// smallDisk is a disk of a size for a test.
func smallDisk(t *testing.T, dir string, size int64) *Disk {
	t.Helper()
	d, err := NewDisk(dir, size)
	mustDo(t, "make a disk", err)
	t.Cleanup(func() { mustDo(t, "close the disk", d.Close()) })
	return d
}

// A broker with a full disk refuses what it can't store, and ends. What it acknowledged is there when there is space again.
func TestKafkaFullDisk(t *testing.T) {
	dir := t.TempDir()
	disk := smallDisk(t, filepath.Join(dir, "disk"), 64<<20)
	k := broker(t, KafkaOptions{Disk: disk})
	c := client(t, k, nil)
	mustDo(t, "make a topic", makeTopic(t.Context(), c, "t"))
	mustDo(t, "put", put(t.Context(), c, "t", "before"))

	mustDo(t, "fill", disk.Fill())
	large := strings.Repeat("x", 100_000)
	if err := put(t.Context(), c, "t", large); !errors.Is(err, kafka.KafkaStorageError) {
		t.Fatalf("on a full disk: %v, want a storage error", err)
	}
	ends, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := k.Wait(ends); err == nil || ends.Err() != nil {
		t.Fatalf("the broker's end: %v, want an error code", err)
	}
	if err := k.Start(ends); err == nil || ends.Err() != nil {
		t.Fatalf("a start on the full disk: %v, want a refusal", err)
	}

	mustDo(t, "free", disk.Free())
	mustDo(t, "start with space", k.Start(t.Context()))
	c = client(t, k, nil)
	mustDo(t, "put", put(t.Context(), c, "t", "after"))
	got, err := all(t.Context(), c, "t")
	mustDo(t, "read", err)
	if want := []string{"before", "after"}; !slices.Equal(got, want) {
		t.Fatalf("got %.40q, want %q", got, want)
	}
}

// A disk is seen by those on it alone, keeps its files from one life to the next, and is full when it is filled.
func TestDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "disk")
	d := smallDisk(t, dir, 1<<20)
	life := func(script string) error {
		p := New("life", filepath.Join(t.TempDir(), "log"), "sh", "-ec", script, "sh", dir)
		p.Wrapper = d.wrapper()
		mustDo(t, "start", p.Start())
		err := p.Wait(t.Context())
		t.Logf("%s: %v, %s", script, err, p.LogTail())
		return err
	}
	mustDo(t, "write", life(`echo hello > "$1/a"`))
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("this process sees the file: %v", err)
	}
	if b, err := os.ReadFile(d.Path(filepath.Join(dir, "a"))); string(b) != "hello\n" {
		t.Errorf("from outside: %q, %v", b, err)
	}
	mustDo(t, "fill", d.Fill())
	if life(`echo hello > "$1/b"`) == nil {
		t.Error("a full disk takes more")
	}
	mustDo(t, "free", d.Free())
	mustDo(t, "write", life(`grep -q hello "$1/a"; echo hello > "$1/b"`))
}
