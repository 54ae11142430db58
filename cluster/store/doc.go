// Package store is a partition's state as rows of an engine: the layout of the rows, the projection of events to rows, and reads.
//
// One replica of one partition has one engine and one Store over it. A Store is what applying the partition's log up to some
// entry makes: Apply turns entries into rows, blindly, without reading any; Commit writes the rows of a run of entries,
// and the state row that says up to where, as one. The layout is drawn in key.go (keys) and row.go and state.go (values).
//
// Invariants:
//
//  1. The state row and the rows it speaks of are one engine write, so that whatever prefix of its writes an engine comes
//     back with, State.Applied is exactly what the rows contain.
//  2. Rows are a function of the entries alone, not of how they were gathered into commits, of what was read, or of the
//     replica: two stores with the same Applied have the same logical content, and the same Checksum. (Marks that Apply.Mark
//     asks for, the progress of Clean and of TrimMarks are a replica's own and not content.)
//  3. Keys and Expiring are the numbers of meta rows, and of those with an expiry; the expiry index has one row for each of
//     the latter, and what else a range delete left in it Expired doesn't show.
//  4. In every row family but the expiry and the secondary index, the rows of a key range are one range of rows.
//  5. Reads of one key never go backward, whichever of cache, engine and State answers them.
//  6. A row of a format, type or flag that this program doesn't know is refused by name, never guessed at.
//
// What the evaluator owes, as apply doesn't look: Mutation.Before as it was, an expired row being there still; Before.Version
// and Before.Value for OpExpireAt and OpPersist; Prev for a key that is absent but has a tombstone above the watermark; Count and
// Before.Expiring for OpRange, evaluated with nothing in flight; generations that never come twice for a key; in ops on elements each element
// once, with Exists, Was and Prev as they were, and Count.
//
// Concurrency: Apply, SetCaching, Clean, CleanDue and TrimMarks are for the one goroutine that applies, and so are several reads
// through Live that belong together. All else may be called from any
// goroutine at any time; closing the engine is the caller's, when they are done.
//
// Crash safety: nothing here is durable before a Flush that began after its Commit has returned (or a Checkpoint). The commit point is
// the engine's. What a crash takes, the raft log brings back, from State.Applied on.
//
// Encoding and projection know no clock, disk, network, randomness or goroutine.
package store
