package robustness

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/cluster/datanode/config"
)

const (
	// feedBudget is what the writers of a node may hold, aboveBudget what its owner may need beside that.
	feedBudget, aboveBudget = 8 << 20, 64 << 20
	// bulkWrites times bulkValue is what is written while the broker takes next to nothing: several times as much.
	bulkWrites, bulkValue, bulkKeys = 2500, 64 << 10, 100
	bulkAtOnce                      = 40
)

// However slow the broker, the memory of who writes to it stays within its budget; what a node needs anyway for as much that is written is measured
// first. The race detector would take memory of its own: it isn't built in. Meanwhile the log keeps the feed's place, and in the end the topic has everything once.
func TestSlowBrokerBoundsMemory(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), inAll)
	defer cancel()
	f := startFeed(t, ctx, artifacts(t), false, processes.Options{Nodes: 1, Partitions: 1, Replicas: 1, Configure: func(_ int, c *config.Config) {
		c.ChangefeedMemoryBytes = feedBudget
		c.WALConsumerBytes = 4 * bulkWrites * bulkValue
	}})
	var quick int64
	for range 2 { // the store's own caches fill at first
		quick, _ = f.memoryOfBulk(t, ctx, 0)
		if _, err := f.ComesOn(ctx, f.Cluster.Nodes[0]); err != nil {
			t.Fatal(err)
		}
	}
	f.Broker.Proxy.Limit(slowRate)
	slow, figures := f.memoryOfBulk(t, ctx, bulkWrites*bulkValue/2)
	f.Broker.Proxy.Limit(0)
	t.Logf("%d MiB with a quick broker, %d MiB with a slow one; behind by %d MiB, %d KiB buffered", quick>>20, slow>>20, figures.LagBytes>>20, figures.Buffered>>10)
	if most := quick + feedBudget + aboveBudget; slow > most {
		t.Errorf("a node takes %d MiB with a slow broker, want at most %d MiB", slow>>20, most>>20)
	}
	if figures.Buffered > feedBudget {
		t.Errorf("%d bytes are buffered, want at most %d", figures.Buffered, feedBudget)
	}
	f.checkTopic(t, ctx)
}

// memoryOfBulk writes much more than the budget, waits until the feed knows that it is so many bytes behind, and gives the most memory that the node
// took meanwhile.
func (f *FeedFaults) memoryOfBulk(t *testing.T, ctx context.Context, behind uint64) (int64, changefeed.Figures) {
	t.Helper()
	w := WatchMemory(f.Cluster.Nodes)
	began := time.Now()
	err := f.bulk(ctx)
	t.Logf("%d MiB written in %v", bulkWrites*bulkValue>>20, time.Since(began).Round(time.Millisecond))
	var figures changefeed.Figures
	if err == nil {
		figures, err = f.behind(ctx, behind)
	}
	most, watched := w.Stop()
	if err != nil || watched != nil {
		t.Fatal(err, watched)
	}
	return most[0], figures
}

// behind returns when the feed says that it is so far behind.
func (f *FeedFaults) behind(ctx context.Context, bytes uint64) (figures changefeed.Figures, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return figures, Until(ctx, func(ctx context.Context) error {
		feed, err := f.operator(nil).Query(ctx, feedID)
		if err != nil {
			return err
		}
		if figures = feed.Partitions[0].Figures; figures.LagBytes < bytes {
			return fmt.Errorf("robustness: it is %d bytes behind, want %d", figures.LagBytes, bytes)
		}
		return nil
	})
}

// bulk writes what compresses badly.
func (f *FeedFaults) bulk(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := redis.NewClient(&redis.Options{Addr: f.Cluster.Nodes[0].Bound(f.Cluster.Namespace), MaxRetries: -1, ReadTimeout: patience})
	defer c.Close()
	noise, raw := rand.NewChaCha8([32]byte{}), make([]byte, bulkValue/2)
	for from := 0; from < bulkWrites; from += bulkAtOnce {
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range bulkAtOnce {
				_, _ = noise.Read(raw) // never fails
				p.Set(ctx, fmt.Sprintf("bulk:%d", (from+i)%bulkKeys), hex.EncodeToString(raw), 0)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("robustness: SET of %d bytes: %w", bulkValue, err)
		}
	}
	return nil
}
