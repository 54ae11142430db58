package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zankv/zankv/cli/internal/processes"
)

// clientSteps are the names of the steps of the suite, in order; testdata/clients/README.md says what they are.
func clientSteps(clustered bool) []string {
	steps := []string{
		"strings", "expiry", "hashes", "lists", "sets", "zsets", "geo", "bitmaps", "hyperloglogs", "many", "pipeline",
		"multi", "watch", "scan", "large", "keys", "protocols",
	}
	if clustered {
		steps = append(steps, "moved")
	}
	return steps
}

// client is a library that runs the suite.
type client struct {
	name      string
	protocols []string // that the library speaks, the newest first
	line      []string // the command line, before the suite's arguments
	env       string
}

// libraries are the clients that deployments/clients installs, and go-redis.
func libraries(t *testing.T) []client {
	t.Helper()
	install := filepath.Join("..", "..", "deployments", "clients", "install.sh")
	out, _, code := program(t, install, "--where")
	if code != 0 {
		t.Fatal("the clients of other languages aren't installed: `make deps-test` does it")
	}
	home, suites := strings.TrimSpace(out), filepath.Join("testdata", "clients")
	self, err := os.Executable()
	must(t, "this program", err)
	return []client{
		{"go-redis", []string{"3", "2"}, []string{self, goSuiteArg}, ""},
		{"redis-py", []string{"3", "2"}, []string{"python3", filepath.Join(suites, "python", "suite.py")}, "PYTHONPATH=" + filepath.Join(home, "python")},
		{"ioredis", []string{"2"}, []string{"node", filepath.Join(suites, "node", "suite.js")}, "NODE_PATH=" + filepath.Join(home, "node", "node_modules")},
		{"Jedis", []string{"3", "2"}, []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", filepath.Join(home, "java", "*"),
			filepath.Join(suites, "java", "Suite.java")}, "CLASSPATH="},
	}
}

// Stock clients do on ZanKV what they do on Redis: as cluster clients on the cluster port, while a leader moves, and as
// plain ones on the namespace's own port.
func TestClients(t *testing.T) { // alone: it keeps the machine busy
	clients := libraries(t)
	c := ownCluster(t, processes.Options{Nodes: 3, Partitions: 4, Replicas: 3})
	var cluster, plain []*suiteRun
	for i, client := range clients {
		for j, protocol := range client.protocols {
			cluster = append(cluster, newSuiteRun(client, "cluster", protocol, c.Nodes[(i+j)%len(c.Nodes)].Cluster("default")))
		}
		plain = append(plain, newSuiteRun(client, "plain", client.protocols[0], c.Nodes[i%len(c.Nodes)].Bound("default")))
	}
	runSuites(t, cluster, func() { moveLeader(t, c) })
	runSuites(t, plain, nil)
}

// suiteRun is a client's run of the suite.
type suiteRun struct {
	client
	args      []string
	clustered bool
	mayMove   chan struct{} // closed when the leader may move, as far as this run goes
}

func newSuiteRun(c client, mode, protocol, addr string) *suiteRun {
	prefix := strings.Join([]string{c.name, mode, protocol}, "-")
	return &suiteRun{c, []string{mode, protocol, addr, prefix}, mode == "cluster", make(chan struct{})}
}

// runSuites runs all at once. When all have come to the step in which the leader moves, or to an end, move is called, and
// those that wait go on.
func runSuites(t *testing.T, runs []*suiteRun, move func()) {
	t.Helper()
	ctx := bounded(t)
	moved := make(chan struct{})
	var all sync.WaitGroup
	for _, r := range runs {
		all.Go(func() {
			if out, err := r.run(ctx, moved); err != nil {
				t.Errorf("%s %s: %v\n%s", r.name, strings.Join(r.args, " "), err, out)
			}
		})
	}
	for _, r := range runs {
		<-r.mayMove
	}
	func() {
		defer all.Wait()
		defer close(moved)
		if move != nil {
			move()
		}
	}()
}

// run gives what the suite wrote, and how it failed.
func (r *suiteRun) run(ctx context.Context, moved <-chan struct{}) (string, error) {
	mayMove := sync.OnceFunc(func() { close(r.mayMove) })
	defer mayMove()
	cmd := exec.CommandContext(ctx, r.line[0], slices.Concat(r.line[1:], r.args)...)
	cmd.Env = append(os.Environ(), r.env)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("%w (`make deps-test` installs what tests need)", err)
	}
	lines, err := r.follow(in, out, mayMove, moved)
	if ended := cmd.Wait(); ended != nil { // from here on errs is whole
		err = ended
	}
	return strings.Join(append(lines, errs.String()), "\n"), err
}

// follow reads a suite's lines to the end, and answers the one that asks for the leader to move.
func (r *suiteRun) follow(in io.Writer, out io.Reader, mayMove func(), moved <-chan struct{}) (lines []string, err error) {
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		line := scanner.Text()
		if line != "move" {
			lines = append(lines, line)
			continue
		}
		mayMove()
		<-moved
		if _, err := io.WriteString(in, "moved\n"); err != nil {
			return lines, err
		}
	}
	var want []string
	for _, step := range clientSteps(r.clustered) {
		want = append(want, "ok "+step)
	}
	if want = append(want, "done"); !slices.Equal(lines, want) {
		return lines, fmt.Errorf("the suite's steps aren't %q", want)
	}
	return lines, nil
}

// moveLeader ends the leader of {moved}'s partition and starts it again when another leads, so that who still asks it is
// told where to go.
func moveLeader(t *testing.T, c *processes.Cluster) {
	t.Helper()
	ctx := bounded(t)
	partition := c.Partition(plain(t, c.Nodes[0].Bound("default")).ClusterKeySlot(ctx, "moved").Val())
	before, err := c.Leader(ctx, partition)
	must(t, "leader", err)
	old := c.Nodes[before]
	old.Kill()
	await(t, "another leader", func() error {
		now, err := c.Leader(ctx, partition)
		if err == nil && now == before {
			err = fmt.Errorf("node %d still leads", before)
		}
		return err
	})
	must(t, "start", old.Start())
	must(t, "ready", c.Ready(ctx, old))
	await(t, "MOVED from the former leader", func() error {
		err := plain(t, old.Cluster("default")).Get(ctx, "{moved}").Err()
		if err != nil && strings.HasPrefix(err.Error(), "MOVED ") {
			return nil
		}
		return fmt.Errorf("got %v", err)
	})
}
