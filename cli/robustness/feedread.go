package robustness

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/processes"
)

// ReadFeed reads a partition's feed from the earliest event to its end by zankv-cdc tail, checks it, and shows each change to visit, which may keep
// nothing of it.
func ReadFeed(ctx context.Context, c *processes.Cluster, namespace string, partition int, visit func(*event.Line, event.Names) error) error {
	cmd := exec.CommandContext(ctx, c.CDC, "tail", "--nodes", strings.Join(c.GRPCAddrs(), ","), "--namespace", namespace,
		"--partition", strconv.Itoa(partition), "--from", "earliest", "--format", "json")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("robustness: %w", err)
	}
	s := newStream(partition)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for err == nil && lines.Scan() {
		if err = s.line(lines.Bytes()); err == nil && s.parsed.Kind == event.LineChange {
			err = visit(&s.parsed, s.parser.Names)
		}
	}
	if err != nil {
		_ = cmd.Process.Kill()
	} else {
		err = lines.Err()
	}
	if ended := cmd.Wait(); err == nil {
		err = ended
	}
	if err != nil {
		return fmt.Errorf("robustness: feed of %s-%d of %s: %w\n%s", namespace, partition, c.ClusterID, err, stderr.String())
	}
	return nil
}

// Origins counts the changes in a namespace's feeds by the cluster that made them; "" is the cluster itself.
func Origins(ctx context.Context, c *processes.Cluster, namespace string, partitions int) (map[string]int, error) {
	counts := map[string]int{}
	for p := range partitions {
		err := ReadFeed(ctx, c, namespace, p, func(l *event.Line, names event.Names) error {
			origin := ""
			if l.Mutation.Origin != nil {
				origin = names.ID(l.Mutation.Origin.Cluster)
			}
			counts[origin]++
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return counts, nil
}
