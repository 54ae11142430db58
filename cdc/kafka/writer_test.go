package kafka

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/message"
)

// log makes a partition's events as its log would have them: writes and deletions of a few strings, some of them large, some in one event.
func log(n int, seed uint64) (stamps []event.Stamp, events []*event.Event, names event.Names) {
	r := rand.New(rand.NewPCG(seed, 1))
	names = event.Names{"", "dc-a"}
	last := event.Stamp{Cluster: "dc-a", Namespace: "default"}
	var s event.Scratch
	at := time.Now().Add(-time.Hour).UnixNano()
	for i := range n {
		at += 1_000_000
		ev := &event.Event{Time: at, Term: 2}
		for j := range 1 + r.IntN(3) {
			m := event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: fmt.Appendf(nil, "users:%d", r.IntN(8)), Command: "set",
				Value: bytes.Repeat([]byte{byte('a' + i%26)}, r.IntN(4000)*r.IntN(2)), Version: event.Version{Time: at + int64(j), Cluster: 1}}
			if r.IntN(4) == 0 {
				m.Op, m.Command, m.Value = event.OpDel, "del", nil
			}
			ev.Mutations = append(ev.Mutations, m)
		}
		st := last
		st.Prev, st.PrevChain = last.Position, last.Chain
		st.Position = event.Position{Term: 2, Index: last.Position.Index + 1 + r.Uint64N(3)}
		st.Chain = event.NextChain(st.PrevChain, &st, ev, names, &s)
		stamps, events, last = append(stamps, st), append(events, ev), st
	}
	return stamps, events, names
}

// TestWriter: owners that write some events and end in the middle of a batch, or at any place; what stands in the topic in the end is the log.
func TestWriter(t *testing.T) {
	for _, format := range []changefeed.Format{changefeed.JSON, changefeed.Debezium} {
		t.Run(string(format), func(t *testing.T) {
			const seed = 11
			r := rand.New(rand.NewPCG(seed, 2))
			stamps, events, names := log(120, seed)
			topic := topicOf(t)
			s := newSink(t, shared, topic, "compression=none&topic-config.max.message.bytes=2600&tombstones=true")
			ctx := within(t, time.Minute)
			for epoch, done := uint64(1), false; !done; epoch++ {
				g := target(epoch)
				g.Spec.Format = format
				w, err := s.Open(ctx, g)
				if err != nil {
					t.Fatal(err)
				}
				after := w.Resume().After
				stop := r.IntN(12)
				for i := range events {
					if stamps[i].Position.Compare(after) <= 0 {
						continue
					}
					if stop--; stop < 0 {
						break
					}
					if err := w.Event(ctx, &stamps[i], events[i], names); err != nil {
						t.Fatal(err)
					}
				}
				if stop >= 0 || r.IntN(3) == 0 {
					settle(t, w)
				}
				done = stop >= 0 && w.Durable().Position == stamps[len(stamps)-1].Position
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if used := g.Budget.Used(); used != 0 {
					t.Fatalf("%d bytes of the budget weren't given back", used)
				}
			}
			isLog(t, contents(t, shared, topic, ""), stamps, events, names, format)
		})
	}
}

// settle waits until a writer has written what it took.
func settle(t *testing.T, w changefeed.Writer) {
	t.Helper()
	ctx := within(t, time.Minute)
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for before := w.Durable(); ; {
		if !sleep(ctx, 20*time.Millisecond) || w.Err() != nil {
			t.Fatal("the writer doesn't settle: ", w.Err())
		}
		now := w.Durable()
		if now == before {
			return
		}
		before = now
	}
}

// isLog says how a topic's messages differ from a log.
func isLog(t *testing.T, messages []message.Message, stamps []event.Stamp, events []*event.Event, names event.Names, format changefeed.Format) {
	t.Helper()
	var want [][]byte
	for i, ev := range events {
		for j := range ev.Mutations {
			if format == changefeed.Debezium {
				want = append(want, event.AppendDebezium(nil, &stamps[i], ev, j, names))
			} else {
				want = append(want, event.AppendJSON(nil, &stamps[i], ev, j, names))
			}
		}
	}
	var joiner message.Joiner
	var gone string
	n, split, tombstones := 0, 0, 0
	for i := range messages {
		m := &messages[i]
		if m.Total != 0 {
			split++
		}
		if m.Kind == message.Tombstone {
			if string(m.Key) != gone {
				t.Fatalf("a tombstone of %s after the change of %q", m.Key, gone)
			}
			tombstones++
		}
		line, err := joiner.Add(m)
		if err != nil {
			t.Fatal(err)
		}
		if line == nil {
			continue
		}
		if n == len(want) || !bytes.Equal(bytes.TrimSuffix(want[n], []byte("\n")), line) {
			t.Fatalf("line %d of %d is\n%.300s", n, len(want), line)
		}
		gone = string(m.Key)
		n++
	}
	if n != len(want) || joiner.End() != nil || split == 0 || tombstones == 0 {
		t.Fatalf("%d lines, want %d (%d parts, %d tombstones, %v)", n, len(want), split, tombstones, joiner.End())
	}
}
