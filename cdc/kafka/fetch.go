package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

const (
	leastFetch = 4  // the first that gives record batches of format 2
	mostFetch  = 11 // the last whose form parseFetched reads
	// fetchBytes is how much one fetch brings, a batch that is larger aside.
	fetchBytes = 1 << 20
	// maxFetched bounds an answer: the largest batch there may be, and what is around it.
	maxFetched = maxBatchBytes + fetchBytes + 1<<16
)

// errCorrupt says that what a broker has isn't what a producer wrote.
var errCorrupt = errors.New("corrupt record batch")

// fetched is the answer of one partition. Its batches lie in the buffer that was given for them.
type fetched struct {
	first, end int64 // what offsets there are, half open
	batches    []byte
}

// fetch asks for records from an offset on, and waits up to wait for the first. The answer's bytes are in *buf, which grows as needed.
func (c *conn) fetch(ctx context.Context, topic string, partition uint32, offset int64, wait time.Duration, buf *[]byte) (fetched, error) {
	version, err := c.version(protocol.Fetch, leastFetch, mostFetch)
	if err != nil {
		return fetched{}, err
	}
	defer c.bound(ctx)()
	c.correlation++
	request := &fetch.Request{ReplicaID: -1, MaxWaitTime: int32(wait.Milliseconds()), MinBytes: 1, MaxBytes: fetchBytes, SessionEpoch: -1,
		Topics: []fetch.RequestTopic{{Topic: topic, Partitions: []fetch.RequestPartition{{
			Partition: int32(partition), CurrentLeaderEpoch: -1, FetchOffset: offset, LogStartOffset: -1, PartitionMaxBytes: fetchBytes}}}}}
	if err := protocol.WriteRequest(c, version, c.correlation, clientID, request); err != nil {
		return fetched{}, c.explain(ctx, err)
	}
	if *buf, err = c.frame((*buf)[:0], maxFetched); err != nil {
		return fetched{}, c.explain(ctx, err)
	}
	c.used = true
	return parseFetched(*buf, version, c.correlation)
}

func parseFetched(frame []byte, version int16, correlation int32) (f fetched, err error) {
	w := wire{b: frame[4:]}
	if n := w.int32(); n != correlation {
		return f, fmt.Errorf("answer %d to request %d: %w", n, correlation, errNotKafka)
	}
	w.int32() // throttled
	var whole int16
	if version >= 7 {
		whole = w.int16()
		w.int32() // session
	}
	if err := code(whole); err != nil {
		return f, err
	}
	topics := w.count()
	w.string()
	partitions := w.count()
	w.int32()
	refused := w.int16()
	f.end = w.int64()
	w.int64() // last stable offset
	if version >= 5 {
		f.first = w.int64()
	}
	for n := w.count(); n > 0 && !w.short; n-- { // aborted transactions: there are none of ours
		w.take(16)
	}
	if version >= 11 {
		w.int32() // preferred replica
	}
	f.batches = w.bytes()
	if w.short || topics != 1 || partitions != 1 {
		return f, fmt.Errorf("%w (%w)", errShort, errNotKafka)
	}
	if kafkaCode(refused) == kafkago.OffsetOutOfRange {
		return f, errOffset
	}
	return f, code(refused)
}

// errOffset says that an offset isn't there: not yet, or no more.
var errOffset = errors.New("the topic doesn't have that offset")

// batchInfo is a record batch's header, as far as reading needs it.
type batchInfo struct {
	offset, next int64 // of the first record, and of the one after the last
	producer     producer
	time         int64
	compression  Compression
	control      bool
	count        int32
	records      []byte
}

// cutBatch takes the first batch of several off; false at the end, where a batch may stand that the broker cut off.
func cutBatch(b []byte) (batch batchInfo, rest []byte, ok bool, err error) {
	if len(b) < batchHeader {
		return batch, nil, false, nil
	}
	size := int64(be.Uint32(b[atLength:])) + atLeaderEpoch
	if size > int64(len(b)) {
		return batch, nil, false, nil
	}
	offset := int64(be.Uint64(b))
	if b[atMagic] != magic {
		return batch, nil, false, fmt.Errorf("offset %d: %w: message format %d: want 2", offset, errCorrupt, b[atMagic])
	}
	if size < batchHeader {
		return batch, nil, false, fmt.Errorf("offset %d: %w: of %d bytes", offset, errCorrupt, size)
	}
	b, rest = b[:size], b[size:]
	if sum := be.Uint32(b[atCRC:]); sum != crc32.Checksum(b[atAttributes:], castagnoli) {
		return batch, nil, false, fmt.Errorf("offset %d: %w: its checksum doesn't match", offset, errCorrupt)
	}
	attributes := be.Uint16(b[atAttributes:])
	return batchInfo{
		offset:      offset,
		next:        offset + int64(be.Uint32(b[atLastDelta:])) + 1,
		producer:    producer{int64(be.Uint64(b[atProducerID:])), int16(be.Uint16(b[atProducerEpoch:])), int32(be.Uint32(b[atSequence:]))},
		time:        int64(be.Uint64(b[atFirstTime:])),
		compression: Compression(attributes & compressionBits),
		control:     attributes&controlBit != 0,
		count:       int32(be.Uint32(b[atCount:])),
		records:     b[batchHeader:],
	}, rest, true, nil
}
