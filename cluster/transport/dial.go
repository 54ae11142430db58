package transport

import (
	"context"
	"fmt"
	"net"
	"time"
)

// connect dials a node and shakes hands. It returns a connection without deadlines, or the reason: ErrUnknownNode, a
// *RemoteError from the other side, or a network error.
func (t *Transport) connect(ctx context.Context, to NodeID, kind byte) (net.Conn, error) {
	addr, ok := t.opts.Resolve(to)
	if !ok {
		return nil, fmt.Errorf("%w: %d", ErrUnknownNode, to)
	}
	ctx, cancel := context.WithTimeout(ctx, t.opts.DialTimeout)
	defer cancel()
	conn, err := t.opts.Dial(ctx, addr)
	if err != nil {
		t.metrics.connectFailures.Add(1)
		return nil, fmt.Errorf("transport: dial node %d: %w", to, err)
	}
	if err := t.shake(ctx, conn, to, kind); err != nil {
		t.metrics.connectFailures.Add(1)
		_ = conn.Close()
		return nil, fmt.Errorf("transport: handshake with node %d at %s: %w", to, addr, err)
	}
	t.metrics.connects.Add(1)
	return conn, nil
}

// shake sends the hello and reads the welcome.
func (t *Transport) shake(ctx context.Context, conn net.Conn, to NodeID, kind byte) error {
	keepAlive(conn)
	if kind == kindMessages {
		setUserTimeout(conn, t.opts.WriteTimeout)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(aLongTimeAgo) })
	defer stop()
	h := hello{
		kind: kind, from: t.opts.Self, to: to, process: t.process,
		connection: t.connections.Add(1), cluster: t.opts.Cluster,
	}
	if _, err := conn.Write(appendHello(nil, h)); err != nil {
		return err
	}
	w, err := readWelcome(conn)
	if err != nil {
		return err
	}
	if w.status != StatusOK {
		return &RemoteError{Node: to, Status: w.status, Reason: w.reason}
	}
	if w.node != to {
		return &RemoteError{Node: to, Status: StatusNode, Reason: fmt.Sprintf("the address belongs to node %d", w.node)}
	}
	if !stop() { // ctx ended: the deadline is, or will be, in the past
		return context.Cause(ctx)
	}
	return nil
}

// aLongTimeAgo as a deadline ends what a connection is doing.
var aLongTimeAgo = time.Unix(1, 0)

// keepAlive makes the kernel notice a peer that vanished without a word within about 20 s.
func keepAlive(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3,
		})
	}
}
