package robustness

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/conflict"
)

// ConflictLog is what the logs of some clusters say, together.
type ConflictLog struct {
	// Sides are the versions that rows have, of either side, by register.
	Sides map[register]map[conflict.Version]bool
	// Diverged are keys that need repair, and Rows counts the single conflicts by reason.
	Diverged map[string]bool
	Rows     map[string]int
}

// conflictLine is a line of zankv-repair conflicts list --json.
type conflictLine struct {
	Key      string
	Register string
	Element  *string
	Reason   string
	Here     struct{ Version string }
	There    struct{ Version string }
}

// ReadConflicts lists a namespace's conflict logs of both clusters, by zankv-repair.
func (p *Pair) ReadConflicts(ctx context.Context, namespace string) (ConflictLog, error) {
	l := ConflictLog{Sides: map[register]map[conflict.Version]bool{}, Diverged: map[string]bool{}, Rows: map[string]int{}}
	for _, c := range p.Clusters {
		for _, diverged := range []bool{false, true} {
			if err := l.read(ctx, c, namespace, diverged); err != nil {
				return l, err
			}
		}
	}
	return l, nil
}

func (l *ConflictLog) read(ctx context.Context, c *processes.Cluster, namespace string, diverged bool) error {
	args := []string{"conflicts", "list", "--cluster", strings.Join(c.GRPCAddrs(), ","), "--namespace", namespace, "--limit", "0", "--json"}
	if diverged {
		args = append(args, "--diverged")
	}
	done, err := (&Operator{Binary: c.Repair}).Run(ctx, args...)
	if err == nil {
		err = done.Err()
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(done.Stdout) {
		var row conflictLine
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			return fmt.Errorf("robustness: conflicts list: %w: %s", err, line)
		}
		if diverged {
			l.Diverged[row.Key] = true
		} else if err := l.add(&row); err != nil {
			return err
		}
	}
	return nil
}

func (l *ConflictLog) add(row *conflictLine) error {
	l.Rows[row.Reason]++
	reg := register{key: row.Key}
	switch {
	case row.Element != nil:
		reg.sub = *row.Element
	case row.Register == conflict.RegisterExpiry.String():
		reg.sub = "(expiry)"
	}
	for _, text := range []string{row.Here.Version, row.There.Version} {
		v, err := parseVersion(text)
		if err != nil {
			return err
		}
		if l.Sides[reg] == nil {
			l.Sides[reg] = map[conflict.Version]bool{}
		}
		l.Sides[reg][v] = true
	}
	return nil
}

func parseVersion(text string) (v conflict.Version, err error) {
	if text == "absent" {
		return v, nil
	}
	time, cluster, _ := strings.Cut(text, "@")
	v.Cluster = cluster
	if v.Time, err = strconv.ParseInt(time, 10, 64); err != nil {
		return v, fmt.Errorf("robustness: version %q: %w", text, err)
	}
	return v, nil
}
