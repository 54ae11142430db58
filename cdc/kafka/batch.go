package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/zankv/zankv/cdc/message"
)

// A record batch, Kafka's message format 2, big-endian:
//
//	offset size
//	     0    8  offset of the first record; the broker fills it in
//	     8    4  length of what follows
//	    12    4  leader epoch; the broker's
//	    16    1  2, the format
//	    17    4  CRC-32C of everything from 21 on
//	    21    2  attributes: bits 0-2 compression, bit 5 control
//	    23    4  number of records less 1
//	    27    8  time of the first record, ms since 1970
//	    35    8  latest time of a record
//	    43    8  producer id
//	    51    2  producer epoch
//	    53    4  sequence number of the first record
//	    57    4  number of records
//	    61       records, compressed together
//
// A record; every number is a zig-zag varint, a length of -1 is nil:
//
//	length of what follows, attributes (one byte, 0), time less the batch's, number in the batch,
//	key's length and key, value's length and value, number of headers, of each: name's length and name, value's length and value
const (
	batchHeader     = 61
	atLength        = 8
	atLeaderEpoch   = 12
	atMagic         = 16
	atCRC           = 17
	atAttributes    = 21
	atLastDelta     = 23
	atFirstTime     = 27
	atMaxTime       = 35
	atProducerID    = 43
	atProducerEpoch = 51
	atSequence      = 53
	atCount         = 57

	magic           = 2
	compressionBits = 7
	controlBit      = 1 << 5
)

var (
	be         = binary.BigEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// producer is who writes, as the broker knows them. Sequence is that of the next record.
type producer struct {
	id       int64
	epoch    int16
	sequence int32
}

// after is the sequence number n records on: it goes round at 2^31.
func (p *producer) after(n int) int32 { return int32((int64(p.sequence) + int64(n)) & (1<<31 - 1)) }

// putHeader completes a batch whose records stand from batchHeader on.
func putHeader(b []byte, p *producer, c Compression, n int, first, latest int64) {
	clear(b[:atLength])
	be.PutUint32(b[atLength:], uint32(len(b)-atLeaderEpoch))
	be.PutUint32(b[atLeaderEpoch:], 0xffffffff)
	b[atMagic] = magic
	be.PutUint16(b[atAttributes:], uint16(c))
	be.PutUint32(b[atLastDelta:], uint32(n-1))
	be.PutUint64(b[atFirstTime:], uint64(first))
	be.PutUint64(b[atMaxTime:], uint64(latest))
	be.PutUint64(b[atProducerID:], uint64(p.id))
	be.PutUint16(b[atProducerEpoch:], uint16(p.epoch))
	be.PutUint32(b[atSequence:], uint32(p.sequence))
	be.PutUint32(b[atCount:], uint32(n))
	be.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
}

// recordEncoder writes the records of one partition's stream. It is for one goroutine.
type recordEncoder struct {
	common    []byte // the headers that are the same in all records
	closing   []byte // those that are added to the last one of a batch
	compacted bool
	headers   []byte // scratch
}

const (
	commonHeaders  = 4
	closingHeaders = 2
	// varHeaders bounds the headers that differ between records, names included, each number at its longest.
	varHeaders = 450
	// varRecord bounds the numbers of a record: its length, times, lengths of key, value and headers.
	varRecord = 40
)

func newRecordEncoder(id identity, compacted bool) *recordEncoder {
	e := &recordEncoder{compacted: compacted}
	e.common = appendHeader(e.common, HeaderCluster, id.cluster)
	e.common = appendHeader(e.common, HeaderNamespace, id.namespace)
	e.common = appendHeader(e.common, HeaderPartition, strconv.FormatUint(uint64(id.partition), 10))
	e.common = appendHeader(e.common, HeaderFormat, id.format)
	e.closing = appendHeader(e.closing, HeaderChangefeed, id.changefeed)
	e.closing = appendHeader(e.closing, HeaderEpoch, strconv.FormatUint(id.epoch, 10))
	return e
}

// overhead bounds what a record batch of one record has beside key and value.
func (e *recordEncoder) overhead() int {
	return batchHeader + varRecord + len(e.common) + len(e.closing) + varHeaders + maxReservedKey
}

// bound is at least as large as the record that append makes.
func (e *recordEncoder) bound(m *message.Message) int {
	return varRecord + len(e.common) + varHeaders + maxReservedKey + len(m.Key) + len(m.Value)
}

// append writes a message as record number i of a batch whose first has time first, in ms; at is the record's own. last says that no other follows.
func (e *recordEncoder) append(dst []byte, m *message.Message, first, at int64, i int, last bool) []byte {
	n := commonHeaders + e.own(m, at)
	if last {
		e.headers = append(e.headers, e.closing...)
		n += closingHeaders
	}
	prefix, key := e.key(m)
	return appendRecord(dst, at-first, i, prefix, key, m.Value, n, e.common, e.headers)
}

// own writes the headers that are the message's own, and returns how many. What the value says is repeated only where the value isn't whole.
func (e *recordEncoder) own(m *message.Message, at int64) int {
	h := appendHeader(e.headers[:0], HeaderType, string(m.Kind))
	var text [64]byte
	h = appendHeader(h, HeaderPosition, m.Position.Append(text[:0]))
	h = appendHeader(h, HeaderSeq, strconv.AppendUint(text[:0], uint64(m.Seq), 10))
	h = appendHeader(h, HeaderOf, strconv.AppendUint(text[:0], uint64(m.Of), 10))
	n := 4
	if m.Total != 0 {
		h = appendHeader(h, HeaderPartOffset, strconv.AppendUint(text[:0], m.Offset, 10))
		h = appendHeader(h, HeaderPartTotal, strconv.AppendUint(text[:0], m.Total, 10))
		n += 2
	}
	if m.Total != 0 || m.Value == nil {
		h = appendHeader(h, HeaderPrevPosition, m.Prev.Append(text[:0]))
		h = appendHeader(h, HeaderChain, m.Chain.String())
		n += 2
	}
	if m.Total != 0 || m.Value == nil || at != ms(m.Time) {
		h = appendHeader(h, HeaderTime, strconv.AppendInt(text[:0], m.Time, 10))
		n++
	}
	e.headers = h
	return n
}

// farthest is how far a record's time may be from the time of writing. Kafka goes by records' times in deciding what has expired: with the times of old
// events, read again, it would forget the producer of the batch (producer.id.expiration.ms, 1 day) and with it what fences earlier owners off and what tells
// a repeat; and delete what nobody has read yet (retention.ms). It refuses times that are an hour ahead.
const farthest = 30 * time.Minute

// recordTime is the time of a message's record, in ms: the event's, or as near to it as may be.
func recordTime(m *message.Message, now time.Time) int64 {
	return min(max(ms(m.Time), now.Add(-farthest).UnixMilli()), now.Add(farthest).UnixMilli())
}

func ms(ns int64) int64 { return ns / int64(time.Millisecond) }

// key is the record's, in two pieces: on a compacted topic what stands under a key is all that is kept of it.
func (e *recordEncoder) key(m *message.Message) (prefix string, key []byte) {
	switch {
	case !e.compacted:
		return "", m.Key
	case m.Key == nil:
		return reservedKey(string(m.Kind)), nil
	case m.Offset != 0:
		return partPrefix + strconv.FormatUint(m.Offset, 10) + "/", m.Key
	}
	return "", m.Key
}

// fence writes the record that says nothing but who writes from here on.
func (e *recordEncoder) fence(dst []byte) []byte {
	prefix := ""
	if e.compacted {
		prefix = reservedKey(typeFence)
	}
	e.headers = append(appendHeader(e.headers[:0], HeaderType, typeFence), e.closing...)
	return appendRecord(dst, 0, 0, prefix, nil, nil, commonHeaders+1+closingHeaders, e.common, e.headers)
}

func appendRecord(dst []byte, delta int64, i int, prefix string, key, value []byte, headers int, common, own []byte) []byte {
	keySize := len(prefix) + len(key)
	if key == nil && prefix == "" {
		keySize = -1
	}
	valueSize := len(value)
	if value == nil {
		valueSize = -1
	}
	size := 1 + varintSize(delta) + varintSize(int64(i)) + varintSize(int64(keySize)) + max(keySize, 0) +
		varintSize(int64(valueSize)) + max(valueSize, 0) + varintSize(int64(headers)) + len(common) + len(own)
	dst = binary.AppendVarint(dst, int64(size))
	dst = append(dst, 0)
	dst = binary.AppendVarint(dst, delta)
	dst = binary.AppendVarint(dst, int64(i))
	dst = binary.AppendVarint(dst, int64(keySize))
	dst = append(append(dst, prefix...), key...)
	dst = binary.AppendVarint(dst, int64(valueSize))
	dst = append(dst, value...)
	dst = binary.AppendVarint(dst, int64(headers))
	return append(append(dst, common...), own...)
}

func appendHeader[T string | []byte](dst []byte, name string, value T) []byte {
	dst = append(binary.AppendVarint(dst, int64(len(name))), name...)
	return append(binary.AppendVarint(dst, int64(len(value))), value...)
}

// varintSize is how many bytes binary.AppendVarint takes.
func varintSize(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	n := 1
	for ; u >= 1<<7; u >>= 7 {
		n++
	}
	return n
}
