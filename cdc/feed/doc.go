// Package feed serves and reads the feed of change events: a gRPC stream, drawn in feed.proto, of one partition's committed
// events from any retained position.
//
// Model. A replica's log is the feed: Server reads entries from it, up to what is applied, passes over those that are no events, and
// sends the rest as they lie there. So a stream costs the node no copy of the log and no state but the stream's own; a follower serves it as
// well as the leader. A Source is what it needs of a replica. Position and chain of the event before a starting point come
// from a mark (a place of the log with the chain at it) at or before, and from computing the chain forward: they are exact from
// every retained position.
//
// Who has no place in the log reads a snapshot first: the partition's state at one position, as mutations that make it anew, and goes on after
// that position. Who has one keeps it by a registered position, which the log waits for as far as its limits allow, and is told how far that is.
//
// Invariants of a stream, which Reader checks on everything before it hands it out:
//
//  1. Only applied, and so committed, entries are sent.
//  2. Positions only grow, and every record names the one before it.
//  3. The chain computed over what came is, at the end of each batch, the one that the server computed from its log.
//  4. A stream that resumes after a position goes on exactly there: position and chain at it are checked on both sides.
//
// And of a snapshot:
//
//  5. Its rows are the state after exactly the entries up to its position, whatever is applied, or however long it takes, while they are read.
//  6. io.EOF comes after all rows, each as the server sent it, and only then; nothing of a batch that was altered is handed out.
//  7. It isn't from before the position that the reader asked for at least.
//
// A Reader that loses its replica goes on at another one, after the last event that it handed out. It is refused a position as
// compacted only when no replica has it: a server that lacks one asks the others before it says so.
//
// Concurrency: a Server is for all goroutines, a Reader for one. A stream holds one batch (256 KiB, or one event) and what gRPC's flow
// control lets be under way (4 MiB); a slow reader holds up nobody else: it may only find that the log was truncated under it. A snapshot
// reader that takes nothing for long loses what the engine holds for it. Consumers is for all goroutines.
//
// Cost: per event a decoding and a chain step on either side, under a microsecond together; per row of a snapshot the same. See the
// benchmarks.
package feed
