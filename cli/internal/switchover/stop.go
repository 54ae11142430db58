package switchover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/failure"
	"github.com/zankv/zankv/cli/internal/peers"
	"github.com/zankv/zankv/cli/internal/table"
)

const (
	// poll is between two looks at how far something is.
	poll = 200 * time.Millisecond
	// tell is how often that is said.
	tell = time.Second
	// stall is after how long without any progress nobody waits longer.
	stall = time.Minute
)

func planStop(r *Run) string {
	return fmt.Sprintf("POST /synceronly?enable=true, on a node of %s: clients get \"The cluster is only allowing syncer write\"", r.state.From.Cluster)
}

// stopWrites closes From, and finds its last events: nothing that a client wrote comes after them.
func stopWrites(ctx context.Context, r *Run) (string, error) {
	closed, targets := map[string][]string{}, map[string][]string{}
	partitions := 0
	for _, ns := range r.state.Namespaces {
		roles, err := r.From.SetRole(ctx, ns, true)
		if err != nil {
			return "", err
		}
		at, err := positions(roles)
		if err != nil {
			return "", err
		}
		ends, err := r.ends(ctx, ns, at)
		if err != nil {
			return "", err
		}
		if len(ends) != len(at) {
			return "", fmt.Errorf("namespace %s of %s: %d partitions were closed, but it has %d", ns, r.state.From.Cluster, len(at), len(ends))
		}
		closed[ns], targets[ns] = texts(at), texts(ends)
		partitions += len(at)
	}
	r.state.Closed, r.state.Targets = closed, targets
	return fmt.Sprintf("clients can't write to %s: %s", r.state.From.Cluster, describe(closed)), nil
}

// positions are those of a switch, by partition number.
func positions(roles *peers.Roles) ([]event.Position, error) {
	all := make([]event.Position, len(roles.Partitions))
	for _, p := range roles.Partitions {
		name := p.Partition[strings.LastIndexByte(p.Partition, '-')+1:]
		var n int
		if _, err := fmt.Sscanf(name, "%d", &n); err != nil || n < 0 || n >= len(all) {
			return nil, fmt.Errorf("/synceronly: partition %q is none of %d", p.Partition, len(all))
		}
		at, err := event.ParsePosition(p.Position)
		if err != nil {
			return nil, fmt.Errorf("/synceronly: partition %s: %w", p.Partition, err)
		}
		all[n] = at
	}
	return all, nil
}

func texts(all []event.Position) []string {
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = p.String()
	}
	return out
}

// describe lists positions, but not those of a thousand partitions.
func describe(all map[string][]string) string {
	var b strings.Builder
	n := 0
	for _, ns := range slices.Sorted(maps.Keys(all)) {
		for i, p := range all[ns] {
			if n++; n > 16 {
				return b.String() + " … (all are in the file)"
			}
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s-%d at %s", ns, i, p)
		}
	}
	return b.String()
}

// stillClosed refuses to go on when From was opened since.
func stillClosed(ctx context.Context, r *Run) error {
	for _, ns := range r.state.Namespaces {
		roles, err := r.From.Roles(ctx, ns)
		if err != nil {
			return err
		}
		at, err := positionsOf(roles)
		if err != nil || !roles.Closed() || strings.Join(at, " ") != strings.Join(r.state.Closed[ns], " ") {
			return failure.New(failure.Refused, "add --abort, and begin anew",
				"namespace %s of %s was opened to clients since it was closed: what was found then doesn't count any more", ns, r.state.From.Cluster)
		}
	}
	return nil
}

func positionsOf(roles *peers.Roles) ([]string, error) {
	at, err := positions(roles)
	return texts(at), err
}

// allowWrites opens From again.
func allowWrites(ctx context.Context, r *Run) (string, error) {
	for _, ns := range r.state.Namespaces {
		if _, err := r.From.SetRole(ctx, ns, false); err != nil {
			return "", err
		}
	}
	r.state.Closed, r.state.Targets = nil, nil
	return "clients can write to " + r.state.From.Cluster, nil
}

// catchUp waits until To has every event of From up to where it was closed.
func catchUp(ctx context.Context, r *Run) (string, error) {
	began, told, moved := time.Now(), time.Time{}, time.Now()
	var first, least uint64
	for looks := 0; ; looks++ {
		left, err := r.left(ctx)
		if err != nil {
			return "", err
		}
		if len(left.missing) == 0 {
			return fmt.Sprintf("%s has all of %s", r.state.To.Cluster, r.state.From.Cluster), nil
		}
		if looks == 0 || left.entries < least {
			least, moved = left.entries, time.Now()
		}
		if looks == 0 {
			first = left.entries
		}
		if time.Since(told) >= tell {
			told = time.Now()
			r.progress("%s", pace(first, left.entries, time.Since(began)))
		}
		if time.Since(moved) > stall {
			return "", failure.New(failure.Unavailable, "see what holds the syncer back: zankv-cdc doctor --nodes "+r.From.String(),
				"nothing came for %s; %d entries are left: %s", table.Seconds(stall.Seconds()), left.entries, strings.Join(left.missing[:min(len(left.missing), 4)], "; "))
		}
		if err := wait(ctx, poll); err != nil {
			return "", err
		}
	}
}

// left is what To lacks of what From held when it was closed.
func (r *Run) left(ctx context.Context) (lag, error) {
	var all lag
	for _, ns := range r.state.Namespaces {
		ends, err := r.parsed(r.state.Targets[ns])
		if err != nil {
			return lag{}, err
		}
		l, err := r.lag(ctx, ns, ends)
		if err != nil {
			return lag{}, err
		}
		all.add(l)
	}
	return all, nil
}

// closed are the positions at which a namespace of From was closed.
func (r *Run) closed(namespace string) ([]event.Position, error) {
	return r.parsed(r.state.Closed[namespace])
}

func (r *Run) parsed(texts []string) ([]event.Position, error) {
	all := make([]event.Position, len(texts))
	for i, text := range texts {
		var err error
		if all[i], err = event.ParsePosition(text); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Options.File, err)
		}
	}
	return all, nil
}

// pace says how much is left, how fast it gets less, and for how long.
func pace(first, left uint64, since time.Duration) string {
	text := fmt.Sprintf("%d entries left", left)
	if first <= left || since < tell {
		return text
	}
	rate := float64(first-left) / since.Seconds()
	return fmt.Sprintf("%s, %s entries/s, about %s", text, table.Rate(rate), table.Seconds(float64(left)/rate))
}

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
