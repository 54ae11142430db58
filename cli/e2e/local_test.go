package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/zankv/zankv/cli/internal/processes"
)

// localCluster is a `zankv local` on free ports.
type localCluster struct {
	*processes.Process
	dir                           string
	etcd, redis, http, grpc, raft int
	namespace, cluster            int
	nodes, partitions             int
	shown                         int64 // how much of the log is of earlier lives
}

// startLocal runs one and waits until it says that it is ready.
func startLocal(t *testing.T, nodes, partitions int) *localCluster {
	t.Helper()
	l := newLocal(t, filepath.Join(t.TempDir(), "data"), nodes, partitions)
	l.start(t)
	return l
}

func newLocal(t *testing.T, dir string, nodes, partitions int) *localCluster {
	t.Helper()
	first, err := processes.FreeRange(10 * nodes) // node i adds 10·i to each
	must(t, "ports", err)
	l := &localCluster{
		dir: dir, nodes: nodes, partitions: partitions,
		etcd: first, redis: first + 1, http: first + 2, grpc: first + 3, raft: first + 4, namespace: first + 5, cluster: first + 6,
	}
	l.Process = processes.New("local", filepath.Join(t.TempDir(), "local.log"), built.Zankv, l.args()...)
	t.Cleanup(l.Kill)
	showLogs(t, l.LogTail)
	return l
}

func (l *localCluster) args() []string {
	args := []string{"local", "--data-dir", l.dir}
	for flag, n := range map[string]int{
		"nodes": l.nodes, "replicas": l.nodes, "partitions": l.partitions, "etcd-port": l.etcd, "redis-port": l.redis,
		"http-port": l.http, "grpc-port": l.grpc, "raft-port": l.raft, "namespace-port": l.namespace, "cluster-port": l.cluster,
	} {
		args = append(args, "--"+flag, strconv.Itoa(n))
	}
	return args
}

func local(base, node int) string { return "127.0.0.1:" + strconv.Itoa(base+10*node) }

// start begins a life and waits for "ready".
func (l *localCluster) start(t *testing.T) {
	t.Helper()
	if info, err := os.Stat(l.LogFile); err == nil {
		l.shown = info.Size()
	}
	must(t, "start", l.Start())
	await(t, "zankv local is ready", func() error {
		if strings.Contains(l.output(t), "\ntry:\n") {
			return nil
		}
		return fmt.Errorf("not yet:\n%s", l.LogTail())
	})
}

// output is what this life has written.
func (l *localCluster) output(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(l.LogFile)
	must(t, "log", err)
	return string(b[l.shown:])
}

func (l *localCluster) stop(t *testing.T, sig syscall.Signal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l.Signal(sig)
	if err := l.Wait(ctx); err != nil {
		t.Fatalf("after %v: %v", sig, err)
	}
}

// It says where everything is; each of the addresses answers; and what it suggests to type works as it stands.
func TestLocalSaysWhatToTry(t *testing.T) {
	t.Parallel()
	l := startLocal(t, 3, 4)
	out := l.output(t)
	want := []string{"ready: etcd " + local(l.etcd, 0)}
	for i := range l.nodes {
		want = append(want, fmt.Sprintf("node %d: redis %s  http %s  grpc %s  namespace default on %s  cluster port %s",
			i, local(l.redis, i), local(l.http, i), local(l.grpc, i), local(l.namespace, i), local(l.cluster, i)))
	}
	for _, w := range append(want, fmt.Sprintf("redis-cli -p %d set greeting hello", l.namespace)) {
		if !strings.Contains(out, w) {
			t.Errorf("the output lacks %q:\n%s", w, out)
		}
	}
	if got := succeeds(t, "redis-cli", "-p", strconv.Itoa(l.namespace), "set", "greeting", "hello"); got != "OK\n" {
		t.Errorf("set greeting: %q", got)
	}
	for i := range l.nodes {
		if got := succeeds(t, "redis-cli", "-p", port(local(l.namespace, i)), "get", "greeting"); got != "hello\n" {
			t.Errorf("node %d: get greeting: %q", i, got)
		}
		if got := httpGet(t, "http://"+local(l.http, i)+"/ping", 200); got != "OK" {
			t.Errorf("node %d: ping: %q", i, got)
		}
		if got := plain(t, local(l.redis, i)).Get(t.Context(), "default:greeting:x").Err(); got == nil || got.Error() != "redis: nil" {
			t.Errorf("node %d: a key that isn't there on the shared port: %v", i, got)
		}
	}
}

// Whichever way it ends, what was acknowledged is there when it starts again.
func TestLocalComesBack(t *testing.T) {
	t.Parallel()
	l := startLocal(t, 3, 2)
	written := map[string]string{}
	for life, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		c := plain(t, local(l.namespace, life))
		for i := range 50 {
			key, value := fmt.Sprintf("life%d:%d", life, i), fmt.Sprint(sig, i)
			must(t, "SET", c.Set(t.Context(), key, value, 0).Err())
			written[key] = value
		}
		if sig == syscall.SIGKILL {
			l.Kill()
		} else {
			l.stop(t, sig)
		}
		l.start(t)
		again := plain(t, local(l.namespace, 2-life))
		for key, want := range written {
			if got, err := again.Get(t.Context(), key).Result(); err != nil || got != want {
				t.Fatalf("after %v: GET %s: %q, %v; want %q", sig, key, got, err, want)
			}
		}
		if got, err := again.DBSize(t.Context()).Result(); err != nil || got != int64(len(written)) {
			t.Fatalf("after %v: DBSIZE %d, %v; want %d", sig, got, err, len(written))
		}
	}
}

// Two processes on one folder would destroy it: the second is told so and changes nothing.
func TestLocalDataIsOneProcesses(t *testing.T) {
	t.Parallel()
	l := startLocal(t, 1, 1)
	c := plain(t, local(l.namespace, 0))
	must(t, "SET", c.Set(t.Context(), "k", "v", 0).Err())
	second := newLocal(t, l.dir, 1, 1)
	out, errs, code := program(t, built.Zankv, second.args()...)
	if code != 1 || !strings.Contains(errs, l.dir) || !strings.Contains(errs, "another process") {
		t.Errorf("a second process on %s: exit code %d, want 1 and an error that names the folder and says that another process has it\n%s%s", l.dir, code, out, errs)
	}
	if strings.Contains(out, "ready") {
		t.Errorf("the second process says that it's ready: %s", out)
	}
	if got, err := c.Get(t.Context(), "k").Result(); err != nil || got != "v" {
		t.Errorf("the first one, afterwards: GET: %q, %v", got, err)
	}
	third := newLocal(t, filepath.Join(t.TempDir(), "other"), 1, 1)
	third.redis = l.redis
	if _, errs, code := program(t, built.Zankv, third.args()...); code != 1 || !strings.Contains(errs, strconv.Itoa(l.redis)) {
		t.Errorf("a port that is taken: exit code %d, want 1 and an error that names %d\n%s", code, l.redis, errs)
	}
}
