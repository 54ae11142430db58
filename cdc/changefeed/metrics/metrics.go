// Package metrics shows what the changefeeds of a process do, by the same names wherever they run: Prometheus metrics and JSON.
package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/cdc/event"
)

// What is of a partition has the labels changefeed and partition.
var (
	feedCheckpoint = cdcDesc("checkpoint_index", "Index up to which the sink has everything")
	feedTimestamp  = cdcDesc("checkpoint_timestamp_seconds", "Time up to which the sink has everything")
	feedLag        = cdcDesc("checkpoint_lag_seconds", "Age of the oldest event that the sink doesn't have")
	feedLagEntries = cdcDesc("checkpoint_lag_entries", "Entries of the log between the checkpoint and its head")
	feedLagBytes   = cdcDesc("checkpoint_lag_bytes", "Bytes of these, about")
	feedETA        = cdcDesc("catchup_eta_seconds", "When the sink will have caught up; 0: it has, -1: the lag doesn't shrink")
	feedSent       = cdcDesc("events_total", "Events taken since the claim")
	feedMutations  = cdcDesc("mutations_total", "Mutations of these")
	feedFiltered   = cdcDesc("filtered_mutations_total", "Of these, the ones that the filter left out")
	feedMessages   = cdcDesc("messages_total", "Messages written to the sink")
	feedSentBytes  = cdcDesc("bytes_total", "Bytes of these")
	feedRetries    = cdcDesc("retries_total", "Attempts that failed and were begun anew")
	feedSnaps      = cdcDesc("snapshots_total", "Snapshots begun because the place in the log was lost")
	feedBuffered   = cdcDesc("buffered_bytes", "What the writer holds and the sink hasn't yet")
	feedOldest     = cdcDesc("oldest_retained_index", "Index of the event before the oldest one left in the log")
	feedHeadroom   = cdcDesc("headroom_bytes", "Bytes that may be written before the place in the log is lost")
	feedState      = cdcDesc("state", "1 for the state that the partition is in", "state")
	feedTrouble    = cdcDesc("trouble", "1 for what holds the partition back", "stage", "code")
	feedThrottled  = cdcDesc("throttled_seconds_total", "Time for which the sink held answers back")
	feedTime       = cdcDesc("time_seconds_total", "Where time went: source (waiting for the feed), encode, quota (budget and bandwidth), sink (waiting for it)", "in")
	feedSink       = cdcDesc("sink_seconds", "Writes to the sink, and the time that they took")
	feedClaimed    = cdcDesc("claimed_timestamp_seconds", "When this process took the partition")

	budget     = desc("memory_bytes", "What this process may hold of events on their way to sinks")
	budgetUsed = desc("memory_used_bytes", "What it holds")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("zankv_changefeed_"+name, help, labels, nil)
}

func cdcDesc(name, help string, more ...string) *prometheus.Desc {
	return desc(name, help, append([]string{"changefeed", "partition"}, more...)...)
}

// States are those that a partition can be in.
var States = []changefeed.State{changefeed.Normal, changefeed.Warning, changefeed.Paused, changefeed.Failed, changefeed.Finished}

// PartitionName is a partition as metrics and INFO name it.
func PartitionName(namespace string, number uint32) string {
	return namespace + "-" + strconv.FormatUint(uint64(number), 10)
}

// Memory collects what a process holds; b may be nil, for one that holds nothing.
func Memory(out chan<- prometheus.Metric, b *changefeed.Budget) {
	if b == nil {
		return
	}
	out <- prometheus.MustNewConstMetric(budget, prometheus.GaugeValue, float64(b.Total()))
	out <- prometheus.MustNewConstMetric(budgetUsed, prometheus.GaugeValue, float64(b.Used()))
}

// Running collects what is known of a partition that this process runs.
func Running(out chan<- prometheus.Metric, r *worker.Running) {
	p, f, m := &r.Progress, &r.Progress.Figures, r.Meter
	labels := []string{r.Feed, PartitionName(r.Namespace, r.Partition)}
	set := func(d *prometheus.Desc, v float64, more ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append(labels[:2:2], more...)...)
	}
	counter := func(d *prometheus.Desc, v float64, more ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, append(labels[:2:2], more...)...)
	}
	set(feedCheckpoint, float64(p.Position.Index))
	set(feedTimestamp, float64(p.Time)/1e9)
	set(feedLag, f.LagSeconds)
	set(feedLagEntries, float64(f.LagEntries))
	set(feedLagBytes, float64(f.LagBytes))
	set(feedETA, f.ETASeconds)
	set(feedBuffered, float64(m.Buffered.Load()))
	set(feedClaimed, float64(r.Since.UnixNano())/1e9)
	if index, ok := retainedIndex(f.OldestRetained); ok {
		set(feedOldest, float64(index))
	}
	if f.HeadroomBytes >= 0 {
		set(feedHeadroom, float64(f.HeadroomBytes))
	}
	for _, state := range States {
		set(feedState, number(p.State == state), string(state))
	}
	if t := p.Trouble; t != nil {
		set(feedTrouble, 1, string(t.Stage), string(t.Code))
	}
	counter(feedSent, float64(m.Events.Load()))
	counter(feedMutations, float64(m.Mutations.Load()))
	counter(feedFiltered, float64(m.Filtered.Load()))
	counter(feedMessages, float64(m.Messages.Load()))
	counter(feedSentBytes, float64(m.Bytes.Load()))
	counter(feedRetries, float64(m.Retries.Load()))
	counter(feedSnaps, float64(m.Snapshots.Load()))
	counter(feedThrottled, seconds(m.Throttled.Load()))
	for in, ns := range map[string]int64{"source": m.WaitSource.Load(), "encode": m.Encoding.Load(), "quota": m.WaitQuota.Load(), "sink": m.WaitSink.Load()} {
		counter(feedTime, seconds(ns), in)
	}
	out <- prometheus.MustNewConstSummary(feedSink, uint64(max(m.SinkCalls.Load(), 0)), seconds(m.SinkNanos.Load()), nil, labels...)
}

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Stats are what is known of a partition that this process runs, as JSON shows it.
type Stats struct {
	Changefeed string              `json:"changefeed"`
	Partition  string              `json:"partition"`
	Epoch      uint64              `json:"epoch"`
	Since      time.Time           `json:"since"`
	Progress   changefeed.Progress `json:"progress"`
	// Times are shares of the last ten seconds.
	Times map[string]float64 `json:"time_shares"`
}

// StatsOf are a partition's.
func StatsOf(r *worker.Running) Stats {
	f := &r.Progress.Figures
	return Stats{
		Changefeed: r.Feed, Partition: PartitionName(r.Namespace, r.Partition), Epoch: r.Epoch, Since: r.Since, Progress: r.Progress,
		Times: map[string]float64{"source": f.WaitSource, "encode": f.Encoding, "quota": f.WaitQuota, "sink": f.WaitSink, "throttled": f.Throttled},
	}
}

// retainedIndex reads the index out of a position, as far as one is known.
func retainedIndex(text string) (uint64, bool) {
	p, err := event.ParsePosition(text)
	return p.Index, err == nil
}
