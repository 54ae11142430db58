package verify

import (
	"bytes"
	"fmt"
	"io"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/kafka"
	"github.com/zankv/zankv/cdc/message"
)

// topic checks all messages that a Kafka topic has now, one of its partitions after the other.
func (r *run) topic(source string) error {
	cfg, err := kafka.ParseURI(source)
	if err != nil {
		return err
	}
	topic, err := kafka.OpenTopic(r.ctx, cfg, r.o.Cluster, r.o.Namespace)
	if err != nil {
		return err
	}
	defer topic.Close()
	ends, err := topic.Ends(r.ctx)
	if err != nil {
		return err
	}
	for n, offsets := range ends {
		if offsets.First == offsets.End {
			continue
		}
		in := kafkaMessages{Reader: topic.Reader(uint32(n), offsets.First, offsets.End), run: r}
		if err := r.messages(&in, offsets.First > 0); err != nil {
			return err
		}
	}
	return nil
}

// messages are those of one partition of a topic, in order.
type messages interface {
	next() (*message.Message, error)
	// of is the stream that the last message says it is of.
	of() id
	where
}

// kafkaMessages reads them from a topic, without a fence's or others' records.
type kafkaMessages struct {
	*kafka.Reader
	run *run
}

func (k *kafkaMessages) next() (*message.Message, error) { return k.Next(k.run.ctx) }

func (k *kafkaMessages) of() id {
	cluster, namespace, number, _ := k.Origin()
	return id{cluster, namespace, number}
}

func (k *kafkaMessages) describe() (string, int64, int64) {
	return fmt.Sprintf("%s, offset %d", k.Reader, k.Offset()), 0, k.Offset()
}

// messages checks one partition of a topic. A topic whose oldest messages were removed may begin in the middle of something: cut says so.
func (r *run) messages(in messages, cut bool) error {
	join := message.Joiner{AllowReplays: r.o.AllowReplays}
	passed := 0
	for {
		m, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if cut && !beginsSomething(m) {
			passed++
			continue
		}
		cut = false
		if err := r.message(in, &join, m); err != nil {
			return err
		}
		if err := r.tick(len(m.Key) + len(m.Value)); err != nil {
			return err
		}
	}
	if passed > 0 {
		text, _, _ := in.describe()
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("%s: the first %d messages belong to something whose beginning the topic no longer has", text, passed))
	}
	return r.partsMissing(in, join.End())
}

func beginsSomething(m *message.Message) bool {
	switch m.Kind {
	case message.Change, message.Filtered:
		return m.Seq == 0 && m.Offset == 0
	case message.Heartbeat, message.SnapshotBegin:
		return m.Offset == 0
	}
	return false
}

// message checks one: what it says beside its line has to be what the line says.
func (r *run) message(in messages, join *message.Joiner, m *message.Message) error {
	line, err := join.Add(m)
	if err != nil {
		*join = message.Joiner{AllowReplays: r.o.AllowReplays}
		return r.unjoined(in, &event.Violation{Promise: event.Atomic, Position: m.Position, What: err.Error()})
	}
	if line == nil {
		return nil
	}
	if err := r.add(line, in); err != nil {
		return err
	}
	if l := &r.line; r.readable {
		switch of := (id{l.Stamp.Cluster, l.Stamp.Namespace, l.Stamp.Partition}); {
		case of != in.of() || l.Stamp.Position != m.Position || l.Seq != m.Seq || message.KindOf(l.Kind) != m.Kind:
			return r.unjoined(in, &event.Violation{Promise: event.Reliable, Position: m.Position,
				What: fmt.Sprintf("the headers say %v, %s %s.%d, the line %v, %s %s.%d", in.of(), m.Kind, m.Position, m.Seq, of, message.KindOf(l.Kind), l.Stamp.Position, l.Seq)})
		case m.Total == 0 && !keyBelongs(m.Key, l):
			return r.unjoined(in, &event.Violation{Promise: event.Reliable, Position: m.Position,
				What: fmt.Sprintf("the message's key is %.80q, the line's %.80q", m.Key, l.Mutation.Key)})
		}
	}
	return nil
}

// keyBelongs says whether a message's key is the one that its line names, or stands for it.
func keyBelongs(key []byte, l *event.Line) bool {
	if l.Kind != event.LineChange || l.Mutation.Op == event.OpRange {
		return true
	}
	return bytes.Equal(key, l.Mutation.Key) || bytes.Equal(key, message.ShortKey(l.Mutation.Key, 0))
}

// unjoined is a message that isn't right in itself.
func (r *run) unjoined(in messages, err *event.Violation) error {
	p, failed := r.partition(in.of())
	if failed == nil {
		p.violated(err, err.Position, in)
	}
	return failed
}

// partsMissing is a stream that ends in the middle of a line.
func (r *run) partsMissing(in messages, err error) error {
	if err == nil {
		return nil
	}
	p, failed := r.partition(in.of())
	if failed == nil && p.found.Problem == nil {
		problem := Problem{Position: p.found.Reached, What: err.Error()}
		problem.locate(in)
		p.found.Verdict, p.found.Problem = Incomplete, &problem
	}
	return failed
}
