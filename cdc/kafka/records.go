package kafka

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/message"
)

// maxRecord bounds one record when it is uncompressed.
const maxRecord = 2 * maxBatchBytes

// records goes through the records of one batch after the other, with one uncompressed record in memory. It is for one goroutine.
type records struct {
	batch batchInfo
	left  int32
	plain wire          // of a batch that isn't compressed
	body  io.ReadCloser // of one that is
	in    *bufio.Reader
	buf   []byte
}

// open begins a batch.
func (r *records) open(b batchInfo) error {
	r.close()
	r.batch, r.left = b, b.count
	if b.compression == CompressNone {
		r.plain = wire{b: b.records}
		return nil
	}
	if int(b.compression) >= len(codecs) {
		return fmt.Errorf("offset %d: %w: compression %d is unknown", b.offset, errCorrupt, b.compression)
	}
	r.body = codecs[b.compression].NewReader(bytes.NewReader(b.records))
	if r.in == nil {
		r.in = bufio.NewReaderSize(r.body, 64<<10)
	} else {
		r.in.Reset(r.body)
	}
	return nil
}

func (r *records) close() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
	r.left = 0
}

// next reads a record, whose bytes are valid until the next call; false after the last one.
func (r *records) next(rec *record) (bool, error) {
	if r.left <= 0 {
		r.close()
		return false, nil
	}
	r.left--
	b, err := r.cut()
	if err == nil {
		err = rec.parse(b, &r.batch)
	}
	if err != nil {
		return false, fmt.Errorf("batch at offset %d: %w: %w", r.batch.offset, errCorrupt, err)
	}
	return true, nil
}

func (r *records) cut() ([]byte, error) {
	if r.body == nil {
		b := r.plain.varBytes()
		if r.plain.short {
			return nil, errShort
		}
		return b, nil
	}
	n, err := binary.ReadVarint(r.in)
	if err != nil {
		return nil, noEOF(err)
	}
	if n < 0 || n > maxRecord {
		return nil, fmt.Errorf("a record of %d bytes", n)
	}
	if cap(r.buf) < int(n) {
		r.buf = make([]byte, n)
	}
	_, err = io.ReadFull(r.in, r.buf[:n])
	return r.buf[:n], noEOF(err)
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// record is one of a topic, as a message of a stream if it is one.
type record struct {
	offset int64
	// ours says that it has the header type. The rest is only set then.
	ours      bool
	fence     bool
	message   message.Message
	cluster   string
	namespace string
	partition uint32
	format    string
	// changefeed and epoch are those of the owner, with the last record of each batch and fences; changefeed is "" otherwise.
	changefeed string
	epoch      uint64
}

// parse reads a record's bytes, which rec keeps.
func (rec *record) parse(b []byte, batch *batchInfo) error {
	w := wire{b: b}
	w.take(1)
	delta := w.varint()
	offset := w.varint()
	key, value := w.varBytes(), w.varBytes()
	last := *rec
	*rec = record{offset: batch.offset + offset, cluster: last.cluster, namespace: last.namespace, format: last.format}
	m := &rec.message
	m.Key, m.Value, m.Time = key, value, (batch.time+delta)*int64(time.Millisecond)
	for n := w.varint(); n > 0 && !w.short; n-- {
		name, value := w.varBytes(), w.varBytes()
		if err := rec.header(name, value); err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
	}
	if w.short {
		return errShort
	}
	m.Key = userKey(m)
	return nil
}

// header takes one. Those that we don't know are others' business.
func (rec *record) header(name, value []byte) (err error) {
	m := &rec.message
	switch string(name) {
	case HeaderType:
		rec.ours, rec.fence = true, string(value) == typeFence
		m.Kind = kind(value)
	case HeaderCluster:
		keep(&rec.cluster, value)
	case HeaderNamespace:
		keep(&rec.namespace, value)
	case HeaderFormat:
		keep(&rec.format, value)
	case HeaderPartition:
		rec.partition, err = number[uint32](value, 32)
	case HeaderPosition:
		m.Position, err = event.ParsePosition(string(value))
	case HeaderSeq:
		m.Seq, err = number[uint32](value, 32)
	case HeaderOf:
		m.Of, err = number[uint32](value, 32)
	case HeaderPartOffset:
		m.Offset, err = number[uint64](value, 64)
	case HeaderPartTotal:
		m.Total, err = number[uint64](value, 64)
	case HeaderPrevPosition:
		m.Prev, err = event.ParsePosition(string(value))
	case HeaderChain:
		m.Chain, err = event.ParseChain(string(value))
	case HeaderTime:
		m.Time, err = strconv.ParseInt(string(value), 10, 64)
	case HeaderChangefeed:
		rec.changefeed = string(value)
	case HeaderEpoch:
		rec.epoch, err = number[uint64](value, 64)
	}
	return err
}

// kind is a message's without allocating for those that we know.
func kind(value []byte) message.Kind {
	for _, k := range kinds {
		if string(value) == string(k) {
			return k
		}
	}
	return message.Kind(value)
}

var kinds = []message.Kind{message.Change, message.Tombstone, message.Filtered, message.Heartbeat, message.SnapshotBegin, message.SnapshotRow,
	message.SnapshotEnd}

// keep sets *s, which has the same value in nearly every record.
func keep(s *string, value []byte) {
	if *s != string(value) {
		*s = string(value)
	}
}

func number[T uint32 | uint64](value []byte, bits int) (T, error) {
	n, err := strconv.ParseUint(string(value), 10, bits)
	return T(n), err
}

// userKey takes off what was put before a message's key on a compacted topic: nil if the message is the stream's own.
func userKey(m *message.Message) []byte {
	rest, ok := bytes.CutPrefix(m.Key, []byte(reservedPrefix))
	switch {
	case !ok:
		return m.Key
	case string(rest) == string(m.Kind) || string(rest) == typeFence:
		return nil
	case m.Offset == 0:
		return m.Key
	}
	prefix := partPrefix + strconv.FormatUint(m.Offset, 10) + "/"
	return bytes.TrimPrefix(m.Key, []byte(prefix))
}
