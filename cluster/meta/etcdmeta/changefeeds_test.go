package etcdmeta

import (
	"errors"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/meta/etcdserver"
	"github.com/zankv/zankv/cluster/meta/metatest"
)

func openFor(t *testing.T, endpoint, cluster string, ttl time.Duration) *Store {
	t.Helper()
	s, err := Open(Options{
		Endpoints: []string{endpoint}, ClusterID: cluster, ClaimTTL: ttl, RequestTimeout: 2 * time.Second, CheckInterval: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // some tests have closed it
	return s
}

func TestChangefeeds(t *testing.T) {
	etcd := startEtcd(t, etcdserver.Options{DataDir: t.TempDir()})
	var n int
	metatest.RunChangefeeds(t, func(*testing.T) func(*testing.T, string) metatest.FeedProcess {
		n++
		cluster := "cluster" + strconv.Itoa(n)
		return func(t *testing.T, name string) metatest.FeedProcess {
			s := openFor(t, etcd.Endpoint(), cluster, 2*time.Second)
			return metatest.FeedProcess{Registry: s.Changefeeds(), Name: name, Die: func() { _ = s.Close() }}
		}
	})
}

// feedOn is a store with a changefeed and a claim of its partition 0.
func feedOn(t *testing.T, s *Store) changefeed.Claim {
	t.Helper()
	if err := s.Changefeeds().Create(t.Context(), metatest.Changefeed("f")); err != nil && !errors.Is(err, changefeed.ErrExists) {
		t.Fatal(err)
	}
	c, err := s.Changefeeds().Claim(t.Context(), "f", 0, "a")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// owned says whether so many partitions of it have an owner.
func owned(partitions int) func(*changefeed.View) bool {
	return func(v *changefeed.View) bool { return v.Feeds["f"] != nil && len(v.Feeds["f"].Owners) == partitions }
}

func lostWithin(t *testing.T, c changefeed.Claim, limit time.Duration) {
	t.Helper()
	select {
	case <-c.Lost():
	case <-time.After(limit):
		t.Fatalf("the claim isn't lost after %s", limit)
	}
}

// A process that can't reach etcd takes its claims for lost before etcd ends its lease, and claims again when it can.
func TestClaimsLostByTheClock(t *testing.T) {
	etcd := startEtcd(t, etcdserver.Options{DataDir: t.TempDir()})
	p := newProxy(t, etcd.Endpoint())
	const ttl = 2 * time.Second
	s, other := openFor(t, p.listener.Addr().String(), cluster, ttl), openFor(t, etcd.Endpoint(), cluster, ttl)
	c := feedOn(t, s)
	metatest.UntilFeeds(t, other.Changefeeds(), "the owner", owned(1))
	p.set(true)
	lostWithin(t, c, ttl)
	if v := other.Changefeeds().View(); len(v.Feeds["f"].Owners) != 1 {
		t.Fatal("another process could have the partition before its owner knew that it was lost")
	}
	if err := c.Save(t.Context(), metatest.Progress(1)); !errors.Is(err, changefeed.ErrFenced) {
		t.Fatalf("saved under a lost claim: %v", err)
	}
	metatest.UntilFeeds(t, other.Changefeeds(), "no owner", owned(0))
	p.set(false)
	metatest.UntilFeeds(t, s.Changefeeds(), "no owner", owned(0))
	again := feedOn(t, s)
	if again.Epoch() <= c.Epoch() {
		t.Fatalf("epoch %d after %d", again.Epoch(), c.Epoch())
	}
}

// Claims outlive an etcd that is away for a moment: what couldn't be saved meanwhile can be saved after it, by the same owner.
func TestClaimsOutliveEtcd(t *testing.T) {
	e := newEtcdOn(t)
	s := openFor(t, e.s.Endpoint(), cluster, 20*time.Second)
	c := feedOn(t, s)
	e.s.Close()
	if err := c.Save(t.Context(), metatest.Progress(1)); !errors.Is(err, meta.ErrUnavailable) {
		t.Fatalf("got %v, want %v", err, meta.ErrUnavailable)
	}
	e.start()
	if err := c.Save(t.Context(), metatest.Progress(2)); err != nil {
		t.Fatal(err)
	}
	metatest.UntilFeeds(t, s.Changefeeds(), "what was saved", func(v *changefeed.View) bool {
		return v.Feeds["f"] != nil && v.Feeds["f"].Progress[0].Position.Index == 2
	})
	select {
	case <-c.Lost():
		t.Fatal("lost, though nobody could have had it")
	default:
	}
}

// A lease that etcd ended takes the claims along, and the next claim gets a new one.
func TestLeaseEndedByEtcd(t *testing.T) {
	etcd := startEtcd(t, etcdserver.Options{DataDir: t.TempDir()})
	s := openFor(t, etcd.Endpoint(), cluster, 3*time.Second)
	c := feedOn(t, s)
	if _, err := s.client.Revoke(t.Context(), c.(*claim).lease); err != nil {
		t.Fatal(err)
	}
	lostWithin(t, c, 2*time.Second)
	feedOn(t, s) // under the lease that is gone, before the keeper knows, or under a new one
}

// What was claimed while nobody followed is found lost by the next listing.
func TestClaimLostWhileCompacted(t *testing.T) {
	etcd := startEtcd(t, etcdserver.Options{DataDir: t.TempDir()})
	p := newProxy(t, etcd.Endpoint())
	s, other := openFor(t, p.listener.Addr().String(), cluster, 10*time.Second), openFor(t, etcd.Endpoint(), cluster, 10*time.Second)
	c := feedOn(t, s)
	p.set(true)
	if err := other.Changefeeds().Remove(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if err := other.Changefeeds().Create(t.Context(), metatest.Changefeed("f")); err != nil {
		t.Fatal(err)
	}
	r, err := other.client.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.client.Compact(t.Context(), r.Header.Revision); err != nil {
		t.Fatal(err)
	}
	p.set(false)
	lostWithin(t, c, 5*time.Second)
}

// A claim whose answer was lost is neither in its own process's way nor in another's.
func TestOrphanedClaim(t *testing.T) {
	etcd := startEtcd(t, etcdserver.Options{DataDir: t.TempDir()})
	s := openFor(t, etcd.Endpoint(), cluster, 2*time.Second)
	first := feedOn(t, s)
	orphan := func(at seat) {
		t.Helper()
		_, err := s.client.Put(t.Context(), s.keys.owner(at), `{"process":"a","epoch":7}`, clientv3.WithLease(first.(*claim).lease))
		if err != nil {
			t.Fatal(err)
		}
	}
	orphan(seat{"f", 1})
	if _, err := s.Changefeeds().Claim(t.Context(), "f", 1, "a"); err != nil {
		t.Fatalf("the process's own orphan is in its way: %v", err)
	}
	orphan(seat{"f", 2})
	metatest.UntilFeeds(t, s.Changefeeds(), "the orphan", owned(3))
	metatest.UntilFeeds(t, s.Changefeeds(), "the orphan gone", owned(2))
}

// Progress wakes nobody who watches the cluster.
func TestFeedsApartFromCluster(t *testing.T) {
	etcd := startEtcd(t, etcdserver.Options{DataDir: t.TempDir()})
	s := openFor(t, etcd.Endpoint(), cluster, 3*time.Second)
	create(t, s, "default", 1)
	before := metatest.Until(t, s, "the namespace", has("default"))
	c := feedOn(t, s)
	const last = 20
	for i := range uint64(last + 1) {
		if err := c.Save(t.Context(), metatest.Progress(i)); err != nil {
			t.Fatal(err)
		}
	}
	metatest.UntilFeeds(t, s.Changefeeds(), "the last position", func(v *changefeed.View) bool {
		return v.Feeds["f"] != nil && v.Feeds["f"].Progress[0].Position.Index == last
	})
	if v := s.View(); v != before {
		t.Fatalf("progress made a view of the cluster: revision %d after %d", v.Revision, before.Revision)
	}
}

// Values that can't be read change nothing.
func TestFeedUnreadable(t *testing.T) {
	etcd := startEtcd(t, etcdserver.Options{DataDir: t.TempDir()})
	s := openFor(t, etcd.Endpoint(), cluster, 3*time.Second)
	c := feedOn(t, s)
	if err := c.Save(t.Context(), metatest.Progress(5)); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		s.keys.spec("f"), s.keys.spec("g"), s.keys.progress(seat{"f", 0}), s.keys.feed("f") + "01/Progress", s.keys.feed("f") + "99999/Owner",
		s.keys.feed("f") + "0/Else", s.keys.feed("f"),
	} {
		if _, err := s.client.Put(t.Context(), key, `{"id":`); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Changefeeds().Create(t.Context(), metatest.Changefeed("h")); err != nil {
		t.Fatal(err)
	}
	v := metatest.UntilFeeds(t, s.Changefeeds(), "the other", func(v *changefeed.View) bool { return v.Feeds["h"] != nil })
	if f := v.Feeds["f"]; f == nil || f.Progress[0].Position.Index != 5 || v.Feeds["g"] != nil {
		t.Fatalf("the changefeed became %+v", f)
	}
	if _, err := s.Changefeeds().Update(t.Context(), v.Feeds["f"].Spec); !errors.Is(err, meta.ErrCorrupt) {
		t.Fatalf("an unreadable definition was replaced: %v", err)
	}
	if err := s.Changefeeds().Remove(t.Context(), "f"); err != nil {
		t.Fatalf("an unreadable definition can't be removed: %v", err)
	}
}

func TestClosedRegistry(t *testing.T) {
	etcd := startEtcd(t, etcdserver.Options{DataDir: t.TempDir()})
	s := openFor(t, etcd.Endpoint(), cluster, 3*time.Second)
	create(t, s, "default", 1) // etcd is up, and not only begun
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := s.Changefeeds()
	if _, open := <-r.Watch(t.Context()); open {
		t.Fatal("a closed registry delivered a view")
	}
	if err := r.Create(t.Context(), metatest.Changefeed("f")); !errors.Is(err, meta.ErrClosed) {
		t.Fatalf("got %v, want %v", err, meta.ErrClosed)
	}
}
