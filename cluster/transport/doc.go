// Package transport moves raft messages and snapshot files between the nodes of one cluster, over TCP.
//
// # Model
//
// A node is known by its NodeID and speaks for all raft groups that it holds. From each node to each other one goes a
// single connection for messages, opened by the sender at its first message; nothing but messages flows on it, in that
// direction only. Send encodes into the peer's queue and returns; one goroutine per peer takes all that has gathered and
// writes it at once, so that under load the messages (heartbeats above all) of all groups share writes by themselves.
// A snapshot is a directory of files; each goes over a connection of its own, so that it never delays a heartbeat.
//
// Messages may be lost (raft sends again), never duplicated, never reordered, never altered.
//
// # Invariants
//
//  1. Order. What one sending process hands to Send for one receiver is delivered in that order, with gaps at most. This
//     holds across reconnects: nothing of an older connection is delivered after anything of a newer one. See below.
//  2. At most once. A write that failed is never repeated, whatever part of it has arrived.
//  3. Send never waits for the network. What exceeds a peer's budget is dropped and reported by Handler.Unreachable.
//  4. Memory is bounded: a peer's queue by Options.QueueBytes (or one message, if that alone is larger), a connection by
//     the limits in wire.go, connections by count. Every length is checked against its limit before memory is taken for it.
//  5. Nothing is delivered that fails its checksum: the connection is dropped, with an error that names what was wrong.
//  6. Nothing is exchanged with another cluster, or with another node than the one meant.
//  7. Handler.FinishSnapshot sees a directory whose files are complete, checked and synced, or isn't called; the sender's
//     nil means that it returned nil. A transfer that fails leaves nothing behind at the receiver.
//
// # Why nothing overtakes (leases rest on it)
//
// A leader's lease counts a heartbeat's answer as word from now. An answer, or a vote, from an older connection that came
// after newer ones would be taken for news. It can't, because
//
//   - a sender has one goroutine per peer, which opens connection k+1 only after it has given up connection k, and
//     writes no message on a connection before it has read the receiver's welcome;
//   - a hello carries the sender's incarnation: a number drawn at random when its process started, and a counter that
//     grows with each connection. A receiver refuses a hello of the same process with a counter that isn't above the
//     last one, so hellos that cross on their way don't bring an old connection back;
//   - for a newer hello the receiver closes the connection before and waits until its reader has returned, hence until
//     its last Deliver has returned; only then does it send the welcome.
//
// So everything delivered from connection k is delivered before the welcome of k+1 is sent, and everything of k+1 is
// written after that welcome has been read. Between two processes of one node, incarnations have no order. None is
// needed: a process that is gone can't read a welcome, so it sends nothing behind it; what it sent before lies in a
// connection that is closed and waited for.
//
// # Concurrency
//
// All methods of Transport may be called at once from any goroutine. Handler's methods are called from the transport's
// goroutines without any lock held: Deliver by one goroutine per sending node, Unreachable by one for all, the snapshot
// methods by one per transfer. Each goroutine ends with Close, which waits for it.
//
// Locks: queue.mu, Transport.peers.mu and inbound.mu are never held together.
//
// # Crash safety
//
// Messages promise nothing. A received snapshot's files and their directory are synced before FinishSnapshot is called;
// making it the partition's state is the handler's commit, not this package's. What a crash in between leaves is a
// temporary directory, which the handler removes when it starts.
//
// # Format
//
// Drawn in wire.go (hello, welcome, frame), message.go (the messages in a frame) and snapwire.go (snapshots).
package transport
