package bench

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// pacedClients keep half the load up, pacedPipeline commands at a time, each at its own pace.
	pacedClients  = 50
	pacedPipeline = 16
	// probeEvery is how often one key in each partition is written and looked for, and lookEvery how often it is looked for.
	probeEvery = 10 * time.Millisecond
	lookEvery  = 500 * time.Microsecond
)

// delay keeps half of the most that the source takes up, and measures from the acknowledgement of a write in the source to the moment when the target
// shows it.
func (s *syncing) delay(ctx context.Context) (Samples, error) {
	if _, err := s.from.direct.requests(ctx, maxRate, s.o.Each); err != nil {
		return nil, err
	}
	rate := s.from.direct.rate[maxRate] / 2
	targets, err := s.from.direct.targets(ctx)
	if err != nil {
		return nil, err
	}
	var written atomic.Int64
	began := time.Now()
	end := began.Add(2 * s.o.Each)
	group, ctx := errgroup.WithContext(ctx)
	for i := range pacedClients {
		group.Go(func() error {
			pace := time.Duration(float64(time.Second) * pacedClients * pacedPipeline / rate)
			n, err := pacedPipelines(ctx, targets[i%len(targets)], i, began.Add(pace*time.Duration(i)/pacedClients), end, pace)
			written.Add(int64(n))
			return err
		})
	}
	delays := make([][]time.Duration, len(targets))
	for i, t := range targets {
		group.Go(func() (err error) {
			delays[i], err = s.probe(ctx, t, end)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(delays...)
	ms := func(q float64) float64 { return float64(quantile(all, q)) / float64(time.Millisecond) }
	return Samples{"sync.delay.p50.ms": ms(0.5), "sync.delay.p99.ms": ms(0.99), "sync.delay.load.rps": float64(written.Load()) / time.Since(began).Seconds()}, nil
}

// pacedPipelines sends one pipeline after the other. One that is late is sent at once, so that the rate stays.
func pacedPipelines(ctx context.Context, t target, number int, next, end time.Time, pace time.Duration) (written int, err error) {
	c := redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(t.port)), MaxRetries: -1, PoolSize: 1})
	defer func() { err = closed(c, err) }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; next.Before(end) && time.Now().Before(end); i++ {
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return written, ctx.Err()
		}
		next = next.Add(pace)
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for j := range pacedPipeline {
				p.Set(ctx, t.name((number*pacedPipeline*1000+i*pacedPipeline+j)%100_000), value, 0)
			}
			return nil
		})
		if err != nil {
			return written, err
		}
		written += pacedPipeline
	}
	return written, nil
}

// probe writes one key of a partition again and again, and looks for it in the target.
func (s *syncing) probe(ctx context.Context, t target, end time.Time) (delays []time.Duration, err error) {
	from, to := t.client(), target{port: s.to.base + portNamespace}.client()
	defer func() { err = closed(to, closed(from, err)) }()
	key := strings.Replace(t.name(0), "key:", "probe:", 1)
	next := time.NewTicker(probeEvery)
	defer next.Stop()
	for i := 0; time.Now().Before(end); i++ {
		value := strconv.FormatInt(time.Now().UnixNano(), 10)
		if err := from.Set(ctx, key, value, 0).Err(); err != nil {
			return nil, fmt.Errorf("probe: %w", err)
		}
		acknowledged := time.Now()
		if err := look(ctx, to, key, value); err != nil {
			return nil, fmt.Errorf("a probe's key doesn't come: %w; the syncer's last words:\n%s", err, s.p.lastWords())
		}
		delays = append(delays, time.Since(acknowledged))
		select {
		case <-next.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return delays, nil
}

// look returns when a key has a value.
func look(ctx context.Context, c *redis.Client, key, value string) error {
	ctx, cancel := context.WithTimeout(ctx, watchWait)
	defer cancel()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		got, err := c.Get(ctx, key).Result()
		if err != nil && err != redis.Nil || got == value {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
