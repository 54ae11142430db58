package transport

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// NodeID names a node within its cluster. 0 is none.
type NodeID uint64

// Options configure a Transport. Self, Cluster, Listener and Resolve are required.
type Options struct {
	Self NodeID
	// Cluster is the id of the cluster, 1 to 255 bytes; connections with another one are refused.
	Cluster string
	// Listener accepts the other nodes' connections. The transport closes it.
	Listener net.Listener
	// Resolve returns the address at which a node's Listener is reached. It is asked before each dial and must not block.
	Resolve func(NodeID) (addr string, ok bool)
	// Dial opens a connection; nil means TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Logger takes what operators should see; nil means slog.Default.
	Logger *slog.Logger

	// QueueBytes is how much may wait for one peer, encoded (default 64 MiB). A single message may be larger.
	QueueBytes int64
	// MaxMessageBytes bounds one message, encoded (default 72 MiB). All nodes must have the same.
	MaxMessageBytes int
	// DialTimeout bounds dialling and the handshake together (default 3 s).
	DialTimeout time.Duration
	// WriteTimeout is how long a peer may take to accept 1 MiB, or to acknowledge what was sent, before its connection
	// counts as lost (default 5 s).
	WriteTimeout time.Duration
	// MinBackoff and MaxBackoff bound the wait between two dials of a peer that can't be reached (50 ms and 1 s, both with
	// jitter). After a mismatch (wrong cluster, node or version) it is ten times MaxBackoff.
	MinBackoff, MaxBackoff time.Duration

	// IncomingSnapshots and OutgoingSnapshots bound the transfers that run at once (default 2 each).
	IncomingSnapshots, OutgoingSnapshots int
	// SnapshotIdle is how long a transfer may stand still (default 30 s).
	SnapshotIdle time.Duration
}

const (
	defaultQueueBytes      = 64 << 20
	defaultMaxMessageBytes = 72 << 20
	defaultSnapshots       = 2
	// maxConnections bounds accepted connections, and so the goroutines and buffers of this node.
	maxConnections = 4096
)

func (o Options) withDefaults() Options {
	setDefault(&o.QueueBytes, defaultQueueBytes)
	setDefault(&o.MaxMessageBytes, defaultMaxMessageBytes)
	setDefault(&o.DialTimeout, 3*time.Second)
	setDefault(&o.WriteTimeout, 5*time.Second)
	setDefault(&o.MinBackoff, 50*time.Millisecond)
	setDefault(&o.MaxBackoff, time.Second)
	setDefault(&o.IncomingSnapshots, defaultSnapshots)
	setDefault(&o.OutgoingSnapshots, defaultSnapshots)
	setDefault(&o.SnapshotIdle, 30*time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	return o
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// Handler is what a Transport delivers to.
type Handler interface {
	// Deliver takes messages of one node in the order in which they were sent. One call at a time for each node. The slice
	// is borrowed until Deliver returns; what the messages point to (entries and their data, contexts) is the handler's.
	// While it blocks, nothing more is read from that node, and in the end the sender drops.
	Deliver(from NodeID, msgs []Message)
	// Unreachable tells that messages to a node were, or may have been, lost: its queue was over budget, it can't be
	// reached, or its connection broke. One call may stand for many losses.
	Unreachable(to NodeID)
	SnapshotHandler
}

// New returns a transport that queues from now on and exchanges once Run is called. It panics when a required option is
// missing.
func New(opts Options, handler Handler) *Transport {
	if opts.Self == 0 || opts.Listener == nil || opts.Resolve == nil || handler == nil ||
		len(opts.Cluster) == 0 || len(opts.Cluster) > maxClusterID {
		panic(fmt.Sprintf("transport: New needs Self (%d), Cluster of 1 to %d bytes (%q), Listener, Resolve and a handler",
			opts.Self, maxClusterID, opts.Cluster))
	}
	opts = opts.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	t := &Transport{
		opts: opts, handler: handler, ctx: ctx, cancel: cancel,
		process: randomProcess(), done: make(chan struct{}),
		outgoing: make(chan struct{}, opts.OutgoingSnapshots),
		limits:   map[byte]uint32{frameMessages: uint32(max(frameTarget, opts.MaxMessageBytes+maxMessageHead))},
	}
	t.log = opts.Logger.With("node", uint64(opts.Self))
	t.peers.m = map[NodeID]*peer{}
	t.reports = newReports(handler.Unreachable)
	t.inbound = newInbound(t)
	t.wg.Go(func() { t.reports.run(ctx) })
	return t
}

// maxMessageHead is what a message takes in a payload beside its protobuf.
const maxMessageHead = 2 * binary.MaxVarintLen64

func randomProcess() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return le.Uint64(b[:])
}

// Transport is one node's end of the cluster's network. See the package comment.
type Transport struct {
	opts    Options
	handler Handler
	log     *slog.Logger
	metrics counters

	process     uint64 // incarnation of this transport
	connections atomic.Uint64
	limits      map[byte]uint32

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
	done   chan struct{} // closed when Close has waited for everything

	reports  *reports
	inbound  *inbound
	outgoing chan struct{} // a token per snapshot being sent

	peers struct {
		sync.RWMutex
		m      map[NodeID]*peer
		closed bool
	}
}

// Run accepts connections until ctx ends or Close is called, then closes the transport and returns nil; it returns early,
// closed too, when the listener fails for good.
func (t *Transport) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		t.cancel()
		_ = t.opts.Listener.Close()
	})
	defer stop()
	err := t.inbound.accept()
	t.Close()
	return err
}

// Close ends all connections and goroutines and waits for them, running calls of the Handler included. What is queued is
// dropped without a report. It must not be called from a Handler's method.
func (t *Transport) Close() {
	t.once.Do(func() {
		t.cancel()
		t.peers.Lock()
		t.peers.closed = true
		for _, p := range t.peers.m {
			p.queue.close()
		}
		t.peers.Unlock()
		_ = t.opts.Listener.Close()
		t.inbound.close()
		t.wg.Wait()
		close(t.done)
	})
	<-t.done
}

// Send queues messages for a node, in order, and returns without waiting for anything but other Sends. It copies what it
// needs: the messages and what they point to may be reused when it returns. What can't be queued is dropped and reported
// by Handler.Unreachable.
func (t *Transport) Send(to NodeID, msgs []Message) {
	if len(msgs) == 0 {
		return
	}
	p := t.peer(to)
	if p == nil {
		t.metrics.dropped.Add(uint64(len(msgs)))
		return
	}
	dropped, tooLarge := p.queue.put(msgs)
	if tooLarge > 0 {
		t.log.Error("raft message over the limit dropped: a group may be stuck until max_event_bytes and the"+
			" transport's limit agree", "to", uint64(to), "messages", tooLarge, "limit", t.opts.MaxMessageBytes)
	}
	if lost := dropped + tooLarge; lost > 0 {
		t.metrics.dropped.Add(uint64(lost))
		t.reports.add(to)
	}
}

// peer returns the node's queue and goroutine, made at first use; nil for this node itself, 0, or after Close.
func (t *Transport) peer(to NodeID) *peer {
	t.peers.RLock()
	p := t.peers.m[to]
	t.peers.RUnlock()
	if p != nil {
		return p
	}
	if to == t.opts.Self || to == 0 {
		return nil
	}
	t.peers.Lock()
	defer t.peers.Unlock()
	if p := t.peers.m[to]; p != nil || t.peers.closed {
		return p
	}
	p = newPeer(t, to)
	t.peers.m[to] = p
	t.wg.Go(p.run)
	return p
}
