package message

import (
	"context"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// Kind is what a message is. The names are the header `type`'s.
type Kind string

const (
	Change        Kind = "change"         // one mutation
	Tombstone     Kind = "tombstone"      // no value: the key is gone. For compacted topics, after the change that says so
	Filtered      Kind = "filtered"       // digests of mutations that were left out
	Heartbeat     Kind = "heartbeat"      // everything up to Position came
	SnapshotBegin Kind = "snapshot-begin" // what is between the last event and Position was lost; the state at Position follows
	SnapshotRow   Kind = "snapshot-row"   // a key, or a part of one
	SnapshotEnd   Kind = "snapshot-end"   // all rows came
)

// Message is one of them. Its slices belong to the batch.
type Message struct {
	Kind Kind
	// Key is the Redis key, nil in messages of the stream itself. Value is the line without its line feed, or a part of it; nil in tombstones.
	Key, Value []byte
	// Position is the event's, the heartbeat's or the snapshot's. Seq is the mutation's number, or the first of those filtered, Of how many the event has.
	Position event.Position
	Seq, Of  uint32
	// Offset is where Value lies in the whole one of Total bytes; Total is 0 if it is whole.
	Offset, Total uint64
	// Time is the event's, ns since 1970.
	Time int64
}

// Batch is a run of messages in order. It belongs to the writer that filled it: an Appender keeps nothing of it.
type Batch struct {
	Messages []Message
	// Bytes is how much keys and values are.
	Bytes int
	// Last is how far the sink is when it has all of it: the last event that is whole in it, or the last heartbeat.
	Last changefeed.Reached
}

// Appender appends batches to one partition's stream of a sink.
type Appender interface {
	// Append returns when the whole batch is durable, in order. After an error nothing is known about the batch but that no part of it stands
	// out of order; the stream has to be opened again. The error is a *changefeed.Error.
	Append(ctx context.Context, b *Batch) error
	// MaxBytes is the most that key and value of one message may have.
	MaxBytes() int
	// Close ends it.
	Close() error
}
