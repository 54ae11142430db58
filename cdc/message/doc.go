// Package message makes messages of change events, and puts them together again: what a sink of messages (Kafka, files) carries.
//
// Model. One mutation is one message; of a value that is larger than the sink takes in one piece each part is one, which says so (Message.Offset,
// Total). Beside these Changes there are messages of the stream itself: Filtered stands for mutations that were left out on purpose, by their
// digests; a Heartbeat says up to where everything came; a snapshot begins, has rows and ends. All of them are lines of JSON (event package), in the
// format JSON; Debezium's envelope has the changes otherwise.
//
// Writer is the changefeed.Writer of every sink of messages: it filters, encodes and fills batches within a Budget, and hands them to an
// Appender, one at a time and in order, while it fills the next.
package message
