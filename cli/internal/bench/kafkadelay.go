package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// halfClients is how many clients keep half the load up, each at its own pace.
const halfClients = 48

// delay keeps half the rate of SET, 50 clients, up: first alone, then with a changefeed and a consumer of each of the topic's partitions. A
// value begins with the time when it was sent: what is measured is from the sending on, a little more than from the commit on.
func (k *kafkaFeed) delay(ctx context.Context) (Samples, error) {
	l := load{"SET", 50, 1}
	if _, err := k.z.direct.requests(ctx, l, k.o.Each); err != nil {
		return nil, err
	}
	rate := k.z.direct.rate[l] / 2
	without, err := k.pacedWrites(ctx, rate)
	if err != nil {
		return nil, err
	}
	watchers, err := k.watch(ctx)
	defer func() { stopAll(watchers) }()
	if err != nil {
		return nil, err
	}
	if err := k.cost.mark(ctx, watchers); err != nil {
		return nil, err
	}
	consuming, stop := context.WithCancel(ctx)
	defer stop()
	consumers, err := consume(consuming, watchers)
	if err != nil {
		return nil, err
	}
	with, err := k.pacedWrites(ctx, rate)
	if err != nil {
		return nil, err
	}
	if err := k.cost.mark(ctx, watchers); err != nil {
		return nil, err
	}
	stop()
	delays, err := consumers()
	if err != nil {
		return nil, err
	}
	if len(delays) < len(with)*9/10 {
		return nil, fmt.Errorf("consumers saw %d of %d values", len(delays), len(with))
	}
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	return Samples{"kafka.delay.without.p50us": us(quantile(without, 0.5)), "kafka.delay.with.p50us": us(quantile(with, 0.5)),
		"kafka.delay.p50.ms": us(quantile(delays, 0.5)) / 1000, "kafka.delay.p99.ms": us(quantile(delays, 0.99)) / 1000}, nil
}

// quantile is of values in any order.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}

// pacedWrites sends so many SETs a second in all for Options.Each, and returns their latencies.
func (k *kafkaFeed) pacedWrites(ctx context.Context, rate float64) (all []time.Duration, err error) {
	targets, err := k.z.direct.targets(ctx)
	if err != nil {
		return nil, err
	}
	latencies := make([][]time.Duration, halfClients)
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range latencies {
		group.Go(func() (err error) {
			pace := time.Duration(float64(time.Second) * halfClients / rate)
			latencies[i], err = pacedClient(ctx, targets[i%len(targets)], i, began.Add(pace*time.Duration(i)/halfClients), began.Add(2*k.o.Each), pace)
			return err
		})
	}
	err = group.Wait()
	return slices.Concat(latencies...), err
}

// pacedClient sends one SET after the other. One that is late is sent at once, so that the rate stays.
func pacedClient(ctx context.Context, t target, number int, next, end time.Time, pace time.Duration) (all []time.Duration, err error) {
	c := redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(t.port)), MaxRetries: -1, PoolSize: 1})
	defer func() { err = errors.Join(err, c.Close()) }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; next.Before(end); i++ {
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return all, ctx.Err()
		}
		next = next.Add(pace)
		sent := time.Now()
		key := strings.Replace(t.name(i%1000), "key:", "paced:"+strconv.Itoa(number)+":", 1)
		if err := c.Set(ctx, key, strconv.FormatInt(sent.UnixNano(), 10)+value[:109], 0).Err(); err != nil {
			return all, err
		}
		all = append(all, time.Since(sent))
	}
	return all, nil
}

// consume follows each watcher's partition from its end on. What it returns waits for the consumers, whose ctx has to have ended, and gives the
// values' ages when they came.
func consume(ctx context.Context, watchers []watcher) (wait func() ([]time.Duration, error), err error) {
	ages := make([][]time.Duration, len(watchers))
	errs := make([]error, len(watchers))
	var group sync.WaitGroup
	for i, w := range watchers {
		w := w.(*topicWatcher)
		r, err := w.end()
		if err != nil {
			return nil, err
		}
		reader := w.topic.Reader(w.partition, r.End, -1)
		group.Go(func() {
			for {
				m, err := reader.Next(ctx)
				if err != nil {
					if ctx.Err() == nil {
						errs[i] = err
					}
					return
				}
				if sent, ok := sentAt(m.Value); ok {
					ages[i] = append(ages[i], time.Since(sent))
				}
			}
		})
	}
	return func() ([]time.Duration, error) {
		group.Wait()
		return slices.Concat(ages...), errors.Join(errs...)
	}, nil
}

// sentAt finds the time in a line whose value begins with one.
func sentAt(line []byte) (time.Time, bool) {
	const field, digits = `"value":"`, 19
	i := bytes.Index(line, []byte(field))
	if i < 0 || len(line) < i+len(field)+digits || !bytes.Contains(line, []byte(`"key":"paced:`)) {
		return time.Time{}, false
	}
	ns, err := strconv.ParseInt(string(line[i+len(field):i+len(field)+digits]), 10, 64)
	return time.Unix(0, ns), err == nil
}
