package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cli/internal/processes"
)

// patience bounds every single wait: long enough for a machine that has better things to do.
const patience = 90 * time.Second

// built are the commands under test.
var built processes.Binaries

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// quiet keeps what go-redis says about durations and connections out of the tests' output.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// run keeps the shared cluster's files when a test has failed.
func run(m *testing.M) (code int, err error) {
	if len(os.Args) > 1 && os.Args[1] == badDiskArg {
		return 1, behindBadDisk(os.Args[2:])
	}
	if len(os.Args) > 1 && os.Args[1] == goSuiteArg {
		return 0, runGoSuite(os.Args[2:])
	}
	dir, err := os.MkdirTemp("", "zankv-e2e")
	if err != nil {
		return 1, err
	}
	if built, err = processes.Build(dir, processes.Race); err != nil {
		return 1, errors.Join(err, os.RemoveAll(dir))
	}
	sharedDir = dir
	code = m.Run()
	if sharedStarted {
		if c, err := shared(); err == nil {
			c.Kill()
		}
	}
	if brokerStarted {
		if k, err := theBroker(); err == nil {
			k.Kill()
		}
	}
	return code, os.RemoveAll(dir)
}

// The namespaces of the shared cluster, besides default: one for each test that counts keys or empties them.
const (
	nsConformance2 = "conformance2"
	nsConformance3 = "conformance3"
	nsScan         = "scan"
	nsFlush        = "flush"
	nsMurmur       = "murmur"
	nsQuorum       = "quorum"
	nsSecret       = "secret"
	nsNoForward    = "noforward"
	nsTail         = "tail"
	nsTypes        = "types"
	nsStream       = "stream"
	nsTables       = "tables"
	nsFeeds        = "feeds"
	nsFeedContent  = "feedcontent"
	nsFeedLife     = "feedlife"
	nsFeedResume   = "feedresume"
)

var (
	sharedDir     string
	sharedStarted bool
	shared        = sync.OnceValues(func() (*processes.Cluster, error) {
		sharedStarted = true
		return processes.Start(context.Background(), processes.Options{
			Binaries: built, Dir: sharedDir, Nodes: 3, Partitions: 4, Replicas: 3, Namespace: "default",
			Further: []string{nsConformance2, nsConformance3, nsScan, nsFlush, nsMurmur, nsQuorum, nsSecret, nsNoForward, nsTail, nsTypes, nsStream, nsTables, nsFeeds, nsFeedContent, nsFeedLife, nsFeedResume},
		})
	})
)

// sharedCluster is the cluster of tests that don't harm it. A test that fails shows its logs.
func sharedCluster(t *testing.T) *processes.Cluster {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	showLogs(t, c.Logs)
	return c
}

// ownCluster is one that the test may harm.
func ownCluster(t *testing.T, o processes.Options) *processes.Cluster {
	t.Helper()
	o.Binaries, o.Dir, o.Namespace = built, t.TempDir(), "default"
	c, err := processes.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	showLogs(t, c.Logs)
	return c
}

// namespace makes one of the shared cluster's namespaces.
func namespace(t *testing.T, c *processes.Cluster, name string, flags ...string) {
	t.Helper()
	if _, err := c.CreateNamespace(t.Context(), name, flags...); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		await(t, "namespace "+name+" on "+n.Name, func() error {
			conn := plain(t, n.Bound(name))
			err := conn.Do(t.Context(), "DBSIZE").Err()
			if err != nil && strings.HasPrefix(err.Error(), "NOAUTH") {
				return nil
			}
			return err
		})
	}
}

func showLogs(t *testing.T, logs func() string) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(logs())
		}
	})
}

// await asks until there is no error any more.
func await(t *testing.T, what string, ask func() error) {
	t.Helper()
	if err := awaitErr(t.Context(), ask); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func awaitErr(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("in %v: %w", patience, err)
		case <-again.C:
		}
	}
}

// bounded is the test's context with an end.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// plain is a client as an application makes one, except that it never repeats a command.
func plain(t *testing.T, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ReadTimeout: patience, WriteTimeout: patience})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// must fails the test on an error of a command whose value doesn't matter.
func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// program runs a command line to its end. A missing program fails the test: what isn't run isn't tested.
func program(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("%s %s: %v (`make deps-test` installs what tests need)\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// succeeds runs a command line that has to end with 0, and gives its standard output.
func succeeds(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, errs, code := program(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), code, out, errs)
	}
	return out
}

// port is an address's port.
func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
