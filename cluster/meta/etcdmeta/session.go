package etcdmeta

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zankv/zankv/cluster/meta"
)

// AllocateNodeID is meta.Registry's.
func (s *Store) AllocateNodeID(ctx context.Context) (meta.NodeID, error) {
	cm, err := s.advance(ctx, func(cm *clusterMeta) { cm.MaxRegID++ })
	return cm.MaxRegID, err
}

// session is one registration, which one goroutine keeps alive.
type session struct {
	store  *Store
	node   meta.Node
	value  string // of the presence key: tells this registration from any other
	lease  clientv3.LeaseID
	lost   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
	once   sync.Once
}

var errTaken = fmt.Errorf("%w: another process has registered the node id", meta.ErrStale)

// RegisterNode is meta.Registry's.
func (s *Store) RegisterNode(ctx context.Context, n meta.Node) (meta.Session, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	cm, _, err := s.clusterMeta(ctx)
	if err != nil {
		return nil, err
	}
	if n.ID > cm.MaxRegID {
		return nil, fmt.Errorf("etcdmeta: register node %d in cluster %s: %w: highest id allocated is %d: the data directory belongs to another cluster, or etcd lost its content",
			n.ID, s.opts.ClusterID, meta.ErrNotFound, cm.MaxRegID)
	}
	ses := &session{store: s, node: n, lost: make(chan struct{}), done: make(chan struct{})}
	ses.value = encode(presence{Node: n, Instance: rand.Text()})
	if err := ses.put(ctx, nil); err != nil {
		return nil, err
	}
	var life context.Context
	life, ses.cancel = context.WithCancel(s.ctx)
	s.wg.Go(func() { ses.keep(life) })
	return ses, nil
}

// put takes a lease and writes the node's keys under it, if the presence key is as expected: as it was at a revision
// (0: not there), or with nil whatever it is.
func (ses *session) put(ctx context.Context, expect *int64) error {
	s := ses.store
	granting, cancel := s.request(ctx)
	defer cancel()
	grant, err := s.client.Grant(granting, int64(s.opts.LeaseTTL/time.Second))
	if err != nil {
		return s.unavailable("lease", err)
	}
	key := s.keys.node(ses.node.ID)
	var cmps []clientv3.Cmp
	if expect != nil {
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(key), "=", *expect))
	}
	r, err := s.txn(ctx, "register "+key, cmps, []clientv3.Op{
		clientv3.OpPut(key, ses.value, clientv3.WithLease(grant.ID)),
		clientv3.OpPut(s.keys.addr(ses.node.ID), encode(ses.node)),
	}, nil)
	if err != nil {
		return err
	}
	if !r.Succeeded {
		return fmt.Errorf("etcdmeta: register node %d: %w", ses.node.ID, meta.ErrStale)
	}
	ses.lease = grant.ID
	return nil
}

// keep renews the lease until life ends or the registration was taken over.
func (ses *session) keep(life context.Context) {
	defer close(ses.done)
	log := ses.store.log.With("node", ses.node.ID)
	every := time.NewTicker(ses.store.opts.LeaseTTL / 3)
	defer every.Stop()
	well := true
	for {
		select {
		case <-life.Done():
			return
		case <-every.C:
		}
		switch err := ses.renew(life); {
		case err == nil && !well:
			log.Info("node is registered again")
			well = true
		case errors.Is(err, errTaken):
			log.Error("registration is lost", "err", err)
			close(ses.lost)
			return
		case err != nil && life.Err() == nil && well:
			log.Warn("registration can't be renewed, trying on", "err", err)
			well = false
		}
	}
}

// renew looks who has the presence key, and renews the lease, or registers again if key or lease are gone. A process that
// registers between the look and the writing is found by the comparison, and reported at the next renewal.
func (ses *session) renew(ctx context.Context) error {
	s := ses.store
	r, err := s.get(ctx, s.keys.node(ses.node.ID))
	if err != nil {
		return err
	}
	var revision int64
	if len(r.Kvs) > 0 {
		if string(r.Kvs[0].Value) != ses.value {
			return fmt.Errorf("node %d: %w: %s", ses.node.ID, errTaken, who(r.Kvs[0].Value))
		}
		revision = r.Kvs[0].ModRevision
		ctx, cancel := s.request(ctx)
		defer cancel()
		_, err := s.client.KeepAliveOnce(ctx, ses.lease)
		if err == nil {
			return nil
		}
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return s.unavailable("keep lease alive", err)
		}
	}
	return ses.put(ctx, &revision)
}

// who describes the holder of a presence key.
func who(value []byte) string {
	var p presence
	if err := json.Unmarshal(value, &p); err != nil {
		return "unreadable"
	}
	return fmt.Sprintf("%s (%s) with raft at %s", p.BroadcastAddr, p.Hostname, p.RaftAddr)
}

// Lost is meta.Session's.
func (ses *session) Lost() <-chan struct{} { return ses.lost }

// Close is meta.Session's. The presence key of a process that took over isn't under this lease, so it stays.
func (ses *session) Close(ctx context.Context) error {
	var err error
	ses.once.Do(func() {
		ses.cancel()
		<-ses.done
		s := ses.store
		ctx, cancel := s.request(ctx)
		defer cancel()
		if _, e := s.client.Revoke(ctx, ses.lease); e != nil && !errors.Is(e, rpctypes.ErrLeaseNotFound) {
			err = s.unavailable(fmt.Sprintf("end presence of node %d", ses.node.ID), e)
		}
	})
	return err
}
