package transport

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// inbound accepts connections, shakes hands and runs their readers.
type inbound struct {
	t         *Transport
	snapshots chan struct{} // a token per snapshot being received
	wg        sync.WaitGroup

	mu struct {
		sync.Mutex
		conns  map[net.Conn]struct{}
		last   map[NodeID]*session
		closed bool
	}
}

// session is the newest connection for messages of one node.
type session struct {
	process, connection uint64
	conn                net.Conn
	done                chan struct{} // closed when its reader has returned
}

func newInbound(t *Transport) *inbound {
	in := &inbound{t: t, snapshots: make(chan struct{}, t.opts.IncomingSnapshots)}
	in.mu.conns = map[net.Conn]struct{}{}
	in.mu.last = map[NodeID]*session{}
	return in
}

// accept takes connections until the listener is closed.
func (in *inbound) accept() error {
	var backoff time.Duration
	for {
		conn, err := in.t.opts.Listener.Accept()
		if err == nil {
			backoff = 0
			in.start(conn)
			continue
		}
		if in.t.ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("transport: accept: %w", err)
		}
		// Too many open files, or a peer that went away in the queue: it passes, and the node must outlive it.
		in.t.log.Warn("accept failed", "err", err)
		backoff = min(max(2*backoff, 5*time.Millisecond), time.Second)
		timer := time.NewTimer(backoff)
		select {
		case <-timer.C:
		case <-in.t.ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// start runs a connection's goroutine, unless there are too many.
func (in *inbound) start(conn net.Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.mu.closed || len(in.mu.conns) >= maxConnections {
		if !in.mu.closed {
			in.t.metrics.refused.Add(1)
			in.t.log.Warn("connection refused: too many", "addr", conn.RemoteAddr().String(), "limit", maxConnections)
		}
		_ = conn.Close()
		return
	}
	in.mu.conns[conn] = struct{}{}
	in.wg.Go(func() {
		in.handle(conn)
		_ = conn.Close()
		in.mu.Lock()
		delete(in.mu.conns, conn)
		in.mu.Unlock()
	})
}

// close ends all connections and waits for their goroutines.
func (in *inbound) close() {
	in.mu.Lock()
	in.mu.closed = true
	for conn := range in.mu.conns {
		_ = conn.Close()
	}
	in.mu.Unlock()
	in.wg.Wait()
}

// handle is the life of one accepted connection.
func (in *inbound) handle(conn net.Conn) {
	keepAlive(conn)
	_ = conn.SetReadDeadline(time.Now().Add(in.t.opts.DialTimeout))
	h, err := readHello(conn)
	if err == nil {
		err = in.verify(h)
	}
	if err != nil {
		in.refuse(conn, h, err)
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	if h.kind == kindSnapshot {
		in.handleSnapshot(conn, h)
		return
	}
	in.handleMessages(conn, h)
}

// verify checks that the hello is for this node.
func (in *inbound) verify(h hello) error {
	o := &in.t.opts
	switch {
	case h.cluster != o.Cluster:
		return refusef(StatusCluster, "this node belongs to cluster %q, the connection to %q", o.Cluster, h.cluster)
	case h.to != o.Self:
		return refusef(StatusNode, "this is node %d, the connection is for node %d", o.Self, h.to)
	case h.from == o.Self || h.from == 0:
		return refusef(StatusNode, "the connection says that it comes from node %d, and this is node %d", h.from, o.Self)
	}
	return nil
}

// refuse tells the dialling node why, as far as it can be told, and the operator.
func (in *inbound) refuse(conn net.Conn, h hello, err error) {
	status := statusOf(err)
	if status == StatusCorrupt {
		in.t.metrics.corrupt.Add(1)
	} else {
		in.t.metrics.refused.Add(1)
	}
	in.t.log.Warn("connection refused", "from", uint64(h.from), "addr", conn.RemoteAddr().String(), "err", err)
	in.welcome(conn, status, err.Error())
}

func (in *inbound) welcome(conn net.Conn, status Status, reason string) bool {
	_ = conn.SetWriteDeadline(time.Now().Add(in.t.opts.WriteTimeout))
	w := welcome{status: status, node: in.t.opts.Self, reason: reason}
	_, err := conn.Write(appendWelcome(nil, w))
	_ = conn.SetWriteDeadline(time.Time{})
	return err == nil
}

// handleMessages makes this the node's connection: it ends the one before and waits for its reader, which is what keeps
// older messages behind (see the package comment), then reads.
func (in *inbound) handleMessages(conn net.Conn, h hello) {
	s := &session{process: h.process, connection: h.connection, conn: conn, done: make(chan struct{})}
	defer close(s.done)
	before, err := in.replace(h.from, s)
	if err != nil {
		in.refuse(conn, h, err)
		return
	}
	if before != nil {
		if before.process != s.process {
			in.t.log.Info("peer has a new process; if this goes on, two processes run with its id",
				"from", uint64(h.from), "addr", conn.RemoteAddr().String())
		}
		_ = before.conn.Close()
		<-before.done
	}
	if !in.welcome(conn, StatusOK, "") {
		return
	}
	err = newReader(in.t, h.from, conn).run()
	if errors.Is(err, ErrCorrupt) {
		in.t.metrics.corrupt.Add(1)
		in.t.log.Error("connection dropped", "from", uint64(h.from), "addr", conn.RemoteAddr().String(), "err", err)
		return
	}
	in.t.log.Debug("connection from peer ended", "from", uint64(h.from), "err", err)
}

// replace makes s the newest session of a node and returns the one before. One entry per node stays for good, so that a
// hello that comes late is known as such; their number is bounded like that of connections.
func (in *inbound) replace(from NodeID, s *session) (before *session, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	before = in.mu.last[from]
	switch {
	case before == nil && len(in.mu.last) >= maxConnections:
		return nil, refusef(StatusBusy, "connections from %d different nodes, at most %d", len(in.mu.last), maxConnections)
	case before != nil && before.process == s.process && s.connection <= before.connection:
		return nil, refusef(StatusOutrun, "connection %d of this process comes after its connection %d",
			s.connection, before.connection)
	}
	in.mu.last[from] = s
	return before, nil
}
