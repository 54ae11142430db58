package e2e

import (
	"context"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/zankv/zankv/cli/internal/processes"
)

// redis-cli's tools for clusters read CLUSTER NODES and CLUSTER SLOTS, and redis-benchmark sends to the nodes that they name.
func TestRedisTools(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	for _, n := range c.Nodes {
		addr := n.Cluster("default")
		out := succeeds(t, "redis-cli", "--cluster", "check", addr)
		for _, want := range []string{"[OK] All nodes agree about slots configuration.", "[OK] All 16384 slots covered."} {
			if !strings.Contains(out, want) {
				t.Errorf("redis-cli --cluster check lacks %q:\n%s", want, out)
			}
		}
		if out := succeeds(t, "redis-cli", "--cluster", "info", addr); !strings.Contains(out, "[OK] ") {
			t.Errorf("redis-cli --cluster info: %s", out)
		}
	}
	out := succeeds(t, "redis-benchmark", "--cluster", "-p", port(c.Nodes[1].Cluster("default")), "-n", "500", "-c", "8", "--csv",
		"-t", "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset")
	if lines := strings.Count(out, "\n\""); lines != 16 || strings.Contains(strings.ToLower(out), "error") {
		t.Errorf("redis-benchmark: %d lines of a table, want a head and 15 tests:\n%s", lines, out)
	}
}

// redirected is what redis-cli says when it goes to another node.
var redirected = regexp.MustCompile(`-> Redirected to slot \[\d+\] located at \S+\n`)

// A script of commands, each of them wherever its key is. A transaction has to begin where its keys are: redis-cli takes
// MULTI to the node that it speaks with.
func TestRedisCLIScript(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	const script = `set cli:a 1
rpush cli:b x y z
hset cli:c f v
strlen cli:a
multi
incr {cli:a}n
append {cli:a}n 0
exec
lrange cli:b 0 -1
zadd cli:d 1.5 m
zrange cli:d 0 -1 withscores
incr cli:b
type cli:c
`
	const want = "OK\n3\n1\n1\nOK\nQUEUED\nQUEUED\n1\n2\nx\ny\nz\n1\nm\n1.5\nWRONGTYPE Operation against a key holding the wrong kind of value\n\nhash\n"
	for _, n := range c.Nodes {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		cmd := exec.CommandContext(ctx, "redis-cli", "-c", "-p", port(n.Cluster("default")))
		cmd.Stdin = strings.NewReader(script)
		out, err := cmd.CombinedOutput()
		cancel()
		if got := redirected.ReplaceAllString(string(out), ""); err != nil || got != want {
			t.Errorf("redis-cli -c on %s: %v\n%q, want\n%q", n.Name, err, got, want)
		}
		must(t, "clean up", cleanUp(t, c, "cli:a", "cli:b", "cli:c", "cli:d", "{cli:a}n"))
	}
}

func cleanUp(t *testing.T, c *processes.Cluster, keys ...string) error {
	return plain(t, c.Nodes[0].Bound("default")).Del(bounded(t), keys...).Err()
}
