package switchover

import (
	"context"
	"fmt"
	"math"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/replaypb"
)

// ends are the last events of From's partitions. With at, positions by partition, they are asked of replicas that have applied those.
func (r *Run) ends(ctx context.Context, namespace string, at []event.Position) ([]event.Position, error) {
	for {
		places, err := r.From.Places(ctx, namespace)
		if err != nil {
			return nil, err
		}
		ends, early := make([]event.Position, len(places)), false
		for i, p := range places {
			ends[i] = position(p.LastEvent)
			early = early || i < len(at) && position(p.Applied).Compare(at[i]) < 0
		}
		if !early {
			return ends, nil
		}
		if err := wait(ctx, poll); err != nil {
			return nil, err
		}
	}
}

func position(p *replaypb.Position) event.Position {
	return event.Position{Term: p.GetTerm(), Index: p.GetIndex()}
}

// lag is how far To is behind.
type lag struct {
	entries uint64
	time    int64 // all that was made up to then is there, ns since 1970; 0 if that isn't known
	missing []string
}

func (l *lag) add(m lag) {
	l.entries += m.entries
	if l.time == 0 || m.time != 0 && m.time < l.time {
		l.time = m.time
	}
	l.missing = append(l.missing, m.missing...)
}

// lag compares what To has of each of From's partitions with where they end. It is an error when a partition of To has no place of one that can share keys with
// it, or is in a full sync.
func (r *Run) lag(ctx context.Context, namespace string, ends []event.Position) (lag, error) {
	places, err := r.To.Places(ctx, namespace)
	if err != nil {
		return lag{}, err
	}
	from, to, err := r.cuts(ctx, namespace)
	if err != nil {
		return lag{}, err
	}
	if int(from.Partitions) != len(ends) || int(to.Partitions) != len(places) {
		return lag{}, fmt.Errorf("namespace %s was made anew while it was looked at", namespace)
	}
	all := lag{time: math.MaxInt64}
	for n, end := range ends {
		sharing := from.Sharing(uint32(n), to)
		for target := range sharing.All() {
			s := placeOf(places[target], r.state.From.Cluster, namespace, uint32(n))
			if err := r.usable(s, namespace, n, target); err != nil {
				return lag{}, err
			}
			all.time = min(all.time, s.Time)
			if reached := position(s.Reached.GetPosition()); behind(s.Reached, end) {
				all.missing = append(all.missing, fmt.Sprintf("%s-%d in %s-%d: at %s, not %s", namespace, n, namespace, target, reached, end))
			}
		}
		all.entries += furthest(places, sharing, r.state.From.Cluster, namespace, uint32(n), end)
	}
	return all, nil
}

// cuts are how a namespace is cut in both clusters.
func (r *Run) cuts(ctx context.Context, namespace string) (from, to store.Cut, err error) {
	if from, err = cutOf(ctx, r.From, namespace); err != nil {
		return from, to, err
	}
	to, err = cutOf(ctx, r.To, namespace)
	return from, to, err
}

func cutOf(ctx context.Context, c *peers.Cluster, namespace string) (store.Cut, error) {
	top, err := c.Topology(ctx, namespace)
	if err != nil {
		return store.Cut{}, err
	}
	return store.Cut{Hash: top.Hash, Partitions: uint32(len(top.Partitions))}, nil
}

// furthest is how many entries the partition that is furthest behind lacks, of those that can share keys with one sender.
func furthest(places []*replaypb.PlacesResponse, sharing store.Numbers, cluster, namespace string, n uint32, end event.Position) (entries uint64) {
	for target := range sharing.All() {
		if at := placeOf(places[target], cluster, namespace, n).GetReached(); behind(at, end) {
			entries = max(entries, end.Index-min(end.Index, at.GetPosition().GetIndex()), 1)
		}
	}
	return entries
}

// behind says whether a place lacks something of the events up to end.
func behind(at *replaypb.Cursor, end event.Position) bool {
	c := position(at.GetPosition()).Compare(end)
	return c < 0 || c == 0 && !end.IsZero() && at.GetDone() != math.MaxUint32
}

// placeOf is what a partition knows of a sender; nil: nothing.
func placeOf(p *replaypb.PlacesResponse, cluster, namespace string, n uint32) *replaypb.SenderPlace {
	for _, s := range p.Senders {
		if s.Sender.GetCluster() == cluster && s.Sender.GetNamespace() == namespace && s.Sender.GetPartition() == n {
			return s
		}
	}
	return nil
}

func (r *Run) usable(s *replaypb.SenderPlace, namespace string, n int, target uint32) error {
	switch {
	case s == nil:
		return failure.New(failure.Refused, fmt.Sprintf("start it, and wait until it has caught up: zankv-cdc sync --source %s --target %s --namespace %s", r.From, r.To, namespace),
			"no syncer has ever brought what partition %s-%d of %s holds to partition %s-%d of %s", namespace, n, r.state.From.Cluster, namespace, target, r.state.To.Cluster)
	case s.Base == nil && position(s.Reached.GetPosition()).IsZero() && s.Reached.GetDone() == 0 && s.Time == 0:
		return failure.New(failure.Refused, "see that a syncer runs, and wait for its full sync: zankv-cdc changefeed query --nodes "+r.From.String(),
			"the full sync of partition %s-%d of %s into %s-%d of %s hasn't begun", namespace, n, r.state.From.Cluster, namespace, target, r.state.To.Cluster)
	case s.Base != nil:
		return failure.New(failure.Refused, "wait until it is done: zankv-cdc changefeed query --nodes "+r.From.String(),
			"a full sync of partition %s-%d of %s into %s-%d of %s is under way, up to key %q", namespace, n, r.state.From.Cluster, namespace, target, r.state.To.Cluster, s.Through)
	}
	return nil
}
