package resp

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// eventually waits for a state that other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatalf("still not: %s", what)
}

// TestDeclaredLengthsCostNothing is half of invariant 7.
func TestDeclaredLengthsCostNothing(t *testing.T) {
	n := newCluster(t, 1, func(o *Options) { o.MaxBulk, o.MaxQuery = 512<<20, 600<<20 }, oneNamespace(1)).nodes[0]
	before := heap()
	for range 100 {
		dial(t, n.addr[NamespacePort]).send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n" + strings.Repeat("x", 8000))
	}
	eventually(t, "all connections have read it", func() bool { return n.srv.Stats().NetInBytes >= 100*8032 })
	if grown := heap() - before; grown > 16<<20 || n.srv.Stats().BufferBytes > 1<<20 {
		t.Errorf("heap grew by %d bytes, %d of buffers", grown, n.srv.Stats().BufferBytes)
	}
}

// TestBudget is the other half: what really comes is bounded over all connections.
func TestBudget(t *testing.T) {
	n := newCluster(t, 1, func(o *Options) { o.MemoryBudget = 4 << 20 }, oneNamespace(1)).nodes[0]
	head := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\n"
	var clients []*client
	for range 4 {
		c := dial(t, n.addr[NamespacePort])
		clients = append(clients, c)
		c.send(head + strings.Repeat("x", 1<<20))
	}
	c := dial(t, n.addr[NamespacePort])
	io.WriteString(c.nc, head+strings.Repeat("x", 6<<20))
	if got := c.reply(); got != "-ERR "+errBuffersAreFull.Error()+"\r\n" {
		t.Errorf("over the budget: %q", got)
	}
	if used := n.srv.Stats().BufferBytes; used > 4<<20 {
		t.Errorf("%d bytes of buffers", used)
	}
	for _, c := range clients {
		c.nc.Close()
	}
	eventually(t, "buffers are given back", func() bool { return n.srv.Stats().BufferBytes == 0 })
	dial(t, n.addr[NamespacePort]).want("+PONG\r\n", "PING")
}

// TestManyArguments: a list of arguments counts as well.
func TestManyArguments(t *testing.T) {
	n := newCluster(t, 1, func(o *Options) { o.MemoryBudget = 8 << 20 }, oneNamespace(1)).nodes[0]
	c := dial(t, n.addr[NamespacePort])
	io.WriteString(c.nc, "*1000000\r\n"+strings.Repeat("$0\r\n\r\n", 900000))
	if got := c.reply(); got != "-ERR "+errBuffersAreFull.Error()+"\r\n" {
		t.Errorf("got %q", got)
	}
}

// TestClientThatStopsReading is cut off, and costs little until then.
func TestClientThatStopsReading(t *testing.T) {
	n := newCluster(t, 1, func(o *Options) { o.OutputTimeout = 600 * time.Millisecond }, oneNamespace(1)).nodes[0]
	c := dial(t, n.addr[NamespacePort])
	c.do("SET", "big", strings.Repeat("x", 1<<20))
	before := heap()
	greedy := dial(t, n.addr[NamespacePort])
	for _, write := range []string{"", encode("SET", "small", "x")} {
		go io.WriteString(greedy.nc, write+strings.Repeat(encode("GET", "big"), 1000))
		closed := n.srv.Stats().StuckClosed
		eventually(t, "the greedy client is cut off", func() bool {
			if grown := heap() - before; grown > 256<<20 {
				t.Fatalf("heap grew by %d bytes", grown)
			}
			return n.srv.Stats().StuckClosed+n.srv.Stats().Dropped > closed
		})
		greedy = dial(t, n.addr[NamespacePort])
	}
	c.want("+PONG\r\n", "PING")
	eventually(t, "its buffers are given back", func() bool { return n.srv.Stats().BufferBytes < 4<<20 })
}

// TestRepliesHeldBehindAWrite: what other partitions answer while a write waits is bounded too.
func TestRepliesHeldBehindAWrite(t *testing.T) {
	ns := oneNamespace(2)
	cl := newCluster(t, 1, nil, ns)
	n := cl.nodes[0]
	slow, big := keyIn(ns, 0, "slow"), keyIn(ns, 1, "big")
	c := dial(t, n.addr[NamespacePort])
	c.do("SET", big, strings.Repeat("x", 1<<20))
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fault := func(*command.Request) command.Outcome {
		once.Do(func() { close(entered) })
		<-release
		return command.Answered
	}
	cl.parts[ns.Name][0].fault.Store(&fault)
	before := heap()
	c.send(encode("SET", slow, "v") + strings.Repeat(encode("GET", big), 100))
	<-entered
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("heap grew by %d bytes", grown)
	}
	close(release)
	if got := c.reply(); got != "+OK\r\n" {
		t.Errorf("got %q", got)
	}
	for range 100 {
		if got := c.reply(); len(got) < 1<<20 {
			t.Fatalf("got %q", got)
		}
	}
}

func TestMaxClients(t *testing.T) {
	n := newCluster(t, 1, func(o *Options) { o.MaxClients = 2 }, oneNamespace(1)).nodes[0]
	a, b := dial(t, n.addr[NamespacePort]), dial(t, n.addr[SharedPort])
	a.do("PING")
	b.do("PING")
	if got := dial(t, n.addr[NamespacePort]).reply(); got != "-ERR max number of clients reached\r\n" {
		t.Errorf("third client: %q", got)
	}
	a.nc.Close()
	eventually(t, "a place is free", func() bool { return n.srv.Stats().Clients == 1 })
	dial(t, n.addr[NamespacePort]).want("+PONG\r\n", "PING")
	if s := n.srv.Stats(); s.Rejected != 1 || s.Accepted != 3 {
		t.Errorf("stats: %+v", s)
	}
}

func TestIdleClientsAreClosed(t *testing.T) {
	n := newCluster(t, 1, func(o *Options) { o.IdleTimeout = 400 * time.Millisecond }, oneNamespace(1)).nodes[0]
	c := dial(t, n.addr[NamespacePort])
	c.want("+PONG\r\n", "PING")
	if b, err := io.ReadAll(c.nc); len(b) > 0 || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
	if n.srv.Stats().IdleClosed != 1 {
		t.Error("not counted")
	}
}

// TestCloseAnswersWhatWasRead: a closing server lets commands in work end, answers them, and waits for that.
func TestCloseAnswersWhatWasRead(t *testing.T) {
	ns := oneNamespace(1)
	cl := newCluster(t, 1, nil, ns)
	n := cl.nodes[0]
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fault := func(*command.Request) command.Outcome {
		once.Do(func() { close(entered) })
		<-release
		return command.Answered
	}
	cl.parts[ns.Name][0].fault.Store(&fault)
	idle, c := dial(t, n.addr[NamespacePort]), dial(t, n.addr[NamespacePort])
	idle.want("+PONG\r\n", "PING")
	c.send(encode("INCR", "n"))
	<-entered
	closed := make(chan struct{})
	go func() {
		n.srv.Close()
		close(closed)
	}()
	if _, err := idle.rd.ReadByte(); err != io.EOF {
		t.Errorf("idle connection: %v", err)
	}
	select {
	case <-closed:
		t.Error("Close didn't wait")
	default:
	}
	close(release)
	if got := c.reply(); got != ":1\r\n" {
		t.Errorf("got %q", got)
	}
	<-closed
	if got := n.srv.Stats().Clients; got != 0 {
		t.Errorf("%d clients are left", got)
	}
}

// TestReadsAllocateNothing in steady state, and writes next to nothing: measured on the connection's own code.
func TestReadsAllocateNothing(t *testing.T) {
	ns := oneNamespace(4)
	srv, err := New(Options{Backend: nullBackend{ns, &nullExecutor{}}, NodeID: 1})
	if err != nil {
		t.Fatal(err)
	}
	for cmd, limit := range map[string]float64{
		encode("GET", "key:1"): 0, encode("SET", "key:1", "v"): 0, encode("SET", "key:1", "v") + encode("GET", "key:1") + encode("PING"): 0,
		encode("MGET", "a", "b", "c", "d"): 0, encode("EXISTS", "default:a", "b") + encode("MSET", "a", "1", "b", "2", "c", "3"): 0,
	} {
		c := newConn(srv, discard{}, NamespacePort, ns.Name)
		in := []byte(strings.Repeat(cmd, 10))
		round := func() {
			c.buf = append(c.buf[:0], in...)
			c.parser.pos = 0
			if err := c.parse(); err != nil {
				t.Fatal(err)
			}
			c.finish()
			c.flush()
			c.account()
		}
		round()
		if n := testing.AllocsPerRun(100, round); n > limit {
			t.Errorf("%q: %v allocations for 10 commands, want at most %v", cmd, n, limit)
		}
	}
	if err := srv.Close(); err != nil {
		t.Error(fmt.Errorf("close: %w", err))
	}
}
