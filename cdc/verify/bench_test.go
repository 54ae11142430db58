package verify

import (
	"bytes"
	"context"
	"testing"

	"github.com/zankv/zankv/cdc/archive/streamtest"
	"github.com/zankv/zankv/cdc/event"
)

// BenchmarkLines checks lines of one SET each, and of all ops.
func BenchmarkLines(b *testing.B) {
	sets := streamtest.New(1)
	for i := range 20000 {
		v := event.Version{Time: int64(i + 1), Cluster: 1}
		sets.Add(&event.Event{Mutations: []event.Mutation{{Op: event.OpSet, Type: event.TypeString, Key: []byte("users:1234567890"),
			Value: bytes.Repeat([]byte("v"), 32), Version: v, Floor: v, ExpiryVersion: v, Command: "set"}}})
	}
	for name, s := range map[string]*streamtest.Stream{"set": sets, "all": streamtest.New(2).Fill(10000, true)} {
		lines := bytes.Join(s.Lines(), nil)
		for _, replays := range []bool{false, true} {
			o := Options{AllowReplays: replays}
			if replays {
				name += "-replays"
			}
			b.Run(name, func(b *testing.B) {
				b.SetBytes(int64(len(lines)))
				b.ReportAllocs()
				for b.Loop() {
					r, err := Lines(context.Background(), bytes.NewReader(lines), "bench", o)
					if err != nil || !r.OK() {
						b.Fatal(err, r.Partitions)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(s.Lines())), "ns/line")
			})
		}
	}
}
