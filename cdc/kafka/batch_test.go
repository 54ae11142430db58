package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/message"
)

// everything is a run of messages of all kinds, shapes and compactions.
func everything() []message.Message {
	now := time.Now().UnixNano()
	at := event.Position{Term: 1<<64 - 1, Index: 1<<64 - 1}
	var chain event.Chain
	chain[3] = 7
	return []message.Message{
		{Kind: message.Change, Key: []byte("users:1"), Value: []byte(`{"a":1}`), Position: at, Seq: 1<<32 - 1, Of: 1<<32 - 1, Time: now},
		{Kind: message.Change, Key: []byte{}, Value: []byte{}, Position: at, Time: now - 1e6},
		{Kind: message.Change, Value: []byte("a range has no key"), Position: at, Time: 5},
		{Kind: message.Change, Key: []byte("users:2"), Value: []byte("part"), Position: at, Prev: at, Chain: chain, Offset: 0, Total: 1<<64 - 1, Time: now},
		{Kind: message.Change, Key: []byte("users:2"), Value: []byte("part"), Position: at, Prev: at, Chain: chain, Offset: 1<<64 - 5, Total: 1<<64 - 1,
			Time: -1 << 63},
		{Kind: message.Tombstone, Key: []byte("users:3"), Position: at, Prev: at, Chain: chain, Of: 1, Time: now},
		{Kind: message.Heartbeat, Value: []byte("{}"), Position: at, Time: now},
		{Kind: message.SnapshotBegin, Value: []byte("{}"), Position: at, Time: now},
		{Kind: message.SnapshotRow, Key: []byte("\x00zankv/part/1/x"), Value: []byte(randomValue(3000)), Position: at, Time: now},
		{Kind: message.SnapshotEnd, Value: []byte("{}"), Position: at, Time: now},
		{Kind: message.Filtered, Value: []byte("{}"), Position: at, Seq: 2, Of: 5, Time: now},
	}
}

// encoded is a record batch of messages.
func encoded(messages []message.Message, compacted bool, c Compression) []byte {
	s := &stream{sink: &Sink{config: &Config{Compression: c}}, encoder: newRecordEncoder(identity{"dc-a", "default", 3, "json", "orders", 1<<64 - 1}, compacted),
		producer: producer{1 << 40, 1<<15 - 1, 1<<31 - 1}}
	return slices.Clone(s.encode(&buffers{}, messages, 100))
}

// TestEncoding: what is written is what kafka-go and the reader read, however it is compressed, and never larger than was promised.
func TestEncoding(t *testing.T) {
	want := everything()
	for c := CompressNone; c <= CompressZstd; c++ {
		for _, compacted := range []bool{false, true} {
			b := encoded(want, compacted, c)
			isReadByKafkaGo(t, b, want, compacted)
			batch, rest, ok, err := cutBatch(b)
			if err != nil || !ok || len(rest) != 0 || batch.next != int64(len(want)) || batch.compression != c || batch.producer.sequence != 1<<31-1 {
				t.Fatalf("%s: %+v %v %v", c, batch, ok, err)
			}
			var r records
			if err := r.open(batch); err != nil {
				t.Fatal(err)
			}
			var got []message.Message
			var rec record
			for {
				ok, err := r.next(&rec)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				m := rec.message
				m.Key, m.Value = copyInto(nil, m.Key), copyInto(nil, m.Value)
				got = append(got, m)
				if closing := len(got) == len(want); closing != (rec.changefeed == "orders") || closing && rec.epoch != 1<<64-1 {
					t.Fatalf("record %d names changefeed %q, epoch %d", len(got), rec.changefeed, rec.epoch)
				}
			}
			same(t, got, want)
			for i := range got {
				if got[i].Time != want[i].Time && ms(got[i].Time)*1e6 != got[i].Time {
					t.Fatalf("message %d has time %d, want %d", i, got[i].Time, want[i].Time)
				}
				if got[i].Prev != want[i].Prev || got[i].Chain != want[i].Chain {
					t.Fatalf("message %d comes after %s", i, got[i].Prev)
				}
			}
		}
	}
	e := newRecordEncoder(identity{"dc-a", "default", 1<<32 - 1, "debezium", "orders", 1<<64 - 1}, true)
	for _, m := range want {
		m.Prev.Term, m.Prev.Index, m.Total, m.Seq, m.Of = 1<<64-1, 1<<64-1, 1<<64-1, 1<<32-1, 1<<32-1
		m.Kind = message.SnapshotBegin
		if n := batchHeader + len(e.append(nil, &m, 0, 1<<62, 1<<30, true)); n > e.overhead()+len(m.Key)+len(m.Value) {
			t.Fatalf("a record batch of %d bytes, promised were %d", n, e.overhead()+len(m.Key)+len(m.Value))
		}
	}
}

func isReadByKafkaGo(t *testing.T, b []byte, want []message.Message, compacted bool) {
	t.Helper()
	var set protocol.RecordSet
	if _, err := set.ReadFrom(bytes.NewReader(append(be.AppendUint32(nil, uint32(len(b))), b...))); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		r, err := set.Records.ReadRecord()
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		if r.Value != nil {
			if v, _ := protocol.ReadAll(r.Value); !bytes.Equal(v, want[i].Value) {
				t.Fatalf("record %d has value %.60q", i, v)
			}
		}
		if compacted && r.Key == nil {
			t.Fatalf("record %d has no key", i)
		}
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		if headers[HeaderType] != string(want[i].Kind) || headers[HeaderPartition] != "3" || headers[HeaderPosition] != want[i].Position.String() {
			t.Fatalf("record %d has headers %v", i, headers)
		}
	}
	if _, err := set.Records.ReadRecord(); !errors.Is(err, io.EOF) {
		t.Fatalf("and there is more: %v", err)
	}
}

// TestDamage: a batch with a bit that is wrong isn't read; nor are records that can't be, whatever their checksum says.
func TestDamage(t *testing.T) {
	for c := CompressNone; c <= CompressZstd; c++ {
		b := encoded(everything()[:5], false, c)
		for i := atMagic; i < len(b); i++ {
			for _, bit := range []byte{1, 0x80} {
				d := slices.Clone(b)
				d[i] ^= bit
				if _, _, ok, err := cutBatch(d); ok && err == nil {
					t.Fatalf("%s: byte %d of %d is altered, and isn't noticed", c, i, len(b))
				}
				be.PutUint32(d[atCRC:], crc32.Checksum(d[atAttributes:], castagnoli))
				readAll(d)
			}
		}
		for n := range len(b) {
			if _, _, ok, err := cutBatch(b[:n]); ok || err != nil {
				t.Fatalf("%d of %d bytes: %v, %v", n, len(b), ok, err)
			}
		}
	}
}

// readAll reads what can be read of a batch; it must neither panic nor allocate without bound.
func readAll(b []byte) {
	batch, _, ok, err := cutBatch(b)
	if err != nil || !ok {
		return
	}
	var r records
	defer r.close()
	if r.open(batch) != nil {
		return
	}
	var rec record
	for n := 0; n < 1000; n++ {
		if ok, err := r.next(&rec); err != nil || !ok {
			return
		}
	}
}

// TestSequence: sequence numbers go round at 2^31, as Kafka's do.
func TestSequence(t *testing.T) {
	for _, c := range []struct {
		at   int32
		n    int
		want int32
	}{{0, 1, 1}, {1<<31 - 2, 1, 1<<31 - 1}, {1<<31 - 1, 1, 0}, {1<<31 - 3, 10, 7}} {
		p := producer{sequence: c.at}
		if got := p.after(c.n); got != c.want {
			t.Errorf("%d after %d is %d, want %d", c.n, c.at, got, c.want)
		}
	}
}

// TestSpan: record batches stay within what the topic takes, and within the target.
func TestSpan(t *testing.T) {
	s := &stream{encoder: newRecordEncoder(identity{}, false), limit: 5000, sink: &Sink{config: &Config{}}}
	many := changes(1, 500)
	for rest := many; len(rest) > 0; {
		n := s.span(rest)
		if size := len(s.encode(&buffers{}, rest[:n], 0)); n < 1 || size > s.limit {
			t.Fatalf("%d messages make a batch of %d bytes", n, size)
		}
		if rest = rest[n:]; n < 5 && len(rest) > 0 {
			t.Fatalf("a batch of %d messages only", n)
		}
	}
	large := []message.Message{change(1, randomValue(4000)), change(2, randomValue(4000))}
	if n := s.span(large); n != 1 {
		t.Fatalf("%d messages of 4000 bytes", n)
	}
	s.limit = maxBatchBytes
	large = slices.Repeat([]message.Message{change(1, fmt.Sprintf("%01000d", 1))}, 2000)
	if n := s.span(large); n < 300 || n > batchTarget/1000 {
		t.Fatalf("%d messages of 1 kB", n)
	}
}
