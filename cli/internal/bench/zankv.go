package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// zankvLocal is a cluster in one process, by `zankv local`.
type zankvLocal struct {
	o        *Options
	name     string
	nodes    int
	replicas int
	base     int  // first port
	tailed   bool // zankv-cdc is needed, too
	p        *process
	idle     float64 // resident MiB before the first request

	direct  *redisRoute // straight to the leaders, by the cluster port
	forward *redisRoute // all through one node, by its namespace port; nil with one node
}

const (
	localPartitions = 4
	localNamespace  = "default"
)

// portStep is the distance of one node's ports from the next node's.
const portStep = 10

// Ports of node 0, counted from the base; each further node has them at 10 more. Etcd's peers may use the one behind its own.
const (
	portEtcd = iota
	_
	portRedis
	portHTTP
	portGRPC
	portRaft
	portNamespace
	portCluster
	portPprof
)

func newZankvLocal(o *Options, name string, nodes, replicas int) *zankvLocal {
	z := &zankvLocal{o: o, name: name, nodes: nodes, replicas: replicas}
	port := func(offset int) func() int { return func() int { return z.base + offset } }
	alive := func() error { return z.p.alive() }
	z.direct = &redisRoute{o: o, name: name, rate: map[load]float64{}, alive: alive,
		targets: leaderTargets(port(portCluster), localPartitions)}
	if nodes > 1 {
		z.forward = &redisRoute{o: o, name: name + "fwd", rate: map[load]float64{}, alive: alive,
			targets: plainTarget(port(portNamespace))}
	}
	return z
}

func (z *zankvLocal) Name() string {
	return fmt.Sprintf("zankv local, %d nodes, %d replicas", z.nodes, z.replicas)
}

func (z *zankvLocal) Check() error {
	if err := binary(z.o.Zankv, "build it with `make build`, or name it with --zankv"); err != nil {
		return err
	}
	if z.tailed {
		if err := binary(z.o.ZankvCDC, "build it with `make build`, or name it with --zankv-cdc"); err != nil {
			return err
		}
	}
	return binary(z.o.RedisBenchmark, "install Debian's redis-tools")
}

func (z *zankvLocal) Start(ctx context.Context) error {
	base, err := freePorts(portStep * z.nodes)
	if err != nil {
		return err
	}
	z.base = base
	z.p, err = startProcess(ctx, z.name, "ready: ", 2*time.Minute, z.o.Zankv, z.args()...)
	return err
}

// Version names the RocksDB, too.
func (z *zankvLocal) Version(ctx context.Context) (string, error) {
	out, err := runTool(ctx, z.o.Zankv, "--version")
	return strings.TrimSpace(out), err
}

// grpc are the addresses at which the nodes serve the feed.
func (z *zankvLocal) grpc() (addresses []string) {
	for i := range z.nodes {
		addresses = append(addresses, net.JoinHostPort("127.0.0.1", strconv.Itoa(z.base+portStep*i+portGRPC)))
	}
	return addresses
}

func (z *zankvLocal) args() []string {
	args := []string{"local", "--cluster-id", z.name, "--data-dir", filepath.Join(z.o.Dir, z.name),
		"--nodes", strconv.Itoa(z.nodes), "--replicas", strconv.Itoa(z.replicas), "--partitions", strconv.Itoa(localPartitions), "--pprof", z.local(portPprof)}
	for flag, port := range map[string]int{
		"etcd": portEtcd, "redis": portRedis, "http": portHTTP, "grpc": portGRPC, "raft": portRaft,
		"namespace": portNamespace, "cluster": portCluster,
	} {
		args = append(args, "--"+flag+"-port", strconv.Itoa(z.base+port))
	}
	return args
}

// idleTime is how long a fresh cluster is left alone before its memory is looked at.
const idleTime = 5 * time.Second

func (z *zankvLocal) measureIdle(ctx context.Context) (err error) {
	timer := time.NewTimer(idleTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	z.idle, err = residentMiB(z.p.cmd.Process.Pid)
	return err
}

// examine writes what the process's goroutines are doing into a file that outlives the run.
func (z *zankvLocal) examine() (path string, err error) {
	c := http.Client{Timeout: 30 * time.Second}
	resp, err := c.Get(fmt.Sprintf("http://%s/debug/pprof/goroutine?debug=2", z.local(portPprof)))
	if err != nil {
		return "", fmt.Errorf("ask %s for its goroutines: %w", z.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	f, err := os.CreateTemp("", "zankv-bench-"+z.name+"-goroutines-")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, resp.Body)
	return f.Name(), errors.Join(err, f.Close())
}

// local is an address of node 0.
func (z *zankvLocal) local(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(z.base+port))
}

func (z *zankvLocal) Stop() { z.p.stop() }

// residentMiB reads a process's resident memory.
func residentMiB(pid int) (float64, error) { return statusMiB(pid, "VmRSS:") }

// peakMiB reads the most that it was.
func peakMiB(pid int) (float64, error) { return statusMiB(pid, "VmHWM:") }

func statusMiB(pid int, field string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("resident memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("resident memory: /proc/%d/status has no %s", pid, field)
}

// processorSeconds reads how much processor time a process has used.
func processorSeconds(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	// The second field, a name in parentheses, may hold anything; user and system time are the 12th and 13th after it, in ticks.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("processor time: /proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticksPerSecond, errors.Join(err, err2)
}

// ticksPerSecond is Linux's USER_HZ, 100 on every architecture that Go has.
const ticksPerSecond = 100
