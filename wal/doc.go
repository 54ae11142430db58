// Package wal is the raft log of a node: one log on disk for all its raft groups.
//
// What costs is the sync, so what all groups have to write goes out in one frame, with one write and one sync
// (Log.Append). Each Group reads its own part of it (raft.Storage's methods, and Reader for feeds), truncates it, and
// knows nothing of the others. A group's log is: a base (what a snapshot or a truncation stands for), consecutive
// entries after it, and a hard state.
//
// # Invariants
//
//  1. What an Append with MustSync acknowledged is there after any crash, with everything appended before it.
//  2. After a crash the log is a prefix of the frames written, each whole or absent.
//  3. Damage to what is known to have been synced is an error that names file and offset, never a shorter log.
//  4. Bytes of a file's earlier life, and frames that a recovery cut off, never count.
//  5. After a failed write or sync nothing more is written, and every later call fails (ErrPoisoned).
//  6. A segment leaves the log only after all older ones, and only when no group needs anything in it and the
//     records that say so are durable. A file is written again only when no reader is in it.
//  7. Memory is bounded by the budgets for cache and index, and what a group, a span (group × segment) and a term cost.
//  8. What a reader gets is what was appended: each entry's own checksum, group and index are checked on the way.
//
// # Concurrency
//
// Append, Rewrite, RemoveGroup and Close exclude each other by one lock. Everything of Group may be called at any time
// from any goroutine; only the memory of one group is locked, shortly, and no file is read or written under that lock.
// One goroutine, owned by the Log, prepares the next segment and takes care of retired ones. Locks nest in the order
// written at Log.
//
// # Crash safety
//
// The commit point of an Append is its fdatasync. The commit point of a new segment is the sync of the directory after
// its rename, of a retired one the same; both before the file is used otherwise. How recovery tells a torn tail from damage is argued at
// the type recovery, what is on disk is drawn in format.go, why it is so in DESIGN.md.
package wal
