package partition

import (
	"context"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
)

// maxPeers bounds the clusters that take a partition's changes.
const maxPeers = 64

// ConfirmPeer registers a cluster that takes this partition's changes, or notes up to which time (ns) it has what was made here: never less than before. From
// the first peer on, which is a barrier, the partition keeps tombstones, and since is the entry from which on it does. Errors are Replay's.
//
// A call that tells nothing new writes an entry all the same if none was written for long: only entries move the partition's clock (State), and that
// is what a peer of one at rest can be told that it has. A replica's own clock promises nothing: the next leader's may be behind, and what the leader wrote
// may not have reached this replica.
func (r *Replica) ConfirmPeer(ctx context.Context, cluster string, time int64) (since event.Position, err error) {
	if cluster == "" || cluster == r.opts.Cluster {
		return since, fmt.Errorf("partition %s: peer %q: %w: want another cluster's id", r.name, cluster, ErrMalformed)
	}
	e := &errand{spec: readErrand, place: peerPlace(cluster)}
	registered := true
	e.run = func(l *lane, req *command.Request) {
		at, known, err := r.peerAt(cluster)
		switch registered = known && r.replicates; {
		case err != nil:
			r.fails(l, req, err)
		case !registered || at.Confirmed >= time && !r.atRest():
			r.answerRead(l, req)
		default:
			r.confirmPeer(l, req, e.place, cluster, max(time, at.Confirmed))
		}
	}
	if err = r.runErrand(ctx, e); err == nil && !registered {
		err = r.registerPeer(ctx, cluster, time)
	}
	if err == nil {
		since, err = r.replicatesSince()
	}
	if err != nil {
		return event.Position{}, fmt.Errorf("partition %s: peer %s: %w", r.name, cluster, err)
	}
	return since, nil
}

// restsAfter is how far the partition's clock stays behind before an entry is written for nothing but that.
const restsAfter = 30 * time.Second

func (r *Replica) atRest() bool {
	return r.flights == 0 && r.opts.Clock().UnixNano()-r.store.State().Clock > int64(restsAfter)
}

// registerPeer makes a peer known; as that may be the first, it is a barrier.
func (r *Replica) registerPeer(ctx context.Context, cluster string, time int64) error {
	e := &errand{spec: barrierErrand, place: peerPlace(cluster)}
	e.run = func(l *lane, req *command.Request) {
		at, known, err := r.peerAt(cluster)
		if err == nil && !known {
			err = r.admitPeer()
		}
		if err != nil {
			r.fails(l, req, err)
			return
		}
		r.switchOn(r.openBatch())
		r.confirmPeer(l, req, e.place, cluster, max(time, at.Confirmed))
	}
	return r.runErrand(ctx, e)
}

func (r *Replica) confirmPeer(l *lane, req *command.Request, place, cluster string, time int64) {
	b := r.openBatch()
	r.movePlace(b, move{place: place, switches: true}, store.PeerChange(cluster, &store.Peer{Confirmed: time}))
	r.hangOn(l, req, b)
}

// RemovePeer forgets a peer, if it is there: no tombstone is kept for it any more. Errors are Replay's.
func (r *Replica) RemovePeer(ctx context.Context, cluster string) error {
	e := &errand{spec: writeErrand, place: peerPlace(cluster)}
	e.run = func(l *lane, req *command.Request) {
		_, known, err := r.peerAt(cluster)
		switch {
		case err != nil:
			r.fails(l, req, err)
		case !known:
			r.answerRead(l, req)
		default:
			b := r.openBatch()
			r.movePlace(b, move{place: e.place}, store.PeerChange(cluster, nil))
			r.hangOn(l, req, b)
		}
	}
	if err := r.runErrand(ctx, e); err != nil {
		return fmt.Errorf("partition %s: peer %s: %w", r.name, cluster, err)
	}
	return nil
}

func (r *Replica) peerAt(cluster string) (at store.Peer, known bool, err error) {
	err = r.store.Peers(func(id string, p store.Peer) bool {
		if id == cluster {
			at, known = p, true
		}
		return !known
	})
	return at, known, err
}

func (r *Replica) admitPeer() error {
	n := 0
	err := r.store.Peers(func(string, store.Peer) bool { n++; return true })
	if err == nil && n >= maxPeers {
		err = refusal(RefusedState, nil, "%d peers are registered, and there can be no more: remove those that are gone", n)
	}
	return err
}

// fails ends an errand with what was wrong. Where the rows can't be read the replica ends, too.
func (r *Replica) fails(l *lane, req *command.Request, err error) {
	if _, refused := err.(*ReplayError); !refused {
		r.opts.Fatal(err)
	}
	r.refuseErrand(l, req, err)
}

func (r *Replica) replicatesSince() (event.Position, error) {
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return event.Position{}, ErrClosed
	}
	return r.store.Replicates()
}
