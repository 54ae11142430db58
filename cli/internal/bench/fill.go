package bench

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	fillClients  = 4 // per target
	fillPipeline = 200
)

// fill writes every key that the loads draw from, once, for however many sections ask for it.
func (r *redisRoute) fill(ctx context.Context) error {
	if r.filled {
		return nil
	}
	r.filled = true
	err := r.whileLeadersStay(func() error {
		targets, err := r.targets(ctx)
		if err != nil {
			return err
		}
		group, ctx := errgroup.WithContext(ctx)
		for _, t := range targets {
			keys := r.keys(len(targets))
			for i := range fillClients {
				first, end := keys*i/fillClients, keys*(i+1)/fillClients
				group.Go(func() error { return fillKeys(ctx, t, first, end) })
			}
		}
		return group.Wait()
	})
	if err != nil {
		return fmt.Errorf("fill %s: %w", r.name, err)
	}
	return nil
}

// keys is how many keys each of some targets has.
func (r *redisRoute) keys(targets int) int { return max(1, r.o.Keys/targets) }

// fillKeys writes a half-open range of a target's keys.
func fillKeys(ctx context.Context, t target, first, end int) error {
	c := redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(t.port)), MaxRetries: -1})
	defer func() { _ = c.Close() }()
	for first < end {
		n := min(fillPipeline, end-first)
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range n {
				p.Set(ctx, t.name(first+i), value, 0)
			}
			return nil
		})
		if err != nil {
			return err
		}
		first += n
	}
	return nil
}

// name is the key that redis-benchmark makes when it draws i.
func (t target) name(i int) string {
	return strings.Replace(t.key, "__rand_int__", fmt.Sprintf("%012d", i), 1)
}
