package datanode

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/admin"
	"github.com/zankv/zankv/cdc/changefeed/sinks"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/engine"
	"github.com/zankv/zankv/cluster/engine/mem"
	"github.com/zankv/zankv/cluster/meta"
	metaadmin "github.com/zankv/zankv/cluster/meta/admin"
	"github.com/zankv/zankv/cluster/meta/memmeta"
)

// limit is how long anything may take that happens by itself.
const limit = 30 * time.Second

// testCluster is some nodes in this process, over memory, with namespace default.
type testCluster struct {
	t     *testing.T
	store *memmeta.Store
	sink  *recorder
	nodes []*testNode
	tune  func(*Options) // nil: nothing
}

type testNode struct {
	*Node
	stop context.CancelFunc
	done chan error
	// addresses
	redis, grpc, http string
	bound             string // of the port that knows the namespace
}

// startCluster runs nodes. off nodes take no partitions of changefeeds.
func startCluster(t *testing.T, nodes, partitions, replicas, off int) *testCluster {
	t.Helper()
	return startTuned(t, nodes, partitions, replicas, off, nil)
}

// startTuned is startCluster with options that tune changed.
func startTuned(t *testing.T, nodes, partitions, replicas, off int, tune func(*Options)) *testCluster {
	t.Helper()
	c := &testCluster{t: t, store: memmeta.New(), sink: newRecorder(), tune: tune}
	t.Cleanup(func() { _ = c.store.Close() })
	for i := range nodes {
		c.nodes = append(c.nodes, c.start(t.TempDir(), i < off))
	}
	ns := meta.DefaultNamespace()
	ns.Name, ns.Partitions, ns.Replicas = "default", partitions, replicas
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if _, err := metaadmin.CreateNamespace(ctx, c.store, metaadmin.CreateOptions{Namespace: ns, MinNodes: nodes}); err != nil {
		t.Fatal(err)
	}
	if err := metaadmin.WaitReady(ctx, c.store, "default"); err != nil {
		t.Fatal(err)
	}
	return c
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (c *testCluster) start(dir string, off bool) *testNode {
	c.t.Helper()
	l := Listeners{Redis: listen(c.t), HTTP: listen(c.t), GRPC: listen(c.t), Raft: listen(c.t), Namespace: map[string]net.Listener{"default": listen(c.t)}}
	known := sinks.All(sinks.Options{Cluster: "dc-a", Nodes: []string{l.GRPC.Addr().String()}})
	known.Open["record"] = func(*changefeed.Spec) (changefeed.Sink, error) { return c.sink, nil }
	known.Check["record"] = func(context.Context, *changefeed.Spec) error { return nil }
	opts := Options{
		ClusterID: "dc-a", DataDir: dir, Advertise: "127.0.0.1", Version: "test", Listeners: l, Meta: c.store,
		OpenEngine: func(dir string) (engine.Engine, error) { return mem.Open(dir, mem.Options{}) }, EngineName: "mem",
		Logger: slog.New(slog.DiscardHandler), Tick: 20 * time.Millisecond, ElectionTicks: 10, RowCacheBytes: 1 << 20, LogDiskBytes: 1 << 30,
		Changefeeds: Changefeeds{
			Registry: c.store.Changefeeds(), MemoryBytes: 8 << 20, Off: off, Sinks: known.Open, Checks: known.Check, OpenArchive: known.OpenArchive,
			CloseSinks: known.Close,
		},
	}
	if c.tune != nil {
		c.tune(&opts)
	}
	node, err := Open(c.t.Context(), opts)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	n := &testNode{Node: node, stop: stop, done: make(chan error, 1), redis: l.Redis.Addr().String(), grpc: l.GRPC.Addr().String(), http: l.HTTP.Addr().String(),
		bound: l.Namespace["default"].Addr().String()}
	go func() { n.done <- node.Run(ctx) }()
	c.t.Cleanup(func() { n.end(c.t) })
	return n
}

// addresses are where the nodes serve the feed.
func (c *testCluster) addresses() (all []string) {
	for _, n := range c.nodes {
		all = append(all, n.grpc)
	}
	return all
}

// client is one of the first node's bound port.
func (c *testCluster) client() *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: c.nodes[0].bound})
	c.t.Cleanup(func() { _ = client.Close() })
	return client
}

// end stops the node, once.
func (n *testNode) end(t *testing.T) {
	n.stop()
	if err, first := <-n.done; first {
		close(n.done)
		if err != nil {
			t.Errorf("node %d: %v", n.id, err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("node %d: close: %v", n.id, err)
		}
	}
}

// leads finds the node that leads a partition, and one that follows.
func (c *testCluster) leads(number uint32) (leader, follower *testNode) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	for range c.store.Watch(ctx) {
		for _, n := range c.nodes {
			if r := n.replica("default", number); r != nil && r.Leading() {
				leader = n
			} else if r != nil {
				follower = n
			}
		}
		if leader != nil {
			return leader, follower
		}
	}
	c.t.Fatal("no leader")
	return nil, nil
}

// ask sends a command to a node's shared port and returns the first line of its answer, and with a bulk string its text.
func ask(t *testing.T, n *testNode, args ...string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", n.redis, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit))
	text := fmt.Sprintf("*%d\r\n", len(args))
	for _, a := range args {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	line = strings.TrimSpace(line)
	size, bulk := strings.CutPrefix(line, "$")
	if !bulk {
		return line
	}
	n64, _ := strconv.ParseInt(size, 10, 64)
	b := make([]byte, max(n64, 0))
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fill sets keys over all partitions.
func (c *testCluster) fill(n *testNode, from, to int) {
	c.t.Helper()
	for i := from; i < to; i++ {
		if got := ask(c.t, n, "SET", fmt.Sprintf("default:t:%d", i), strconv.Itoa(i)); got != "+OK" {
			c.t.Fatalf("set %d: %s", i, got)
		}
	}
}

func get(t *testing.T, n *testNode, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + n.http + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	return string(b)
}

func (c *testCluster) admin(n *testNode) *admin.Client {
	c.t.Helper()
	client, err := admin.Dial([]string{n.grpc})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = client.Close() })
	return client
}

func spec(id string) changefeed.Spec {
	return changefeed.Spec{ID: id, Namespace: "default", SinkURI: "record://here", Heartbeat: changefeed.Duration(changefeed.MinHeartbeat)}
}

// applied is how far the leader of a partition is.
func (c *testCluster) applied(number uint32) event.Position {
	c.t.Helper()
	leader, _ := c.leads(number)
	s, ok := leader.replica("default", number).State()
	if !ok {
		c.t.Fatal("closed")
	}
	return s.LastEvent
}
