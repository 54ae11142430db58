// Package serve is the receiving side of what passes between two clusters: the gRPC services Replay and Conflicts of a data node.
//
// Model. A Directory says what there is, a Target is a partition's replica of this node. The server collects what a call brings, checks and decodes
// it, hands it to the replica that leads, and gives each refusal the detail (replay/problem) that the caller goes by. Who leads, what is a gap, and what
// a change does is the replica's matter.
//
// Invariants:
//
//  1. Memory is bounded whatever a caller does. What a range or chunk takes, packed, unpacked and decoded, is asked of one budget before it is
//     allocated, by the sizes that the header names; parts that don't keep to those end the call. What can't be had soon is OVERLOAD.
//  2. Sizes are checked before anything is allocated by them, and a range is unpacked into what its header says it has, never further.
//  3. A stream that goes silent, or takes too long, is ended, and what it held is free again.
//  4. Nothing reaches a replica but whole, well-formed ranges and chunks whose versions have names.
//  5. A call whose outcome isn't known is never answered as one that was refused.
//
// Concurrency: all methods of a Server may be called from any goroutine. A call's bytes are its own and never used again: a replica that is told to
// stop may still look at them. Only the budget is given back when the call returns.
//
// Cost: a range in one part is used where gRPC put it; several parts are copied once, into memory of their size. Decoded keys and values point there.
package serve
