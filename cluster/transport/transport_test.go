package transport

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// Everything of a message arrives, and the handler keeps what it was given though buffers are reused.
func TestMessagesArriveWhole(t *testing.T) {
	n := newTestNet()
	var kept []Message
	done := make(chan struct{})
	startNode(t, n, 2, func(_ *Options, node *testNode) {
		node.deliver = func(_ NodeID, msgs []Message) {
			kept = append(kept, msgs...)
			if len(kept) == 300 {
				close(done)
			}
		}
	})
	a := startNode(t, n, 1, nil)
	var want []Message
	for i := range uint64(300) {
		m := appendMessage(i%7, i, bytes.Repeat([]byte{byte(i)}, int(i*i)))
		m.Context, m.Reject, m.RejectHint, m.LogTerm = []byte{byte(i)}, i%2 == 0, i, i
		want = append(want, m)
	}
	for at := 0; at < len(want); at += 10 {
		a.Send(2, want[at:at+10])
	}
	await(t, done, "all messages")
	for i := range want {
		x, y := mustMarshal(t, &want[i].Message), mustMarshal(t, &kept[i].Message)
		if want[i].Group != kept[i].Group || !bytes.Equal(x, y) {
			t.Fatalf("message %d: group %d, %x; want group %d, %x", i, kept[i].Group, y, want[i].Group, x)
		}
	}
}

func mustMarshal(t *testing.T, m *raftpb.Message) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A message above every buffer and step, and above the queue's budget, passes when nothing else waits.
func TestLargeMessage(t *testing.T) {
	n := newTestNet()
	data := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
	got := make(chan []byte, 2)
	startNode(t, n, 2, func(_ *Options, node *testNode) {
		node.deliver = func(_ NodeID, msgs []Message) {
			for i := range msgs {
				got <- msgs[i].Entries[0].Data
			}
		}
	})
	a := startNode(t, n, 1, func(o *Options, _ *testNode) { o.QueueBytes = 1 << 20 })
	a.Send(2, []Message{appendMessage(1, 1, data)})
	if b := await(t, got, "the message"); !bytes.Equal(b, data) {
		t.Fatalf("got %d bytes, want %d equal ones", len(b), len(data))
	}
}

// What exceeds MaxMessageBytes is dropped, reported and logged, and doesn't take its neighbours along.
func TestTooLargeMessage(t *testing.T) {
	n := newTestNet()
	b := startNode(t, n, 2, nil)
	a := startNode(t, n, 1, func(o *Options, _ *testNode) { o.MaxMessageBytes = 1000 })
	a.Send(2, []Message{message(1, 1), appendMessage(1, 2, make([]byte, 1000)), message(1, 3)})
	if x, y := b.next(), b.next(); x.index != 1 || y.index != 3 {
		t.Fatalf("got %d and %d, want 1 and 3", x.index, y.index)
	}
	await(t, a.unreachable, "report")
	if m := a.Metrics(); m.DroppedMessages != 1 {
		t.Errorf("DroppedMessages = %d, want 1", m.DroppedMessages)
	}
	if !strings.Contains(a.logs.String(), "over the limit") {
		t.Errorf("no word about it in the log:\n%s", a.logs)
	}
}

// Many messages of many groups share few writes.
func TestHeartbeatsShareWrites(t *testing.T) {
	n := newTestNet()
	b := startNode(t, n, 2, nil)
	a := startNode(t, n, 1, nil)
	msgs := make([]Message, 1000)
	for i := range msgs {
		msgs[i] = message(uint64(i), 1)
	}
	a.Send(2, msgs)
	for i := range msgs {
		if r := b.next(); r.group != uint64(i) || r.from != 1 {
			t.Fatalf("message %d: group %d from %d", i, r.group, r.from)
		}
	}
	if m := a.Metrics(); m.Writes != 1 || m.SentMessages != 1000 {
		t.Errorf("%d writes for %d messages, want 1 for 1000", m.Writes, m.SentMessages)
	}
}

// A receiver that doesn't read makes the sender drop at its budget and report it; memory stays within it.
func TestFullQueueDrops(t *testing.T) {
	n := newTestNet()
	hold := make(chan struct{})
	b := startNode(t, n, 2, func(_ *Options, node *testNode) {
		node.deliver = func(_ NodeID, msgs []Message) {
			<-hold
			for i := range msgs {
				node.got <- received{index: msgs[i].Index}
			}
		}
	})
	a := startNode(t, n, 1, func(o *Options, _ *testNode) { o.QueueBytes = 1 << 20 })
	data := make([]byte, 100<<10)
	var last uint64
	for a.Metrics().DroppedMessages < 100 {
		last++
		a.Send(2, []Message{appendMessage(1, last, data)})
		if q := a.Metrics().QueuedBytes; q > 1<<20 {
			t.Fatalf("%d bytes queued, budget %d", q, 1<<20)
		}
	}
	if to := await(t, a.unreachable, "report"); to != 2 {
		t.Fatalf("Unreachable(%d), want 2", to)
	}
	close(hold)
	var before uint64
	for range last - a.Metrics().DroppedMessages {
		r := b.next()
		if r.index <= before {
			t.Fatalf("message %d after %d", r.index, before)
		}
		before = r.index
	}
}

// Connections that break at every few bytes: what arrives is in order, without repeats, the sender learns of the losses,
// and in the end messages pass again.
func TestOrderAcrossReconnects(t *testing.T) {
	n := newTestNet()
	b := startNode(t, n, 2, nil)
	var cuts atomic.Int64
	a := startNode(t, n, 1, func(o *Options, _ *testNode) {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := dialTCP(ctx, addr)
			if k := cuts.Add(1); err == nil && k <= 60 {
				conn = &limitConn{Conn: conn, left: 30 + int(k)*97}
			}
			return conn, err
		}
	})
	var before, got, sent uint64
	check := func(r received) {
		if r.index <= before {
			t.Fatalf("message %d after %d", r.index, before)
		}
		before = r.index
		got++
	}
	for deadline := time.Now().Add(testTimeout); cuts.Load() <= 60; {
		sent++
		a.Send(2, []Message{appendMessage(1, sent, make([]byte, 50))})
		select {
		case r := <-b.got:
			check(r)
		case <-a.unreachable:
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %d connections", cuts.Load())
		}
	}
	sent++
	a.Send(2, []Message{message(1, sent)})
	for before != sent {
		check(b.next())
	}
	if lost := sent - got; lost == 0 || a.Metrics().DroppedMessages == 0 {
		t.Errorf("%d of %d messages lost, %d counted: the test cut nothing", lost, sent, a.Metrics().DroppedMessages)
	}
}

// A peer that goes away is noticed without anything being sent, and its successor at another address is found.
func TestPeerRestarts(t *testing.T) {
	n := newTestNet()
	b := startNode(t, n, 2, nil)
	a := startNode(t, n, 1, nil)
	a.Send(2, []Message{message(1, 1)})
	b.next()
	b.Close()
	if to := await(t, a.unreachable, "report"); to != 2 {
		t.Fatalf("Unreachable(%d), want 2", to)
	}
	c := startNode(t, n, 2, nil)
	a.Send(2, []Message{message(1, 2)})
	if r := c.next(); r.index != 2 {
		t.Fatalf("got message %d, want 2", r.index)
	}
}

// An unknown node is unreachable, and becomes reachable once it is known.
func TestUnknownPeer(t *testing.T) {
	n := newTestNet()
	a := startNode(t, n, 1, nil)
	a.Send(2, []Message{message(1, 1)})
	await(t, a.unreachable, "report")
	b := startNode(t, n, 2, nil)
	a.Send(2, []Message{message(1, 2)})
	if r := b.next(); r.index != 2 {
		t.Fatalf("got message %d, want 2", r.index)
	}
	if err := a.SendSnapshot(context.Background(), 9, SnapshotHeader{}, t.TempDir()); !errors.Is(err, ErrUnknownNode) {
		t.Errorf("SendSnapshot to an unknown node: %v", err)
	}
}

// Closing ends a blocked writer and a waiting peer; later calls do nothing.
func TestClose(t *testing.T) {
	n := newTestNet()
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	n.set(3, l.Addr().String())
	a := startNode(t, n, 1, nil)
	a.Send(3, []Message{message(1, 1)})
	a.Send(2, []Message{message(1, 1)})
	a.Close()
	a.Send(3, []Message{message(1, 2)})
	a.Send(4, []Message{message(1, 2)})
	if err := a.SendSnapshot(context.Background(), 3, SnapshotHeader{}, t.TempDir()); !errors.Is(err, ErrClosed) {
		t.Errorf("SendSnapshot after Close: %v, want %v", err, ErrClosed)
	}
}
