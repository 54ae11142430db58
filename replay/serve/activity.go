package serve

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/replaypb"
)

// Activity is what a sender did in a partition that this node leads, or did lead.
type Activity struct {
	Namespace string
	Partition uint32
	Sender    store.SenderID
	// From is the address of who carries it, as it was last.
	From string
	// Since is when it began, Last when a call of its was answered last, as far as it wasn't idle for Forgotten.
	Since, Last time.Time
	// Time is the sender's hybrid clock at its place (ns), 0 if it isn't known; Syncing says that a full sync is under way.
	Time    int64
	Syncing bool
	// Calls, and mutations by what became of them.
	Calls, Applied, Skipped, Conflicts uint64
	// OK says that the last call was carried out. If not, Problem says that it was refused: then Refused is the kind, Offset that of a Clock.
	OK      bool
	Problem bool
	Refused problem.Kind
	Offset  time.Duration
	What    string
	// ETA is when it will have caught up: 0 if it has, -1 if its lag doesn't shrink, or that isn't known yet.
	ETA time.Duration

	mark struct { // where the ETA is reckoned from
		at  time.Time
		lag time.Duration
	}
}

const (
	// Forgotten is how long the activity of a sender that does nothing is remembered.
	Forgotten = time.Hour
	// Running is how long a sender counts as active after its last call.
	Running = time.Minute
	// maxActivities bounds what is remembered.
	maxActivities = 1 << 16
	// caughtUp is the lag that a sender has that is as near as it can be: places of idle ones move every 10 s.
	caughtUp = 15 * time.Second
	// etaOver is over how long the change of the lag is looked at.
	etaOver = 10 * time.Second
)

type activityKey struct {
	namespace string
	partition uint32
	sender    store.SenderID
}

// activities are all senders'.
type activities struct {
	mu  sync.Mutex
	all map[activityKey]*Activity
}

func (a *activities) init() { a.all = map[activityKey]*Activity{} }

// note remembers what came of a call that was whole.
func (s *Server) note(c *call, resp *replaypb.ApplyResponse, err error) {
	now := s.opts.Clock()
	at := c.header.GetRange().GetTime()
	if err != nil || cursorOf(resp.Reached).Compare(cursorOf(c.header.GetRange().GetTo())) < 0 {
		at = 0 // not all of it is in
	}
	if err == nil {
		s.metrics.Applied.Add(resp.Applied)
		s.metrics.Skipped.Add(resp.Skipped)
		s.metrics.Conflicts.Add(resp.Conflicts)
		s.metrics.Sizes.Observe(c.header.PlainSize)
		if at != 0 && resp.Applied > 0 {
			s.metrics.Net.Observe(c.came.Sub(time.Unix(0, at)))
			s.metrics.All.Observe(now.Sub(time.Unix(0, at)))
		}
	}
	s.activity.mu.Lock()
	defer s.activity.mu.Unlock()
	one := s.activity.find(activityKey{c.header.Namespace, c.header.Partition, c.sender}, now)
	if one == nil {
		return
	}
	if p, ok := peer.FromContext(c.ctx); ok {
		one.From = p.Addr.String()
	}
	one.Last = now
	one.Calls++
	one.ended(resp, err)
	if err == nil {
		one.Syncing = c.header.GetChunk() != nil && !c.header.GetChunk().GetEnd()
		one.moved(at, now)
	}
}

// find is a sender's, new if it did nothing for long; nil if there are too many.
func (a *activities) find(key activityKey, now time.Time) *Activity {
	one := a.all[key]
	if one == nil || now.Sub(one.Last) > Forgotten {
		if len(a.all) >= maxActivities {
			a.prune(now)
		}
		if one == nil && len(a.all) >= maxActivities {
			return nil
		}
		one = &Activity{Namespace: key.namespace, Partition: key.partition, Sender: key.sender, Since: now, ETA: -1}
		a.all[key] = one
	}
	return one
}

func (a *activities) prune(now time.Time) {
	for key, one := range a.all {
		if now.Sub(one.Last) > Forgotten {
			delete(a.all, key)
		}
	}
}

func (a *Activity) ended(resp *replaypb.ApplyResponse, err error) {
	if a.OK = err == nil; a.OK {
		a.Applied, a.Skipped, a.Conflicts = a.Applied+resp.Applied, a.Skipped+resp.Skipped, a.Conflicts+resp.Conflicts
		a.Problem, a.Refused, a.Offset, a.What = false, 0, 0, ""
		return
	}
	a.What, a.Problem, a.Refused, a.Offset = err.Error(), false, 0, 0
	if p, ok := problem.Of(err); ok {
		a.Problem, a.Refused, a.Offset = true, p.Kind, p.Offset
	}
}

// moved takes note of a place's time, and reckons from its lag when there will be none.
func (a *Activity) moved(at int64, now time.Time) {
	if at <= a.Time {
		return
	}
	a.Time = at
	lag := now.Sub(time.Unix(0, at))
	switch passed := now.Sub(a.mark.at); {
	case lag <= caughtUp:
		a.ETA = 0
	case a.mark.at.IsZero():
		a.ETA = -1
	case passed < etaOver:
		return
	case lag >= a.mark.lag:
		a.ETA = -1
	default:
		a.ETA = time.Duration(float64(lag) / float64(a.mark.lag-lag) * float64(passed))
	}
	a.mark.at, a.mark.lag = now, lag
}

// Senders are what is remembered, in the order of namespace, partition and sender.
func (s *Server) Senders() []Activity {
	s.activity.mu.Lock()
	defer s.activity.mu.Unlock()
	s.activity.prune(s.opts.Clock())
	all := make([]Activity, 0, len(s.activity.all))
	for _, one := range s.activity.all {
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b Activity) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Sender.Cluster, b.Sender.Cluster),
			cmp.Compare(a.Sender.Namespace, b.Sender.Namespace), cmp.Compare(a.Sender.Partition, b.Sender.Partition))
	})
	return all
}
