package changefeed

import (
	"context"

	"github.com/zankv/zankv/cdc/event"
)

// Target is one partition of a changefeed, as a sink gets it.
type Target struct {
	Spec       *Spec
	Cluster    string
	Partition  uint32
	Partitions uint32 // how many the namespace has
	// Epoch is the owner's claim's.
	Epoch uint64
	// Rewind says that the place to begin was set by hand: the writer takes what it is given, also what the stream has already, and its Durable says
	// nothing before it wrote something.
	Rewind bool
	// Budget bounds the bytes that the writer holds; Meter is where it counts.
	Budget *Budget
	Meter  *Meter
}

// Sink is where changes go. One Sink serves one changefeed in one process, all partitions of it. Its methods may be called from any
// goroutine.
type Sink interface {
	// Open takes a partition over for the owner of an epoch, creating what is missing (a topic, a folder). Once it returns, nothing of an
	// owner of a lower epoch can come into the stream behind what Resume says. It fails with an *Error.
	Open(ctx context.Context, t Target) (Writer, error)
	Close() error
}

// Resume says where a sink's stream of a partition ends.
type Resume struct {
	// Known is false when the sink holds nothing of this partition: then the checkpoint decides, or the definition.
	Known bool
	// After is what reading has to go on after: an event's position or a bookmark's. Of an event that is there in part it is the one before; the
	// writer leaves out by itself what it has.
	After event.Position
	// Chain is the one at After, if ChainKnown.
	Chain      event.Chain
	ChainKnown bool
	// Time is on the events' clock; 0 if not known.
	Time int64
	// InSnapshot says that the stream ends within a snapshot of the state, which has to be begun anew. After is then the last position before it.
	InSnapshot bool
	// Decides says that After counts even over a checkpoint that was set by hand: the sink has its place within what it holds.
	Decides bool
}

// Reached is how far a writer is.
type Reached struct {
	Position event.Position
	Chain    event.Chain
	Time     int64
}

// Writer writes one partition's stream. It is for one goroutine, but Durable and Failed may be called from any. What it gets it doesn't
// keep: it copies or encodes before it returns. A call waits while the budget is used up.
//
// Writing is asynchronous: a call that returns nil has taken what it got, not written it. The first failure closes Failed and is what every later
// call returns, an *Error; the owner then closes the writer and opens another one.
type Writer interface {
	// Resume says where the stream ended when it was opened.
	Resume() Resume
	// Event takes the next event. One that lies at or before where the stream ends is left out, wholly or in part.
	Event(ctx context.Context, st *event.Stamp, ev *event.Event, names event.Names) error
	// Heartbeat takes a report that everything up to position was given, last being the last event.
	Heartbeat(ctx context.Context, position event.Position, last *event.Stamp, time int64) error
	// BeginSnapshot says that the stream's place in the log was lost: what came between the last event and base is missing, and the state at base
	// follows as rows (event by event of mutations, each a whole write of a key or a further part of one), then EndSnapshot, and then events after base.
	BeginSnapshot(ctx context.Context, base *Base) error
	Rows(ctx context.Context, ev *event.Event, names event.Names) error
	EndSnapshot(ctx context.Context) error
	// Flush has what was taken written without waiting for more.
	Flush(ctx context.Context) error
	// Durable is how far the sink has everything, durably.
	Durable() Reached
	// Failed is closed at the first failure; Err is that.
	Failed() <-chan struct{}
	Err() error
	// Close ends it; what wasn't written yet is dropped. Flush and wait for Durable first to lose nothing.
	Close() error
}

// StateWriter is a Writer that can go on with a snapshot where another one broke off, or wants more of it.
type StateWriter interface {
	// Wants is what the next snapshot is to have. AtLeast is the owner's to say.
	Wants() Want
	// GoOn is after which position the stream goes on behind a snapshot of base: base, unless the keys before Wants().AfterKey are those of
	// an earlier one.
	GoOn(base event.Position) event.Position
}
