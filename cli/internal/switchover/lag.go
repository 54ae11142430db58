package switchover

import (
	"context"
	"fmt"
	"math"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/failure"
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

// lag compares what To has of each of From's partitions with where they end. It is an error when some of To's partitions have no place, or are in a full sync.
func (r *Run) lag(ctx context.Context, namespace string, ends []event.Position) (lag, error) {
	places, err := r.To.Places(ctx, namespace)
	if err != nil {
		return lag{}, err
	}
	all := lag{time: math.MaxInt64}
	for n, end := range ends {
		for target, p := range places {
			s := placeOf(p, r.state.From.Cluster, namespace, uint32(n))
			if err := r.usable(s, namespace, n, target); err != nil {
				return lag{}, err
			}
			all.time = min(all.time, s.Time)
			if reached := position(s.Reached.GetPosition()); behind(s.Reached, end) {
				all.missing = append(all.missing, fmt.Sprintf("%s-%d in %s-%d: at %s, not %s", namespace, n, namespace, target, reached, end))
			}
		}
		all.entries += furthest(places, r.state.From.Cluster, namespace, uint32(n), end)
	}
	return all, nil
}

// furthest is how many entries the partition that is furthest behind lacks, of one sender.
func furthest(places []*replaypb.PlacesResponse, cluster, namespace string, n uint32, end event.Position) (entries uint64) {
	for _, p := range places {
		if at := placeOf(p, cluster, namespace, n).GetReached(); behind(at, end) {
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

func (r *Run) usable(s *replaypb.SenderPlace, namespace string, n, target int) error {
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
