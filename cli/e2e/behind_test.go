package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/zankv/zankv/cli/internal/processes"
)

// A node that was away while the others' logs went on past what it has, and one that lost all but its name, get the state as
// a snapshot and are equal to the others.
func TestBehindTheLog(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, processes.Options{Nodes: 3, Partitions: 1, Replicas: 3, Configure: tinyLog})
	down := c.Nodes[2]
	client := plain(t, c.Nodes[0].Bound("default"))
	for i := range 10 {
		must(t, "SET", client.Set(t.Context(), fmt.Sprintf("before:%d", i), "v", 0).Err())
	}
	for name, harm := range map[string]func(){
		"away":  func() {},
		"wiped": func() { wipe(t, down.Config.DataDir) },
	} {
		down.Kill()
		harm()
		await(t, "a leader without it", func() error { return client.Set(t.Context(), "without:"+name, "v", 0).Err() })
		compact(t, c, client)
		must(t, "start", down.Start())
		must(t, "ready", c.Ready(bounded(t), down))
		await(t, name+": it has what the others have", func() error {
			if first := firstIndex(t, down); first < 20 {
				return fmt.Errorf("its log begins at %d", first)
			}
			return plain(t, down.Bound("default")).Do(t.Context(), "stale.get", "without:"+name).Err()
		})
		equalChecksums(t, c, "default-0")
	}
}

// wipe removes all but the node's name.
func wipe(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, "read", err)
	for _, e := range entries {
		if e.Name() != "myid" {
			must(t, "remove", os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
}
