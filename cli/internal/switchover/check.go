package switchover

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cli/internal/table"
)

// check looks whether a planned switch can begin, or be gone on with.
func check(ctx context.Context, r *Run) (string, error) {
	for _, one := range []struct {
		cluster *peers.Cluster
		id      string
	}{{r.From, r.state.From.Cluster}, {r.To, r.state.To.Cluster}} {
		for _, ns := range r.state.Namespaces {
			if err := r.healthy(ctx, one.cluster, ns); err != nil {
				return "", err
			}
		}
	}
	if err := r.clocks(ctx); err != nil {
		return "", err
	}
	if err := r.roles(ctx); err != nil {
		return "", err
	}
	if err := r.wayBack(ctx); err != nil {
		return "", err
	}
	if r.state.begun(stepStop) != nil {
		return "both clusters are well", nil
	}
	return r.flowing(ctx)
}

// healthy says what keeps a namespace from working: partitions without a leader. Nodes that are dead are told.
func (r *Run) healthy(ctx context.Context, c *peers.Cluster, namespace string) error {
	top, err := c.Topology(ctx, namespace)
	if err != nil {
		return err
	}
	var dead, headless []string
	for _, n := range top.Nodes {
		if !n.Alive {
			dead = append(dead, fmt.Sprintf("%d (%s)", n.Id, n.Grpc))
		}
	}
	if len(dead) > 0 {
		r.warn("cluster %s: nodes that are dead: %s", top.Cluster, strings.Join(dead, ", "))
	}
	for _, p := range top.Partitions {
		if p.Leader == "" {
			headless = append(headless, fmt.Sprintf("%s-%d", namespace, p.Number))
		}
	}
	if len(headless) > 0 {
		return failure.New(failure.Refused, "see that a majority of each one's nodes runs, and run it again",
			"cluster %s: partitions without a leader: %s", top.Cluster, strings.Join(headless, ", "))
	}
	// Each leader is asked something: being named isn't being there.
	_, err = c.Places(ctx, namespace)
	return err
}

const (
	// clockTold is how far apart clocks are that nobody minds: the comparison is good to about a second.
	clockTold = 3 * time.Second
	// clockMost is how far apart they may be: max_clock_offset's default.
	clockMost = time.Minute
)

// clocks refuses to switch over to a cluster whose clocks are far off.
func (r *Run) clocks(ctx context.Context) error {
	var all []peers.Clock
	for _, c := range []*peers.Cluster{r.From, r.To} {
		of, err := c.Clocks(ctx)
		if err != nil {
			return err
		}
		all = append(all, of...)
	}
	var first, last peers.Clock
	for i, c := range all {
		if i == 0 || c.Ahead < first.Ahead {
			first = c
		}
		if i == 0 || c.Ahead > last.Ahead {
			last = c
		}
	}
	apart := last.Ahead - first.Ahead
	said := fmt.Sprintf("the clocks of %s and %s are %s apart", first.Node, last.Node, table.Seconds(apart.Seconds()))
	switch {
	case apart > clockMost:
		return r.unless(failure.New(failure.Refused, "set the clocks (NTP): what is written with a late clock loses against what an early one wrote", "%s", said))
	case apart > clockTold:
		r.warn("%s", said)
	}
	return nil
}

// roles sees that clients write to From only.
func (r *Run) roles(ctx context.Context) error {
	for _, ns := range r.state.Namespaces {
		to, err := r.To.Roles(ctx, ns)
		if err != nil {
			return err
		}
		if !to.Closed() {
			err := r.unless(failure.New(failure.Refused, fmt.Sprintf("close it: POST /synceronly?enable=true&namespace=%s on a node of %s", ns, r.state.To.Cluster),
				"clients can write to namespace %s of %s: what is written there and here can't be compared while it changes", ns, r.state.To.Cluster))
			if err != nil {
				return err
			}
		}
		from, err := r.From.Roles(ctx, ns)
		if err != nil {
			return err
		}
		if from.Closed() && r.state.begun(stepStop) == nil {
			r.warn("clients can't write to namespace %s of %s already", ns, r.state.From.Cluster)
		}
	}
	return nil
}

// flowing sees that everything of From goes to To, and soon does.
func (r *Run) flowing(ctx context.Context) (string, error) {
	var all lag
	for _, ns := range r.state.Namespaces {
		ends, err := r.ends(ctx, ns, nil)
		if err != nil {
			return "", err
		}
		l, err := r.lag(ctx, ns, ends)
		if err != nil {
			return "", err
		}
		all.add(l)
	}
	behind := time.Duration(0)
	if all.entries > 0 && all.time > 0 {
		behind = max(0, time.Since(time.Unix(0, all.time)))
	}
	if behind > r.MaxLag {
		return "", r.unless(failure.New(failure.Refused, "see that the syncer runs (zankv-cdc doctor --nodes "+r.From.String()+"), wait until it has caught up, or allow more with --max-lag: for so long nobody could write",
			"%s is %s and %d entries behind %s", r.state.To.Cluster, table.Seconds(behind.Seconds()), all.entries, r.state.From.Cluster))
	}
	return fmt.Sprintf("both clusters are well; %s is %d entries behind %s", r.state.To.Cluster, all.entries, r.state.From.Cluster), nil
}
