// Package partition is one replica of one partition: it evaluates commands, proposes their events, applies what is
// committed, serves reads, and makes and installs snapshots.
//
// # Model
//
// A replica has one goroutine. It takes from its mailbox what clients sent (lanes: the commands of one connection, in order), what
// raft committed, and what became of proposals; applies first and evaluates then. Commands are evaluated against applied state and
// over it what their own batch has changed so far. The batch stays open until the raft loop takes it, so that a round of the
// log gets one event a partition however the commands came in. Reads of a leader with a lease don't pass through the goroutine at all.
//
// # Invariants
//
//  1. No evaluation sees what another batch has in flight: a key that is in flight makes its next writer wait, first come first
//     served; a command on the whole partition (a barrier) waits for everything and everything waits for it.
//  2. The commands of a lane take effect in their order. When one ends Elsewhere, so do all later ones.
//  3. Nothing is answered before its event is applied here; what changed nothing is answered as a linearizable read.
//  4. Elsewhere means that it did not happen and won't. Whatever can't be told is Unknown.
//  5. An entry whose evaluated term isn't its own is rejected, on every replica alike.
//  6. A replica evaluates, and reads, only in a term of its own of which it has applied an entry.
//  7. A transaction is one event and one group, or nothing. A blocking command waits in no batch, and is served in the event that fills its key.
//  8. Rows, applied position and clocks are one write (cluster/store).
//  9. A state that is read as a whole is of one position, and keeps neither an installation nor closing waiting.
//  10. The log keeps what a registered consumer hasn't read up to the limits, and says how far they are; a consumer moves back only on demand.
//  11. While only the syncer may write, no client's write takes effect: from the switch's position, the same on every replica, to that of the next.
//  12. What another cluster's partition made takes effect once, in its order: effects and the place after them are one event, and what doesn't begin
//     at the place is refused or left out. A refused range changes nothing.
//  13. What is written here over a version from elsewhere has a later one, whatever that cluster's clock says.
//  14. What is lost by a conflict is in the conflict log by the event that decides it; a key that is known to differ has a record that is open until
//     a write of the whole key, here or from elsewhere, brings it together.
//  15. The tombstone watermark never falls, and rises no further than what every peer has and every sender has brought (or than tombstones are kept); what is
//     written here is later than it. In a namespace that replicates an expired key's row is removed only when the watermark is past its end and all of it.
//
// # Concurrency
//
// The exported methods may be called from any goroutine. The store is replaced (by a snapshot) only under the state lock,
// by the goroutine, which itself reads without it.
//
// # Crash safety
//
// The engine has no log: after a crash the store is a prefix, and raft replays the rest. Installing a snapshot commits with
// the rename to store.new (snapshot.go).
package partition
