package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/message"
)

// feeder appends messages one batch after the other until it has them all, opening anew after each failure, as a worker does.
func feeder(ctx context.Context, s *Sink, all []message.Message, size int) error {
	for epoch := uint64(1); ; epoch++ {
		a, last, err := s.open(ctx, target(epoch))
		if err == nil {
			rest := all[last.Position.Index:]
			for len(rest) > 0 && err == nil {
				n := min(size, len(rest))
				err = a.Append(ctx, batch(rest[:n]...))
				rest = rest[n:]
			}
			if err == nil {
				return nil
			}
		}
		var e *changefeed.Error
		if !errors.As(err, &e) || e.Final || ctx.Err() != nil {
			return err
		}
	}
}

// TestBrokerKilled: kill -9 of the broker in the middle of writes, again and again.
func TestBrokerKilled(t *testing.T) {
	b := startBroker(t, "", "")
	topic := topicOf(t)
	s := newSink(t, b, topic, "compression=none")
	want := changes(1, 60_000)
	done := make(chan error, 1)
	ctx := within(t, 3*time.Minute)
	go func() { done <- feeder(ctx, s, want, 10) }()
	for range 2 {
		reaches(t, b, topic, done)
		b.kill()
		if err := b.start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	same(t, contents(t, b, topic, ""), want)
}

// reaches waits until the topic has grown by some hundred records, or everything is written.
func reaches(t *testing.T, b *broker, topic string, done chan error) {
	t.Helper()
	ctx := within(t, time.Minute)
	c := cursor{cluster: newSink(t, b, topic, "").cluster, topic: topic}
	var begin int64 = -1
	for {
		end, err := c.end(ctx)
		if begin < 0 && err == nil {
			begin = end
		}
		if err == nil && end > begin+500 {
			return
		}
		select {
		case err := <-done:
			done <- err
			return
		default:
		}
		if !sleep(ctx, time.Millisecond) {
			t.Fatal("the topic doesn't grow")
		}
	}
}

// stopped stops the broker's clock, and returns when all of it stands: a thread that runs may answer a little longer.
func stopped(t *testing.T, b *broker) {
	t.Helper()
	b.cmd.Process.Signal(syscall.SIGSTOP)
	tasks := fmt.Sprintf("/proc/%d/task", b.cmd.Process.Pid)
	ctx := within(t, time.Minute)
	for {
		threads, err := os.ReadDir(tasks)
		if err != nil {
			t.Fatal(err)
		}
		running := slices.ContainsFunc(threads, func(thread os.DirEntry) bool {
			stat, err := os.ReadFile(filepath.Join(tasks, thread.Name(), "stat"))
			return err == nil && !strings.Contains(string(stat), ") T ") // one that can't be read has ended
		})
		if !running {
			return
		}
		if !sleep(ctx, time.Millisecond) {
			t.Fatal("the broker doesn't stop")
		}
	}
}

// TestBrokerStopped: a broker that holds its connections and answers nothing is slow, and goes on where it was.
func TestBrokerStopped(t *testing.T) {
	b := startBroker(t, "", "")
	topic := topicOf(t)
	s := newSink(t, b, topic, "")
	a, _ := open(t, s, 1)
	want := changes(1, 30)
	appendTo(t, a, want[:10]...)
	stopped(t, b)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	began := time.Now()
	err := a.Append(ctx, batch(want[10:20]...))
	if e := trouble(t, err); e.Code != changefeed.CodeBrokerSlow || e.Final {
		t.Errorf("a broker that was stopped gives %+v", *e)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("append outlasts its context by %s", took-time.Second)
	}
	b.cmd.Process.Signal(syscall.SIGCONT)
	if err := feeder(within(t, time.Minute), s, want, 7); err != nil {
		t.Fatal(err)
	}
	same(t, contents(t, b, topic, ""), want)
}

func TestBrokerDown(t *testing.T) {
	s := newSink(t, &broker{addr: "127.0.0.1:1"}, "x", "")
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _, err := s.open(ctx, target(1))
	if e := trouble(t, err); e.Code != changefeed.CodeBrokerDown || e.Final || !strings.Contains(e.Error(), "connection refused") {
		t.Errorf("no broker gives %+v", *e)
	}
}

// TestRepeatIsShown: the meter says what a request is repeated after, while it is, and no longer.
func TestRepeatIsShown(t *testing.T) {
	b := startBroker(t, "", "")
	s := newSink(t, b, topicOf(t), "")
	a, _ := open(t, s, 1)
	want := changes(1, 3)
	appendTo(t, a, want[0])
	if e := a.meter.Trying.Load(); e != nil {
		t.Errorf("all is well, and the meter shows %v", e)
	}
	b.kill()
	done := make(chan error, 1)
	ctx := within(t, time.Minute)
	go func() { done <- a.Append(ctx, batch(want[1])) }()
	for {
		if e := a.meter.Trying.Load(); e != nil {
			if e.Code != changefeed.CodeBrokerDown || e.Stage != changefeed.StageBroker {
				t.Errorf("the broker is down, and the meter shows %+v", *e)
			}
			break
		}
		if !sleep(ctx, time.Millisecond) {
			t.Fatal("the meter shows nothing")
		}
	}
	if err := b.start(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if e := a.meter.Trying.Load(); e != nil {
		t.Errorf("all is well again, and the meter shows %v", e)
	}
}

func TestWrongPartitionCount(t *testing.T) {
	topic := topicOf(t)
	s := newSink(t, shared, topic, "")
	open(t, s, 1)
	other := target(1)
	other.Partitions = 3
	_, _, err := s.open(within(t, time.Minute), other)
	if e := trouble(t, err); e.Code != changefeed.CodeTopic || !e.Final || !strings.Contains(e.What, "1 partitions") {
		t.Errorf("a topic of another shape gives %+v", *e)
	}
}

func TestMissingTopic(t *testing.T) {
	s := newSink(t, shared, topicOf(t), "create=false")
	_, _, err := s.open(within(t, time.Minute), target(1))
	if e := trouble(t, err); e.Code != changefeed.CodeTopic || e.Final {
		t.Errorf("a missing topic gives %+v", *e)
	}
	s = newSink(t, shared, topicOf(t), "topic-config.cleanup.policy=nonsense")
	_, _, err = s.open(within(t, time.Minute), target(1))
	if e := trouble(t, err); e.Code != changefeed.CodeSinkConfig || !e.Final {
		t.Errorf("a wrong setting gives %+v", *e)
	}
}

// parts cuts a value as a writer does.
func parts(m message.Message, size int) []message.Message {
	var all []message.Message
	whole := m.Value
	for at := 0; at < len(whole); at += size {
		p := m
		p.Value, p.Offset, p.Total = whole[at:min(at+size, len(whole))], uint64(at), uint64(len(whole))
		all = append(all, p)
	}
	return all
}

// randomValue is one that can't be compressed.
func randomValue(n int) string {
	r := rand.New(rand.NewPCG(7, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// TestLargest: messages that fill a record batch to its last byte, whatever the topic takes and however it is compressed.
func TestLargest(t *testing.T) {
	for _, limit := range []int{2000, 5000, 1048588, 3_000_000} {
		for c := CompressNone; c <= CompressZstd; c++ {
			t.Run(fmt.Sprintf("%d/%s", limit, c), func(t *testing.T) {
				topic := topicOf(t)
				s := newSink(t, shared, topic, fmt.Sprintf("compression=%s&topic-config.max.message.bytes=%d", c, limit))
				a, _ := open(t, s, 1)
				if a.limit != limit {
					t.Fatalf("the limit is %d, the topic's %d", a.limit, limit)
				}
				m := change(1, randomValue(2*limit))
				m.Chain[0], m.Prev = 9, change(7, "").Position
				want := parts(m, a.MaxBytes()-len(m.Key))
				appendTo(t, a, want...)
				got := contents(t, shared, topic, "")
				same(t, got, want)
				var whole bytes.Buffer
				for i := range got {
					whole.Write(got[i].Value)
					if got[i].Chain != m.Chain || got[i].Prev != m.Prev {
						t.Fatalf("part %d has chain %s after %s", i, got[i].Chain, got[i].Prev)
					}
				}
				if whole.String() != string(m.Value) {
					t.Fatal("the value was altered")
				}
				if _, last := open(t, s, 2); last.Offset != want[len(want)-1].Offset {
					t.Fatalf("the topic ends with the part at %d", last.Offset)
				}
			})
		}
	}
}

// TestLimitLowered: the broker takes less than it said when the stream was opened; the next one asks again.
func TestLimitLowered(t *testing.T) {
	topic := topicOf(t)
	s := newSink(t, shared, topic, "compression=none")
	a, _ := open(t, s, 1)
	setTopic(t, topic, "max.message.bytes", "3000")
	err := a.Append(within(t, time.Minute), batch(change(1, strings.Repeat("x", 10_000))))
	if e := trouble(t, err); e.Code != changefeed.CodeMessageTooLarge || e.Final {
		t.Fatalf("a batch that is too large gives %+v", *e)
	}
	a, _ = open(t, s, 2)
	if a.limit != 3000 {
		t.Fatalf("the limit is %d then", a.limit)
	}
	want := parts(change(1, strings.Repeat("x", 10_000)), a.MaxBytes()-10)
	appendTo(t, a, want...)
	same(t, contents(t, shared, topic, ""), want)
}

func setTopic(t *testing.T, topic, name, value string) {
	t.Helper()
	r, err := shared.admin().IncrementalAlterConfigs(within(t, time.Minute), &kafkago.IncrementalAlterConfigsRequest{
		Resources: []kafkago.IncrementalAlterConfigsRequestResource{{ResourceType: kafkago.ResourceTypeTopic, ResourceName: topic,
			Configs: []kafkago.IncrementalAlterConfigsRequestConfig{{Name: name, Value: value, ConfigOperation: kafkago.ConfigOperationSet}}}}})
	if err == nil {
		err = r.Resources[0].Error
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestForeign: what others wrote into the topic.
func TestForeign(t *testing.T) {
	topic := topicOf(t)
	s := newSink(t, shared, topic, "")
	a, _ := open(t, s, 1)
	want := changes(1, 4)
	appendTo(t, a, want[:2]...)
	strange(t, topic)
	a, last := open(t, s, 2)
	same(t, []message.Message{last}, want[1:2])
	appendTo(t, a, want[2:]...)
	same(t, contents(t, shared, topic, ""), want)

	others(t, s)
	a, last = open(t, s, 4) // whoever was refused left no harm
	same(t, []message.Message{last}, want[2:])
	appendTo(t, a, changes(4, 5)...)
}

// TestForeignOpened: who opens an empty topic first has it.
func TestForeignOpened(t *testing.T) {
	s := newSink(t, shared, topicOf(t), "")
	open(t, s, 1)
	others(t, s)
	open(t, s, 1)
	others(t, s)
}

// others has streams that aren't ours opened, which must be refused.
func others(t *testing.T, s *Sink) {
	t.Helper()
	for name, change := range map[string]func(*changefeed.Target){
		"another changefeed": func(g *changefeed.Target) { g.Spec.ID = "bills" },
		"another namespace":  func(g *changefeed.Target) { g.Spec.Namespace = "other" },
		"another cluster":    func(g *changefeed.Target) { g.Cluster = "dc-b" },
	} {
		other := target(3)
		change(&other)
		_, _, err := s.open(within(t, time.Minute), other)
		if e := trouble(t, err); e.Code != changefeed.CodeSinkDiverged || !e.Final {
			t.Errorf("%s: %+v", name, *e)
		}
	}
}

// strange writes a record that isn't ours.
func strange(t *testing.T, topic string) {
	t.Helper()
	_, err := shared.admin().Produce(within(t, time.Minute), &kafkago.ProduceRequest{Topic: topic, RequiredAcks: kafkago.RequireAll,
		Records: kafkago.NewRecordReader(kafkago.Record{Value: kafkago.NewBytes([]byte("a stranger"))})})
	if err != nil {
		t.Fatal(err)
	}
}
