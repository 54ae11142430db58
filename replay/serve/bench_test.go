package serve

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/replay/replaypb"
)

// benchRange is a range of 256 events with 16 mutations each.
func benchRange(b *testing.B) []byte {
	r := &replaypb.Range{}
	for i := range uint64(256) {
		r.Slices = append(r.Slices, &replaypb.Slice{Term: 2, Index: i + 1, Event: logged(16)})
	}
	content, err := proto.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	b.ResetTimer()
	return content
}

// What it costs to count and decode a range.
func BenchmarkDecode(b *testing.B) {
	content := benchRange(b)
	for b.Loop() {
		c, err := countRange(content)
		if err != nil {
			b.Fatal(err)
		}
		d := decoder{names: event.Names{"", "dc-a"}}
		if _, err := d.slices(content, &c); err != nil {
			b.Fatal(err)
		}
	}
}

// The same with protobuf's own code, and without a look at what it takes.
func BenchmarkDecodeProtobuf(b *testing.B) {
	content := benchRange(b)
	for b.Loop() {
		var r replaypb.Range
		if err := proto.Unmarshal(content, &r); err != nil {
			b.Fatal(err)
		}
		for _, s := range r.Slices {
			var ev event.Event
			if err := event.Decode(s.Event, &ev); err != nil {
				b.Fatal(err)
			}
		}
	}
}
