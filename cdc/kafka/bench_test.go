package kafka_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/kafka"
	"github.com/zankv/zankv/cdc/kafka/kafkabench"
)

// BenchmarkAppend has the sink against kafka-go's own writer: -benchtime says how many messages of 128 bytes' value.
func BenchmarkAppend(b *testing.B) {
	for c := kafka.CompressNone; c <= kafka.CompressZstd; c++ {
		b.Run(c.String(), func(b *testing.B) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			o := kafkabench.Options{Broker: kafka.SharedBroker(), Prefix: fmt.Sprintf("bench-%s-%d", c, time.Now().UnixNano()), Compression: c,
				Messages: b.N, ValueBytes: 128, Seed: 1}
			r, err := kafkabench.Run(ctx, o)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(r.Sink.PerSecond(), "sink/s")
			b.ReportMetric(r.Bare.PerSecond(), "bare/s")
			b.ReportMetric(r.Sink.MBPerSecond(), "MB/s")
			b.ReportMetric(r.Ratio(), "ratio")
		})
	}
}
