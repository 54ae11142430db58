// Package event defines the change events of a partition: their Go form, the logged form, the form that people read, and the chain that
// makes a stream of them checkable.
//
// Model. An Event is what one raft entry changes: mutations, each to a key, or to elements of a collection. Its logged form (Append, Decode;
// drawn in event.proto) holds no position and no cluster: whoever reads an entry stamps it (Stamp) with where it lies, the event before, and the
// chain. One line of JSON shows one mutation so stamped (AppendJSON), and can be read back (Parser). A Validator checks a stream against the
// feed's promises, a Fold makes the state of it.
//
// Lines of other kinds (LineKind) say what a stream of lines leaves out or has beside: digests of filtered mutations, heartbeats, and snapshots of the
// state for when the place in the log was lost. Debezium's envelope (AppendDebezium) is another form of a change's line with the same content.
//
// What a mutation of a collection says twice, once for followers and once for readers outside: the logged form has for each element what the
// projection needs to write rows without reading (list places, scores that were, what was there); the JSON has what the change means (items pushed, how
// many were popped, at which index). Both fold to the same content.
//
// Invariants:
//
//  1. Append and Decode are inverse to each other, for every event; what one build wrote, generated code for event.proto reads, and
//     the other way round.
//  2. Decode reads any bytes without panicking, allocates no more than in proportion to them, and tells an unknown format
//     (ErrFormat) from damage (ErrCorrupt).
//  3. The chain covers exactly what the JSON shows: change any of it and the chain changes, change anything else and it doesn't.
//     It can be computed from the lines alone.
//  4. Reading a line back loses nothing of what it shows; a line with a field that is unknown, missing or double isn't read, nor one that
//     names an element twice.
//  5. Of a stream with one event, or one line of any kind and format, lost, doubled, moved or altered a Validator refuses some event at or after the
//     place, unless what is lost is the end, a heartbeat, or a part of a snapshot that was given up and begun anew.
//  6. The fold of the logged form is the state, versions and counts included; the fold of the lines has the same content.
//  7. An entry is an event of the feed exactly if InFeed says so: evaluated in its own term, with at least one mutation.
//
// Concurrency: everything here is pure: no clock, disk, network, randomness or goroutine. Values with scratch memory (Scratch, Parser,
// Validator, Fold, an Event that is decoded into) are for one goroutine each.
//
// Ownership: decoding borrows. A decoded event's byte fields point into the data, and its slices and origins are used again by the
// next Decode into it. The elements of all its mutations lie in one slice of the event.
//
// Cost of an event of one mutation, nothing allocated but 16 bytes a line that is read back (key of 16 bytes, values of 32, fields of 8; ns):
//
//	                 append  decode  chain   JSON  parse   bytes in the log beside the user's
//	SET                  60     115    300    265   1190      47
//	HSET of 1 field     102     178    291    340   1300      75
//	HSET of 10          530     608    720   1270   3200     238
//	LPUSH of 1          102     167    302    270   1240      69
//
// 19 of the bytes are the event's, shared by all its mutations.
package event
