package syncer

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zankv/zankv/cdc/changefeed/metrics"
	"github.com/zankv/zankv/replay/writestats"
)

// What is of the changefeeds has the names that data nodes give it.
var (
	up          = desc("uptime_seconds", "Time since the process started")
	info        = desc("info", "1, with the clusters and the process's name", "source", "target", "name")
	sentBytes   = desc("sent_bytes_total", "Bytes sent to the target by the sinks that are open, as they went out")
	plainBytes  = desc("sent_content_bytes_total", "Bytes of these before compression")
	fullSyncing = desc("full_sync", "1 while the state of a partition is on its way to the target", "partition")
	fullKeys    = desc("full_sync_keys", "Keys of these read so far", "partition")
	fullTotal   = desc("full_sync_keys_expected", "About how many there are", "partition")
	targetLag   = desc("target_lag_seconds", "How far a partition of the target is behind what was read of one of the source", "partition", "target")
	applied     = desc("applied_mutations_total", "Mutations that a partition of the target took, since the claim", "partition", "target")
	skipped     = desc("skipped_mutations_total", "Mutations that it had already", "partition", "target")
	conflicts   = desc("conflicts_total", "Mutations that got a row in its conflict log", "partition", "target")
	retries     = desc("target_retries_total", "Calls that were repeated", "partition", "target")
	latencyDesc = desc("event_age_seconds", "Age of events: received from the source, written to the target", "at")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("zankv_syncer_"+name, help, labels, nil)
}

// collector reads the process's figures.
type collector struct{ s *Syncer }

// Describe implements prometheus.Collector: without descriptions given, what is collected isn't checked against them, as the set of
// partitions changes.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(up, time.Since(c.s.began).Seconds())
	gauge(info, 1, c.s.sourceID, c.s.targetID, c.s.o.Name)
	wire, plain := c.s.sent()
	counter(sentBytes, wire)
	counter(plainBytes, plain)
	metrics.Memory(out, c.s.budget)
	for _, p := range c.s.Partitions() {
		metrics.Running(out, &p.Running)
		c.partition(&p, gauge, counter)
	}
	out <- histogram(&c.s.sinks.received, "received")
	out <- histogram(&c.s.sinks.written, "written")
}

func (c collector) partition(p *Partition, gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, uint64, ...string)) {
	name := p.Name()
	if f := p.FullSync; f != nil {
		gauge(fullSyncing, 1, name)
		gauge(fullKeys, float64(f.Keys), name)
		gauge(fullTotal, float64(f.TotalKeys), name)
	} else {
		gauge(fullSyncing, 0, name)
	}
	if p.Target == nil {
		return
	}
	for _, t := range p.Target.Targets {
		to := fmt.Sprint(t.Partition)
		gauge(targetLag, t.LagSeconds, name, to)
		counter(applied, t.Applied, name, to)
		counter(skipped, t.Skipped, name, to)
		counter(conflicts, t.Conflicts, name, to)
		counter(retries, t.Retries, name, to)
	}
}

// histogram shows a latency's buckets, by their upper bounds.
func histogram(l *writestats.Latency, at string) prometheus.Metric {
	counts := l.Counts()
	buckets, count := map[float64]uint64{}, uint64(0)
	for i, n := range counts {
		count += n
		if i < len(counts)-1 {
			buckets[(time.Millisecond << i).Seconds()] = count
		}
	}
	return prometheus.MustNewConstHistogram(latencyDesc, count, l.Total().Seconds(), buckets, at)
}
