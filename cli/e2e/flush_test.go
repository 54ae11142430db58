package e2e

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// FLUSHDB while others write: it ends, so do the writes, nothing from before it is left, and replicas stay equal.
func TestFlushUnderLoad(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	namespace(t, c, nsFlush, "--partitions", "2", "--replicas", "3")
	ctx := bounded(t)
	var writers sync.WaitGroup
	var written atomic.Int64
	running, stop := context.WithCancel(ctx)
	defer stop()
	problems := make(chan error, 8)
	for w := range 4 {
		client := plain(t, c.Nodes[w%3].Bound(nsFlush))
		writers.Go(func() {
			for i := 0; running.Err() == nil; i++ {
				if err := client.Set(ctx, fmt.Sprintf("flush:%d:%d", w, i%500), i, 0).Err(); err != nil {
					problems <- err
					return
				}
				written.Add(1)
			}
		})
	}
	for round := range 10 {
		n := written.Load()
		await(t, "writers go on", func() error {
			if written.Load() < n+50 {
				return fmt.Errorf("%d writes since the last FLUSHDB", written.Load()-n)
			}
			return nil
		})
		client := plain(t, c.Nodes[round%3].Bound(nsFlush))
		mark := "mark:" + strconv.Itoa(round)
		must(t, "SET", client.Set(ctx, mark, "v", 0).Err())
		must(t, "FLUSHDB", client.FlushDB(ctx).Err())
		if n, err := client.Exists(ctx, mark).Result(); err != nil || n != 0 {
			t.Errorf("EXISTS after FLUSHDB of a key written before it: %d, %v", n, err)
		}
	}
	stop()
	writers.Wait()
	close(problems)
	for err := range problems {
		t.Errorf("a writer: %v", err)
	}
	for p := range 2 {
		equalChecksums(t, c, fmt.Sprintf("%s-%d", nsFlush, p))
	}
	client := plain(t, c.Nodes[0].Bound(nsFlush))
	must(t, "FLUSHDB", client.FlushDB(ctx).Err())
	for _, n := range c.Nodes {
		if got, err := plain(t, n.Bound(nsFlush)).DBSize(ctx).Result(); err != nil || got != 0 {
			t.Errorf("DBSIZE after the last FLUSHDB: %d, %v", got, err)
		}
	}
}
