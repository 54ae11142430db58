package serve

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/replay/replaypb"
)

// Whatever bytes come, reading them ends with an error or with no more than was counted before: the count is what memory was asked for.
func FuzzDecode(f *testing.F) {
	content, err := proto.Marshal(&replaypb.Range{Slices: []*replaypb.Slice{{Term: 2, Index: 9, Numbers: []uint32{0, 300}, Event: logged(2)}, {Index: 10, Event: logged(1)}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add(content[:len(content)-3])
	chunk, err := proto.Marshal(&replaypb.Chunk{Events: [][]byte{logged(1), logged(3)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(chunk)
	f.Fuzz(func(t *testing.T, b []byte) {
		names := event.Names{"", "dc-a"}
		if c, err := countRange(b); err == nil {
			d := decoder{names: names}
			all, err := d.slices(b, &c)
			n := 0
			for i := range all {
				n += len(all[i].Event.Mutations)
			}
			if err == nil && (len(all) != c.slices || n > c.mutations) {
				t.Fatalf("%d slices, %d mutations; counted %+v", len(all), n, c)
			}
		}
		if c, err := countChunk(b); err == nil {
			d := decoder{names: names}
			if rows, err := d.rows(b, &c); err == nil && len(rows) > c.mutations {
				t.Fatalf("%d rows, counted %+v", len(rows), c)
			}
		}
	})
}
