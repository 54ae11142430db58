package transport

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

const testTimeout = 20 * time.Second

// testNet knows the addresses of the nodes of one test.
type testNet struct {
	mu    sync.Mutex
	addrs map[NodeID]string
}

func newTestNet() *testNet { return &testNet{addrs: map[NodeID]string{}} }

func (n *testNet) resolve(id NodeID) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr, ok := n.addrs[id]
	return addr, ok
}

func (n *testNet) set(id NodeID, addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs[id] = addr
}

// testNode is a transport, and the handler that records what it gets.
type testNode struct {
	*Transport
	t    testing.TB
	id   NodeID
	logs *syncBuffer

	deliver func(from NodeID, msgs []Message) // instead of recording
	begin   func(SnapshotHeader) (string, bool, error)
	finish  func(h SnapshotHeader, dir string) error

	got         chan received
	unreachable chan NodeID
	aborted     chan error
	finished    chan string
}

type received struct {
	from  NodeID
	group uint64
	index uint64
}

// startNode starts a node on a free port of the loopback, and stops it at the test's end.
func startNode(t testing.TB, n *testNet, id NodeID, change func(*Options, *testNode)) *testNode {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	node := &testNode{
		t: t, id: id, logs: &syncBuffer{},
		got: make(chan received, 1<<16), unreachable: make(chan NodeID, 1<<16),
		aborted: make(chan error, 1024), finished: make(chan string, 1024),
	}
	opts := Options{
		Self: id, Cluster: "test", Listener: l, Resolve: n.resolve,
		MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(node.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&opts, node)
	}
	n.set(id, l.Addr().String())
	node.Transport = New(opts, node)
	ran := make(chan error, 1)
	go func() { ran <- node.Run(context.Background()) }()
	t.Cleanup(func() {
		node.Close()
		if err := <-ran; err != nil {
			t.Errorf("node %d: Run: %v", id, err)
		}
	})
	return node
}

func (n *testNode) Deliver(from NodeID, msgs []Message) {
	if n.deliver != nil {
		n.deliver(from, msgs)
		return
	}
	for i := range msgs {
		n.got <- received{from: from, group: msgs[i].Group, index: msgs[i].Index}
	}
}

func (n *testNode) Unreachable(to NodeID) {
	select {
	case n.unreachable <- to:
	default:
	}
}

func (n *testNode) BeginSnapshot(_ NodeID, h SnapshotHeader) (string, bool, error) {
	if n.begin == nil {
		return "", false, nil
	}
	return n.begin(h)
}

func (n *testNode) FinishSnapshot(_ NodeID, h SnapshotHeader, dir string) error {
	if n.finish != nil {
		if err := n.finish(h, dir); err != nil {
			return err
		}
	}
	n.finished <- dir
	return nil
}

func (n *testNode) AbortSnapshot(_ NodeID, _ SnapshotHeader, _ string, err error) { n.aborted <- err }

// next waits for the next message.
func (n *testNode) next() received {
	n.t.Helper()
	return await(n.t, n.got, "a message")
}

func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(testTimeout):
		t.Fatalf("no %s after %s", what, testTimeout)
		panic("unreachable")
	}
}

func message(group, index uint64) Message {
	return Message{Group: group, Message: raftpb.Message{Type: raftpb.MsgHeartbeat, From: 1, To: 2, Term: 3, Index: index}}
}

func appendMessage(group, index uint64, data []byte) Message {
	m := message(group, index)
	m.Type = raftpb.MsgApp
	m.Entries = []raftpb.Entry{{Term: 3, Index: index + 1, Data: data}}
	return m
}

// syncBuffer is a buffer for logs.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// limitConn breaks after so many written bytes.
type limitConn struct {
	net.Conn
	left int
}

func (c *limitConn) Write(b []byte) (int, error) {
	if len(b) <= c.left {
		c.left -= len(b)
		return c.Conn.Write(b)
	}
	n, _ := c.Conn.Write(b[:c.left])
	c.left = 0
	_ = c.Conn.Close()
	return n, fmt.Errorf("cut by the test")
}

// writeFiles makes a directory with files of these sizes, named by size and number.
func writeFiles(t testing.TB, sizes ...int) string {
	t.Helper()
	dir := t.TempDir()
	for i, size := range sizes {
		b := make([]byte, size)
		for j := range b {
			b[j] = byte(i + j*7 + j>>8)
		}
		name := filepath.Join(dir, fmt.Sprintf("%06d.%d.sst", i, size))
		if err := os.WriteFile(name, b, os.FileMode(0o600+i%2*0o44)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, os.FileMode(0o600+i%2*0o44)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
