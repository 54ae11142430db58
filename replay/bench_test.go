package replay

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"google.golang.org/grpc"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/replaypb"
)

// idle is a node that takes everything and does nothing.
type idle struct{ *node }

func (n idle) Apply(stream grpc.ClientStreamingServer[replaypb.ApplyRequest, replaypb.ApplyResponse]) error {
	var to *replaypb.Cursor
	for {
		req, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(&replaypb.ApplyResponse{Reached: to})
		}
		if err != nil {
			return err
		}
		if h := req.Header; h != nil {
			to = h.GetRange().To
		}
	}
}

func benchEvents(mutations int) []event.Event {
	r := rand.New(rand.NewPCG(1, 1))
	value := make([]byte, 100)
	events := make([]event.Event, 256)
	for i := range events {
		ev := &events[i]
		ev.Time, ev.Term = int64(i+1)*1e6, 1
		for m := range mutations {
			for b := range value {
				value[b] = "abcdefghijklmnop"[r.IntN(16)]
			}
			ev.Mutations = append(ev.Mutations, event.Mutation{Op: event.OpSet, Type: event.TypeString, Key: fmt.Appendf(nil, "user:%08d", r.IntN(1e8)),
				Value: append([]byte{}, value...), Version: event.Version{Time: ev.Time + int64(m), Cluster: 1}, Group: uint32(m), Command: "set"})
		}
	}
	return events
}

// Mutations through a writer to a target that does nothing, over gRPC, and the least that could be: event.Append of the same.
func BenchmarkWriter(b *testing.B) {
	for _, c := range []struct {
		mutations, partitions int
		options               string
	}{{1, 4, "none"}, {1, 4, "zstd"}, {16, 4, "none"}, {16, 4, "zstd"}, {16, 64, "none"}} {
		b.Run(fmt.Sprintf("mutations=%d/partitions=%d/%s", c.mutations, c.partitions, c.options), func(b *testing.B) {
			benchWriter(b, c.mutations, c.partitions, "?compression="+c.options)
		})
	}
	events := benchEvents(16)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for i := range b.N {
			buf = event.Append(buf[:0], &events[i%len(events)])
		}
		b.ReportMetric(float64(b.N*16)/b.Elapsed().Seconds(), "mutations/s")
	})
}

// What one change takes from the call to the target's answer, when nothing else is under way.
func BenchmarkLatency(b *testing.B) {
	w, s, _ := benchOpen(b, 4, "")
	events := benchEvents(1)
	at := event.Position{Term: 1, Index: 1}
	b.ResetTimer()
	for i := range b.N {
		st := event.Stamp{Prev: at, Position: event.Position{Term: 1, Index: at.Index + 1}}
		at = st.Position
		if err := w.Event(b.Context(), &st, &events[i%len(events)], s.names); err != nil {
			b.Fatal(err)
		}
		for !w.drained() {
			if err := w.wait(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// benchOpen is a writer to a target of so many partitions that does nothing.
func benchOpen(b *testing.B, partitions int, options string) (*Writer, *source, *Sink) {
	t := &theTarget{cluster: "dst", hashName: "crc16", fault: func(string, uint32, uint32) fault { return fault{} }}
	t.serve(b, 1, partitions, func(n *node) replaypb.ReplayServer { return idle{n} })
	for _, r := range t.partitions {
		r.senders["srcns0"] = &place{reached: store.Cursor{Position: event.Position{Term: 1, Index: 1}, Done: store.AllDone}}
	}
	s := newSource(0, 1)
	sink, err := Open(&changefeed.Spec{ID: "f", Namespace: "ns", SinkURI: t.uri(options)}, Options{Confirm: s})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sink.Close() })
	w, err := sink.Open(b.Context(), s.target(&carrying{budget: 64 << 20}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { w.Close() })
	return w.(*Writer), s, sink
}

func benchWriter(b *testing.B, mutations, partitions int, options string) {
	w, s, sink := benchOpen(b, partitions, options)
	events := benchEvents(mutations)
	b.ReportAllocs()
	b.ResetTimer()
	at := event.Position{Term: 1, Index: 1}
	for i := range b.N {
		st := event.Stamp{Prev: at, Position: event.Position{Term: 1, Index: at.Index + 1}}
		at = st.Position
		ev := &events[i%len(events)]
		ev.Time = int64(i+2) * 1e6
		if err := w.Event(b.Context(), &st, ev, s.names); err != nil {
			b.Fatal(err)
		}
	}
	for !w.drained() {
		if err := w.wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N*mutations)/b.Elapsed().Seconds(), "mutations/s")
	b.ReportMetric(float64(sink.Stats().BytesSent)/float64(b.N*mutations), "B/mutation")
}

func (w *Writer) drained() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.emptyLocked()
}
