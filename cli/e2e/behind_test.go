package e2e

import (
	"fmt"
	"testing"

	"github.com/zankv/zankv/cli/internal/processes"
)

// A node that was away while the others' logs went on past what it has gets the state as a snapshot and is equal to the others.
func TestBehindTheLog(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, processes.Options{Nodes: 3, Partitions: 1, Replicas: 3, Configure: tinyLog})
	down := c.Nodes[2]
	client := plain(t, c.Nodes[0].Bound("default"))
	for i := range 10 {
		must(t, "SET", client.Set(t.Context(), fmt.Sprintf("before:%d", i), "v", 0).Err())
	}
	down.Kill()
	await(t, "a leader without it", func() error { return client.Set(t.Context(), "without", "v", 0).Err() })
	compact(t, c, client)
	must(t, "start", down.Start())
	await(t, "it has what the others have", func() error {
		if err := c.Ready(t.Context(), down); err != nil {
			return err
		}
		if first := firstIndex(t, down); first < 20 {
			return fmt.Errorf("its log begins at %d", first)
		}
		return plain(t, down.Bound("default")).Do(t.Context(), "stale.get", "without").Err()
	})
	equalChecksums(t, c, "default-0")
}
