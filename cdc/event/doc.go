// Package event defines the change events of a partition: their Go form, the logged form, the form that people read, and the chain that
// makes a stream of them checkable.
//
// Model. An Event is what one raft entry changes: mutations, each to one register of one key. Its logged form (Append, Decode; drawn in
// event.proto) holds no position and no cluster: whoever reads an entry stamps it (Stamp) with where it lies, the event before, and the
// chain. One line of JSON shows one mutation so stamped (AppendJSON), and can be read back (Parser). A Validator checks a stream against the
// feed's promises, a Fold makes the state of it.
//
// Invariants:
//
//  1. Append and Decode are inverse to each other, for every event; what one build wrote, generated code for event.proto reads, and
//     the other way round.
//  2. Decode reads any bytes without panicking, allocates no more than in proportion to them, and tells an unknown format
//     (ErrFormat) from damage (ErrCorrupt).
//  3. The chain covers exactly what the JSON shows: change any of it and the chain changes, change anything else and it doesn't.
//     It can be computed from the lines alone.
//  4. Reading a line back loses nothing of what it shows; a line with a field that is unknown, missing or double isn't read.
//  5. Of a stream with one event, or one line, lost, doubled, moved or altered a Validator refuses some event at or after the place, unless
//     what is lost is the end.
//  6. An entry is an event of the feed exactly if InFeed says so: evaluated in its own term, with at least one mutation.
//
// Concurrency: everything here is pure: no clock, disk, network, randomness or goroutine. Values with scratch memory (Scratch, Parser,
// Validator, Fold, an Event that is decoded into) are for one goroutine each.
//
// Ownership: decoding borrows. A decoded event's byte fields point into the data, and its slices and origins are used again by the
// next Decode into it.
//
// Cost per mutation of 16 + 128 bytes of key and value: 50 ns to append, 110 ns to decode, 240 to 330 ns for the chain, 450 ns for JSON, without
// allocation; 1.3 µs to read a line back. It takes about 180 bytes in the log.
package event
