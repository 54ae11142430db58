package resp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/command"
)

// transactionSessions are compared with real Redis, reply by reply.
var transactionSessions = []string{
	"MULTI|SET a 1|INCR a|GET a|EXEC|GET a",
	"EXEC|DISCARD|UNWATCH|MULTI x|EXEC x|WATCH|DISCARD 1|MULTI|EXEC",
	"MULTI|MULTI|WATCH a|SET k v|EXEC",
	"MULTI|SET a 1|NOSUCH|SET a 2|EXEC|GET nothing|EXEC",
	"MULTI|SET a|EXEC|MULTI|GET|DISCARD|MULTI|SET a 3|EXEC",
	"SET s x|MULTI|INCR s|SET s y|GET s|EXEC",
	"MULTI|PING|SET a 1|ECHO hi|CLIENT GETNAME|SELECT 0|SELECT 7|INCR a|PING x|EXEC",
	"MULTI|PING|ECHO|EXEC|MULTI|PING|PING a b|EXEC|MULTI|CLIENT NOPE|EXEC",
	"MULTI|CLIENT SETNAME me|CLIENT GETNAME|CLIENT ID x|EXEC|CLIENT GETNAME",
	"SET w 1|WATCH w|MULTI|SET w 2|EXEC|MULTI|GET w|EXEC",
	"SET w 1|WATCH w|SET w 2|MULTI|SET w 3|PING|EXEC|GET w|MULTI|GET w|EXEC",
	"WATCH gone|SET gone 1|UNWATCH|MULTI|GET gone|EXEC",
	"SET w 1|WATCH w w z|SET z 2|MULTI|EXEC",
	"WATCH nokey|MULTI|PING|EXEC",
	"WATCH nokey2|SET nokey2 1|MULTI|PING|EXEC",
	"SET w 1|WATCH w|SET w 2|MULTI|DISCARD|MULTI|GET w|EXEC",
	"SET w 1|WATCH w|SET w 2|MULTI|NOSUCH|EXEC|MULTI|GET w|EXEC",
	"SET w 1|WATCH w|SET w 2|RESET|MULTI|GET w|EXEC",
	"MULTI|SET a 1|RESET|EXEC|GET a",
	"MULTI|SET a 1|QUIT|GET a",
	"MULTI|FLUSHDB|SET a 1|DBSIZE|SCAN 0|RANDOMKEY|SCAN x|SCAN 0 NOPE|EXEC",
	"MULTI|MSET a 1 b 2|MGET a b c|DEL a b c|EXISTS a|MSETNX a 1 a 2|EXEC",
	"HELLO 3|MULTI|GET nothing|EXEC|SET w 1|WATCH w|SET w 2|MULTI|EXEC",
	"MULTI|AUTH x|EXEC|MULTI|COMMAND COUNT x|EXEC|MULTI|HELLO x|EXEC",
	"MULTI|CLIENT REPLY SKIP|PING|EXEC|PING",
	"CLIENT REPLY SKIP|MULTI|SET a 5|EXEC|GET a",
	"EXEC|WATCH a|WATCH a b|EXEC|DISCARD|MULTI|UNWATCH|EXEC",
}

func TestTransactionsAsRedis(t *testing.T) {
	compareSessions(t, transactionSessions)
}

func TestTransactionsInPipelines(t *testing.T) {
	cl := newCluster(t, 3, nil, oneNamespace(4))
	for _, n := range cl.nodes {
		c := dial(t, n.addr[NamespacePort])
		k := fmt.Sprint("{tag}", n.node.ID)
		var in strings.Builder
		var want []string
		for i := range 20 {
			in.WriteString(encode("INCR", k) + encode("MULTI") + encode("INCR", k) + encode("PING") + encode("GET", k) + encode("EXEC") + encode("GET", k))
			if i%2 == 0 { // all of it for the partition
				in.WriteString(encode("MULTI") + encode("APPEND", k, "") + encode("EXEC"))
			}
			v := fmt.Sprint(2*i + 2)
			b := fmt.Sprintf("$%d\r\n%s\r\n", len(v), v)
			want = append(want, fmt.Sprintf(":%d\r\n", 2*i+1), "+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "+QUEUED\r\n",
				fmt.Sprintf("*3\r\n:%s\r\n+PONG\r\n%s", v, b), b)
			if i%2 == 0 {
				want = append(want, "+OK\r\n", "+QUEUED\r\n", fmt.Sprintf("*1\r\n:%d\r\n", len(v)))
			}
		}
		c.send(in.String())
		for i, w := range want {
			if got := c.reply(); got != w {
				t.Fatalf("node %d reply %d: got %q, want %q", n.node.ID, i, got, w)
			}
		}
	}
}

// TestWatchAnywhere: the tokens come from the leader, wherever the client and whoever else is connected.
func TestWatchAnywhere(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c, other := dial(t, n.addr[NamespacePort]), dial(t, cl.nodes[1].addr[NamespacePort])
		again := "{" + key + "}2"
		for _, change := range []bool{false, true} {
			c.want("+OK\r\n", "WATCH", key, again)
			if change {
				other.do("INCR", again)
			}
			c.want("+OK\r\n", "MULTI")
			c.want("+QUEUED\r\n", "SET", key, "1")
			c.want("+QUEUED\r\n", "PING")
			if got := c.do("EXEC"); got != map[bool]string{false: "*2\r\n+OK\r\n+PONG\r\n", true: "*-1\r\n"}[change] {
				t.Errorf("changed %v: %q", change, got)
			}
			other.do("DEL", key)
		}
	})
}

// TestTransactionInOnePartition: otherwise EXEC says so, and nothing is run.
func TestTransactionInOnePartition(t *testing.T) {
	ns := oneNamespace(4)
	cl := newCluster(t, 2, nil, ns)
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	a, b := keyIn(ns, 0, "a"), keyIn(ns, 1, "b")
	play := func(want string, lines ...string) {
		t.Helper()
		var in strings.Builder
		for _, line := range lines {
			in.WriteString(encode(strings.Fields(line)...))
		}
		c.send(in.String())
		got := ""
		for range lines {
			got = c.reply()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", lines, got, want)
		}
	}
	play("-"+crossSlot+"\r\n", "MULTI", "SET "+a+" 1", "SET "+b+" 1", "EXEC")
	play("-"+crossSlot+"\r\n", "WATCH "+a, "MULTI", "SET "+b+" 1", "EXEC")
	play("-"+crossSlot+"\r\n", "WATCH "+a+" "+b, "MULTI", "EXEC")
	play("*1\r\n+OK\r\n", "MULTI", "SET "+b+" 2", "EXEC") // that one is over
	play("-"+crossSlot+"\r\n", "MULTI", "MGET "+a+" "+b)
	play("-"+execAbort+"\r\n", "EXEC")
	play("-"+fmt.Sprintf(wholeInMulti, "dbsize", 4)+"\r\n", "MULTI", "DBSIZE")
	play("-"+execAbort+"\r\n", "EXEC")
	play("$-1\r\n", "GET "+a)

	cluster := dial(t, cl.nodes[0].addr[ClusterPort])
	moved := fmt.Sprintf("-MOVED %d %s\r\n", keySlot([]byte(b)), cl.nodes[1].addr[ClusterPort])
	cluster.want(moved, "WATCH", b)
	cluster.want("+OK\r\n", "MULTI")
	cluster.want(moved, "SET", b, "3")
	cluster.want("-"+execAbort+"\r\n", "EXEC")
	cluster.want("+OK\r\n", "MULTI")
	cluster.want("+QUEUED\r\n", "SET", a, "1")
	cluster.want("+QUEUED\r\n", "SET", keyIn(ns, 0, "other"), "1") // same partition, another slot
	cluster.want("-"+crossSlot+"\r\n", "EXEC")
	cluster.want("$-1\r\n", "GET", a)

	shared := dial(t, cl.nodes[1].addr[SharedPort])
	shared.want("+OK\r\n", "MULTI")
	shared.want("+QUEUED\r\n", "SET", "default:t:k", "v")
	shared.want("+QUEUED\r\n", "DELIFEQ", "default:t:k", "0")
	shared.want("*2\r\n+OK\r\n"+popped("default:t:k", "v"), "EXEC")
	shared.want("+OK\r\n", "MULTI")
	shared.want("-invalid redis key : ERR handle command GET\r\n", "GET", "k")
	shared.want("-"+execAbort+"\r\n", "EXEC")
	shared.want("+OK\r\n", "MULTI")
	shared.want("-"+unboundCommand+"\r\n", "DBSIZE")
	shared.want("+OK\r\n", "DISCARD")
}

// TestTransactionOutcomes: one that may have been run is never sent again, one that certainly wasn't is.
func TestTransactionOutcomes(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c := dial(t, n.addr[NamespacePort])
		transaction := encode("MULTI") + encode("INCR", key) + encode("EXEC")
		last := func() (got string) {
			for range 3 {
				got = c.reply()
			}
			return got
		}
		asked := 0
		isExec := func(req *command.Request) bool { return req.Spec == command.Exec }
		fault := func(req *command.Request) command.Outcome {
			if asked++; isExec(req) && asked < 3 {
				return command.Elsewhere
			}
			return command.Answered
		}
		part.fault.Store(&fault)
		c.send(transaction)
		if got := last(); got != "*1\r\n:1\r\n" {
			t.Errorf("sent again: %q", got)
		}
		unknown := func(*command.Request) command.Outcome { return command.Unknown }
		part.fault.Store(&unknown)
		c.send(transaction)
		if got := last(); got != "-"+unknownOutcome+"\r\n" {
			t.Errorf("unknown: %q", got)
		}
		part.fault.Store(nil)
		c.want("$1\r\n2\r\n", "GET", key)
	})
}

// TestLostTransaction: like any write whose answer was lost.
func TestLostTransaction(t *testing.T) {
	ns := oneNamespace(2)
	cl := newCluster(t, 2, nil, ns)
	part, key := cl.parts[ns.Name][1], keyIn(ns, 1, "key")
	entered, release := make(chan struct{}), make(chan struct{})
	fault := func(*command.Request) command.Outcome {
		close(entered)
		<-release
		return command.Answered
	}
	part.fault.Store(&fault)
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.send(encode("MULTI") + encode("GET", key) + encode("INCR", key) + encode("EXEC"))
	<-entered
	stopped := make(chan struct{})
	go func() {
		cl.nodes[1].stopGRPC()
		close(stopped)
	}()
	eventually(t, "the answer is lost", func() bool { return cl.nodes[0].srv.Stats().ForwardLost == 1 })
	close(release)
	<-stopped
	got := ""
	for range 4 {
		got = c.reply()
	}
	if !strings.HasPrefix(got, "-UNKNOWN ") {
		t.Errorf("got %q", got)
	}
}

// TestTransactionBounds: what waits for EXEC counts, and goes when it is over.
func TestTransactionBounds(t *testing.T) {
	n := newCluster(t, 1, func(o *Options) { o.MaxQuery, o.MaxBulk, o.MemoryBudget = 1<<20, 1<<19, 4<<20 }, oneNamespace(1)).nodes[0]
	c := dial(t, n.addr[NamespacePort])
	value := strings.Repeat("x", 100<<10)
	fill := func(c *client) (got string) {
		c.want("+OK\r\n", "MULTI")
		for i := range 20 {
			if got = c.do("SET", fmt.Sprint(i), value); got != "+QUEUED\r\n" {
				break
			}
		}
		return got
	}
	if got := fill(c); got != fmt.Sprintf("-%s: its commands have over %d bytes\r\n", transactionTooLarge, 1<<20) {
		t.Errorf("got %q", got)
	}
	c.want("-"+execAbort+"\r\n", "EXEC")
	c.want(":0\r\n", "DBSIZE")
	var clients []*client
	refused := ""
	for range 6 {
		c := dial(t, n.addr[NamespacePort])
		clients = append(clients, c)
		c.want("+OK\r\n", "MULTI")
		for range 9 {
			if got := c.do("SET", "k", value); got[0] == '-' {
				refused = got
			}
		}
	}
	if refused != "-ERR "+errBuffersAreFull.Error()+"\r\n" {
		t.Errorf("over the node's budget: %q", refused)
	}
	if used := n.srv.Stats().BufferBytes; used > 4<<20 {
		t.Errorf("%d bytes are in use", used)
	}
	clients[0].do("EXEC")
	clients[1].do("DISCARD")
	clients[2].do("RESET")
	for _, c := range append(clients, c) {
		c.nc.Close()
	}
	eventually(t, "all is given back", func() bool { return n.srv.Stats().BufferBytes == 0 })

	c = dial(t, n.addr[NamespacePort])
	c.want("+OK\r\n", "MULTI")
	c.send(strings.Repeat(encode("PING"), maxQueued+1))
	for i := range maxQueued + 1 {
		if got := c.reply(); got != "+QUEUED\r\n" && i < 1000 {
			t.Fatalf("%d: %q", i, got)
		}
	}
	c.want("-"+execAbort+"\r\n", "EXEC")
}

func TestWatchBounds(t *testing.T) {
	n := newCluster(t, 1, func(o *Options) { o.Limits.Batch = 3 }, oneNamespace(1)).nodes[0]
	c := dial(t, n.addr[NamespacePort])
	c.want("+OK\r\n", "WATCH", "a", "b")
	c.want("+OK\r\n", "WATCH", "c")
	c.want("-"+tooManyWatched+": at most 3 at a time\r\n", "WATCH", "d")
	if n.srv.Stats().BufferBytes == 0 {
		t.Error("they don't count")
	}
	c.want("+OK\r\n", "UNWATCH")
	eventually(t, "all is given back", func() bool { return n.srv.Stats().BufferBytes == 0 })
	c.want("-"+command.ErrBatchSize+"\r\n", "WATCH", "a", "b", "c", "d")
}

func TestClientListOfTransaction(t *testing.T) {
	n := newCluster(t, 1, nil, oneNamespace(1)).nodes[0]
	c, other := dial(t, n.addr[NamespacePort]), dial(t, n.addr[NamespacePort])
	c.want("+OK\r\n", "MULTI")
	c.want("+QUEUED\r\n", "PING")
	if got := other.do("CLIENT", "LIST"); !strings.Contains(got, " flags=x ") || !strings.Contains(got, " multi=1 ") || !strings.Contains(got, " multi=-1 ") {
		t.Errorf("CLIENT LIST: %q", got)
	}
}
