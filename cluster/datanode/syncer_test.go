package datanode

import (
	"context"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/remote"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/cluster/meta/metatest"
)

// outside is a process that hosts changefeeds and knows nothing of the cluster but some nodes' gRPC addresses.
type outside struct {
	registry *remote.Registry
	source   *worker.FeedSource
	manager  *worker.Manager
	stop     context.CancelFunc
	over     chan error
}

func (c *testCluster) outside(name string, nodes ...string) *outside {
	c.t.Helper()
	o := &outside{over: make(chan error, 1)}
	var err error
	if o.registry, err = remote.Open(remote.Options{Nodes: nodes, Process: name}); err != nil {
		c.t.Fatal(err)
	}
	cluster, err := o.registry.Ready(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if o.source, err = worker.NewFeedSource(worker.FeedSourceOptions{Cluster: cluster, Nodes: c.addresses()}); err != nil {
		c.t.Fatal(err)
	}
	o.manager, err = worker.New(worker.Options{Registry: o.registry, Source: o.source, Process: name, Runner: changefeed.RunBySyncer,
		Sinks: map[string]worker.OpenSink{"record": func(*changefeed.Spec) (changefeed.Sink, error) { return c.sink, nil }}})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	go func() { o.over <- o.manager.Run(ctx) }()
	c.t.Cleanup(func() { o.end(c.t) })
	return o
}

// end has the process end in order, once.
func (o *outside) end(t *testing.T) {
	o.stop()
	if err, first := <-o.over; first {
		close(o.over)
		if err != nil {
			t.Error(err)
		}
		_ = o.registry.Close()
		_ = o.source.Close()
	}
}

// A changefeed of syncers is carried by processes outside the cluster. Their node ends, and they go on at another one; one of them ends, and the other
// one has its partitions at once; one loses its session, and what is written is without gaps all the same.
func TestProcessesOutside(t *testing.T) {
	const partitions = 3
	c := startCluster(t, 3, partitions, 3, 0)
	client := c.admin(c.nodes[1])
	s := spec("f")
	s.Runner = changefeed.RunBySyncer
	if _, err := client.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	from := 0
	write := func(through *testNode) {
		t.Helper()
		c.fill(through, from, from+60)
		from += 60
		for n := range uint32(partitions) {
			gapless(t, c.sink.until(t, "at the end", n, caughtUp(c.applied(n))))
		}
	}
	owners := func(what string, ok func(map[uint32]changefeed.Owner) bool) {
		t.Helper()
		metatest.UntilFeeds(t, c.store.Changefeeds(), what, func(v *changefeed.View) bool { return ok(v.Feeds["f"].Owners) })
	}
	all := func(names ...string) func(map[uint32]changefeed.Owner) bool {
		return func(o map[uint32]changefeed.Owner) bool {
			found := map[string]bool{}
			for _, one := range o {
				found[one.Process] = true
			}
			for _, n := range names {
				delete(found, n)
			}
			return len(o) == partitions && len(found) == 0
		}
	}
	a := c.outside("a", c.nodes[0].grpc)
	write(c.nodes[1])
	owners("the first's", all("a"))
	b := c.outside("b", c.nodes[2].grpc, c.nodes[1].grpc)
	c.nodes[0].end(t) // the only one that the first was told of
	c.nodes = c.nodes[1:]
	write(c.nodes[0])
	owners("somebody's", all("a", "b"))
	a.end(t)
	owners("the second's", all("b"))
	write(c.nodes[0])
	if n := len(b.manager.Feeds()); n != partitions {
		t.Errorf("the second runs %d", n)
	}
	if _, err := client.Pause(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
}
