package resp

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/zankv/zankv/cluster/command"
)

func popped(key, value string) string {
	return fmt.Sprintf("*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(value), value)
}

// eachWay runs a test at the node that leads partition 0 and at one that doesn't.
func eachWay(t *testing.T, change func(*Options), test func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string)) {
	for i, name := range []string{"direct", "forwarded"} {
		t.Run(name, func(t *testing.T) {
			ns := oneNamespace(4)
			cl := newCluster(t, 2, change, ns)
			test(t, cl, cl.nodes[i], cl.parts[ns.Name][0], keyIn(ns, 0, "key"))
		})
	}
}

func TestBlockedUntilServed(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c, other := dial(t, n.addr[NamespacePort]), dial(t, n.addr[NamespacePort])
		c.send(encode("SET", key+"x", "1") + encode("DELIFEQ", key, "0") + encode("GET", key+"x") + encode("DELIFEQ", key, "0.01") + encode("PING"))
		if got := c.reply(); got != "+OK\r\n" { // comes before the wait is over
			t.Errorf("before: %q", got)
		}
		eventually(t, "it waits", func() bool { return n.srv.Stats().Blocked == 1 && part.waiting() == 1 })
		if info := other.do("INFO", "clients"); !strings.Contains(info, "blocked_clients:1\r\n") {
			t.Errorf("INFO: %q", info)
		}
		if list := other.do("CLIENT", "LIST"); !strings.Contains(list, " flags=b ") || !strings.Contains(list, "cmd=blpop ") {
			t.Errorf("CLIENT LIST: %q", list)
		}
		other.want("+OK\r\n", "SET", key, "v")
		for _, want := range []string{popped(key, "v"), "$1\r\n1\r\n", "*-1\r\n", "+PONG\r\n"} {
			if got := c.reply(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		other.want("$-1\r\n", "GET", key)
		if n.srv.Stats().Blocked != 0 {
			t.Error("still blocked")
		}
	})
}

// TestBlockedClientGoes: nothing is popped for a client that is gone.
func TestBlockedClientGoes(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c, other := dial(t, n.addr[NamespacePort]), dial(t, n.addr[NamespacePort])
		c.send(encode("DELIFEQ", key, "0"))
		eventually(t, "it waits", func() bool { return part.waiting() == 1 })
		c.send(strings.Repeat(encode("PING"), 10000)) // what it sent meanwhile doesn't hide that it goes
		c.nc.Close()
		eventually(t, "the wait ended", func() bool { return part.waits.gone.Load() == 1 })
		other.want("+OK\r\n", "SET", key, "v")
		other.want("$1\r\nv\r\n", "GET", key)
		eventually(t, "the connection is gone", func() bool { return n.srv.Stats().Clients == 1 && n.srv.Stats().BufferBytes == 0 })
	})
}

func TestClientUnblock(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c, other := dial(t, n.addr[NamespacePort]), dial(t, n.addr[NamespacePort])
		id := strings.TrimSpace(c.do("CLIENT", "ID")[1:])
		other.want(":0\r\n", "CLIENT", "UNBLOCK", id)
		for reason, want := range map[string]string{"": "*-1\r\n", "TIMEOUT": "*-1\r\n", "error": "-" + command.ErrUnblocked + "\r\n"} {
			c.send(encode("DELIFEQ", key, "0") + encode("PING"))
			eventually(t, "it waits", func() bool { return n.srv.Stats().Blocked == 1 })
			words := []string{"CLIENT", "UNBLOCK", id}
			if reason != "" {
				words = append(words, reason)
			}
			other.want(":1\r\n", words...)
			if got := c.reply(); got != want {
				t.Errorf("%q: got %q, want %q", reason, got, want)
			}
			if got := c.reply(); got != "+PONG\r\n" {
				t.Errorf("behind it: %q", got)
			}
		}
		other.want(":0\r\n", "CLIENT", "UNBLOCK", id)
		other.want(":0\r\n", "CLIENT", "UNBLOCK", "99999")
	})
}

func TestClientUnblockTexts(t *testing.T) {
	theirs := startRedis(t)
	ours := newCluster(t, 1, nil, oneNamespace(1)).nodes[0].addr[NamespacePort]
	in := encode("CLIENT", "UNBLOCK", "x") + encode("CLIENT", "UNBLOCK", "99999999", "nope") + encode("CLIENT", "UNBLOCK") +
		encode("CLIENT", "UNBLOCK", "999999", "error") + encode("CLIENT", "UNBLOCK", "x", "nope") + encode("CLIENT", "UNBLOCK", "1", "error", "more")
	if got, want := exchange(t, ours, in), exchange(t, theirs, in); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestBlockedWhileLeadersChange: the wait goes on at the new leader with the time that is left, and it is that one that ends it.
func TestBlockedWhileLeadersChange(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c, other := dial(t, n.addr[NamespacePort]), dial(t, n.addr[NamespacePort])
		for i, args := range [][]string{{"DELIFEQ", key, "0"}, {"DELIFEQ", key, "30"}, {"SETIFEQ", "30", "1", key}} {
			c.send(encode(args...))
			eventually(t, "it waits", func() bool { return part.waiting() == 1 })
			for _, leader := range []uint64{2, 1, 2} {
				part.lead(leader)
				eventually(t, "it waits again", func() bool { return part.waiting() == 1 })
			}
			if i > 0 {
				part.mu.Lock()
				req := part.waits.all[0].req
				left := blockTime(req.Spec, req.Args)
				part.mu.Unlock()
				if left <= 0 || left >= 30*time.Second {
					t.Errorf("%q: %v are left", args, left)
				}
			}
			other.want("+OK\r\n", "SET", key, "v")
			if got := c.reply(); got != popped(key, "v") {
				t.Errorf("got %q", got)
			}
			part.lead(1)
		}
		began := time.Now()
		c.send(encode("DELIFEQ", key, "0.2"))
		eventually(t, "it waits", func() bool { return part.waiting() == 1 })
		part.lead(2)
		if got := c.reply(); got != "*-1\r\n" || time.Since(began) < 190*time.Millisecond {
			t.Errorf("got %q after %v", got, time.Since(began))
		}
	})
}

// TestBlockedWithoutLeader: it isn't a timeout when nobody could say so.
func TestBlockedWithoutLeader(t *testing.T) {
	eachWay(t, func(o *Options) { o.RetryFor = 50 * time.Millisecond }, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c := dial(t, n.addr[NamespacePort])
		c.send(encode("DELIFEQ", key, "0.02"))
		eventually(t, "it waits", func() bool { return part.waits.blocked.Load() == 1 })
		part.lead(0)
		if got := c.reply(); got != "-"+noLeader+"\r\n" && got != "*-1\r\n" {
			t.Errorf("got %q", got)
		}
		part.lead(0)
		c.want("-"+noLeader+"\r\n", "DELIFEQ", key, "0.02")
	})
}

// TestBlockedLongerThanTimeouts: neither that of forwarding nor that of idle connections ends a wait.
func TestBlockedLongerThanTimeouts(t *testing.T) {
	change := func(o *Options) {
		o.ForwardTimeout, o.IdleTimeout, o.RetryFor = 300*time.Millisecond, 400*time.Millisecond, 100*time.Millisecond
	}
	eachWay(t, change, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c := dial(t, n.addr[NamespacePort])
		c.want("*-1\r\n", "DELIFEQ", key, "1.2")
		c.send(encode("DELIFEQ", key, "0"))
		began := n.srv.tick.Load()
		eventually(t, "time passes", func() bool { return n.srv.tick.Load() > began+6 })
		dial(t, n.addr[NamespacePort]).want("+OK\r\n", "SET", key, "v")
		if got := c.reply(); got != popped(key, "v") {
			t.Errorf("got %q", got)
		}
		if part.waits.blocked.Load() != 2 {
			t.Errorf("it was sent %d times", part.waits.blocked.Load())
		}
	})
}

// TestCloseEndsWaits, also those that the node has for others.
func TestCloseEndsWaits(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c := dial(t, n.addr[NamespacePort])
		c.send(encode("DELIFEQ", key, "0"))
		eventually(t, "it waits", func() bool { return part.waiting() == 1 })
		n.srv.Close()
		if b, _ := io.ReadAll(c.nc); len(b) > 0 {
			t.Errorf("got %q", b)
		}
		eventually(t, "the wait ended", func() bool { return part.waits.gone.Load() == 1 })
	})
}

// TestBlockedStreamBreaks: the leader forgets the wait; the client learns that it can't know.
func TestBlockedStreamBreaks(t *testing.T) {
	ns := oneNamespace(4)
	cl := newCluster(t, 2, nil, ns)
	part, key := cl.parts[ns.Name][1], keyIn(ns, 1, "key")
	c := dial(t, cl.nodes[0].addr[NamespacePort])
	c.send(encode("DELIFEQ", key, "0"))
	eventually(t, "it waits", func() bool { return part.waiting() == 1 })
	cl.nodes[1].stopGRPC()
	if got := c.reply(); !strings.HasPrefix(got, "-UNKNOWN ") {
		t.Errorf("got %q", got)
	}
	eventually(t, "the wait ended", func() bool { return part.waits.gone.Load() == 1 })
}

// TestManyBlockedDoNotStopOthers: more waits than a stream has room for lanes.
func TestManyBlockedDoNotStopOthers(t *testing.T) {
	ns := oneNamespace(4)
	cl := newCluster(t, 2, nil, ns)
	n, part := cl.nodes[0], cl.parts[ns.Name][1]
	v := &serving{srv: cl.nodes[1].srv, slots: make(chan struct{}, 1), kick: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	v.mu.waits = make(map[uint64]*waiting)
	for i := range 100 {
		k := &call{ns: ns, partition: 1}
		k.Spec, k.Args = command.Lookup([]byte("delifeq")), [][]byte{[]byte("delifeq"), []byte(keyIn(ns, 1, "key")), []byte("0")}
		wire := encodeLane(&lane{ns: ns, partition: 1, calls: []*call{k}})
		wire.Id = uint64(i)
		if err := v.waitForRoom(t.Context()); err != nil {
			t.Fatal(err)
		}
		v.run(wire)
	}
	eventually(t, "all wait", func() bool { return part.waiting() == 100 })
	v.cancelAll()
	v.held.Wait()
	if len(v.mu.waits) != 0 || part.waits.gone.Load() != 100 {
		t.Errorf("%d waits are left", len(v.mu.waits))
	}
	dial(t, n.addr[NamespacePort]).want("$-1\r\n", "GET", keyIn(ns, 1, "other"))
}

func TestBlockingInTransactions(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c := dial(t, n.addr[NamespacePort])
		c.want("+OK\r\n", "MULTI")
		c.want("+QUEUED\r\n", "DELIFEQ", key, "0")
		c.want("*1\r\n*-1\r\n", "EXEC")
	})
}
