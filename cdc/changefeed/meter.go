package changefeed

import "sync/atomic"

// Meter counts what happens in one worker since it began: the worker and its writer write, anybody reads. Times are in nanoseconds.
type Meter struct {
	Events, Mutations, Filtered, Messages, Bytes, Retries, Snapshots atomic.Uint64
	// Buffered is what the writer holds and hasn't durably written, in bytes.
	Buffered atomic.Int64

	// WaitSource is time spent waiting for the feed, Encoding on filtering and encoding, WaitQuota waiting for the budget or the bandwidth limit,
	// WaitSink waiting for the sink with the next batch ready, Throttled what the sink said that it held answers back.
	WaitSource, Encoding, WaitQuota, WaitSink, Throttled atomic.Int64
	// SinkCalls and SinkNanos are the sink's writes and the time that they took.
	SinkCalls, SinkNanos atomic.Int64

	// Trying is what the sink ran into at its last request, as long as it repeats that by itself: an *Error; nil when the last one succeeded.
	Trying atomic.Pointer[Error]
}
