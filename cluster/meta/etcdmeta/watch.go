package etcdmeta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zankv/zankv/cluster/meta"
)

// retryEvery is the pause before etcd is tried again.
const retryEvery = 500 * time.Millisecond

// errReplaced: etcd holds another content than the one followed so far.
var errReplaced = errors.New("etcd was wiped or restored: keeping the last view until it is itself again; restart the node to take over what it holds now")

// follow shows etcd's content until the store is closed.
func (s *Store) follow() {
	f := follower{Store: s}
	for s.ctx.Err() == nil {
		err := f.run()
		if s.ctx.Err() != nil {
			return
		}
		if err.Error() != f.trouble {
			f.trouble = err.Error()
			s.log.Warn("metadata can't be followed, going on with the last view", "err", err, "revision", s.View().Revision)
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

// follower is what follow remembers between attempts.
type follower struct {
	*Store
	builder  *meta.Builder
	revision int64 // up to which the builder has everything
	uid      string
	trouble  string // last error logged
}

// run lists once and then follows, until something fails.
func (f *follower) run() error {
	if err := f.list(); err != nil {
		return err
	}
	if f.trouble != "" {
		f.trouble = ""
		f.log.Info("metadata is followed again", "revision", f.revision)
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(f.ctx))
	defer cancel()
	changes := f.client.Watch(ctx, f.keys.prefix, clientv3.WithPrefix(), clientv3.WithRev(f.revision+1))
	check := time.NewTicker(f.opts.CheckInterval)
	defer check.Stop()
	for {
		select {
		case r, ok := <-changes:
			if !ok {
				return errors.New("etcd ended the watch")
			}
			if err := f.take(r); err != nil {
				return err
			}
		case <-check.C:
			if err := f.checkSame(); err != nil {
				return err
			}
		}
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

func (f *follower) list() error {
	r, err := f.get(f.ctx, f.keys.prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	var own []*mvccpb.KeyValue
	b := meta.NewBuilder()
	for _, kv := range r.Kvs {
		if string(kv.Key) == f.keys.clusterMeta() {
			own = append(own, kv)
		}
		if err := f.keys.apply(b, change{string(kv.Key), kv.Value, kv.ModRevision}); err != nil {
			f.log.Error("metadata is unreadable", "err", err)
		}
	}
	if err := f.same(r.Header.Revision, own); err != nil {
		return err
	}
	f.builder, f.revision = b, r.Header.Revision
	f.show()
	return nil
}

// take applies one answer of the watch: whole revisions, in order.
func (f *follower) take(r clientv3.WatchResponse) error {
	if err := r.Err(); err != nil {
		return fmt.Errorf("watch from revision %d: %w", f.revision+1, err)
	}
	if len(r.Events) == 0 {
		return nil
	}
	for _, e := range r.Events {
		c := change{key: string(e.Kv.Key), revision: e.Kv.ModRevision}
		if e.Type == clientv3.EventTypePut {
			c.value = e.Kv.Value
		}
		if c.key == f.keys.clusterMeta() && c.value != nil {
			if err := f.same(c.revision, []*mvccpb.KeyValue{e.Kv}); err != nil {
				return err
			}
		}
		if err := f.keys.apply(f.builder, c); err != nil {
			f.log.Error("metadata is unreadable", "err", err)
		}
		f.revision = c.revision
	}
	f.show()
	return nil
}

func (f *follower) show() {
	v, errs := f.builder.View(f.revision)
	for _, err := range errs {
		f.log.Error("namespace is not shown", "err", err)
	}
	f.Publish(v)
}
