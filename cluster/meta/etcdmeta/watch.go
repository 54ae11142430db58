package etcdmeta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zankv/zankv/cluster/meta"
)

// retryEvery is the pause before etcd is tried again.
const retryEvery = 500 * time.Millisecond

// errReplaced: etcd holds another content than the one followed so far.
var errReplaced = errors.New("etcd was wiped or restored: keeping the last view until it is itself again; restart the node to take over what it holds now")

// picture is what a follower keeps in step with etcd. It is for one goroutine.
type picture interface {
	// reset begins anew: everything there is follows as changes.
	reset()
	apply(c change) error
	// pressing says whether what was applied since the last show has to be shown at once, rather than soon.
	pressing() bool
	show(revision int64)
}

// showWithin is how long what isn't pressing may wait to be shown along with what comes meanwhile.
const showWithin = 500 * time.Millisecond

// follower keeps one picture in step with a range of keys. It is for one goroutine.
type follower struct {
	*Store
	picture
	what     string // names the picture in logs
	from, to string // the keys, half open

	revision int64 // up to which the picture has everything
	uid      string
	trouble  string // last error logged
}

// follow goes on until the store is closed.
func (f *follower) follow() {
	log := f.log.With("of", f.what)
	for f.ctx.Err() == nil {
		err := f.run(log)
		if f.ctx.Err() != nil {
			return
		}
		if err.Error() != f.trouble {
			f.trouble = err.Error()
			log.Warn("metadata can't be followed, going on with the last view", "err", err, "revision", f.revision)
		}
		select {
		case <-f.ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

// run lists once and then follows, until something fails.
func (f *follower) run(log *slog.Logger) error {
	if err := f.list(); err != nil {
		return err
	}
	if f.trouble != "" {
		f.trouble = ""
		log.Info("metadata is followed again", "revision", f.revision)
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(f.ctx))
	defer cancel()
	changes := f.client.Watch(ctx, f.from, clientv3.WithRange(f.to), clientv3.WithRev(f.revision+1))
	check := time.NewTicker(f.opts.CheckInterval)
	defer check.Stop()
	var soon <-chan time.Time
	for {
		select {
		case r, ok := <-changes:
			if !ok {
				return errors.New("etcd ended the watch")
			}
			if err := f.take(r); err != nil {
				return err
			}
			if len(r.Events) == 0 {
				continue
			}
			if !f.pressing() {
				if soon == nil {
					soon = time.After(showWithin)
				}
				continue
			}
		case <-soon:
		case <-check.C:
			if err := f.checkSame(); err != nil {
				return err
			}
			continue
		}
		soon = nil
		f.show(f.revision)
	}
}

// checkSame catches an etcd that was replaced while the watch waits for a revision that it will not reach for long.
// An etcd that doesn't answer is left to the watch, which resumes by itself.
func (f *follower) checkSame() error {
	r, err := f.get(f.ctx, f.keys.clusterMeta())
	if err != nil {
		return nil
	}
	return f.same(r.Header.Revision, r.Kvs)
}

func (f *follower) same(revision int64, clusterMetas []*mvccpb.KeyValue) error {
	if revision < f.revision {
		return fmt.Errorf("etcd's revision went back from %d to %d: %w", f.revision, revision, errReplaced)
	}
	var cm clusterMeta
	for _, kv := range clusterMetas {
		if err := json.Unmarshal(kv.Value, &cm); err != nil {
			return fmt.Errorf("%w: key %s: %w", meta.ErrCorrupt, kv.Key, err)
		}
	}
	if f.uid != "" && cm.UID != f.uid {
		return fmt.Errorf("cluster %s had UID %s in etcd and now has %q: %w", f.opts.ClusterID, f.uid, cm.UID, errReplaced)
	}
	f.uid = cm.UID
	return nil
}

// list reads the range, and ClusterMeta at the same revision.
func (f *follower) list() error {
	r, err := f.txn(f.ctx, "list "+f.what, nil, []clientv3.Op{
		clientv3.OpGet(f.keys.clusterMeta()),
		clientv3.OpGet(f.from, clientv3.WithRange(f.to)),
	}, nil)
	if err != nil {
		return err
	}
	if err := f.same(r.Header.Revision, r.Responses[0].GetResponseRange().Kvs); err != nil {
		return err
	}
	f.reset()
	for _, kv := range r.Responses[1].GetResponseRange().Kvs {
		f.applyLogged(changeOf(kv))
	}
	f.revision = r.Header.Revision
	f.show(f.revision)
	return nil
}

func changeOf(kv *mvccpb.KeyValue) change {
	return change{key: string(kv.Key), value: kv.Value, revision: kv.ModRevision, lease: clientv3.LeaseID(kv.Lease)}
}

func (f *follower) applyLogged(c change) {
	if err := f.apply(c); err != nil {
		f.log.Error("metadata is unreadable", "err", err)
	}
}

// take applies one answer of the watch: whole revisions, in order.
func (f *follower) take(r clientv3.WatchResponse) error {
	if err := r.Err(); err != nil {
		return fmt.Errorf("watch from revision %d: %w", f.revision+1, err)
	}
	for _, e := range r.Events {
		c := changeOf(e.Kv)
		if e.Type != clientv3.EventTypePut {
			c.value = nil
		}
		if c.key == f.keys.clusterMeta() && c.value != nil {
			if err := f.same(c.revision, []*mvccpb.KeyValue{e.Kv}); err != nil {
				return err
			}
		}
		f.applyLogged(c)
		f.revision = c.revision
	}
	return nil
}

// clusterPicture shows namespaces and nodes as a meta.View.
type clusterPicture struct {
	store   *Store
	builder *meta.Builder
}

func (p *clusterPicture) reset()               { p.builder = meta.NewBuilder() }
func (p *clusterPicture) pressing() bool       { return true }
func (p *clusterPicture) apply(c change) error { return p.store.keys.apply(p.builder, c) }

func (p *clusterPicture) show(revision int64) {
	v, errs := p.builder.View(revision)
	for _, err := range errs {
		p.store.log.Error("namespace is not shown", "err", err)
	}
	p.store.Publish(v)
}

// clusterFollower follows all keys but the changefeeds'.
func (s *Store) clusterFollower() *follower {
	return &follower{Store: s, picture: &clusterPicture{store: s}, what: "cluster", from: s.keys.afterFeeds(), to: clientv3.GetPrefixRangeEnd(s.keys.prefix)}
}
