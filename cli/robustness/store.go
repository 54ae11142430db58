package robustness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
)

// Entry is a string key's content.
type Entry struct {
	Value    string
	ExpireAt int64 // ms since 1970, 0 for none
}

// scanCount is how many keys a page of SCAN and the reads after it take.
const scanCount = 500

// ReadStore reads everything there is, as a client bound to the namespace does: SCAN, GET, PEXPIRETIME. Keys that expire
// meanwhile may be missing.
func ReadStore(ctx context.Context, addr string) (map[string]Entry, error) {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer c.Close()
	content := map[string]Entry{}
	for cursor := uint64(0); ; {
		keys, next, err := c.Scan(ctx, cursor, "", scanCount).Result()
		if err != nil {
			return nil, fmt.Errorf("robustness: SCAN %d: %w", cursor, err)
		}
		if err := readKeys(ctx, c, keys, content); err != nil {
			return nil, err
		}
		if cursor = next; cursor == 0 {
			return content, nil
		}
	}
}

func readKeys(ctx context.Context, c *redis.Client, keys []string, content map[string]Entry) error {
	values, expiries := make([]*redis.StringCmd, len(keys)), make([]*redis.DurationCmd, len(keys))
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			values[i], expiries[i] = p.Get(ctx, key), p.PExpireTime(ctx, key)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("robustness: GET, PEXPIRETIME: %w", err)
	}
	for i, key := range keys {
		value, err := values[i].Result()
		if errors.Is(err, redis.Nil) {
			continue // expired since
		}
		if err != nil {
			return fmt.Errorf("robustness: GET %s: %w", key, err)
		}
		e := Entry{Value: value}
		if at := expiries[i].Val(); at > 0 {
			e.ExpireAt = at.Milliseconds()
		}
		content[key] = e
	}
	return nil
}

// near is how far from now an expiry may lie so that a key's presence says nothing.
const near = 10 * time.Second

// CompareFold compares the store's content, read at now, with what the feed's events fold to. A key whose expiry has passed is absent.
func CompareFold(folds []*event.Fold, content map[string]Entry, now time.Time) error {
	folded := map[string]Entry{}
	for p, f := range folds {
		for _, key := range f.Keys() {
			m, _ := f.Get([]byte(key))
			if _, twice := folded[key]; twice {
				return fmt.Errorf("robustness: key %s is in the feed of partition %d and of another", key, p)
			}
			folded[key] = Entry{Value: string(m.Value), ExpireAt: m.ExpireAt}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(folded)) {
		want := folded[key]
		got, ok := content[key]
		if !ok && want.ExpireAt != 0 && want.ExpireAt <= now.Add(near).UnixMilli() {
			continue
		}
		if !ok || got != want {
			return fmt.Errorf("robustness: key %s: the feed gives %+v, the store has %+v (there: %v)", key, want, got, ok)
		}
	}
	for key, got := range content {
		if _, ok := folded[key]; !ok && (got.ExpireAt == 0 || got.ExpireAt > now.Add(near).UnixMilli()) {
			return fmt.Errorf("robustness: key %s: the store has %+v, the feed has nothing", key, got)
		}
	}
	return nil
}

// errPast: the replica has gone beyond the position asked for.
var errPast = errors.New("robustness: the position has passed")

// Checksum asks a node for its replica's checksum of a partition at a position.
func Checksum(ctx context.Context, node, partition string, at event.Position) (string, error) {
	url := fmt.Sprintf("http://%s/cluster/checksum/%s?at=%s", node, partition, at)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("robustness: %w", err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("robustness: GET %s: %w", url, err)
	}
	switch r.StatusCode {
	case http.StatusOK:
	case http.StatusConflict:
		return "", fmt.Errorf("GET %s: %w: %s", url, errPast, body)
	default:
		return "", fmt.Errorf("robustness: GET %s: %s: %s", url, r.Status, body)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil {
		return "", fmt.Errorf("robustness: GET %s: %w", url, err)
	}
	if !strings.Contains(compact.String(), "checksum") {
		return "", fmt.Errorf("robustness: GET %s: no checksum in %s", url, body)
	}
	return compact.String(), nil
}
