package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cli/robustness"
)

// resumeKeys is how many writes the small log has.
const resumeKeys = 12

// From every position that the log has, whoever begins there gets exactly what follows: tail, and a changefeed.
func TestResumeFromEveryPosition(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	namespace(t, c, nsFeedResume, "--partitions", "1", "--replicas", "3")
	client := plain(t, c.Nodes[0].Bound(nsFeedResume))
	for i := range resumeKeys {
		switch i % 3 {
		case 0:
			must(t, "SET", client.Set(t.Context(), "s", i, 0).Err())
		case 1:
			must(t, "HINCRBY", client.HIncrBy(t.Context(), "h", "n", 1).Err())
		case 2:
			must(t, "MSET", client.MSet(t.Context(), "{m}1", i, "{m}2", i).Err())
		}
	}
	all := tailLines(t, c, "earliest")
	if len(all) < resumeKeys {
		t.Fatalf("the log has %d lines, want %d at least", len(all), resumeKeys)
	}
	o, dir := operator(c), t.TempDir()
	for i := range all {
		if i > 0 && positionOf(t, all[i]) == positionOf(t, all[i-1]) {
			continue
		}
		from := positionOf(t, all[i])
		if got := tailLines(t, c, from); fmt.Sprint(got) != fmt.Sprint(all[i:]) {
			t.Errorf("tail from %s: %d lines, want %d:\n%s", from, len(got), len(all)-i, strings.Join(got, ""))
		}
		_, err := o.Create(bounded(t), resumeID(i), nsFeedResume, "file://"+filepath.Join(dir, resumeID(i)), "--from", from)
		must(t, "create", err)
	}
	for i := range all {
		if i > 0 && positionOf(t, all[i]) == positionOf(t, all[i-1]) {
			continue
		}
		await(t, "the changefeed from "+positionOf(t, all[i]), func() error {
			got := archived(t, filepath.Join(dir, resumeID(i)))
			if fmt.Sprint(got) != fmt.Sprint(all[i:]) {
				return fmt.Errorf("%d lines, want %d:\n%s", len(got), len(all)-i, strings.Join(got, ""))
			}
			return nil
		})
		f := feedOf{Operator: o, id: resumeID(i)}
		f.until(t, "it is well", func(q *robustness.Feed) bool { return q.State == changefeed.Normal && q.Trouble == nil })
		must(t, "remove", o.Ask(bounded(t), nil, "changefeed", "remove", "-c", resumeID(i), "--no-confirm"))
	}
}

func resumeID(i int) string { return fmt.Sprintf("resume-%d", i) }

func tailLines(t *testing.T, c interface{ GRPCAddrs() []string }, from string) (all []string) {
	t.Helper()
	out := succeeds(t, built.CDC, "tail", "--nodes", strings.Join(c.GRPCAddrs(), ","), "--namespace", nsFeedResume, "--partition", "0", "--from", from, "--format", "json")
	for line := range strings.Lines(out) {
		all = append(all, line)
	}
	return all
}

func positionOf(t *testing.T, line string) string {
	t.Helper()
	return changes(t, line)[0].Position
}

// archived are the lines of changes in an archive, in order; heartbeats are left out.
func archived(t *testing.T, dir string) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.jsonl"))
	must(t, "glob", err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, "read", err)
		for line := range strings.Lines(string(b)) {
			if !strings.Contains(line, `"op":"heartbeat"`) {
				all = append(all, line)
			}
		}
	}
	return all
}
