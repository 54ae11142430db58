package amend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/rdb"
	"github.com/zankv/zankv/conflict"
)

// asked is a client, or a connection of one that watches.
type asked interface {
	Do(ctx context.Context, args ...any) *redis.Cmd
}

// reader reads a cluster's keys.
type reader struct{ asked }

// maxPayload bounds a dumped value: an event can't be larger.
const maxPayload = 64 << 20

// register reads what a record's register has now.
func (r reader) register(ctx context.Context, rec *conflict.Record) (content, error) {
	switch {
	case rec.Register == conflict.RegisterExpiry:
		at, err := r.expiry(ctx, rec.Key)
		return content{exists: at >= 0, expireAt: max(at, 0)}, err
	case rec.Register == conflict.RegisterKey:
		return r.key(ctx, rec.Key)
	}
	switch rec.There.Type {
	case event.TypeHash:
		v, ok, err := r.bytes(ctx, "HGET", rec.Key, rec.Sub)
		return content{exists: ok, value: v}, err
	case event.TypeSet:
		n, err := r.Do(ctx, "SISMEMBER", rec.Key, rec.Sub).Int64()
		return content{exists: n == 1}, err
	case event.TypeZSet:
		f, err := r.Do(ctx, "ZSCORE", rec.Key, rec.Sub).Float64()
		if errors.Is(err, redis.Nil) {
			return content{}, nil
		}
		return content{exists: err == nil, score: f}, err
	}
	return content{}, fmt.Errorf("an element of a %s can't be looked at by itself", rec.There.Type)
}

func (r reader) bytes(ctx context.Context, args ...any) (value []byte, ok bool, err error) {
	s, err := r.Do(ctx, args...).Text()
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	return []byte(s), err == nil, err
}

// expiry is a key's, in ms since 1970: 0 for none, less than 0 if the key isn't there.
func (r reader) expiry(ctx context.Context, key []byte) (int64, error) {
	at, err := r.Do(ctx, "PEXPIRETIME", key).Int64()
	switch {
	case err != nil:
		return 0, err
	case at == -1:
		return 0, nil
	case at < 0:
		return -1, nil
	}
	return at, nil
}

// key reads a whole key.
func (r reader) key(ctx context.Context, key []byte) (content, error) {
	payload, expireAt, err := r.dump(ctx, key)
	if err != nil || payload == nil {
		return content{}, err
	}
	v, err := rdb.Decode(payload, maxPayload)
	if err != nil {
		return content{}, fmt.Errorf("what DUMP gave of key %q: %w", clip(key), err)
	}
	return content{exists: true, kind: v.Type, value: v.String, items: v.Items, expireAt: expireAt}, nil
}

// dump is a key's serialised value with its expiry; nil if it isn't there. Two commands read them: if the key is removed in between, it isn't there.
func (r reader) dump(ctx context.Context, key []byte) (payload []byte, expireAt int64, err error) {
	payload, ok, err := r.bytes(ctx, "DUMP", key)
	if err != nil || !ok {
		return nil, 0, err
	}
	if expireAt, err = r.expiry(ctx, key); err != nil || expireAt < 0 {
		return nil, 0, err
	}
	return payload, expireAt, nil
}

// lastWritten is a moment that isn't after the last write of a key, by less than a second; the zero Time if the key isn't there.
func (r reader) lastWritten(ctx context.Context, key []byte) (time.Time, error) {
	idle, err := r.Do(ctx, "OBJECT", "IDLETIME", key).Int64()
	if err != nil {
		if errors.Is(err, redis.Nil) || strings.Contains(err.Error(), "no such key") {
			err = nil
		}
		return time.Time{}, err
	}
	now, err := r.Do(ctx, "TIME").Slice()
	if err != nil || len(now) != 2 {
		return time.Time{}, fmt.Errorf("TIME gave %v: %w", now, err)
	}
	var s, us int64
	if _, err := fmt.Sscan(fmt.Sprint(now[0]), &s); err != nil {
		return time.Time{}, fmt.Errorf("TIME gave %v: %w", now, err)
	}
	if _, err := fmt.Sscan(fmt.Sprint(now[1]), &us); err != nil {
		return time.Time{}, fmt.Errorf("TIME gave %v: %w", now, err)
	}
	return time.Unix(s-idle-1, us*1e3), nil
}

func isWrongType(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE") }
