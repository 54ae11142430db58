// Package message makes messages of change events, and puts them together again: what a sink of messages (Kafka, files) carries.
//
// Model. One mutation is one message; of a value that is larger than the sink takes in one piece each part is one, which says so (Message.Offset,
// Total). Beside these Changes there are messages of the stream itself: Filtered stands for mutations that were left out on purpose, by their
// digests; a Heartbeat says up to where everything came; a snapshot begins, has rows and ends. All of them are lines of JSON (event package), in the
// format JSON; Debezium's envelope has the changes otherwise.
//
// Writer is the changefeed.Writer of every sink of messages: it filters (Matcher), encodes and fills batches within a Budget, and hands them to an
// Appender, one at a time and in order, while it fills the next. Joiner makes lines of messages again.
//
// Invariants:
//
//  1. The messages that a partition's events make depend on the events, the definition and the Appender's MaxBytes alone. So a writer that opens a stream
//     which ends after any message (Tail) goes on exactly there: the stream is the same as without the break.
//  2. What doesn't go on where the stream ends isn't written: by position and by chain.
//  3. A snapshot that isn't whole is begun anew. It gives up an event of which only a part came.
//  4. Durable never says more than what the Appender acknowledged, nor does a message stand in the stream before one that was made earlier.
//  5. What a writer holds was taken from the Budget before, and is given back when it is durable or dropped. Nothing it does makes it wait for another writer, but for
//     room for a line that is larger than its share.
//  6. The fold of the joined lines is the fold of the events that passed the filter.
//
// Tombstones. Where they are asked for, one follows each change after which its key is gone: del, expire, and an op on elements that removed the last. A
// range removes keys that it doesn't name: it has no key and no tombstone (namespaces that replicate have no ranges).
//
// Concurrency: a Writer is for one goroutine, and has one of its own that calls the Appender; Durable, Failed and Err may be called from any. Matcher and
// Joiner are for one goroutine.
//
// Cost of an event of one small mutation, from its decoded form into a full batch: 0.4 µs, nothing allocated; almost all of it is the line's encoding. 440 bytes
// as JSON, 570 in Debezium's envelope. An idle writer holds no memory but its fields.
package message
