package worker

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/message"
)

// topic is a sink of messages in memory, with the writer that Kafka and files have. What appending does wrong its failing says, as of a recorder.
type topic struct {
	mu      sync.Mutex
	parts   map[uint32]*topicPart
	delay   time.Duration
	failing func(partition uint32, epoch uint64, what string) error
}

type topicPart struct {
	epoch    uint64
	messages []message.Message
}

func newTopic() *topic { return &topic{parts: map[uint32]*topicPart{}, delay: 50 * time.Millisecond} }

func (s *topic) open(*changefeed.Spec) (changefeed.Sink, error) { return s, nil }
func (s *topic) Close() error                                   { return nil }

func (s *topic) part(n uint32) *topicPart {
	if s.parts[n] == nil {
		s.parts[n] = &topicPart{}
	}
	return s.parts[n]
}

func (s *topic) Open(ctx context.Context, t changefeed.Target) (changefeed.Writer, error) {
	if s.failing != nil {
		if err := s.failing(t.Partition, t.Epoch, "open"); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.part(t.Partition)
	if t.Epoch < p.epoch {
		return nil, fenced
	}
	p.epoch = t.Epoch
	o := message.Options{Target: t, Appender: &topicAppender{s: s, partition: t.Partition, epoch: t.Epoch}}
	if n := len(p.messages); n > 0 {
		o.Tail.Last = p.messages[n-1]
	}
	return message.NewWriter(ctx, o)
}

type topicAppender struct {
	s         *topic
	partition uint32
	epoch     uint64
}

func (a *topicAppender) Append(ctx context.Context, b *message.Batch) error {
	timer := time.NewTimer(a.s.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	var err error
	messages := b.Messages
	if a.s.failing != nil {
		if err = a.s.failing(a.partition, a.epoch, "write"); err != nil {
			messages = messages[:min(err.(*torn).done, len(messages))]
		}
	}
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	p := a.s.part(a.partition)
	if p.epoch != a.epoch {
		return fenced
	}
	for _, m := range messages {
		m.Key, m.Value = bytes.Clone(m.Key), bytes.Clone(m.Value)
		p.messages = append(p.messages, m)
	}
	return err
}

func (a *topicAppender) MaxBytes() int { return 1 << 20 }
func (a *topicAppender) Close() error  { return nil }

// check validates a partition's lines, and gives how many events and whole snapshots they have.
func (s *topic) check(t *testing.T, partition uint32) (events, snapshots int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var v event.Validator
	var p event.Parser
	var l event.Line
	for i, m := range s.part(partition).messages {
		if err := p.Parse(m.Value, &l); err != nil {
			t.Fatalf("line %d: %v", i, err)
		}
		if err := v.Line(&l, p.Names); err != nil {
			t.Fatalf("line %d, %s %s: %v\n%s", i, m.Kind, m.Position, err, s.around(partition, i))
		}
		if m.Kind == message.Change {
			events++
		}
	}
	return events, v.Snapshots()
}

func (s *topic) around(partition uint32, i int) string {
	var b strings.Builder
	all := s.parts[partition].messages
	for j := max(i-5, 0); j < min(i+2, len(all)); j++ {
		fmt.Fprintf(&b, "%d %s %s after %s\n", j, all[j].Kind, all[j].Position, all[j].Prev)
	}
	return b.String()
}

func (s *topic) first(partition uint32) event.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.part(partition).messages {
		if m.Kind == message.Change {
			return m.Position
		}
	}
	return event.Position{}
}

// last is the last event that came, or the base of the last snapshot.
func (s *topic) last(partition uint32) (p event.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.part(partition).messages {
		if m.Kind == message.Change || m.Kind == message.SnapshotEnd {
			p = m.Position
		}
	}
	return p
}

// The whole chain with the writer of Kafka and of files: what stands in the sink in the end is valid line by line, without repeats, whoever died when, and
// with the log truncated under it.
func TestRandomDeathsWithMessages(t *testing.T) {
	first := rand.Uint64N(1 << 32)
	for i := range uint64(10) {
		seed := first + i
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runMessages(t, seed) })
		})
	}
}

func runMessages(t *testing.T, seed uint64) {
	c := &chaos{world: newWorld(t, 2), r: rand.New(rand.NewPCG(seed, 0)), processes: map[string]*process{}}
	sink := newTopic()
	sink.failing = c.fail
	c.opener = sink.open
	truncates := seed%2 == 0
	c.create()
	for range 120 {
		c.step()
		if log := c.source.logs[1]; truncates && c.intN(10) == 0 {
			st, _ := log.replica.State()
			log.replica.Truncate(st.Applied.Index - min(st.Applied.Index, uint64(c.intN(5))))
		}
		time.Sleep(time.Duration(c.intN(400)) * time.Millisecond)
	}
	c.settle()
	for n, log := range c.source.logs {
		events, snapshots := sink.check(t, uint32(n))
		stamps := log.Stamps()
		if len(stamps) == 0 {
			continue
		}
		if last := stamps[len(stamps)-1].Position; sink.last(uint32(n)) != last {
			t.Errorf("partition %d ends at %s, want %s", n, sink.last(uint32(n)), last)
		}
		// A log that was truncated before anybody read it begins later.
		begin := 0
		for truncates && stamps[begin].Position.Compare(sink.first(uint32(n))) < 0 {
			begin++
		}
		if snapshots == 0 && events != len(stamps)-begin {
			t.Errorf("partition %d has %d events, want %d", n, events, len(stamps)-begin)
		}
		if n == 0 && snapshots > 0 {
			t.Errorf("%d snapshots of a partition whose log is whole", snapshots)
		}
	}
	for _, p := range c.processes {
		p.stop()
	}
}

// A checkpoint set back by hand has the rest written again, and the sink goes on from there.
func TestRewindWithMessages(t *testing.T) {
	in(t, 1, func(w *world) {
		sink := newTopic()
		w.opener = sink.open
		w.source.logs[0].add(30)
		w.create()
		p := w.start("a")
		after(3 * time.Second)
		p.stop()
		at := w.source.logs[0].Stamps()[9]
		if err := w.reg.SetProgress(t.Context(), "f", 0, changefeed.Progress{Position: at.Position, Chain: at.Chain, Forced: true}); err != nil {
			t.Fatal(err)
		}
		p = w.start("a")
		after(8 * time.Second)
		w.source.logs[0].add(2)
		after(8 * time.Second)
		if saved := w.wantState(0, changefeed.Normal, ""); saved.Forced || saved.Position.Index < 32 {
			t.Fatalf("saved %+v", saved)
		}
		p.stop()
		var n int
		for _, m := range sink.parts[0].messages {
			if m.Kind == message.Change {
				n++
			}
		}
		if n != 30+20+2 {
			t.Fatalf("%d events were written, want 52", n)
		}
	})
}

// What a filter leaves out leaves nothing in the sink: the checkpoint is beyond its end then, and nothing is lost.
func TestFilteredIsNotLost(t *testing.T) {
	in(t, 1, func(w *world) {
		sink := newTopic()
		w.opener = sink.open
		w.spec.Filter.Ops = []string{"set"}
		log := w.source.logs[0]
		v := event.Version{Time: time.Now().UnixNano(), Cluster: 1}
		set := event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: []byte("k"), Value: []byte("v"), Version: v, Floor: v, ExpiryVersion: v, Command: "set"}
		del := event.Mutation{Op: event.OpDel, Type: event.TypeString, Key: []byte("l"), Version: v, Floor: v, ExpiryVersion: v, Command: "del"}
		add := func(mutations ...event.Mutation) {
			log.Append(1, &event.Event{Time: time.Now().UnixNano(), Term: 1, Mutations: mutations})
		}
		w.create()
		p := w.start("a")
		for _, mutations := range [][]event.Mutation{{set}, {del}, {set, del}} {
			after(8 * time.Second)
			add(mutations...)
			after(1500 * time.Millisecond)
			p.stop()
			p = w.start("b")
			after(2 * time.Second)
			w.wantState(0, changefeed.Normal, "")
		}
		p.stop()
		sink.mu.Lock() // what really lost something says so
		sink.parts[0].messages = sink.parts[0].messages[:1]
		sink.mu.Unlock()
		p = w.start("a")
		after(2 * time.Second)
		w.wantState(0, changefeed.Warning, changefeed.CodeSinkBehind)
		p.stop()
	})
}
