package tail

import (
	"fmt"
	"io"
	"testing"

	"github.com/zankv/zankv/cdc/feed/feedtest"
)

// BenchmarkRun prints logs of events of one mutation, in one partition and merged of four.
func BenchmarkRun(b *testing.B) {
	const events = 20000
	for _, partitions := range []int{1, 4} {
		var hs []*feedtest.History
		for i := range partitions {
			h := feedtest.NewHistoryOf(uint32(i))
			for e := range events / partitions {
				h.Set(2, fmt.Sprintf("users:%d", e), "some value of forty bytes, more or less.")
			}
			hs = append(hs, h)
		}
		n := feedtest.NewNamespace(b, hs...)
		for _, follow := range []bool{false, true} {
			b.Run(fmt.Sprintf("partitions=%d/follow=%v", partitions, follow), func(b *testing.B) {
				for b.Loop() {
					cfg := namespaceConfig(n, follow)
					cfg.Count = events
					if err := Run(b.Context(), io.Discard, cfg); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
