// Package etcdmeta is the meta.Store in etcd (v3).
//
// A cluster's keys, under /ZanRedisDBMetaData/<cluster id>/, with JSON values:
//
//	ClusterMeta                          {UID, MaxGID, MaxRegID}: the highest ids given out
//	Namespaces/<ns>/NamespaceMeta        meta.Namespace
//	Namespaces/<ns>/<number>/ReplicaInfo meta.Placement
//	Namespaces/<ns>/<number>/RealLeader  meta.Leader
//	DataNodes/Node-<id>                  meta.Node and the registering process's Instance; under a lease
//	NodeAddresses/Node-<id>              meta.Node; stays when the lease has ended
//	Claims/<ns>                          MinGID of a creation that is under way
//	Changefeeds/<id>/Spec                changefeed.Spec
//	Changefeeds/<id>/<number>/Progress   changefeed.Progress of a partition
//	Changefeeds/<id>/<number>/Owner      changefeed.Owner: a claim; under the lease of its process
//	ChangefeedEpochs/<id>/<number>       the epoch of the last claim, a decimal; stays when the changefeed is removed
//
// Invariants:
//
//  1. A namespace exists when its NamespaceMeta does. That key is written last, and only while the creation's claim is
//     the one it made: placements that a crash left behind are never shown, and are removed by the next creation.
//  2. Every change is a transaction that compares what it was decided on. (etcd allows 128 operations in one, a namespace
//     has up to 1023 partitions; hence the claim instead of one transaction.)
//  3. What is shown came from one listing and every event after its revision. After a compaction it is listed again.
//  4. When etcd's revision goes back, or ClusterMeta changes its UID, etcd was wiped or restored: the last view is kept and an error is
//     logged until etcd is itself again or the process restarts. An empty etcd must not make nodes drop their partitions.
//  5. A value that can't be read changes nothing and is logged.
//  6. Changefeeds are followed apart from the rest, and only once somebody asked for them: progress, which is saved all the time, wakes
//     nobody who watches the cluster. (Their keys sort before all others, so that one range watch leaves them out.)
//  7. A claim stands as long as its Owner key has the revision at which the claim wrote it; whatever a claim writes compares that.
//
// Concurrency: one goroutine follows etcd, one more for each session, two for changefeeds; Close waits for all of them.
//
// Crash safety: nothing is kept on disk here. A request whose answer was lost may have happened; it returns
// meta.ErrUnavailable.
package etcdmeta

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/zankv/zankv/cluster/meta"
)

// Options say which etcd and which cluster. Zero values take the defaults given.
type Options struct {
	// Endpoints are etcd's client addresses: host:port or http://host:port.
	Endpoints []string
	ClusterID string
	// LeaseTTL is how long a node counts as live after its last sign of life: 15 s, in whole seconds.
	LeaseTTL time.Duration
	// ClaimTTL is how long a process keeps the partitions of changefeeds that it claimed after its last sign of life: 5 s, in whole seconds.
	ClaimTTL time.Duration
	// RequestTimeout bounds each request to etcd: 5 s.
	RequestTimeout time.Duration
	// CheckInterval is how often it is checked that etcd is still the same: 30 s.
	CheckInterval time.Duration
	// Logger: slog.Default.
	Logger *slog.Logger
}

func (o *Options) complete() error {
	if len(o.Endpoints) == 0 {
		return errors.New("etcdmeta: no endpoints: give etcd's client addresses")
	}
	if err := meta.ValidateClusterID(o.ClusterID); err != nil {
		return err
	}
	setDefault(&o.LeaseTTL, 15*time.Second)
	setDefault(&o.ClaimTTL, 5*time.Second)
	setDefault(&o.RequestTimeout, 5*time.Second)
	setDefault(&o.CheckInterval, 30*time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

func setDefault(d *time.Duration, to time.Duration) {
	if *d <= 0 {
		*d = to
	}
}

// Store is one connection to a cluster's metadata.
type Store struct {
	*meta.Publisher
	opts   Options
	keys   layout
	client *clientv3.Client
	log    *slog.Logger

	ctx    context.Context // done when the store is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup

	feedsOnce sync.Once
	feeds     *Changefeeds
}

var _ meta.Store = (*Store)(nil)

// Open begins to follow the metadata. It doesn't wait for etcd: an etcd that can't be reached yet is tried until Close.
func Open(opts Options) (*Store, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            opts.Endpoints,
		DialKeepAliveTime:    5 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
		Logger:               zap.NewNop(), // what concerns an operator we log ourselves
	})
	if err != nil {
		return nil, fmt.Errorf("etcdmeta: open %v: %w", opts.Endpoints, err)
	}
	s := &Store{
		Publisher: meta.NewPublisher(),
		opts:      opts,
		keys:      layout{prefix: root + opts.ClusterID + "/"},
		client:    client,
		log:       opts.Logger.With("component", "metadata", "cluster", opts.ClusterID),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.clusterFollower().follow)
	return s, nil
}

// Close ends all sessions' keep-alive without ending their presence (that is Session.Close's), and all watching.
func (s *Store) Close() error {
	s.feedsOnce.Do(func() {}) // nobody begins to follow changefeeds from now on
	s.cancel()
	s.wg.Wait()
	s.Publisher.Close()
	if s.feeds != nil {
		s.feeds.close()
	}
	if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("etcdmeta: close: %w", err)
	}
	return nil
}

// request bounds one request by the caller's ctx, the timeout and the store's life.
func (s *Store) request(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.RequestTimeout)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

func (s *Store) get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := s.request(ctx)
	defer cancel()
	r, err := s.client.Get(ctx, key, opts...)
	if err != nil {
		return nil, s.unavailable("get "+key, err)
	}
	return r, nil
}

func (s *Store) txn(ctx context.Context, what string, cmps []clientv3.Cmp, then, otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	ctx, cancel := s.request(ctx)
	defer cancel()
	r, err := s.client.Txn(ctx).If(cmps...).Then(then...).Else(otherwise...).Commit()
	if err != nil {
		return nil, s.unavailable(what, err)
	}
	return r, nil
}

func (s *Store) unavailable(what string, err error) error {
	if s.ctx.Err() != nil {
		return fmt.Errorf("etcdmeta: %s: %w", what, meta.ErrClosed)
	}
	return fmt.Errorf("etcdmeta: %s: %w: %w", what, meta.ErrUnavailable, err)
}
