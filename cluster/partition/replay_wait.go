package partition

import (
	"math"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/conflict"
)

// patience is what a cluster is waited with, of which a change builds upon one that isn't here.
type patience struct {
	since time.Time
	upTo  int64 // the time of the change that isn't here
}

// reached says up to which time the changes that a cluster made are here: the least of its senders'. A cluster that has none here, or that was waited for
// for long enough, has nothing to wait for.
func (p *replaying) reached(n event.ClusterNumber) int64 {
	r := p.r
	cluster := r.names.ID(n)
	least, waited := r.reachedOf(cluster), r.patience[cluster]
	switch {
	case waited.since.IsZero():
	case least >= waited.upTo:
		delete(r.patience, cluster)
	case r.opts.Clock().Sub(waited.since) >= r.opts.Replication.Patience:
		return math.MaxInt64
	}
	return least
}

func (r *Replica) reachedOf(cluster string) int64 {
	least := int64(math.MaxInt64)
	for _, held := range r.places {
		if held.id.Cluster == cluster && r.shares(held.id, &held.at) {
			least = min(least, held.at.Time)
		}
	}
	return least
}

// sends says whether a cluster's own changes come here by senders of its own, which have a place.
func (r *Replica) sends(cluster string) bool {
	sends, known := r.sending[cluster]
	if known {
		return sends
	}
	for _, held := range r.places {
		sends = sends || held.id.Cluster == cluster && !held.at.Reached.Position.IsZero() && r.shares(held.id, &held.at)
	}
	if r.sending == nil {
		r.sending = make(map[string]bool)
	}
	r.sending[cluster] = sends
	return sends
}

// wait refuses a range that builds upon what isn't here, as the decision says, and begins to count the time.
func (r *Replica) wait(at *store.Sender, d *conflict.Decision) error {
	for i := range d.Outcomes {
		o := &d.Outcomes[i]
		if o.Action != conflict.Wait {
			continue
		}
		cluster := r.names.ID(o.Prev.Cluster)
		if _, waits := r.patience[cluster]; !waits {
			if r.patience == nil {
				r.patience = make(map[string]patience)
			}
			r.patience[cluster] = patience{since: r.opts.Clock(), upTo: o.Prev.Time}
		}
		return refusal(RefusedWaits, at, "it builds upon a change that %s made at %d, of which the changes are here up to %d", cluster, o.Prev.Time, r.reachedOf(cluster))
	}
	return nil
}
