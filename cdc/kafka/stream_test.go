package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/message"
)

const testBudget = 16 << 20

// target is partition 0 of a changefeed that feeds a topic, in the hands of the owner of an epoch.
func target(epoch uint64) changefeed.Target {
	spec := &changefeed.Spec{ID: "orders", Namespace: "default", Format: changefeed.JSON}
	return changefeed.Target{Spec: spec, Cluster: "dc-a", Partition: 0, Partitions: 1, Epoch: epoch, Budget: changefeed.NewBudget(testBudget),
		Meter: &changefeed.Meter{}}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// newSink is one for a topic of a broker.
func newSink(t *testing.T, b *broker, topic, query string) *Sink {
	t.Helper()
	c, err := ParseURI(b.uri(topic, query))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(c, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// open takes partition 0 over, and says what stands last.
func open(t *testing.T, s *Sink, epoch uint64) (*stream, message.Message) {
	t.Helper()
	a, last, err := s.open(within(t, time.Minute), target(epoch))
	if err != nil {
		t.Fatal(err)
	}
	return a, last
}

// change is the message of the event with an index.
func change(index uint64, value string) message.Message {
	return message.Message{Kind: message.Change, Key: []byte(fmt.Sprintf("users:%d", index)), Value: []byte(value),
		Position: event.Position{Term: 2, Index: index}, Of: 1, Time: 1_763_700_000_000_000_000 + int64(index)*1_000_000}
}

// changes are those of the events from one index to before another.
func changes(from, to uint64) []message.Message {
	var all []message.Message
	for i := from; i < to; i++ {
		all = append(all, change(i, fmt.Sprintf(`{"position":"2-%d"}`, i)))
	}
	return all
}

func batch(messages ...message.Message) *message.Batch { return &message.Batch{Messages: messages} }

func appendTo(t *testing.T, a *stream, messages ...message.Message) {
	t.Helper()
	if err := a.Append(within(t, time.Minute), batch(messages...)); err != nil {
		t.Fatal(err)
	}
}

// contents reads a topic's partition 0 whole.
func contents(t *testing.T, b *broker, topic, query string) []message.Message {
	t.Helper()
	ctx := within(t, time.Minute)
	c, err := ParseURI(b.uri(topic, query))
	if err != nil {
		t.Fatal(err)
	}
	tp, err := OpenTopic(ctx, c, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer tp.Close()
	ends, err := tp.Ends(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := tp.Reader(0, -1, ends[0].End)
	var all []message.Message
	for {
		m, err := r.Next(ctx)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		kept := *m
		kept.Key, kept.Value = copyInto(nil, m.Key), copyInto(nil, m.Value)
		all = append(all, kept)
	}
}

// same says how a topic's messages differ from those that were to be written.
func same(t *testing.T, got, want []message.Message) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if show(g) != show(w) || !bytes.Equal(g.Value, w.Value) {
			t.Fatalf("message %d is\n%s\nwant\n%s", i, show(g), show(w))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
}

// show is a message in short. Kafka keeps milliseconds.
func show(m message.Message) string {
	return fmt.Sprintf("%s key %q value %.40q (nil: %t, %t) position %s seq %d of %d part %d of %d at %d ms", m.Kind, m.Key, m.Value, m.Key == nil,
		m.Value == nil, m.Position, m.Seq, m.Of, m.Offset, m.Total, ms(m.Time))
}

// trouble gives an error's code, and fails if it isn't one of a changefeed, with words.
func trouble(t *testing.T, err error) *changefeed.Error {
	t.Helper()
	var e *changefeed.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a *changefeed.Error", err, err)
	}
	if e.What == "" || e.Action == "" || e.Stage == changefeed.StageNone || e.Code == "" {
		t.Fatalf("error without words: %+v", *e)
	}
	return e
}

func TestFreshTopic(t *testing.T) {
	topic := topicOf(t)
	s := newSink(t, shared, topic, "")
	a, last := open(t, s, 1)
	if last.Kind != "" {
		t.Fatalf("a new topic ends with %+v", last)
	}
	want := changes(1, 200)
	appendTo(t, a, want[:1]...)
	appendTo(t, a, want[1:]...)
	same(t, contents(t, shared, topic, ""), want)

	_, last = open(t, s, 2)
	same(t, []message.Message{last}, want[198:])
}

func TestResumeAfterEachMessage(t *testing.T) {
	topic := topicOf(t)
	s := newSink(t, shared, topic, "")
	want := changes(1, 40)
	for i := range want {
		a, last := open(t, s, uint64(i))
		if i > 0 {
			same(t, []message.Message{last}, want[i-1:i])
		}
		appendTo(t, a, want[i])
	}
	for i := range 30 { // owners that have nothing to write
		_, last := open(t, s, uint64(len(want)+i))
		same(t, []message.Message{last}, want[len(want)-1:])
	}
	same(t, contents(t, shared, topic, ""), want)
}

func TestFencedOwner(t *testing.T) {
	topic := topicOf(t)
	before, _ := open(t, newSink(t, shared, topic, ""), 1)
	want := changes(1, 10)
	appendTo(t, before, want[:5]...)
	after, last := open(t, newSink(t, shared, topic, ""), 2)
	same(t, []message.Message{last}, want[4:5])
	err := before.Append(within(t, time.Minute), batch(change(99, "overtaken")))
	if e := trouble(t, err); e.Code != changefeed.CodeFenced || e.Final {
		t.Fatalf("an owner that was overtaken gets %+v", *e)
	}
	if again := before.Append(within(t, time.Minute), batch(change(99, "overtaken"))); again != err {
		t.Fatalf("a stream that failed goes on with %v", again)
	}
	appendTo(t, after, want[5:]...)
	same(t, contents(t, shared, topic, ""), want)
}

// TestTakenOverWhileWriting: owners that are overtaken with batches under way. What they got in is there once, the rest was written by their
// successors.
func TestTakenOverWhileWriting(t *testing.T) {
	topic := topicOf(t)
	want := changes(1, 20_000)
	ctx := within(t, 2*time.Minute)
	ended := make(chan error, 1)
	var wrote, owners int
	for epoch := uint64(1); wrote < len(want); epoch++ {
		a, last := open(t, newSink(t, shared, topic, "compression=none"), epoch)
		wrote = int(last.Position.Index)
		if owners > 0 {
			if e := trouble(t, <-ended); e.Code != changefeed.CodeFenced {
				t.Fatalf("an owner that was overtaken gets %+v", *e)
			}
		}
		owners++
		begun := make(chan struct{})
		go func(from int) {
			var err error
			for at := from; err == nil; at += 3 {
				if at == from+30 {
					close(begun)
				}
				m := []message.Message{change(uint64(1_000_000+at), "beyond the end")}
				if at < len(want) {
					m = want[at:min(at+3, len(want))]
				}
				err = a.Append(ctx, batch(m...))
			}
			ended <- err
		}(wrote)
		select {
		case <-begun:
		case <-ctx.Done():
			t.Fatal("the owner doesn't get on")
		}
		if owners == 12 {
			break
		}
	}
	_, last := open(t, newSink(t, shared, topic, ""), 1000)
	<-ended
	got := contents(t, shared, topic, "")
	same(t, got, want[:len(got)])
	same(t, []message.Message{last}, got[len(got)-1:])
}

// TestLateOwner: an owner that was stopped before it asked for its epoch, and goes on after the next one has begun.
func TestLateOwner(t *testing.T) {
	topic := topicOf(t)
	s := newSink(t, shared, topic, "")
	for _, written := range []int{0, 3} {
		t.Run(fmt.Sprintf("after %d messages", written), func(t *testing.T) {
			a, _ := open(t, s, 7)
			if written > 0 {
				appendTo(t, a, changes(1, uint64(1+written))...)
			}
			_, _, err := s.open(within(t, time.Minute), target(6))
			if e := trouble(t, err); e.Code != changefeed.CodeFenced || e.Final {
				t.Fatalf("an owner of an earlier claim gets %+v", *e)
			}
			open(t, s, 7)
		})
	}
	same(t, contents(t, shared, topic, ""), changes(1, 4))
}

// TestReader: from any offset to any other, and on from the end.
func TestReader(t *testing.T) {
	topic := topicOf(t)
	s := newSink(t, shared, topic, "compression=lz4")
	a, _ := open(t, s, 1)
	want := changes(1, 30)
	appendTo(t, a, want[:20]...)
	ctx := within(t, time.Minute)
	tp, err := OpenTopic(ctx, s.config, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer tp.Close()
	for _, c := range []struct{ from, to int64 }{{-1, 21}, {5, 9}, {1, 1}, {7, 8}} { // offset 0 is the fence's
		r := tp.Reader(0, c.from, c.to)
		for at := max(c.from, 1); at < c.to; at++ {
			m, err := r.Next(ctx)
			if err != nil || r.Offset() != at || m.Position != want[at-1].Position {
				t.Fatalf("from %d to %d: %v, %v at offset %d", c.from, c.to, m, err, r.Offset())
			}
		}
		if _, err := r.Next(ctx); err != io.EOF {
			t.Fatalf("from %d to %d it ends with %v", c.from, c.to, err)
		}
	}
	r := tp.Reader(0, 20, -1)
	if m, err := r.Next(ctx); err != nil || m.Position != want[19].Position {
		t.Fatalf("%v, %v", m, err)
	}
	appendTo(t, a, want[20:]...)
	if m, err := r.Next(ctx); err != nil || m.Position != want[20].Position {
		t.Fatalf("%v, %v", m, err)
	}
	_, err = tp.Reader(0, 1000, -1).Next(ctx)
	if e := trouble(t, err); e.Code != changefeed.CodeTopic {
		t.Fatalf("an offset that isn't there gives %+v", *e)
	}
}
