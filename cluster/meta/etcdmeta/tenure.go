package etcdmeta

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// tenure is what this process holds of changefeeds: one lease for all of its claims, so that a thousand of them cost etcd one request
// every ClaimTTL/4 and not a thousand. What they pay for it: a process that can't renew for ClaimTTL loses all of them at once.
type tenure struct {
	store    *Store
	granting chan struct{} // room for one: who holds it may ask for a lease
	wake     chan struct{} // there is a new lease

	mu struct {
		sync.Mutex
		lease    *lease
		claims   map[seat]*claim
		claiming map[seat]bool
		// owners are the Owner keys as they were followed up to revision.
		owners   map[seat]ownerKey
		revision int64
		listing  bool // the owners are being listed anew
	}
}

// ownerKey is who has an Owner key.
type ownerKey struct {
	revision int64
	lease    clientv3.LeaseID
}

// lease is one lease. It counts until a time by this process's clock that lies before the one at which etcd may end it: etcd's time begins when a
// request has come, ours when it was sent. until belongs to the keeper.
type lease struct {
	id    clientv3.LeaseID
	until time.Time
}

func newTenure(s *Store) *tenure {
	t := &tenure{store: s, granting: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	t.mu.claims, t.mu.claiming, t.mu.owners = map[seat]*claim{}, map[seat]bool{}, map[seat]ownerKey{}
	return t
}

// counts is for how long a lease counts: a tenth less than etcd's time, for clocks that don't run alike.
func (t *tenure) counts() time.Duration { return t.store.opts.ClaimTTL * 9 / 10 }

// current is the lease in force, a new one if there is none.
func (t *tenure) current(ctx context.Context) (*lease, error) {
	select {
	case t.granting <- struct{}{}:
		defer func() { <-t.granting }()
	case <-ctx.Done():
		return nil, t.store.unavailable("lease", ctx.Err())
	}
	if l := t.held(); l != nil {
		return l, nil
	}
	ctx, cancel := t.store.request(ctx)
	defer cancel()
	sent := time.Now()
	grant, err := t.store.client.Grant(ctx, int64(t.store.opts.ClaimTTL/time.Second))
	if err != nil {
		return nil, t.store.unavailable("lease", err)
	}
	l := &lease{id: grant.ID, until: sent.Add(t.counts())}
	t.mu.Lock()
	t.mu.lease = l
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
	return l, nil
}

func (t *tenure) held() *lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.lease
}

// keep renews the lease until the store is closed.
func (t *tenure) keep() {
	every := t.store.opts.ClaimTTL / 4
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-t.store.ctx.Done():
			return
		case <-t.wake:
		case <-timer.C:
		}
		next := every
		if l := t.held(); l != nil {
			t.renew(l, every)
			next = min(every, time.Until(l.until))
		}
		timer.Reset(max(next, 0))
	}
}

// renew keeps a lease, or ends it when it is over: by etcd's word, or by the clock.
func (t *tenure) renew(l *lease, within time.Duration) {
	left := time.Until(l.until)
	if left <= 0 {
		t.end(l, "etcd didn't answer in time")
		return
	}
	ctx, cancel := context.WithTimeout(t.store.ctx, min(within, left))
	defer cancel()
	sent := time.Now()
	_, err := t.store.client.KeepAliveOnce(ctx, l.id)
	switch {
	case err == nil:
		l.until = sent.Add(t.counts())
		t.clearOrphans(ctx, l)
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		t.end(l, "etcd ended the lease")
	}
}

// end takes a lease and the claims under it for lost.
func (t *tenure) end(l *lease, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.lease != l {
		return
	}
	t.mu.lease = nil
	n := 0
	for _, c := range t.mu.claims {
		if c.lease == l.id {
			t.loseLocked(c)
			n++
		}
	}
	if n > 0 && t.store.ctx.Err() == nil {
		t.store.log.Warn("claims of changefeeds are lost; another process may take them over", "claims", n, "reason", why)
	}
}

func (t *tenure) loseLocked(c *claim) {
	if t.mu.claims[c.seat] == c {
		delete(t.mu.claims, c.seat)
	}
	c.loseOnce.Do(func() { close(c.lost) })
}

// lose takes one claim for lost.
func (t *tenure) lose(c *claim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loseLocked(c)
}

// begin reserves a seat for one attempt to claim it: false if this process has it, or tries already.
func (t *tenure) begin(at seat) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.claims[at] != nil || t.mu.claiming[at] {
		return false
	}
	t.mu.claiming[at] = true
	return true
}

// finish ends an attempt, with a claim if it succeeded. What was followed meanwhile may know already that it is gone.
func (t *tenure) finish(at seat, c *claim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mu.claiming, at)
	if c == nil {
		return
	}
	t.mu.claims[at] = c
	gone := !t.mu.listing && t.mu.revision >= c.revision && t.mu.owners[at].revision != c.revision
	if gone || t.mu.lease == nil || t.mu.lease.id != c.lease {
		t.loseLocked(c)
	}
}

// owned takes note of an Owner key that was written or removed.
func (t *tenure) owned(at seat, ch change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ch.value == nil {
		delete(t.mu.owners, at)
	} else {
		t.mu.owners[at] = ownerKey{ch.revision, ch.lease}
	}
	if t.mu.listing {
		return
	}
	t.mu.revision = ch.revision
	if c := t.mu.claims[at]; c != nil && ch.revision > c.revision {
		t.loseLocked(c)
	}
}

// relist begins to note the Owner keys anew.
func (t *tenure) relist() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.mu.owners)
	t.mu.listing = true
}

// seen says that everything up to a revision was noted.
func (t *tenure) seen(revision int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.revision = max(t.mu.revision, revision)
	if !t.mu.listing {
		return
	}
	t.mu.listing = false
	for at, c := range t.mu.claims {
		if c.revision <= revision && t.mu.owners[at].revision != c.revision {
			t.loseLocked(c)
		}
	}
}

// clearOrphans removes Owner keys under the lease that no claim here knows of: the answer of a claim or a release was lost. They would be renewed
// along with the rest, and nobody could have the partition.
func (t *tenure) clearOrphans(ctx context.Context, l *lease) {
	orphans := map[seat]int64{}
	t.mu.Lock()
	for at, key := range t.mu.owners {
		if key.lease == l.id && t.mu.claims[at] == nil && !t.mu.claiming[at] {
			orphans[at] = key.revision
		}
	}
	t.mu.Unlock()
	for at, revision := range orphans {
		if t.store.disown(ctx, at, revision) != nil {
			return // the next renewal tries again
		}
	}
}

// disown removes an Owner key if it is still the one written at a revision.
func (s *Store) disown(ctx context.Context, at seat, revision int64) error {
	key := s.keys.owner(at)
	_, err := s.txn(ctx, "release "+at.String(),
		[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", revision)}, []clientv3.Op{clientv3.OpDelete(key)}, nil)
	return err
}
