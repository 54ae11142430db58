// Package replay writes a cluster's changes into another cluster: it is the sink of zankv:// URIs, and the client of the cluster behind them.
//
// A Writer carries one partition of the source. It has a lane for each partition of the target that can share keys with it: an event is split by the target's hash, and what
// is a lane's goes into the lane's last parcel, in the form that the call wants. A lane has one parcel in flight; what comes meanwhile fills the
// next one. So a lane that nothing waits in sends at once, and one under load sends large ranges, without a timer.
//
// What holds:
//
//  1. Parcels of a lane join: one begins where the one before ended, and what lies between that is the lane's is in them. None begins beyond the
//     lane's place, as the target last confirmed it.
//  2. A lane's next parcel isn't sent before the one before is answered. What isn't known to have taken effect is asked for (Open) before anything
//     else is sent; what is there already the target leaves out.
//  3. Durable is never beyond the least place that a target partition has confirmed, of those that there are lanes to: nothing goes to the others.
//  4. The source knows that the target is its peer before the first row or change is sent, so that it keeps tombstones for it.
//  5. What is held is within the budget, but for the growth of buffers (a half more at most) and one event: who calls waits until there is room again.
//     One target partition that is slow has this source partition wait when its share is used up, and no other one.
//
// Full sync. Rows of a snapshot go to the lanes that need them as chunks in the order of keys, of which each covers the keys up to a certain one
// whether or not it has rows: what the target has and the source hasn't is deleted by that. A lane goes on behind the key that it confirmed.
//
// Goroutines: one a writer for what time brings about (positions without changes, confirmations), and one for each parcel in flight: of one target partition
// at most gateSlots at a time in one sink, so that one that doesn't answer takes nothing from the others. A pair of partitions costs 160 bytes,
// and 200 more where there is a full sync or trouble.
//
// Locks, outermost first: Writer.mu, gate.mu. None is held during a call.
package replay
