package robustness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/zankv/zankv/cli/internal/processes"
)

// SyncFaults kills processes of a pair, with SIGKILL and at random moments, while clients write: the syncers, and the leaders on both sides. What is killed
// is started again after a moment of its own. Of each direction one syncer at least is alive, or about to be, and of each cluster a quorum lives.
type SyncFaults struct {
	Pair *Pair
	Rand *rand.Rand
	Logf func(format string, args ...any)

	restarts sync.WaitGroup
	mu       struct {
		sync.Mutex
		kills map[string]int
		err   error
	}
	// busy are what is being killed and started again: one node of each cluster at a time.
	busy [2]chan struct{}
	// idle are the syncers that are up, by direction.
	idle [2]chan *processes.Process
}

const (
	// maxGap and maxDown bound the times between kills, and until what was killed is started again.
	maxGap  = 700 * time.Millisecond
	maxDown = 1500 * time.Millisecond
)

// NewSyncFaults kills nothing yet.
func NewSyncFaults(p *Pair, rng *rand.Rand, logf func(string, ...any)) *SyncFaults {
	f := &SyncFaults{Pair: p, Rand: rng, Logf: logf}
	f.mu.kills = map[string]int{}
	for i := range f.busy {
		f.busy[i] = make(chan struct{}, 1)
		f.idle[i] = make(chan *processes.Process, len(p.Syncers[i]))
		for _, s := range p.Syncers[i] {
			f.idle[i] <- s
		}
	}
	return f
}

// Run kills so many, and returns when all are up again.
func (f *SyncFaults) Run(ctx context.Context, kills int) error {
	defer f.restarts.Wait()
	for range kills {
		if err := f.pause(ctx, maxGap); err != nil {
			return err
		}
		if err := f.failed(); err != nil {
			return err
		}
		if err := f.one(ctx); err != nil {
			return err
		}
	}
	f.restarts.Wait()
	return f.failed()
}

// one kills a syncer, or a leader of A or of B.
func (f *SyncFaults) one(ctx context.Context) error {
	down := time.Duration(f.Rand.Int64N(int64(maxDown)))
	if victim := f.Rand.IntN(4); victim < 2 {
		return f.killLeader(ctx, victim, down)
	}
	direction := f.Rand.IntN(2)
	if len(f.Pair.Syncers[direction]) == 0 {
		direction = 1 - direction
	}
	return f.killSyncer(ctx, direction, down)
}

// pause lasts for a random time.
func (f *SyncFaults) pause(ctx context.Context, most time.Duration) error {
	return wait(ctx, time.Duration(f.Rand.Int64N(int64(most))))
}

// wait returns after a time, or when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *SyncFaults) killSyncer(ctx context.Context, direction int, down time.Duration) error {
	select {
	case s := <-f.idle[direction]:
		select {
		case <-s.Ended():
			return fmt.Errorf("robustness: %s has ended by itself\n%s", s.Name, s.LogTail())
		default:
		}
		s.Kill()
		f.killed(s.Name)
		f.again(ctx, down, s.Start, func() { f.idle[direction] <- s })
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *SyncFaults) killLeader(ctx context.Context, cluster int, down time.Duration) error {
	select {
	case f.busy[cluster] <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	c := f.Pair.Clusters[cluster]
	n, err := f.leader(ctx, c)
	if err != nil {
		return err
	}
	n.Kill()
	f.killed("a leader of " + c.ClusterID)
	f.again(ctx, down, func() error { return f.start(ctx, c, n) }, func() { <-f.busy[cluster] })
	return nil
}

// leader is the node that leads a partition that is drawn.
func (f *SyncFaults) leader(ctx context.Context, c *processes.Cluster) (n *processes.Node, err error) {
	p := f.Rand.IntN(c.Partitions)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return n, Until(ctx, func(ctx context.Context) error {
		i, err := c.Leader(ctx, p)
		if err == nil {
			n = c.Nodes[i]
		}
		return err
	})
}

// start starts a node and returns when it answers for every partition.
func (f *SyncFaults) start(ctx context.Context, c *processes.Cluster, n *processes.Node) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := n.Start(); err != nil {
		return err
	}
	return c.Ready(ctx, n)
}

// again starts something after a time, beside the rest; free is for the next who wants to kill it.
func (f *SyncFaults) again(ctx context.Context, down time.Duration, start func() error, free func()) {
	f.restarts.Go(func() {
		defer free()
		err := wait(ctx, down)
		if err == nil {
			err = start()
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.mu.err = errors.Join(f.mu.err, err)
	})
}

func (f *SyncFaults) killed(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.kills[what]++
}

func (f *SyncFaults) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.err
}

// Kills tells how often what was killed.
func (f *SyncFaults) Kills() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.kills
}
