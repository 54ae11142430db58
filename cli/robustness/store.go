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
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
)

// scanCount is how many keys a page of SCAN and the reads after it take.
const scanCount = 500

// ReadStore reads everything there is, as a client bound to the namespace does: SCAN, TYPE, what reads the type, PEXPIRETIME. Keys that expire
// meanwhile may be missing.
func ReadStore(ctx context.Context, addr string) (map[string]Entry, error) {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ReadTimeout: patience, WriteTimeout: patience})
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
	kinds := make([]*redis.StatusCmd, len(keys))
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			kinds[i] = p.Type(ctx, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("robustness: TYPE: %w", err)
	}
	reads := make([]reading, len(keys))
	_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			reads[i] = read(ctx, p, key, kinds[i].Val())
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("robustness: read %d keys: %w", len(keys), err)
	}
	for i, key := range keys {
		e, ok, err := reads[i].content()
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("robustness: read %s %s: %w", reads[i].kind, key, err)
		}
		if ok { // else it has expired since
			content[key] = e
		}
	}
	return nil
}

func read(ctx context.Context, p redis.Pipeliner, key, kind string) reading {
	r := reading{kind: kind, expiry: p.PExpireTime(ctx, key)}
	switch kind {
	case "hash":
		r.hash = p.HGetAll(ctx, key)
	case "list":
		r.list = p.LRange(ctx, key, 0, -1)
	case "set":
		r.list = p.SMembers(ctx, key)
	case "zset":
		r.members = p.ZRangeWithScores(ctx, key, 0, -1)
	default:
		r.text = p.Get(ctx, key)
	}
	return r
}

// near is how far from now an expiry may lie so that a key's presence says nothing.
const near = 10 * time.Second

// CompareFold compares the store's content, read at now, with what the feed's events fold to. A key whose expiry has passed is absent.
func CompareFold(folds []*event.Fold, content map[string]Entry, now time.Time) error {
	folded := map[string]Entry{}
	for p, f := range folds {
		if err := f.Err(); err != nil {
			return fmt.Errorf("robustness: the feed of partition %d contradicts itself: %w", p, err)
		}
		for _, key := range f.Keys() {
			if _, twice := folded[key]; twice {
				return fmt.Errorf("robustness: key %s is in the feed of partition %d and of another", key, p)
			}
			folded[key] = foldedEntry(f, key)
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

// Checksum asks a node for its replica's checksum of a partition at a position: the sums alone, in which replicas don't differ.
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
	var answer struct {
		Checksum json.RawMessage `json:"checksum"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("robustness: GET %s: %w", url, err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, answer.Checksum); err != nil {
		return "", fmt.Errorf("robustness: GET %s: no checksum in %s: %w", url, body, err)
	}
	return compact.String(), nil
}
