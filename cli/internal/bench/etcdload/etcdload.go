// Package etcdload is etcd as a thing to compare with: one member as a process, and a load of puts and linearizable gets.
package etcdload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

// Version is which etcd this is.
var Version = "etcd " + version.Version

// Ready is the line that Serve writes once the member serves.
const Ready = "etcd member ready"

// Serve is one member until ctx ends. It syncs as etcd does by default. When it serves, it writes Ready to w.
func Serve(ctx context.Context, w io.Writer, name, dir, clientURL, initialCluster string) error {
	var peer string
	for _, m := range strings.Split(initialCluster, ",") {
		if n, u, ok := strings.Cut(m, "="); ok && n == name {
			peer = u
		}
	}
	client, err := url.Parse(clientURL)
	if err != nil {
		return err
	}
	peerURL, err := url.Parse(peer)
	if err != nil || peer == "" {
		return fmt.Errorf("etcd member %s isn't in the cluster %q: %v", name, initialCluster, err)
	}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir, cfg.InitialCluster, cfg.LogLevel = name, dir, initialCluster, "error"
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peerURL}, []url.URL{*peerURL}
	cfg.QuotaBackendBytes = 8 << 30
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	defer e.Close()
	ready := e.Server.ReadyNotify()
	for {
		select {
		case <-ready:
			ready = nil
			if _, err := fmt.Fprintln(w, Ready); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		case err := <-e.Err():
			return err
		}
	}
}

// Op is what the load does.
type Op int

// Put writes a random key; Get reads one, linearizably.
const (
	Put Op = 1
	Get Op = 2
)

// connections is how many TCP connections the clients share.
const connections = 10

// Load is a number of clients of one cluster.
type Load struct {
	clients []*clientv3.Client
	keys    int
	value   string
}

// Open connects to the leader, the shortest way there is, waits until the cluster serves, and writes value under as many keys.
func Open(ctx context.Context, endpoints []string, keys int, value string) (*Load, error) {
	l := &Load{keys: keys, value: value}
	leader, err := leaderOf(ctx, endpoints)
	if err != nil {
		return nil, err
	}
	for range connections {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{leader}, DialTimeout: 10 * time.Second})
		if err != nil {
			l.Close()
			return nil, err
		}
		l.clients = append(l.clients, c)
	}
	if err := l.fill(ctx); err != nil {
		l.Close()
		return nil, fmt.Errorf("fill etcd: %w", err)
	}
	return l, nil
}

// leaderOf waits for a leader that all members agree on and returns its endpoint.
func leaderOf(ctx context.Context, endpoints []string) (string, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 10 * time.Second})
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		agree, leader, last := 0, "", error(nil)
		for _, ep := range endpoints {
			attempt, cancel := context.WithTimeout(ctx, time.Second)
			st, err := c.Status(attempt, ep)
			cancel()
			switch {
			case err != nil:
				last = err
			case st.Leader != 0:
				agree++
				if st.Leader == st.Header.MemberId {
					leader = ep
				}
			}
		}
		if agree == len(endpoints) && leader != "" {
			return leader, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("etcd has no leader: %w", errors.Join(ctx.Err(), last))
		case <-ticker.C:
		}
	}
}

// Close ends the connections.
func (l *Load) Close() {
	for _, c := range l.clients {
		_ = c.Close()
	}
}

func key(i int) string { return fmt.Sprintf("key:%012d", i) }

// fill writes every key once.
func (l *Load) fill(ctx context.Context) error {
	var next atomic.Int64
	_, err := l.each(ctx, 200, func(ctx context.Context, c *clientv3.Client) (bool, error) {
		i := int(next.Add(1)) - 1
		if i >= l.keys {
			return false, nil
		}
		_, err := c.Put(ctx, key(i), l.value)
		return true, err
	})
	return err
}

// Run keeps clients busy for a time and returns operations a second.
func (l *Load) Run(ctx context.Context, op Op, clients int, during time.Duration) (perSecond float64, err error) {
	start := time.Now()
	n, err := l.each(ctx, clients, func(ctx context.Context, c *clientv3.Client) (bool, error) {
		if time.Since(start) >= during {
			return false, nil
		}
		k := key(rand.IntN(l.keys))
		if op == Put {
			_, err := c.Put(ctx, k, l.value)
			return true, err
		}
		r, err := c.Get(ctx, k)
		if err == nil && len(r.Kvs) != 1 {
			err = fmt.Errorf("get %s: %d values, want 1", k, len(r.Kvs))
		}
		return true, err
	})
	return float64(n) / time.Since(start).Seconds(), err
}

// each lets clients do do again and again until it returns false, and returns how often it returned true.
func (l *Load) each(ctx context.Context, clients int, do func(context.Context, *clientv3.Client) (bool, error)) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var n atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for {
				more, err := do(ctx, l.clients[i%len(l.clients)])
				if err != nil {
					cancel(err)
				}
				if !more || err != nil {
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return n.Load(), context.Cause(ctx)
}
