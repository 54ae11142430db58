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

var kinds = [...]Kind{
	event.LineChange: Change, event.LineFiltered: Filtered, event.LineHeartbeat: Heartbeat, event.LineSnapshotBegin: SnapshotBegin,
	event.LineSnapshotRow: SnapshotRow, event.LineSnapshotEnd: SnapshotEnd,
}

// KindOf is the kind of the message that a line makes.
func KindOf(k event.LineKind) Kind { return kinds[k] }

// IsLine says whether messages of the kind carry a line, or a part of one: all that is known but tombstones.
func (k Kind) IsLine() bool {
	for _, kind := range kinds {
		if k == kind {
			return true
		}
	}
	return false
}

// Message is one of them. Its slices belong to the batch.
type Message struct {
	Kind Kind
	// Key is the Redis key; nil in messages of the stream itself and in changes of a range of keys. A key that is too long for a message
	// is given by its hash: see ShortKey. Value is the line without its line feed, or a part of it; nil in tombstones.
	Key, Value []byte
	// Position is the event's, the heartbeat's or the snapshot's. Seq is the mutation's number, or the first of those filtered, Of how many the event has. Of
	// a row Seq is its number, and Of is 0.
	Position event.Position
	Seq, Of  uint32
	// Prev is the event before, of a heartbeat the last one. Chain is the one at Position; of a heartbeat that at Prev. They stand in the line as well; a sink
	// whose messages have headers writes them where Value isn't the whole line, so that Tail can say where its stream ends.
	Prev  event.Position
	Chain event.Chain
	// Offset is where Value lies in the whole one of Total bytes; Total is 0 if it is whole.
	Offset, Total uint64
	// Time is the event's, ns since 1970; of a heartbeat the wall clock up to which everything came.
	Time int64
}

// Batch is a run of messages in order. It belongs to the writer that filled it: an Appender keeps nothing of it.
type Batch struct {
	Messages []Message
	// Bytes is how much keys and values are.
	Bytes int
	// Last is how far the sink is when it has all of it: the last event that is whole in it or was left out, or the last heartbeat.
	Last changefeed.Reached
}

// Appender appends batches to one partition's stream of a sink.
type Appender interface {
	// Append returns when the whole batch is durable, in order. After an error nothing is known about the batch but that no part of it stands
	// out of order; the stream has to be opened again. The error is a *changefeed.Error. One call is made at a time.
	Append(ctx context.Context, b *Batch) error
	// MaxBytes is the most that key and value of one message may have: at least MinMaxBytes. It doesn't change.
	MaxBytes() int
	// Close ends it. No Append is under way then.
	Close() error
}

// MinMaxBytes is the least that an Appender's MaxBytes may be: messages of the stream itself aren't split.
const MinMaxBytes = 1 << 10
