package kafka

import (
	"context"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/message"
)

// TestCompacted: on a compacted topic every record has a key, and what is left after compaction is the last of each key.
func TestCompacted(t *testing.T) {
	topic := topicOf(t)
	s := newSink(t, shared, topic, "compression=none&topic-config.cleanup.policy=compact&topic-config.segment.ms=100&topic-config.min.cleanable.dirty.ratio=0.001"+
		"&topic-config.max.compaction.lag.ms=100&topic-config.delete.retention.ms=100000&topic-config.segment.bytes=1048576")
	a, _ := open(t, s, 1)
	if !a.encoder.compacted || !s.tombstones(a) {
		t.Fatal("the topic isn't seen to be compacted")
	}
	now := time.Now().UnixNano()
	at := func(m message.Message) message.Message { m.Time = now; return m }
	beat := func(index uint64) message.Message {
		return at(message.Message{Kind: message.Heartbeat, Value: []byte(`{"heartbeat":true}`), Position: event.Position{Term: 2, Index: index}})
	}
	gone := at(message.Message{Kind: message.Tombstone, Key: []byte("users:3"), Position: event.Position{Term: 2, Index: 8}, Of: 1})
	begin := at(message.Message{Kind: message.SnapshotBegin, Value: []byte(`{}`), Position: event.Position{Term: 2, Index: 1}})
	large := parts(at(change(4, randomValue(3000))), 1000)
	var all []message.Message
	for i := uint64(1); i <= 3; i++ {
		all = append(all, at(change(i, `{"old":true}`)))
	}
	all = append(all, begin, beat(5))
	all = append(all, large...)
	for i := uint64(1); i <= 2; i++ {
		all = append(all, at(change(i, `{"new":true}`)))
	}
	all = append(all, gone, beat(9))
	appendTo(t, a, all...)
	same(t, contents(t, shared, topic, ""), all)

	// The last of each key; all parts of a value stay, each under its own key, and a snapshot's begin beside heartbeats.
	want := append([]message.Message{begin}, append(append([]message.Message{}, large...), all[len(all)-4:]...)...)
	ctx := within(t, time.Minute)
	for {
		roll := change(50, "rolls the segment") // the one that is written to isn't compacted; it goes by the records' times
		roll.Time = time.Now().UnixNano()
		appendTo(t, a, roll)
		got := contents(t, shared, topic, "")
		if len(got) > 0 && got[0].Kind == message.SnapshotBegin {
			same(t, got[:len(want)], want)
			break
		}
		if !sleep(ctx, 300*time.Millisecond) {
			t.Fatal("the broker doesn't compact")
		}
	}
	if _, last := open(t, s, 2); string(last.Key) != "users:50" {
		t.Fatalf("the topic ends with %s", show(last))
	}
}

// TestQuota: what a broker holds back is counted, and heeded.
func TestQuota(t *testing.T) {
	b := startBroker(t, "", "quota.window.num=2\n")
	r, err := b.admin().AlterClientQuotas(within(t, time.Minute), &kafkago.AlterClientQuotasRequest{Entries: []kafkago.AlterClientQuotaEntry{{
		Entities: []kafkago.AlterClientQuotaEntity{{EntityType: "client-id", EntityName: clientID}},
		Ops:      []kafkago.AlterClientQuotaOps{{Key: "producer_byte_rate", Value: 100_000}}}}})
	if err == nil {
		err = r.Entries[0].Error
	}
	if err != nil {
		t.Fatal(err)
	}
	topic := topicOf(t)
	g := target(1)
	a, _, err := newSink(t, b, topic, "compression=none").open(within(t, time.Minute), g)
	if err != nil {
		t.Fatal(err)
	}
	var all []message.Message
	began := time.Now()
	for i := uint64(1); g.Meter.Throttled.Load() == 0; i++ {
		m := change(i, randomValue(20_000))
		appendTo(t, a, m)
		all = append(all, m)
		if i > 200 {
			t.Fatal("the quota isn't felt")
		}
	}
	held := time.Duration(g.Meter.Throttled.Load())
	appendTo(t, a, change(1000, "waits"))
	if took := time.Since(began); took < held {
		t.Errorf("%d batches took %s, although the broker wanted %s", len(all), took, held)
	}
	same(t, contents(t, b, topic, "")[:len(all)], all)
}

// TestForgottenProducer: Kafka forgets the id under which the owner before writes, and gives out another: that fences nobody, but for the fence of
// its own.
func TestForgottenProducer(t *testing.T) {
	b := startBroker(t, "", "transactional.id.expiration.ms=1500\ntransaction.remove.expired.transaction.cleanup.interval.ms=200\n")
	topic := topicOf(t)
	before, _ := open(t, newSink(t, b, topic, ""), 1)
	want := changes(1, 6)
	appendTo(t, before, want[:1]...)
	ctx := within(t, time.Minute)
	forgets(t, b, ctx)
	appendTo(t, before, want[1:3]...)
	after, last := open(t, newSink(t, b, topic, ""), 2)
	if after.producer.id == before.producer.id {
		t.Fatal("the broker didn't forget the producer: this test shows nothing")
	}
	same(t, []message.Message{last}, want[2:3])
	err := before.Append(ctx, batch(change(99, "overtaken")))
	if e := trouble(t, err); e.Code != "fenced" {
		t.Fatalf("an owner whose producer was forgotten gets %+v", *e)
	}
	appendTo(t, after, want[3:]...)
	same(t, contents(t, b, topic, ""), want)
	open(t, newSink(t, b, topic, ""), 3)
}

// forgets waits until the broker has forgotten a transactional id that is younger than all others.
func forgets(t *testing.T, b *broker, ctx context.Context) {
	t.Helper()
	probe := &stream{sink: newSink(t, b, "probe", ""), topic: "probe", id: identity{changefeed: "probe"}, meter: &changefeed.Meter{}}
	if err := probe.initProducer(ctx, noProducer, noProducer); err != nil {
		t.Fatal(err)
	}
	for {
		known := probe.producer
		if !sleep(ctx, 2*time.Second) { // asking refreshes it: wait for longer than it is kept
			t.Fatal("the broker doesn't forget")
		}
		if err := probe.initProducer(ctx, noProducer, noProducer); err != nil {
			t.Fatal(err)
		}
		if probe.producer.id != known.id {
			return
		}
	}
}

// TestRenewedEpoch: an owner that gets a further epoch goes on, and one that was overtaken doesn't get it.
func TestRenewedEpoch(t *testing.T) {
	topic := topicOf(t)
	s := newSink(t, shared, topic, "")
	a, _ := open(t, s, 1)
	want := changes(1, 9)
	for i := 0; i < 6; i += 2 {
		appendTo(t, a, want[i:i+2]...)
		epoch := a.producer.epoch
		a.renewed = a.renewed.Add(-2 * renewAfter)
		if appendTo(t, a); a.producer.epoch != epoch {
			t.Fatal("nothing to write, and yet a new epoch")
		}
	}
	if a.producer.epoch < 2 {
		t.Fatalf("the epoch is %d after two renewals", a.producer.epoch)
	}
	b, _ := open(t, s, 2)
	a.renewed = a.renewed.Add(-2 * renewAfter)
	err := a.Append(within(t, time.Minute), batch(change(99, "overtaken")))
	if e := trouble(t, err); e.Code != "fenced" || e.Final {
		t.Fatalf("renewing an epoch that was overtaken gives %+v", *e)
	}
	appendTo(t, b, want[6:]...)
	same(t, contents(t, shared, topic, ""), want)
}
