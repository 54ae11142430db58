// Package resp is a node's Redis front end: it turns what clients send into requests for partitions, here or on other
// nodes, and their outcomes into replies.
//
// # Model
//
// A connection is one goroutine that works in rounds. It reads what is there, parses all whole commands (up to 1024), runs
// them, writes all replies at once, and only then reads again. A read of a partition for which the round has no write is answered on the
// spot by Executor.Read, straight into the output. From a partition's first write on, the round's commands for it form
// a lane, which is submitted as one unit, so that a read sees the writes before it. Lanes of different partitions go on side by side.
// A command that may wait, and what must be looked at before it is answered, has a round of its own (blocking.go, scan.go).
// What a replica didn't run (command.Elsewhere) is sent again, together and in order, to the node that leads.
//
// # Invariants
//
//  1. Replies come in the order of the commands, one each.
//  2. Commands of one connection to one partition are evaluated in the order in which they were sent, also when they are
//     forwarded or sent again.
//  3. A write is sent again only if it was certainly not run. One whose answer was lost is never sent again: the client gets
//     the UNKNOWN error.
//  4. An error of any part of a scattered command is the command's reply.
//  5. The result of parsing doesn't depend on how the bytes were split into reads, and is Redis's.
//  6. A request's arguments lie in the query buffer, which isn't touched until each request of the round has its outcome.
//  7. Memory follows bytes received and replies made, never lengths declared; what all connections hold is within
//     Options.MemoryBudget.
//  8. A node runs what others forward on its own replicas only.
//  9. A transaction is one request: all of it is evaluated at its place in the order, or nothing.
//  10. Nothing is popped for a client that was seen to go before. A wait ends with an item, an error, or a leader's word that its time has passed.
//  11. A reply that was begun and can't be finished ends the connection.
//
// # Concurrency
//
// Server's methods may be called at once from any number of goroutines. Run owns the timers, Serve its listener and the connections'
// goroutines; Close waits for all of them. Locks: Server.mu before conn.mu; forwarder.mu before peer.mu.
//
// # Crash safety
//
// The package keeps nothing on disk. SCAN cursors die with the process, which clients see as an error.
package resp
