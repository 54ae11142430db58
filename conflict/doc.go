// Package conflict decides what a change that was made in another cluster does here, and describes what was lost by it.
//
// Model. Decide looks at what a partition's leader has stored of a key (Stored) and at a mutation that came in, and says for each register that the
// mutation writes whether it applies, and which mutations of the target bring that about (Decision.Emit). A version travels unchanged: what is
// emitted has the version of its origin. What is lost is described by a Record, a row of the conflict log; a key that can't be brought
// together without a person has a Diverged row.
//
// There are two rules. By the timestamp rule (strings, hash fields, every expiry; with PolicyElement the members of sets and sorted sets,
// too) the later version stands, whoever wrote it; Mutation.Prev only tells whether that is a conflict. By the strict rule (all else) a mutation
// applies only to what its origin had before it.
//
// Invariants:
//
//  1. Total and deterministic: every mutation of a known op gets a decision, from the arguments alone. Versions are compared by time, then
//     by the cluster's id; never by its number. Whether a key has expired isn't asked: its row counts as long as it is there.
//  2. Under the timestamp rule clusters that have decided the same mutations hold the same content, versions, floors, expiries and tombstones,
//     in whatever order those of different origins came.
//  3. A mutation decided a second time is AlreadyApplied or lost again, and emits nothing.
//  4. What is at or below a floor or a tombstone never comes back by an older write.
//  5. Nothing is lost unlogged: a register that loses, wins over what its origin didn't know, or is held back has an Outcome that is Logged,
//     here or in the cluster whose write it was lost to.
//  6. A mutation that waits changes nothing, whole.
//  7. A Record's id depends on the lost or winning write alone: the same conflict has the same id on every replica, and decided again it takes the
//     place of its own row.
//
// Concurrency: everything is pure: no clock, disk, network, randomness or goroutine. A Decision is memory for one goroutine.
//
// Cost: a mutation of one register allocates nothing in a Decision that is used again. What must be read to decide stands at Wants.
package conflict
