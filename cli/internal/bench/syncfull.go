package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// fullValue is what a key has that is carried by a full sync: with as many keys as Options.Keys by default, 1 GiB.
const fullValue = 1024

// full runs two new clusters, fills one by pipelined SETs, and lets a syncer bring it all into the other by a full sync.
func (s *syncing) full(ctx context.Context) (_ Samples, err error) {
	from, to := newZankvLocal(s.o, "fulla", 1, 1), newZankvLocal(s.o, "fullb", 1, 1)
	for _, z := range []*zankvLocal{from, to} {
		if err := z.Start(ctx); err != nil {
			return nil, err
		}
		defer func() {
			z.Stop()
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.o.Dir, z.name)))
		}()
	}
	began := time.Now()
	marks, err := fillLarge(ctx, from, s.o.Keys)
	if err != nil {
		return nil, err
	}
	wrote := time.Since(began)
	began = time.Now()
	p, err := s.carry(ctx, from, to)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	_, last, err := awaitMarks(ctx, p, to, marks)
	if err != nil {
		return nil, err
	}
	if err := sameSize(ctx, from, to); err != nil {
		return nil, err
	}
	beyond, err := beyondBudget(p)
	mib := float64(s.o.Keys) * fullValue / (1 << 20)
	return Samples{"sync.full.write.mibs": mib / wrote.Seconds(), "sync.full.sync.mibs": mib / last.Sub(began).Seconds(), "sync.full.beyond.mib": beyond}, err
}

// fillLarge writes so many keys, over all partitions, and in the end a key in each that comes last in the order of keys.
func fillLarge(ctx context.Context, z *zankvLocal, keys int) (marks map[string]string, err error) {
	targets, err := z.direct.targets(ctx)
	if err != nil {
		return nil, err
	}
	group, filling := errgroup.WithContext(ctx)
	for p, t := range targets {
		for i := range fillClients {
			n := share(share(keys, p, len(targets)), i, fillClients)
			group.Go(func() error { return fillOne(filling, t, i, n) })
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	marks = map[string]string{}
	for _, t := range targets {
		key := strings.Replace(t.name(0), "key:", "~"+markKey, 1)
		marks[key] = "full"
		c := t.client()
		if err := closed(c, c.Set(ctx, key, "full", 0).Err()); err != nil {
			return nil, err
		}
	}
	return marks, nil
}

// fillOne writes n keys of one client's own.
func fillOne(ctx context.Context, t target, client, n int) (err error) {
	c := t.client()
	defer func() { err = closed(c, err) }()
	large := strings.Repeat(value, fullValue/len(value))
	for first := 0; first < n; first += fillPipeline {
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := first; i < min(n, first+fillPipeline); i++ {
				p.Set(ctx, strings.Replace(t.name(i), "key:", "full"+strconv.Itoa(client)+":", 1), large, 0)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sameSize wants two clusters to have as many keys. A key can be read a moment before it is counted: while the rows of its batch go into the cache. So there
// is a little time for it.
func sameSize(ctx context.Context, a, b *zankvLocal) error {
	const patience, every = 5 * time.Second, 10 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; {
		sizes, err := sizesOf(ctx, a, b)
		switch {
		case err != nil || sizes[0] == sizes[1]:
			return err
		case time.Now().After(end):
			return fmt.Errorf("after a full sync the source has %d keys, the target %d", sizes[0], sizes[1])
		}
		<-tick.C
	}
}

func sizesOf(ctx context.Context, clusters ...*zankvLocal) (sizes []int64, err error) {
	for _, z := range clusters {
		c := target{port: z.base + portNamespace}.client()
		n, err := c.DBSize(ctx).Result()
		if err := closed(c, err); err != nil {
			return nil, err
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}
