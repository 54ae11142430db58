// Package multiraft drives every raft group of a node: one loop, one log, one transport.
//
// The loop goes round whenever there is work. A round takes the messages that came in, the proposals that the state
// machines hold ready and, if it is time, one tick; asks each touched group for its Ready; sends what a leader may send before
// its disk has it; writes the entries and hard states of all groups with one write and one sync (wal.Log.Append); and only
// then sends the rest and hands committed entries to the state machines. While a round waits for the disk, work
// for the next one piles up: that is the group commit.
//
// # Invariants
//
//  1. A vote, an acknowledgement of entries and a committed entry leave this package only after the sync that makes
//     what they promise durable. A leader's MsgApp, MsgHeartbeat, MsgSnap and MsgTimeoutNow promise nothing of its own disk and go first.
//  2. A proposal that was dropped never takes effect. After one is dropped, every later proposal of the same generation is
//     dropped as well, so that nothing overtakes it.
//  3. A lease ends before any other replica can have become leader (lease.go has the argument).
//  4. Missed ticks are never made up for.
//  5. A snapshot is installed in the state machine before the log is reset to it.
//
// # Concurrency
//
// One goroutine runs Run and calls every StateMachine method except Install. The methods of Node and Group may be
// called from any goroutine. State machines must not block in the calls they get.
//
// # Crash safety
//
// The commit point of a round is the return of wal.Log.Append. A failed append is fatal: Run returns its error and
// the process must exit.
package multiraft
