package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cli/internal/processes"
	"github.com/zankv/zankv/cli/robustness"
	"github.com/zankv/zankv/cluster/datanode/config"
)

// change is what these tests look at of a line of zankv-cdc tail.
type change struct {
	Cluster, Namespace, Op, Key, Value, Command, Chain string
	Partition                                          int
	Position                                           string
	Previous                                           string    `json:"prev_position"`
	Time                                               time.Time `json:"ts"`
}

// tailArgs are arguments for one partition of the shared cluster's, or another's, feed.
func tailArgs(c *processes.Cluster, ns string, partition int, more ...string) []string {
	return append([]string{"tail", "--nodes", strings.Join(c.GRPCAddrs(), ","), "--namespace", ns, "--partition", strconv.Itoa(partition)}, more...)
}

func changes(t *testing.T, out string) []change {
	t.Helper()
	var list []change
	for line := range strings.Lines(out) {
		var c change
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("a line of zankv-cdc tail: %v: %s", err, line)
		}
		list = append(list, c)
	}
	return list
}

// partitionOf is where a key of a namespace with that many partitions lies.
func partitionOf(t *testing.T, c *processes.Cluster, key string, partitions int) int {
	t.Helper()
	slot, err := plain(t, c.Nodes[0].Bound("default")).ClusterKeySlot(bounded(t), key).Result()
	must(t, "CLUSTER KEYSLOT", err)
	return int(slot) * partitions / 16384
}

// The promise to a newcomer: what redis-cli sets, zankv-cdc tail shows, with its position.
func TestTailShowsWhatWasSet(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	p := partitionOf(t, c, "greeting", 4)
	if out := succeeds(t, "redis-cli", "-p", port(c.Nodes[1].Bound("default")), "set", "greeting", "hello"); out != "OK\n" {
		t.Fatalf("redis-cli set: %q", out)
	}
	var set *change
	for _, line := range changes(t, succeeds(t, built.CDC, tailArgs(c, "default", p, "--from", "earliest")...)) {
		if line.Key == "greeting" {
			set = &line
		}
	}
	if set == nil || set.Op != "set" || set.Value != "hello" || set.Command != "set" || set.Namespace != "default" || set.Partition != p ||
		set.Cluster != c.Nodes[0].Config.ClusterID || time.Since(set.Time) > patience {
		t.Fatalf("the feed has %+v for greeting", set)
	}
	if at, err := event.ParsePosition(set.Position); err != nil || at.Index == 0 {
		t.Errorf("position %s: %v", set.Position, err)
	}
	if text := succeeds(t, built.CDC, tailArgs(c, "default", p, "--from", set.Position, "--count", "1", "--format", "text")...); !strings.Contains(text, set.Position) ||
		!strings.Contains(text, "greeting") || !strings.Contains(text, "hello") || strings.HasPrefix(text, "{") {
		t.Errorf("for people: %s", text)
	}
}

// Where a tail begins and where it ends.
func TestTailFromAndCount(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	const ns = nsTail
	namespace(t, c, ns, "--partitions", "1", "--replicas", "3")
	client := plain(t, c.Nodes[0].Bound(ns))
	for i := range 10 {
		must(t, "SET", client.Set(t.Context(), "k", i, 0).Err())
	}
	tail := func(more ...string) []change {
		return changes(t, succeeds(t, built.CDC, tailArgs(c, ns, 0, more...)...))
	}
	all := tail()
	if len(all) != 10 {
		t.Fatalf("%d changes, want 10: %+v", len(all), all)
	}
	for i, line := range all {
		if line.Value != strconv.Itoa(i) || i > 0 && line.Previous != all[i-1].Position {
			t.Errorf("change %d is %+v", i, line)
		}
	}
	for _, want := range []struct {
		args     []string
		from, to int
	}{
		{[]string{"--from", "earliest"}, 0, 10},
		{[]string{"--from", all[4].Position}, 4, 10},
		{[]string{"--from", all[4].Position, "--count", "3"}, 4, 7},
		{[]string{"--from", all[7].Time.Format(time.RFC3339Nano)}, 7, 10},
		{[]string{"--from", "2000-01-01T00:00:00Z", "--count", "2"}, 0, 2},
		{[]string{"--from", "latest"}, 10, 10},
	} {
		got := tail(want.args...)
		if fmt.Sprint(got) != fmt.Sprint(all[want.from:want.to]) {
			t.Errorf("%v: %d changes: %+v\nwant %+v", want.args, len(got), got, all[want.from:want.to])
		}
	}
	for _, wrong := range [][]string{{"--from", "yesterday"}, {"--format", "xml"}, {"--partition", "x"}, {"--count", "-1"}, {"more"}, {"--nodes", ""}} {
		if out, errs, code := program(t, built.CDC, tailArgs(c, ns, 0, wrong...)...); code != 2 || out != "" || errs == "" {
			t.Errorf("%v: exit code %d, want 2 and a reason: %s%s", wrong, code, out, errs)
		}
	}
	for _, wrong := range [][]string{{"--namespace", "nobody"}, {"--partition", "9"}} {
		if out, errs, code := program(t, built.CDC, tailArgs(c, ns, 0, append(wrong, "--timeout", "5s")...)...); code != 4 || out != "" || !strings.Contains(errs, wrong[1]) {
			t.Errorf("%v: exit code %d, want 4 and a reason that names it: %s%s", wrong, code, out, errs)
		}
	}
}

// follow is a running zankv-cdc tail --follow.
type follow struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func following(t *testing.T, args ...string) *follow {
	t.Helper()
	f := &follow{cmd: exec.CommandContext(bounded(t), built.CDC, append(args, "--follow")...)}
	out, err := f.cmd.StdoutPipe()
	must(t, "pipe", err)
	f.lines = bufio.NewScanner(out)
	f.lines.Buffer(nil, 64<<20)
	must(t, "start", f.cmd.Start())
	return f
}

// until reads to the line of a key.
func (f *follow) until(t *testing.T, key string) {
	t.Helper()
	for f.lines.Scan() {
		if list := changes(t, f.lines.Text()); len(list) == 1 && list[0].Key == key {
			return
		}
	}
	t.Fatalf("the feed ended before %s: %v", key, f.lines.Err())
}

// A follower sees each change at once, and ends in order: by a signal, or when nobody reads any more.
func TestTailFollows(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	client := plain(t, c.Nodes[2].Bound("default"))
	for name, end := range map[string]func(*testing.T, *follow){
		"a signal":     func(t *testing.T, f *follow) { must(t, "signal", f.cmd.Process.Signal(syscall.SIGTERM)) },
		"an interrupt": func(t *testing.T, f *follow) { must(t, "signal", f.cmd.Process.Signal(syscall.SIGINT)) },
	} {
		key := "follow:" + name
		f := following(t, tailArgs(c, "default", partitionOf(t, c, key, 4), "--from", "earliest")...)
		for _, k := range []string{key, key} {
			must(t, "SET", client.Set(t.Context(), k, "v", 0).Err())
			f.until(t, k)
		}
		end(t, f)
		for f.lines.Scan() {
		}
		if err := f.cmd.Wait(); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	must(t, "SET", client.Set(t.Context(), "greeting", "again", 0).Err())
	line := strings.Join(tailArgs(c, "default", partitionOf(t, c, "greeting", 4), "--from", "earliest", "--follow"), " ")
	must(t, "SET", client.Set(t.Context(), "{greeting}2", "v", 0).Err())
	stop := make(chan struct{})
	writing := make(chan struct{})
	go func() { // until the process notices, by writing, that nobody reads
		defer close(writing)
		for {
			select {
			case <-stop:
				return
			default:
				_ = client.Set(t.Context(), "{greeting}2", "v", 0).Err()
			}
		}
	}()
	out := succeeds(t, "bash", "-c", fmt.Sprintf("%s %s | head -n 1; echo ended ${PIPESTATUS[0]}", built.CDC, line))
	close(stop)
	<-writing
	if !strings.HasSuffix(out, "\nended 0\n") || strings.Count(out, "\n") != 2 {
		t.Errorf("a closed pipe: %s", out)
	}
}

// The node that a tail reads from dies, and another, and comes back: nothing is lost, nothing comes twice. The robustness
// package's Tail holds each line against the feed's promises.
func TestTailOutlivesItsNode(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, processes.Options{Nodes: 3, Partitions: 1, Replicas: 3})
	tail, err := robustness.StartTail(c.CDC, c.GRPCAddrs(), "default", 0)
	must(t, "tail", err)
	t.Cleanup(func() { _, _ = tail.Stop() })
	written := map[string]bool{}
	for round := range 3 {
		down := c.Nodes[round]
		down.Kill()
		client := plain(t, c.Nodes[(round+1)%3].Bound("default"))
		for i := range 30 {
			key := fmt.Sprintf("marker:%d:%d", round, i)
			await(t, "SET with node "+down.Name+" down", func() error { return client.Set(t.Context(), key, "v", 0).Err() })
			written[key] = true
			if _, err := tail.Await(bounded(t), key, "v"); err != nil {
				t.Fatal(err)
			}
		}
		must(t, "start", down.Start())
		must(t, "ready", c.Ready(bounded(t), down))
	}
	fold, err := tail.Stop()
	must(t, "the feed", err)
	if got := len(fold.Keys()); got != len(written) {
		t.Errorf("the feed folds to %d keys, want %d", got, len(written))
	}
}

// A position that no replica has any more: the error names the oldest one left, from which a reader can go on.
func TestTailOfACompactedPosition(t *testing.T) {
	t.Parallel()
	c := ownCluster(t, processes.Options{Nodes: 1, Partitions: 1, Replicas: 1, Configure: tinyLog})
	client := plain(t, c.Nodes[0].Bound("default"))
	must(t, "SET", client.Set(t.Context(), "first", "v", 0).Err())
	first := changes(t, succeeds(t, built.CDC, tailArgs(c, "default", 0)...))[0]
	compact(t, c, client)
	out, errs, code := program(t, built.CDC, tailArgs(c, "default", 0, "--from", first.Position, "--count", "1")...)
	if code != 3 || out != "" || !strings.Contains(errs, first.Position) {
		t.Fatalf("exit code %d, want 3 and an error that names %s: %s%s", code, first.Position, out, errs)
	}
	named := regexp.MustCompile(`[0-9]+-[0-9]+`).FindAllString(strings.ReplaceAll(errs, "default-0", ""), -1)
	oldest := changes(t, succeeds(t, built.CDC, tailArgs(c, "default", 0, "--from", "earliest", "--count", "1")...))[0]
	if last := named[len(named)-1]; last != oldest.Position && last != oldest.Previous {
		t.Errorf("the error doesn't name %s, the oldest position left: %s", oldest.Position, errs)
	}
	if !strings.Contains(errs, "--from earliest") {
		t.Errorf("the error doesn't say how to go on: %s", errs)
	}
}

// tinyLog keeps little of the log, so that a test can see its beginning go.
func tinyLog(_ int, c *config.Config) {
	c.WALRetainBytes, c.WALRetainSeconds = 64<<10, 1
	c.WALMaxDiskBytes = 192 << 20
	c.RocksDB.WriteBufferSize = 1 << 20
}

// compact writes until the log of partition 0 no longer has its beginning on any node.
func compact(t *testing.T, c *processes.Cluster, client *redis.Client) {
	t.Helper()
	value := strings.Repeat("x", 1<<20)
	n := 0
	await(t, "the log's beginning goes", func() error {
		for range 8 {
			n++
			must(t, "SET", client.Set(t.Context(), fmt.Sprintf("compact:%d", n%50), value, 0).Err())
		}
		for _, node := range c.Nodes {
			if node.PID() == 0 {
				continue
			}
			if first := firstIndex(t, node); first < 20 {
				return fmt.Errorf("%s still has index %d after %d MiB", node.Name, first, n)
			}
		}
		return nil
	})
}

func firstIndex(t *testing.T, n *processes.Node) uint64 {
	t.Helper()
	var stats struct {
		Stats struct {
			Partitions []struct {
				Log struct {
					First uint64 `json:"first_index"`
				}
			} `json:"ns_stats"`
		}
	}
	jsonGet(t, "http://"+n.HTTP()+"/stats?leader_only=false", &stats)
	if len(stats.Stats.Partitions) == 0 {
		return 0 // not yet
	}
	return stats.Stats.Partitions[0].Log.First
}
