package robustness

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Markers are keys, one in each partition, with a value that nobody wrote before: who has come by them has everything before.
type Markers struct {
	Keys  []string // by partition
	Value string
}

// marks makes values differ.
var marks atomic.Int64

// slots is how many Redis Cluster's hash has.
const slots = 16384

// MarkerKeys finds a marker key for each of a namespace's partitions, by a client that is bound to it.
func MarkerKeys(ctx context.Context, bound *redis.Client, partitions int) ([]string, error) {
	keys := make([]string, partitions)
	for i, left := 0, partitions; left > 0; i++ {
		if i == 1000*partitions {
			return nil, fmt.Errorf("robustness: %d keys lie in %d of %d partitions", i, partitions-left, partitions)
		}
		key := markerPrefix + strconv.Itoa(i)
		slot, err := bound.ClusterKeySlot(ctx, key).Result()
		if err != nil {
			return nil, fmt.Errorf("robustness: CLUSTER KEYSLOT %s: %w", key, err)
		}
		if p := int(slot) * partitions / slots; keys[p] == "" {
			keys[p] = key
			left--
		}
	}
	return keys, nil
}

// Mark writes the markers. It is for a cluster that answers: an error isn't tried again.
func Mark(ctx context.Context, bound *redis.Client, keys []string) (Markers, error) {
	m := Markers{Keys: keys, Value: strconv.FormatInt(marks.Add(1), 10)}
	for _, key := range keys {
		if err := bound.Set(ctx, key, m.Value, 0).Err(); err != nil {
			return m, fmt.Errorf("robustness: SET %s: %w", key, err)
		}
	}
	return m, nil
}
