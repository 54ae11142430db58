package robustness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/zankv/zankv/cli/internal/processes"
)

// Faults does bad things to a cluster while a workload runs. Each one lasts until clients have come on with what is left
// (where something is left), and is over when they have come on again after it.
type Faults struct {
	Cluster  *processes.Cluster
	Workload *Workload
	Rand     *rand.Rand
	Logf     func(format string, args ...any)
}

const (
	// during and after are how many commands have to be answered while a fault lasts and when it is over.
	during = 1500
	after  = 500
	// patience bounds each of them, and the restart of a process.
	patience = 60 * time.Second
)

// fault is one kind of it.
type fault struct {
	name string
	run  func(*Faults, context.Context) error
}

var faults = []fault{
	{"kill -9 of a leader", (*Faults).killLeader},
	{"a leader pauses", (*Faults).pauseLeader},
	{"kill -9 of a node and of etcd", (*Faults).killNodeAndEtcd},
	{"kill -9 of all nodes at once", (*Faults).killAll},
}

// Round does each of them once, in an order drawn anew.
func (f *Faults) Round(ctx context.Context) error {
	for _, i := range f.Rand.Perm(len(faults)) {
		before := time.Now()
		if err := faults[i].run(f, ctx); err != nil {
			return fmt.Errorf("%s: %w", faults[i].name, err)
		}
		if err := f.progress(ctx, after); err != nil {
			return fmt.Errorf("after %s: %w", faults[i].name, err)
		}
		f.Logf("%s: %v", faults[i].name, time.Since(before).Round(time.Millisecond))
	}
	return nil
}

func (f *Faults) progress(ctx context.Context, commands int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return f.Workload.Progress(ctx, commands)
}

// restart starts nodes again and waits until each answers for every partition.
func (f *Faults) restart(ctx context.Context, nodes ...*processes.Node) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, n := range nodes {
		if err := n.Start(); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := f.Cluster.Ready(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (f *Faults) leader(ctx context.Context) (*processes.Node, error) {
	i, err := f.Cluster.Leader(ctx, f.Rand.IntN(f.Cluster.Partitions))
	if err != nil {
		return nil, err
	}
	return f.Cluster.Nodes[i], nil
}

func (f *Faults) killLeader(ctx context.Context) error {
	n, err := f.leader(ctx)
	if err != nil {
		return err
	}
	n.Kill()
	if err := f.progress(ctx, during); err != nil {
		return err
	}
	return f.restart(ctx, n)
}

// probes is how many connections ask a paused leader.
const probes = 60

// pauseLeader stops a leader's clock, so to speak: when it goes on, others lead, and it must not answer from its old state
// what it was asked meanwhile.
func (f *Faults) pauseLeader(ctx context.Context) error {
	n, err := f.leader(ctx)
	if err != nil {
		return err
	}
	p, err := f.Workload.OpenProbes(n.Bound(f.Cluster.Namespace), probes)
	if err != nil {
		return err
	}
	defer p.Close()
	n.Signal(syscall.SIGSTOP)
	err = f.progress(ctx, during)
	if err == nil {
		err = p.Ask()
	}
	n.Signal(syscall.SIGCONT)
	if err != nil {
		return err
	}
	answered, err := p.Collect()
	f.Logf("%s paused: %d of %d probes answered", n.Name, answered, probes)
	return err
}

func (f *Faults) killNodeAndEtcd(ctx context.Context) error {
	n := f.Cluster.Nodes[f.Rand.IntN(len(f.Cluster.Nodes))]
	f.Cluster.Etcd.Kill()
	n.Kill()
	if err := f.progress(ctx, during); err != nil {
		return err
	}
	if err := f.Cluster.Etcd.Start(); err != nil {
		return err
	}
	return f.restart(ctx, n)
}

// killAll leaves nothing that could come on meanwhile.
func (f *Faults) killAll(ctx context.Context) error {
	for _, n := range f.Cluster.Nodes {
		n.Kill()
	}
	return f.restart(ctx, f.Cluster.Nodes...)
}
