package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/cluster/datanode/config"
)

// A full disk and a failing sync end the node, which says why; with the disk well again, nothing that was acknowledged is
// missing, and what wasn't is there as a whole or not at all.
func TestBadDiskStopsTheNode(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]struct {
		below  string // of the data folder
		errno  syscall.Errno
		calls  []int
		reason string
	}{
		"log full":         {"wal", unix.ENOSPC, []int{unix.SYS_FALLOCATE, unix.SYS_WRITE}, "no space left on device"},
		"store full":       {"", unix.ENOSPC, []int{unix.SYS_FALLOCATE, unix.SYS_WRITE}, "No space left on device"},
		"log's sync fails": {"wal", unix.EIO, []int{unix.SYS_FDATASYNC, unix.SYS_FSYNC}, "input/output error"},
		"every sync fails": {"", unix.EIO, []int{unix.SYS_FDATASYNC, unix.SYS_FSYNC}, "input/output error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newBadDisk(t)
			c := nodeOn(t, d)
			n := c.Nodes[0]
			client := redis.NewClient(&redis.Options{Addr: n.Bound("default"), MaxRetries: -1, ReadTimeout: patience})
			defer client.Close()
			w := writer{t: t, client: client}
			for range 50 {
				if err := w.next(); err != nil {
					t.Fatal(err)
				}
			}
			d.fail(within(filepath.Join(n.Config.DataDir, bad.below), bad.errno, bad.calls...))
			for w.next() == nil {
				if len(w.acked) > 20_000 {
					t.Fatalf("%d writes were acknowledged; failed: %v", len(w.acked), d.failed())
				}
			}
			err := ends(t.Context(), n.Wait)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("the node ends with %v, want exit code 1", err)
			}
			_, last, _ := strings.Cut(n.LogTail(), "\nzankv: ")
			if !strings.Contains(strings.ToLower(last), strings.ToLower(bad.reason)) || !strings.Contains(last, n.Config.DataDir) {
				t.Errorf("its last words don't name the file and %q: %s\nfailed: %v", bad.reason, last, d.failed())
			}
			d.fail(nil)
			must(t, "start", n.Start())
			must(t, "ready", c.Ready(bounded(t), n))
			w.check(plain(t, n.Bound("default")))
		})
	}
}

// nodeOn is a cluster of one node whose disk can be bad.
func nodeOn(t *testing.T, d *badDisk) *processes.Cluster {
	t.Helper()
	return ownCluster(t, processes.Options{Nodes: 1, Partitions: 2, Replicas: 1,
		Configure: func(_ int, c *config.Config) { c.RocksDB.WriteBufferSize = 1 << 20 },
		Wrap:      func(int) []string { return d.wrapper() },
	})
}

// writer writes keys one after the other, and knows which were acknowledged.
type writer struct {
	t      *testing.T
	client *redis.Client
	acked  []string
	tried  int
}

var bulk = strings.Repeat("0123456789abcdef", 2048)

func (w *writer) next() error {
	key := fmt.Sprintf("disk:%d", w.tried)
	w.tried++
	err := w.client.Set(w.t.Context(), key, key+bulk, 0).Err()
	if err == nil {
		w.acked = append(w.acked, key)
	}
	return err
}

func (w *writer) check(client *redis.Client) {
	w.t.Helper()
	for _, key := range w.acked {
		if got, err := client.Get(w.t.Context(), key).Result(); err != nil || got != key+bulk {
			w.t.Fatalf("GET %s: %d bytes, %v: an acknowledged write is missing", key, len(got), err)
		}
	}
	last := fmt.Sprintf("disk:%d", w.tried-1)
	if got, err := client.Get(w.t.Context(), last).Result(); !errors.Is(err, redis.Nil) && got != last+bulk {
		w.t.Errorf("GET %s: %d bytes, %v: neither written nor not", last, len(got), err)
	}
	if n, err := client.DBSize(w.t.Context()).Result(); err != nil || n != int64(len(w.acked)) && n != int64(len(w.acked)+1) {
		w.t.Errorf("DBSIZE: %d, %v; %d were acknowledged", n, err, len(w.acked))
	}
}
