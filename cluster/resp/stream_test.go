package resp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cluster/resp/forwardpb"
)

// many is what SUBSTR of these tests replies.
func many(n, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", n)
	for i := range n {
		digits := fmt.Sprint(i)
		if kept := fmt.Sprint(i - 1); i > 0 && len(kept) > len(digits) {
			digits = kept
		}
		fmt.Fprintf(&b, "$%d\r\n%s%s\r\n", size, digits, strings.Repeat("x", size-len(digits)))
	}
	return b.String()
}

// bytes reads so many.
func (c *client) bytes(n int) string {
	c.t.Helper()
	b := make([]byte, n)
	if got, err := io.ReadFull(c.rd, b); err != nil {
		c.t.Fatalf("after %d of %d bytes: %v, %.80q", got, n, err, b)
	}
	return string(b)
}

// peakHeap is by how much what is reachable grows while run does something.
func peakHeap(run func()) int64 {
	before := heap()
	var peak atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				peak.Store(max(peak.Load(), heap()))
			}
		}
	}()
	run()
	close(stop)
	<-done
	return peak.Load() - before
}

// TestLargeReplyNeedsLittle: 100 MB go through one node or two. Whenever the client stops reading, what it hasn't taken is some 100 KiB, or what gRPC's
// windows and pools hold, on both; the rest isn't made yet.
func TestLargeReplyNeedsLittle(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		const count, size = 100_000, 1024
		c := dial(t, n.addr[NamespacePort])
		c.nc.SetDeadline(time.Now().Add(time.Minute))
		c.rd = bufio.NewReaderSize(c.nc, 256<<10)
		c.do("SUBSTR", key, "1000", "1024") // what is made once is there
		before, peak := heap(), int64(0)
		c.send(encode("SUBSTR", key, fmt.Sprint(count), fmt.Sprint(size)) + encode("PING"))
		want := int64(len(fmt.Sprintf("*%d\r\n", count)) + count*(size+len("$1024\r\n\r\n")))
		for left := want; left > 0; {
			got, err := io.CopyN(io.Discard, c.rd, min(left, 10<<20))
			if err != nil {
				t.Fatalf("%d bytes before the end: %v", left-got, err)
			}
			left -= got
			heap() // by the end of it nothing moves any more
			peak = max(peak, heap())
		}
		if got := c.reply(); got != "+PONG\r\n" {
			t.Errorf("behind it: %q", got)
		}
		t.Logf("%d bytes of reply, %d of heap", want, peak-before)
		if peak-before > 8<<20 {
			t.Errorf("%d bytes of reply took %d of heap", want, peak-before)
		}
	})
}

// TestStreamInPipelines: order and content are as they would be, wherever the large replies stand.
func TestStreamInPipelines(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c := dial(t, n.addr[NamespacePort])
		ns := cl.namespaces["default"]
		elsewhere, other := keyIn(ns, 1, "x"), keyIn(ns, 1, "y")
		var in strings.Builder
		var want []string
		add := func(reply string, words ...string) {
			in.WriteString(encode(words...))
			want = append(want, reply)
		}
		for i := range 3 {
			add(many(5, 10), "SUBSTR", key, "5", "10")
			add(many(3000, 1024), "SUBSTR", key, "3000", "1024")
			add(fmt.Sprintf(":%d\r\n", 2*i+1), "INCR", elsewhere)
			add(many(2000, 700), "SUBSTR", elsewhere, "2000", "700")
			add(fmt.Sprintf(":%d\r\n", i+1), "INCR", key)
			add(many(100, 1024), "SUBSTR", other, "100", "1024")
			add("+PONG\r\n", "PING")
			add(many(2000, 300), "SUBSTR", other, "2000", "300")
			add(fmt.Sprintf(":%d\r\n", 2*i+2), "INCR", elsewhere)
			add("+OK\r\n", "MULTI")
			add("+QUEUED\r\n", "SUBSTR", key, "1000", "1000")
			add("*1\r\n"+many(1000, 1000), "EXEC")
		}
		go c.send(in.String())
		for i, w := range want {
			if got := c.bytes(len(w)); got != w {
				t.Fatalf("reply %d: got %d bytes %.60q, want %d %.60q", i, len(got), got, len(w), w)
			}
		}
	})
}

// TestLargeReadsKeepTheirPlace: they see the writes before them and none behind them.
func TestLargeReadsKeepTheirPlace(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c := dial(t, n.addr[NamespacePort])
		far := keyIn(cl.namespaces["default"], 1, "far")
		var in strings.Builder
		for _, v := range []string{"A", "B", "C"} {
			in.WriteString(encode("GET", far) + encode("SUBSTR", key, "1000", "1024") + encode("SET", key, v) + encode("SUBSTR", key, "1000", "1024"))
		}
		go c.send(in.String())
		before := "x"
		for _, v := range []string{"A", "B", "C"} {
			reply := func(last string) string { return strings.ReplaceAll(many(1000, 1024), "x\r\n", last+"\r\n") }
			want := "$-1\r\n" + reply(before) + "+OK\r\n" + reply(v)
			if got := c.bytes(len(want)); got != want {
				t.Fatalf("got %.100q, want %.100q", got, want)
			}
			before = v
		}
	})
}

func TestStreamAndClientReply(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c := dial(t, n.addr[NamespacePort])
		big := encode("SUBSTR", key, "3000", "1024")
		c.send(encode("PING") + encode("CLIENT", "REPLY", "SKIP") + big + encode("PING", "1") + encode("CLIENT", "REPLY", "OFF") + big +
			encode("CLIENT", "REPLY", "ON") + big + encode("CLIENT", "REPLY", "OFF") + big + encode("CLIENT", "REPLY", "ON"))
		for _, w := range []string{"+PONG\r\n", "$1\r\n1\r\n", "+OK\r\n", many(3000, 1024), "+OK\r\n"} {
			if got := c.bytes(len(w)); got != w {
				t.Fatalf("got %.60q, want %.60q", got, w)
			}
		}
	})
}

// TestStreamToClientThatStops: it is dropped, and holds no state any more, here or at the leader.
func TestStreamToClientThatStops(t *testing.T) {
	change := func(o *Options) { o.OutputTimeout = 600 * time.Millisecond }
	eachWay(t, change, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c, other := dial(t, n.addr[NamespacePort]), dial(t, n.addr[NamespacePort])
		c.do("SUBSTR", key, "10", "1024")
		grown := peakHeap(func() {
			c.send(encode("SUBSTR", key, "200000", "1024"))
			eventually(t, "it is read", func() bool { return part.reading.Load() == 1 })
			other.want("+OK\r\n", "SET", key, "v") // others go on
			eventually(t, "it is dropped", func() bool { return part.reading.Load() == 0 && n.srv.Stats().Clients == 1 })
		})
		if n.srv.Stats().StuckClosed != 1 || grown > 8<<20 {
			t.Errorf("%d closed as stuck, heap grew by %d", n.srv.Stats().StuckClosed, grown)
		}
		other.want("$1\r\nv\r\n", "GET", key)
	})
}

// TestStreamToNodeThatStops: another node that takes nothing doesn't hold the state for longer either.
func TestStreamToNodeThatStops(t *testing.T) {
	s := newPartSender(stuckStream{t: t}, 50*time.Millisecond)
	defer s.end()
	if err := s.send([]byte("part")); err != errStuck {
		t.Errorf("got %v", err)
	}
}

// TestStreamBreaksOff: a reply that can't be finished ends the connection.
func TestStreamBreaksOff(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, _ string) {
		key := keyIn(cl.namespaces["default"], 0, "broken")
		c := dial(t, n.addr[NamespacePort])
		if got := c.do("SUBSTR", key, "10", "100"); !strings.HasPrefix(got, "-ERR the state can't be read") {
			t.Errorf("a small one: %q", got)
		}
		c.send(encode("SUBSTR", key, "4000", "1024") + encode("PING"))
		b, _ := io.ReadAll(c.nc)
		if len(b) < 1<<20 || strings.Contains(string(b), "PONG") || strings.Contains(string(b), "can't be read") {
			t.Errorf("got %d bytes, ending in %q", len(b), b[max(0, len(b)-40):])
		}
		if n.srv.Stats().Dropped != 1 {
			t.Error("not counted")
		}
	})
}

// TestStreamWhenTheLeaderMoves: a large read that nobody answers yet is asked again.
func TestStreamWhenTheLeaderMoves(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, cl *fakeCluster, n *fakeNode, part *fakePartition, key string) {
		c, want := dial(t, n.addr[NamespacePort]), many(1000, 1024)
		for i := range 20 {
			part.leader.Store(uint64(i % 3))
			c.send(encode("SUBSTR", key, "1000", "1024") + encode("SUBSTR", key, "1000", "1024"))
			part.leader.Store(uint64((i+1)%2 + 1))
			for range 2 {
				if got := c.bytes(len(want)); got != want {
					t.Fatalf("got %.60q", got)
				}
			}
		}
	})
}

// stuckStream never gets anything sent.
type stuckStream struct {
	grpc.ServerStream
	t *testing.T
}

func (s stuckStream) Context() context.Context { return s.t.Context() }

func (s stuckStream) Send(*forwardpb.Part) error {
	<-s.t.Context().Done()
	return s.t.Context().Err()
}
