// Package kafka carries changefeeds into Kafka topics, and reads them back.
//
// Model. A Sink writes one changefeed's topic: the namespace's partition n into Kafka's partition n. Each message (message.Message) is one record. A
// stream appends record batches to one partition, one in flight at a time, under a producer id and an epoch that the owner took over; Topic and Reader
// give the messages back in order.
//
// A record: key, value and headers of a message, whose values are all text.
//
//	key            the Redis key; nil for messages of the stream itself and for changes of a range of keys
//	value          the line without its line feed, or a part of it; nil in tombstones and fences
//	time           the event's, but at most half an hour from the time of writing (see recordTime)
//	cluster        )
//	namespace      ) whose changes they are
//	partition      ), decimal
//	format         json, debezium
//	type           message.Kind: change, tombstone, filtered, heartbeat, snapshot-begin, snapshot-row, snapshot-end; or fence
//	position       of the event, the heartbeat, the snapshot: term-index, as 2-1041
//	seq, of        number of the mutation in its event, and how many that has, decimal
//	part-offset    only of parts: where value lies in the whole one, decimal
//	part-total     only of parts: size of the whole one in bytes, decimal
//	prev-position  only where value isn't a whole line (parts, tombstones): the event before
//	chain          likewise: the chain at position, 64 hexadecimal digits
//	time           the event's, ns since 1970, decimal: where value isn't a whole line, and where the record has another time
//	changefeed     only with the last record of each record batch, and with fences: the changefeed's id
//	epoch          likewise: its owner's claim, decimal
//
// A fence has no position, seq and of. Consumers leave out types that they don't know.
//
// On a compacted topic every record needs a key, and what has the same key replaces it. There a message without one has the key \x00zankv/TYPE; the
// first part of a value has the Redis key, and part-offset n of it \x00zankv/part/n/KEY, so that parts don't replace each other. Parts that
// are left of a value when it was replaced by a shorter one don't follow a first part of their position: a reader drops them.
//
// Invariants:
//
//  1. Once Open returned, nothing of an earlier owner comes into the partition: neither of a lower claim, nor of the same process's earlier stream.
//  2. What Append acknowledged stands in the partition once and in order, whatever broke meanwhile; of what it refused a prefix does.
//  3. A stream goes on behind what stands in the partition, not behind what somebody remembers.
//  4. Whatever a broker answers, memory is bounded: every length is checked before it is allocated. A stream holds nothing but one
//     encoded and one compressed record batch while it appends, and takes both from the changefeeds' budget, or one of four slots (memory).
//
// Exactly once rests on Kafka's idempotent producer, without transactions: takeOver and DESIGN.md say how, and what of a broker's configuration
// it needs.
//
// Concurrency: there are no goroutines here. Who calls waits, at most until its context ends, and then no request of it is under way any more. Sink and
// Topic may be used from any goroutine, a stream and a Reader from one at a time.
//
// Why not kafka-go's Client and Transport: its requests go on after their caller gave up, reading memory that is used again by then; it says
// "topic not found" of a broker that is down; and after an outage of two seconds it was seen to need thirteen. Of kafka-go this package uses the protocol's
// messages, SASL and the compression codecs.
package kafka
