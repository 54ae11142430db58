package transport

import "sync/atomic"

// Metrics are counts since the transport was made, and gauges.
type Metrics struct {
	SentMessages, SentBytes         uint64 // written to a connection
	Writes                          uint64 // batches written
	ReceivedMessages, ReceivedBytes uint64 // delivered; bytes with framing
	DroppedMessages                 uint64 // by the sender: over budget, unreachable, connection lost
	Connects, ConnectFailures       uint64 // outgoing connections
	CorruptConnections              uint64 // incoming connections dropped for bytes that break the format
	RefusedConnections              uint64 // incoming connections refused
	SnapshotsSent, SnapshotsFailed  uint64 // by this node as sender
	SnapshotsReceived               uint64 // finished
	SnapshotsRejected               uint64 // refused, or failed on the way
	SnapshotSentBytes               uint64 // file bytes
	SnapshotReceivedBytes           uint64
	QueuedBytes                     uint64 // gauge: waiting for all peers
}

type counters struct {
	sent, sentBytes, writes, received, receivedBytes, dropped atomic.Uint64
	connects, connectFailures, corrupt, refused               atomic.Uint64
	snapSent, snapFailed, snapReceived, snapRejected          atomic.Uint64
	snapSentBytes, snapReceivedBytes                          atomic.Uint64
}

// Metrics returns the counts of now.
func (t *Transport) Metrics() Metrics {
	c := &t.metrics
	m := Metrics{
		SentMessages: c.sent.Load(), SentBytes: c.sentBytes.Load(), Writes: c.writes.Load(),
		ReceivedMessages: c.received.Load(), ReceivedBytes: c.receivedBytes.Load(),
		DroppedMessages: c.dropped.Load(),
		Connects:        c.connects.Load(), ConnectFailures: c.connectFailures.Load(),
		CorruptConnections: c.corrupt.Load(), RefusedConnections: c.refused.Load(),
		SnapshotsSent: c.snapSent.Load(), SnapshotsFailed: c.snapFailed.Load(),
		SnapshotsReceived: c.snapReceived.Load(), SnapshotsRejected: c.snapRejected.Load(),
		SnapshotSentBytes: c.snapSentBytes.Load(), SnapshotReceivedBytes: c.snapReceivedBytes.Load(),
	}
	t.peers.RLock()
	peers := make([]*peer, 0, len(t.peers.m))
	for _, p := range t.peers.m {
		peers = append(peers, p)
	}
	t.peers.RUnlock()
	for _, p := range peers {
		m.QueuedBytes += uint64(p.queue.heldBytes())
	}
	return m
}
