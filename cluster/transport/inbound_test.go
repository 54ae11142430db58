package transport

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// rawPeer is a hand-driven sender.
type rawPeer struct {
	t    *testing.T
	conn net.Conn
}

func dialRaw(t *testing.T, n *testNet, to NodeID, h hello) *rawPeer {
	t.Helper()
	addr, _ := n.resolve(to)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p := &rawPeer{t: t, conn: conn}
	if h.cluster != "" {
		p.write(appendHello(nil, h))
	}
	return p
}

func (p *rawPeer) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *rawPeer) welcome() welcome {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(testTimeout))
	w, err := readWelcome(p.conn)
	if err != nil {
		p.t.Fatal(err)
	}
	return w
}

// hungUp waits until the other side has closed the connection.
func (p *rawPeer) hungUp() {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(testTimeout))
	if _, err := io.Copy(io.Discard, p.conn); err != nil && strings.Contains(err.Error(), "timeout") {
		p.t.Fatal("the connection stays open")
	}
}

// frameOf encodes messages as one frame.
func frameOf(t testing.TB, msgs ...Message) []byte {
	t.Helper()
	q := newQueue(1<<30, 1<<30)
	if dropped, tooLarge := q.put(msgs); dropped+tooLarge > 0 {
		t.Fatal("message not encoded")
	}
	b := q.take()
	if len(b.chunks) != 1 {
		t.Fatalf("%d chunks, want 1", len(b.chunks))
	}
	return append([]byte(nil), b.chunks[0].buf...)
}

func helloOf(process, connection uint64) hello {
	return hello{kind: kindMessages, from: 1, to: 2, process: process, connection: connection, cluster: "test"}
}

// blockingNode is a node whose first Deliver waits for release.
func blockingNode(t *testing.T, n *testNet) (node *testNode, entered, release chan struct{}) {
	entered, release = make(chan struct{}), make(chan struct{})
	first := true
	node = startNode(t, n, 2, func(_ *Options, node *testNode) {
		node.deliver = func(_ NodeID, msgs []Message) {
			if first {
				first = false
				close(entered)
				<-release
			}
			for i := range msgs {
				node.got <- received{index: msgs[i].Index}
			}
		}
	})
	return node, entered, release
}

// A newer connection, of the same process or of its successor, isn't welcomed while a message of the older one is being
// delivered, and nothing of the older one comes after.
func TestNothingOvertakes(t *testing.T) {
	for name, newer := range map[string]hello{"same process": helloOf(7, 2), "another process": helloOf(8, 1)} {
		t.Run(name, func(t *testing.T) {
			n := newTestNet()
			b, entered, release := blockingNode(t, n)
			old := dialRaw(t, n, 2, helloOf(7, 1))
			if w := old.welcome(); w.status != StatusOK || w.node != 2 {
				t.Fatalf("welcome %+v", w)
			}
			old.write(frameOf(t, message(1, 1)))
			await(t, entered, "delivery")
			old.write(append(frameOf(t, message(1, 2)), frameOf(t, message(1, 3))...))

			next := dialRaw(t, n, 2, newer)
			old.hungUp()
			_ = next.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if k, err := next.conn.Read(make([]byte, 1)); err == nil || k > 0 {
				t.Fatal("welcomed while a message of the older connection was being delivered")
			}
			close(release)
			if w := next.welcome(); w.status != StatusOK {
				t.Fatalf("welcome %+v", w)
			}
			next.write(frameOf(t, message(1, 4)))
			for before := uint64(0); before != 4; {
				r := b.next()
				if r.index <= before {
					t.Fatalf("message %d after %d", r.index, before)
				}
				before = r.index
			}
		})
	}
}

// A hello that comes late, or again, doesn't replace the newer connection.
func TestLateHelloIsRefused(t *testing.T) {
	n := newTestNet()
	b := startNode(t, n, 2, nil)
	newer := dialRaw(t, n, 2, helloOf(7, 5))
	newer.welcome()
	for _, connection := range []uint64{4, 5} {
		late := dialRaw(t, n, 2, helloOf(7, connection))
		if w := late.welcome(); w.status != StatusOutrun {
			t.Fatalf("connection %d behind 5: %s", connection, w.status)
		}
		late.hungUp()
	}
	newer.write(frameOf(t, message(1, 1)))
	b.next()
}

// Whoever dials wrongly is told why.
func TestHelloChecks(t *testing.T) {
	good := helloOf(7, 1)
	cluster, node, self, kind, nobody := good, good, good, good, good
	cluster.cluster, node.to, self.from, kind.kind, nobody.from = "other", 3, 2, 9, 0
	version := appendHello(nil, good)
	version[4] = 2
	flags := appendHello(nil, good)
	flags[7] = 1
	bad := appendHello(nil, good)
	bad[20]++
	long := appendHello(nil, good)
	le.PutUint32(long[40:], 1<<30)
	for _, c := range []struct {
		name   string
		bytes  []byte
		status Status
		reason string
	}{
		{"cluster", appendHello(nil, cluster), StatusCluster, `belongs to cluster "test", the connection to "other"`},
		{"node", appendHello(nil, node), StatusNode, "this is node 2, the connection is for node 3"},
		{"self", appendHello(nil, self), StatusNode, "comes from node 2"},
		{"nobody", appendHello(nil, nobody), StatusNode, "comes from node 0"},
		{"kind", appendHello(nil, kind), StatusCorrupt, "kind 9"},
		{"version", version, StatusVersion, "format version 2, this node speaks version 1"},
		{"flags", flags, StatusCorrupt, "flags 0x01"},
		{"checksum", bad, StatusCorrupt, "checksum"},
		{"length", long, StatusCorrupt, "cluster id of 1073741824 bytes"},
		{"magic", []byte("GET / HTTP/1.1\r\n\r\n"), StatusCorrupt, `magic "GET "`},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newTestNet()
			b := startNode(t, n, 2, nil)
			p := dialRaw(t, n, 2, hello{})
			p.write(c.bytes)
			if w := p.welcome(); w.status != c.status || !strings.Contains(w.reason, c.reason) {
				t.Errorf("welcome: %s: %q; want %s: %q", w.status, w.reason, c.status, c.reason)
			}
			p.hungUp()
			if !strings.Contains(b.logs.String(), "connection refused") {
				t.Errorf("nothing in the log:\n%s", b.logs)
			}
		})
	}
}

// A mismatch is one clear line in the log, and dialled again rarely.
func TestMismatchIsNoStorm(t *testing.T) {
	n := newTestNet()
	startNode(t, n, 2, func(o *Options, _ *testNode) { o.Cluster = "other" })
	dials := make(chan struct{}, 1000)
	a := startNode(t, n, 1, func(o *Options, _ *testNode) {
		o.MaxBackoff = time.Hour
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			dials <- struct{}{}
			return dialTCP(ctx, addr)
		}
	})
	a.Send(2, []Message{message(1, 1)})
	await(t, dials, "dial")
	await(t, a.unreachable, "report")
	a.Send(2, []Message{message(1, 2)})
	select {
	case <-dials:
		t.Error("dialled again at once")
	case <-time.After(50 * time.Millisecond):
	}
	want := `wrong cluster: this node belongs to cluster \"other\", the connection to \"test\"`
	if log := a.logs.String(); strings.Count(log, "can't be reached") != 1 || !strings.Contains(log, "wrong cluster") {
		t.Errorf("log:\n%s\nwant one line with %s", log, want)
	}
}

// The dialling side notices that the address belongs to somebody else, whatever the other side thinks.
func TestDialledNodeIsChecked(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = readHello(conn)
		_, _ = conn.Write(appendWelcome(nil, welcome{status: StatusOK, node: 5}))
	}()
	n := newTestNet()
	n.set(2, l.Addr().String())
	a := startNode(t, n, 1, nil)
	_, err = a.connect(t.Context(), 2, kindMessages)
	if err == nil || !strings.Contains(err.Error(), "the address belongs to node 5") {
		t.Errorf("connect: %v", err)
	}
}

// A frame with a flipped byte drops the connection, with an error that names it; nothing of it is delivered, and what was
// whole before is.
func TestCorruptFrameDropsConnection(t *testing.T) {
	good := frameOf(t, message(1, 2), appendMessage(2, 3, []byte("value")))
	for at := range good {
		n := newTestNet()
		b := startNode(t, n, 2, nil)
		p := dialRaw(t, n, 2, helloOf(7, 1))
		p.welcome()
		bad := append([]byte(nil), good...)
		bad[at] ^= 0x40
		p.write(append(frameOf(t, message(1, 1)), bad...))
		p.hungUp()
		if r := b.next(); r.index != 1 || len(b.got) != 0 {
			t.Fatalf("byte %d: got message %d and %d more, want only message 1", at, r.index, len(b.got))
		}
		b.Close()
		if log := b.logs.String(); b.Metrics().CorruptConnections != 1 || !strings.Contains(log, "checksum") {
			t.Fatalf("byte %d: %d corrupt connections, log:\n%s", at, b.Metrics().CorruptConnections, log)
		}
	}
}

// Frames whose checksums are right and whose content isn't are refused too.
func TestBadFrames(t *testing.T) {
	frame := func(kind byte, count uint16, payload []byte) []byte {
		b := append(make([]byte, headerSize), payload...)
		putHeader(b, kind, count, payload)
		return b
	}
	resum := func(b []byte) []byte {
		le.PutUint32(b[12:], checksum(b[:12]))
		return b
	}
	flagged := frame(frameMessages, 1, []byte{1, 0})
	flagged[1] = 1
	long := frame(frameMessages, 1, []byte{1, 0})
	le.PutUint32(long[4:], 1<<31)
	for name, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"no messages":       {frame(frameMessages, 0, nil), "frame with 0 messages"},
		"too many":          {frame(frameMessages, 5000, []byte{1}), "frame with 5000 messages"},
		"snapshot frame":    {frame(frameData, 0, []byte{1}), "no place here"},
		"flags":             {resum(flagged), "flags 0x01"},
		"length":            {resum(long), "2147483648 bytes, at most"},
		"cut":               {frame(frameMessages, 2, []byte{1, 0}), "message 1 of 2"},
		"group cut":         {frame(frameMessages, 1, []byte{0x80}), "message 0 of 1"},
		"longer than frame": {frame(frameMessages, 1, []byte{1, 200, 1, 0}), "message 0 of 1"},
		"behind":            {frame(frameMessages, 1, []byte{1, 0, 9}), "1 bytes behind the last"},
		"protobuf":          {frame(frameMessages, 1, []byte{1, 1, 0xff}), "group 1"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNet()
			b := startNode(t, n, 2, nil)
			p := dialRaw(t, n, 2, helloOf(7, 1))
			p.welcome()
			p.write(c.bytes)
			p.hungUp()
			b.Close()
			if log := b.logs.String(); !strings.Contains(log, c.want) {
				t.Errorf("log:\n%s\nwant %q", log, c.want)
			}
		})
	}
}
