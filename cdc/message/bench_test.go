package message

import (
	"context"
	"fmt"
	"testing"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// nowhere is an Appender that keeps nothing.
type nowhere struct{ bytes int64 }

func (a *nowhere) Append(_ context.Context, b *Batch) error { a.bytes += int64(b.Bytes); return nil }
func (a *nowhere) MaxBytes() int                            { return 1 << 20 }
func (a *nowhere) Close() error                             { return nil }

// small are events of one mutation: a SET, or an HSET of a field, with a key of 16 bytes and a value of 32.
func small(op event.Op) (*event.Event, event.Names) {
	const at = 1795255200123456789
	v := event.Version{Time: at, Cluster: 1}
	value := []byte("vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv")
	m := event.Mutation{Op: op, Type: event.TypeString, Key: []byte("key:000012345678"), Value: value, Version: v, Floor: v, ExpiryVersion: v, Command: "set"}
	if op == event.OpHSet {
		m.Type, m.Value, m.Count, m.Command = event.TypeHash, nil, 100, "hset"
		m.Elements = []event.Element{{Sub: []byte("field001"), Value: value, Prev: event.Version{Time: at - 1e9, Cluster: 1}}}
	}
	return &event.Event{Time: at, Wall: at / 1000000, Term: 2, Mutations: []event.Mutation{m}}, event.Names{"", "local"}
}

func BenchmarkWriter(b *testing.B) {
	for _, format := range []changefeed.Format{changefeed.JSON, changefeed.Debezium} {
		for _, op := range []event.Op{event.OpSet, event.OpHSet} {
			b.Run(fmt.Sprintf("%s/%s", format, op), func(b *testing.B) {
				ev, names := small(op)
				sink := &nowhere{}
				w, err := NewWriter(b.Context(), Options{Target: target(changefeed.Spec{Format: format}), Appender: sink})
				if err != nil {
					b.Fatal(err)
				}
				st := event.Stamp{Cluster: "local", Namespace: "default", Position: event.Position{Term: 2, Index: 100041}}
				b.ReportAllocs()
				for b.Loop() {
					st.Prev = st.Position
					st.Position.Index++
					if err := w.Event(b.Context(), &st, ev, names); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(sink.bytes)/float64(b.N), "bytes/event")
			})
		}
	}
}
