package etcdmeta

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cluster/meta"
)

// Changefeeds is the changefeed.Registry of a cluster, in etcd. See Store.Changefeeds.
type Changefeeds struct {
	*meta.FeedPublisher
	store  *Store
	tenure *tenure
}

var _ changefeed.Registry = (*Changefeeds)(nil)

// Changefeeds is the cluster's registry of changefeeds: one for the store, which begins to follow them at the first call. Closing the store ends it;
// claims that weren't released end by their time then.
func (s *Store) Changefeeds() changefeed.Registry {
	s.feedsOnce.Do(func() {
		s.feeds = &Changefeeds{FeedPublisher: meta.NewFeedPublisher(), store: s, tenure: newTenure(s)}
		f := &follower{
			Store: s, what: "changefeeds", from: s.keys.feeds(), to: s.keys.afterFeeds(),
			picture: &feedPicture{store: s, tenure: s.feeds.tenure, publish: s.feeds.Publish},
		}
		s.wg.Go(f.follow)
		s.wg.Go(s.feeds.tenure.keep)
	})
	if s.feeds == nil { // closed before it was asked for
		closed := &Changefeeds{FeedPublisher: meta.NewFeedPublisher(), store: s, tenure: newTenure(s)}
		closed.FeedPublisher.Close()
		return closed
	}
	return s.feeds
}

// close takes every claim for lost, as nobody renews them any more.
func (r *Changefeeds) close() {
	if l := r.tenure.held(); l != nil {
		r.tenure.end(l, "closed")
	}
	r.FeedPublisher.Close()
}

// Create is changefeed.Registry's. The generation begins at 1.
func (r *Changefeeds) Create(ctx context.Context, s changefeed.Spec) error {
	s.Generation = 1
	value, err := encodeSpec(&s)
	if err != nil {
		return err
	}
	key := r.store.keys.spec(s.ID)
	put, err := r.store.txn(ctx, "create changefeed "+s.ID,
		[]clientv3.Cmp{clientv3.Compare(clientv3.Version(key), "=", 0)}, []clientv3.Op{clientv3.OpPut(key, value)}, nil)
	if err == nil && !put.Succeeded {
		err = fmt.Errorf("create changefeed %s: %w", s.ID, changefeed.ErrExists)
	}
	return err
}

func encodeSpec(s *changefeed.Spec) (string, error) {
	if err := s.Validate(); err != nil {
		return "", err
	}
	b, err := meta.EncodeFeedValue(s)
	return string(b), err
}

// Update is changefeed.Registry's. When it was created stays.
func (r *Changefeeds) Update(ctx context.Context, s changefeed.Spec) (changefeed.Spec, error) {
	if err := changefeed.ValidateID(s.ID); err != nil {
		return s, err
	}
	key := r.store.keys.spec(s.ID)
	for {
		got, err := r.store.get(ctx, key)
		if err != nil {
			return s, err
		}
		if len(got.Kvs) == 0 {
			return s, fmt.Errorf("update changefeed %s: %w", s.ID, changefeed.ErrNotFound)
		}
		old, err := decodeSpec(s.ID, got.Kvs[0].Value)
		if err != nil {
			return s, fmt.Errorf("%w: key %s: %w", meta.ErrCorrupt, key, err)
		}
		if old.Generation != s.Generation {
			return s, fmt.Errorf("update changefeed %s: %w: it is of generation %d, not %d", s.ID, changefeed.ErrStale, old.Generation, s.Generation)
		}
		next := s
		next.Generation, next.Created = s.Generation+1, old.Created
		value, err := encodeSpec(&next)
		if err != nil {
			return s, err
		}
		put, err := r.store.txn(ctx, "update changefeed "+s.ID,
			[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", got.Kvs[0].ModRevision)}, []clientv3.Op{clientv3.OpPut(key, value)}, nil)
		if err != nil || put.Succeeded {
			return next, err
		}
	}
}

// Remove is changefeed.Registry's. Epochs stay: a changefeed of the same id made later must not look older to a sink than this one.
func (r *Changefeeds) Remove(ctx context.Context, id string) error {
	if err := changefeed.ValidateID(id); err != nil {
		return err
	}
	keys := r.store.keys
	done, err := r.store.txn(ctx, "remove changefeed "+id,
		[]clientv3.Cmp{clientv3.Compare(clientv3.Version(keys.spec(id)), ">", 0)},
		[]clientv3.Op{clientv3.OpDelete(keys.feed(id), clientv3.WithPrefix())}, nil)
	if err == nil && !done.Succeeded {
		err = fmt.Errorf("remove changefeed %s: %w", id, changefeed.ErrNotFound)
	}
	return err
}

// SetProgress is changefeed.Registry's.
func (r *Changefeeds) SetProgress(ctx context.Context, id string, partition uint32, p changefeed.Progress) error {
	if err := meta.ValidateFeedPartition(id, partition); err != nil {
		return err
	}
	value, err := meta.EncodeFeedValue(&p)
	if err != nil {
		return err
	}
	keys, at := r.store.keys, seat{id, partition}
	done, err := r.store.txn(ctx, "set progress of "+at.String(), []clientv3.Cmp{
		clientv3.Compare(clientv3.Version(keys.spec(id)), ">", 0),
		clientv3.Compare(clientv3.Version(keys.owner(at)), "=", 0),
	}, []clientv3.Op{clientv3.OpPut(keys.progress(at), string(value))},
		[]clientv3.Op{clientv3.OpGet(keys.spec(id), clientv3.WithCountOnly())})
	if err != nil || done.Succeeded {
		return err
	}
	if done.Responses[0].GetResponseRange().Count == 0 {
		return fmt.Errorf("set progress of %s: %w", at, changefeed.ErrNotFound)
	}
	return fmt.Errorf("set progress of %s: %w", at, changefeed.ErrTaken)
}

// Claim is changefeed.Registry's. It costs two round trips, and a third for the first one of a process.
func (r *Changefeeds) Claim(ctx context.Context, id string, partition uint32, process string) (changefeed.Claim, error) {
	if err := meta.ValidateFeedPartition(id, partition); err != nil {
		return nil, err
	}
	at := seat{id, partition}
	if !r.tenure.begin(at) {
		return nil, fmt.Errorf("claim %s: %w: this one", at, changefeed.ErrTaken)
	}
	c, err := r.claim(ctx, at, process)
	r.tenure.finish(at, c)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// claim tries until it succeeded, somebody else has the seat, or etcd can't be reached.
func (r *Changefeeds) claim(ctx context.Context, at seat, process string) (*claim, error) {
	for {
		l, err := r.tenure.current(ctx)
		if err != nil {
			return nil, err
		}
		old, err := r.vacancy(ctx, at, l)
		if err != nil {
			return nil, err
		}
		c, err := r.take(ctx, at, process, l, old)
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			r.tenure.end(l, "etcd ended the lease")
			continue
		}
		if c != nil || err != nil {
			return c, err
		}
	}
}

// vacant is a seat that can be taken: the revisions of its keys (0: not there), the last epoch, and the progress.
type vacant struct {
	owner, epochKey, progressKey int64
	epoch                        uint64
	progress                     changefeed.Progress
}

// vacancy looks whether a seat is free. An Owner key under this process's own lease is what an attempt left whose answer was lost: it is free to it.
func (r *Changefeeds) vacancy(ctx context.Context, at seat, l *lease) (v vacant, err error) {
	keys := r.store.keys
	got, err := r.store.txn(ctx, "look at "+at.String(), nil, []clientv3.Op{
		clientv3.OpGet(keys.spec(at.id), clientv3.WithCountOnly()),
		clientv3.OpGet(keys.owner(at)), clientv3.OpGet(keys.epoch(at)), clientv3.OpGet(keys.progress(at)),
	}, nil)
	if err != nil {
		return v, err
	}
	if got.Responses[0].GetResponseRange().Count == 0 {
		return v, fmt.Errorf("claim %s: %w", at, changefeed.ErrNotFound)
	}
	if kvs := got.Responses[1].GetResponseRange().Kvs; len(kvs) > 0 {
		if v.owner = kvs[0].ModRevision; clientv3.LeaseID(kvs[0].Lease) != l.id {
			o, _ := decodeOwner(kvs[0].Value) // for people: what can't be read has no name
			return v, fmt.Errorf("claim %s: %w: %s", at, changefeed.ErrTaken, o.Process)
		}
	}
	if kvs := got.Responses[2].GetResponseRange().Kvs; len(kvs) > 0 {
		v.epochKey = kvs[0].ModRevision
		if v.epoch, err = strconv.ParseUint(string(kvs[0].Value), 10, 64); err != nil {
			return v, fmt.Errorf("%w: key %s: %w", meta.ErrCorrupt, keys.epoch(at), err)
		}
	}
	if kvs := got.Responses[3].GetResponseRange().Kvs; len(kvs) > 0 {
		v.progressKey = kvs[0].ModRevision
		if v.progress, err = decodeProgress(kvs[0].Value); err != nil {
			return v, fmt.Errorf("%w: key %s: %w", meta.ErrCorrupt, keys.progress(at), err)
		}
	}
	return v, nil
}

// take writes the claim if nothing was changed since the look: nil if something was.
func (r *Changefeeds) take(ctx context.Context, at seat, process string, l *lease, v vacant) (*claim, error) {
	keys := r.store.keys
	owner := ownerValue{Process: process, Epoch: v.epoch + 1}
	value, err := meta.EncodeFeedValue(&owner)
	if err != nil {
		return nil, err
	}
	same := func(key string, revision int64) clientv3.Cmp {
		return clientv3.Compare(clientv3.ModRevision(key), "=", revision)
	}
	done, err := r.store.txn(ctx, "claim "+at.String(), []clientv3.Cmp{
		clientv3.Compare(clientv3.Version(keys.spec(at.id)), ">", 0),
		same(keys.owner(at), v.owner), same(keys.epoch(at), v.epochKey), same(keys.progress(at), v.progressKey),
	}, []clientv3.Op{
		clientv3.OpPut(keys.owner(at), string(value), clientv3.WithLease(l.id)),
		clientv3.OpPut(keys.epoch(at), strconv.FormatUint(owner.Epoch, 10)),
	}, nil)
	if err != nil || !done.Succeeded {
		return nil, err
	}
	return &claim{
		registry: r, seat: at, revision: done.Header.Revision, lease: l.id, epoch: owner.Epoch, progress: v.progress, lost: make(chan struct{}),
	}, nil
}

// claim is the ownership of a seat: the Owner key as it was written at revision.
type claim struct {
	registry *Changefeeds
	seat     seat
	revision int64
	lease    clientv3.LeaseID
	epoch    uint64
	progress changefeed.Progress
	lost     chan struct{}
	loseOnce sync.Once
}

// Epoch is changefeed.Claim's.
func (c *claim) Epoch() uint64 { return c.epoch }

// Progress is changefeed.Claim's.
func (c *claim) Progress() changefeed.Progress { return c.progress }

// Lost is changefeed.Claim's.
func (c *claim) Lost() <-chan struct{} { return c.lost }

// Save is changefeed.Claim's.
func (c *claim) Save(ctx context.Context, p changefeed.Progress) error {
	fenced := fmt.Errorf("save progress of %s: %w", c.seat, changefeed.ErrFenced)
	select {
	case <-c.lost:
		return fenced
	default:
	}
	value, err := meta.EncodeFeedValue(&p)
	if err != nil {
		return err
	}
	s := c.registry.store
	done, err := s.txn(ctx, "save progress of "+c.seat.String(),
		[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(s.keys.owner(c.seat)), "=", c.revision)},
		[]clientv3.Op{clientv3.OpPut(s.keys.progress(c.seat), string(value))}, nil)
	if err != nil {
		return err
	}
	if !done.Succeeded {
		c.registry.tenure.lose(c)
		return fenced
	}
	return nil
}

// Release is changefeed.Claim's. What can't be reached now is released along with the lease's next renewal.
func (c *claim) Release(ctx context.Context) error {
	c.registry.tenure.lose(c)
	return c.registry.store.disown(ctx, c.seat, c.revision)
}
