package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/cdc/feed/feedtest"
	"github.com/zankv/zankv/cluster/meta/memmeta"
)

// cluster is one node that serves the feed of the namespace default and changefeeds. No worker runs: tests claim partitions themselves.
type cluster struct {
	*feedtest.Namespace
	registry changefeed.Registry
}

func newCluster(t *testing.T, histories ...*feedtest.History) *cluster {
	t.Helper()
	store := memmeta.New()
	t.Cleanup(func() { store.Close() })
	c := &cluster{registry: store.Changefeeds()}
	c.Namespace = feedtest.NewNamespaceWith(t, func(address string, g grpc.ServiceRegistrar) {
		source, err := worker.NewFeedSource(worker.FeedSourceOptions{Cluster: "dc-a", Nodes: []string{address}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { source.Close() })
		admin.NewServer(admin.Options{
			Registry: c.registry, Source: source, PauseWithin: 200 * time.Millisecond,
			Partitions: func(namespace string) (uint32, bool) { return uint32(len(histories)), namespace == "default" },
			Sinks:      map[string]func(context.Context, *changefeed.Spec) error{"file": checkSink},
		}).Register(g)
	}, histories...)
	return c
}

func checkSink(_ context.Context, s *changefeed.Spec) error {
	if !strings.HasPrefix(s.SinkURI, "file:///") {
		return &changefeed.Error{Code: changefeed.CodeSinkConfig, Final: true, What: "a host in " + s.SinkURI, Action: "file:///folder has none"}
	}
	return nil
}

// own claims a partition and saves progress, as its owner does.
func (c *cluster) own(t *testing.T, id string, partition uint32, p changefeed.Progress) changefeed.Claim {
	t.Helper()
	claim, err := c.registry.Claim(t.Context(), id, partition, "10.0.0.1:12382")
	if err != nil {
		t.Fatal(err)
	}
	p.Owner, p.Epoch, p.Updated, p.Generation = "10.0.0.1:12382", claim.Epoch(), time.Now().UnixNano(), 1
	if err := claim.Save(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return claim
}

// result is what a command printed and ended with.
type result struct {
	code           int
	stdout, stderr string
}

// command runs zankv-cdc with words that are separated by spaces, then further arguments.
func command(t *testing.T, words string, more ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args := append(append([]string{"zankv-cdc"}, strings.Fields(words)...), more...)
	code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// must is a command that succeeds, and says nothing on standard error.
func must(t *testing.T, words string, more ...string) string {
	t.Helper()
	r := command(t, words, more...)
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("%s %q: exit %d: %s", words, more, r.code, r.stderr)
	}
	return r.stdout
}

// check says whether a result is as wanted: its exit code, and what the outputs contain.
func (r result) check(code int, stdout, stderr string) error {
	if r.code == code && strings.Contains(r.stdout, stdout) && strings.Contains(r.stderr, stderr) {
		return nil
	}
	return errors.New(strings.Join([]string{"got", r.stdout, r.stderr}, "\n"))
}
