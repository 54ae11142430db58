package worker

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
)

// Manager runs changefeeds in a process.
type Manager struct {
	o     Options
	sinks *sinks

	// The rest is Run's goroutine's, but for mu.
	view       *changefeed.View
	stale      bool      // something changed since planned
	planned    time.Time // when view was last compared with what runs
	slots      map[slotKey]*slot
	partitions map[string]*namespace
	done       chan slotKey
	counted    chan counted
	group      sync.WaitGroup

	mu struct {
		sync.Mutex
		workers map[slotKey]*worker
	}
}

// slotKey names a partition of a changefeed.
type slotKey struct {
	feed      string
	partition uint32
}

// slot is a partition that this process waits to claim, or has.
type slot struct {
	due   time.Time
	taken bool    // claiming has begun; the slot is there until the claim is over
	stop  *halter // how to end it, once taken
}

// namespace is how many partitions one has; 0: not known yet.
type namespace struct {
	partitions uint32
	asking     bool
	askAgain   time.Time
}

type counted struct {
	namespace  string
	partitions uint32
	err        error
}

// Running is one partition that this process runs.
type Running struct {
	Feed, Namespace string
	Partition       uint32
	Epoch           uint64
	Since           time.Time
	// Progress is as it would be saved now.
	Progress changefeed.Progress
	// Meter is what the worker counts on.
	Meter *changefeed.Meter
}

// New makes a manager. Run sets it going.
func New(o Options) (*Manager, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	m := &Manager{
		o: o, sinks: newSinks(o.Sinks), view: &changefeed.View{}, slots: map[slotKey]*slot{}, partitions: map[string]*namespace{},
		done: make(chan slotKey), counted: make(chan counted),
	}
	m.mu.workers = map[slotKey]*worker{}
	return m, nil
}

// Feeds are the partitions that this process runs, by changefeed and partition. It may be called from any goroutine.
func (m *Manager) Feeds() []Running {
	m.mu.Lock()
	all := make([]Running, 0, len(m.mu.workers))
	for key, w := range m.mu.workers {
		all = append(all, Running{Feed: key.feed, Namespace: w.spec.Namespace, Partition: key.partition, Epoch: w.claim.Epoch(), Since: w.began, Progress: *w.live.Load(), Meter: &w.meter})
	}
	m.mu.Unlock()
	slices.SortFunc(all, func(a, b Running) int {
		if c := strings.Compare(a.Feed, b.Feed); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
	return all
}

// Run claims and runs partitions until ctx is done. Then it has what the writers took flushed, saves, and gives the claims up, which takes
// Options.StopWithin and some seconds at most where the registry can be reached. It is called once.
func (m *Manager) Run(ctx context.Context) error {
	watch, end := context.WithCancel(ctx)
	defer end()
	views := m.o.Registry.Watch(watch)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(m.next(ctx))
		m.stale = true
		select {
		case view, ok := <-views:
			if !ok {
				views = nil // as ctx is done
				continue
			}
			m.forget(ctx, view)
			m.view = view
		case key := <-m.done:
			m.freed(ctx, key)
		case c := <-m.counted:
			m.count(c)
		case <-timer.C:
		case <-ctx.Done():
			continue
		}
		if time.Since(m.planned) >= planEvery {
			m.plan(ctx)
		}
	}
	m.shutdown()
	return nil
}

// planEvery is how often views are looked at: each saved checkpoint of the cluster makes one.
const planEvery = 50 * time.Millisecond

// next claims what is due, and says in what time it has to look again.
func (m *Manager) next(ctx context.Context) time.Duration {
	d := m.startDue(ctx)
	if m.stale {
		d = min(d, time.Until(m.planned.Add(planEvery)))
	}
	return max(d, 0)
}

// shutdown ends all workers, at once.
func (m *Manager) shutdown() {
	for _, s := range m.slots {
		if s.taken {
			s.stop.halt(stopShutdown)
		}
	}
	finished := make(chan struct{})
	go func() {
		m.group.Wait()
		close(finished)
	}()
	for {
		select {
		case <-m.done:
		case <-m.counted:
		case <-finished:
			return
		}
	}
}

// partitionsOf is how many partitions a namespace has. While that isn't known it is asked for.
func (m *Manager) partitionsOf(ctx context.Context, name string) uint32 {
	n := m.partitions[name]
	if n == nil {
		n = &namespace{askAgain: time.Now()}
		m.partitions[name] = n
	}
	if !n.asking && !time.Now().Before(n.askAgain) {
		n.asking = true
		m.group.Go(func() {
			call, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			count, err := m.o.Source.Partitions(call, name)
			m.counted <- counted{name, count, err}
		})
	}
	return n.partitions
}

// count takes an answer. A namespace that isn't known gets one partition, for a worker to say so where people look.
func (m *Manager) count(c counted) {
	n := m.partitions[c.namespace]
	n.asking = false
	switch {
	case c.err == nil:
		n.partitions, n.askAgain = c.partitions, time.Now().Add(5*time.Minute)
	case isUnknown(c.err):
		n.partitions, n.askAgain = max(n.partitions, 1), time.Now().Add(30*time.Second)
	default:
		m.o.Logger.Warn("how many partitions a namespace has isn't known", "namespace", c.namespace, "err", c.err)
		n.askAgain = time.Now().Add(2 * time.Second)
	}
}

// orphan is a partition of a changefeed that was removed.
type orphan struct {
	spec      *changefeed.Spec
	partition uint32
}

// forget has the log no longer kept for changefeeds that a new view hasn't any more. What others run is theirs, and what runs here follows when it
// is over.
func (m *Manager) forget(ctx context.Context, view *changefeed.View) {
	var all []orphan
	for id, f := range m.view.Feeds {
		if view.Feeds[id] != nil {
			continue
		}
		for n := range m.partitionsOf(ctx, f.Spec.Namespace) {
			owner, owned := f.Owners[n]
			s := m.slots[slotKey{id, n}]
			if (!owned || owner.Process == m.o.Process) && (s == nil || !s.taken) {
				all = append(all, orphan{&f.Spec, n})
			}
		}
	}
	m.letGo(ctx, all)
}

func (m *Manager) letGo(ctx context.Context, all []orphan) {
	if len(all) == 0 {
		return
	}
	m.group.Go(func() {
		for _, o := range all {
			call, cancel := context.WithTimeout(ctx, callTimeout)
			letGo(call, &m.o, o.spec, o.partition)
			cancel()
		}
	})
}

// freed takes a slot away whose claim is over.
func (m *Manager) freed(ctx context.Context, key slotKey) {
	if m.view.Feeds[key.feed] == nil {
		m.letGo(ctx, []orphan{{m.slots[key].stop.spec, key.partition}})
	}
	delete(m.slots, key)
}
