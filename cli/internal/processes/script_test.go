package processes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// script runs deployments/local/cluster.sh and returns what it says.
func script(t *testing.T, bin Binaries, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join("..", "..", "..", "deployments", "local", "cluster.sh"), args...)
	cmd.Env = append(os.Environ(), "ZANKV="+bin.Zankv)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func pidOf(t *testing.T, dir, name string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// The script's life: start, a node dies, start brings it back, stop ends everything; and it is all there again.
func TestClusterScript(t *testing.T) {
	bin, err := Build(t.TempDir(), Race)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "cluster")
	base := freeBase(t)
	start := []string{"start", "--dir", dir}
	for i, port := range []string{"etcd", "redis", "http", "grpc", "raft", "namespace", "cluster"} {
		start = append(start, "--"+port+"-port", strconv.Itoa(base+30*i))
	}
	t.Cleanup(func() { _, _ = script(t, bin, "stop", "--dir", dir) })
	run := func(want bool, args ...string) string {
		t.Helper()
		out, err := script(t, bin, args...)
		if (err == nil) != want {
			t.Fatalf("cluster.sh %s: %v, want success: %v\n%s", strings.Join(args, " "), err, want, out)
		}
		return out
	}
	if out := run(true, start...); !strings.Contains(out, "ready: redis-cli -p "+strconv.Itoa(base+150)) {
		t.Fatalf("start says %s", out)
	}
	run(true, "status", "--dir", dir)
	node := pidOf(t, dir, "node1")
	if err := syscall.Kill(node, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if out := run(false, "status", "--dir", dir); !strings.Contains(out, "node1: not running") {
		t.Fatalf("status says %s", out)
	}
	etcd := pidOf(t, dir, "etcd")
	run(true, "start", "--dir", dir)
	if pidOf(t, dir, "node1") == node || pidOf(t, dir, "etcd") != etcd {
		t.Fatal("start didn't start just what was missing")
	}
	run(false, "start", "--dir", dir, "--partitions", "8") // a namespace's partitions stay as they are
	run(true, "stop", "--dir", dir)
	if out := run(false, "status", "--dir", dir); strings.Contains(out, "pid") {
		t.Fatalf("after stop, status says %s", out)
	}
	run(true, "start", "--dir", dir)
	run(true, "stop", "--dir", dir)
	run(false, "start", "--dir", dir, "--no-such-option", "1")
	run(false, "restart")
}

// freeBase finds a port from which on all that the script uses are free: seven kinds, thirty apart, nodes ten apart.
func freeBase(t *testing.T) int {
	t.Helper()
	base, err := FreeRange(7 * 30)
	if err != nil {
		t.Fatal(err)
	}
	return base
}
