package datanode

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/resp"
)

// What is of a partition that this node runs has the labels changefeed and partition; what is of a whole changefeed, as etcd shows it, is told by every
// node alike: take the max over nodes.
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
	feedClaimed    = cdcDesc("claimed_timestamp_seconds", "When this node took the partition")

	feedPartitions = desc("changefeed_partitions", "Partitions of a changefeed by state, as etcd shows them", "changefeed", "state")
	feedUnowned    = desc("changefeed_partitions_unowned", "Partitions of a changefeed that should run and have no owner", "changefeed")
	feedBudget     = desc("changefeed_memory_bytes", "What this node may hold of events on their way to sinks")
	feedBudgetUsed = desc("changefeed_memory_used_bytes", "What it holds")
)

func cdcDesc(name, help string, more ...string) *prometheus.Desc {
	return desc("changefeed_"+name, help, append([]string{"changefeed", "partition"}, more...)...)
}

var states = []changefeed.State{changefeed.Normal, changefeed.Warning, changefeed.Paused, changefeed.Failed, changefeed.Finished}

func (c collector) changefeeds(out chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) {
	if c.n.cdc.source == nil {
		return
	}
	for id, s := range c.n.standings() {
		for _, state := range states {
			gauge(feedPartitions, float64(s.states[state]), id, string(state))
		}
		gauge(feedUnowned, float64(s.unowned), id)
	}
	if b := c.n.cdc.budget; b != nil {
		gauge(feedBudget, float64(b.Total()))
		gauge(feedBudgetUsed, float64(b.Used()))
	}
	for _, r := range c.n.running() {
		c.running(&r, out, gauge)
	}
}

// standing is how a changefeed stands by etcd.
type standing struct {
	states  map[changefeed.State]int
	unowned int
}

func (n *Node) standings() map[string]standing {
	all := map[string]standing{}
	now := time.Now()
	for id, f := range n.opts.Changefeeds.Registry.View().Feeds {
		s := standing{states: map[changefeed.State]int{}}
		partitions, _ := n.partitionsOf(f.Spec.Namespace)
		for number := range partitions {
			state, trouble := worker.Standing(f, number, now)
			s.states[state]++
			if trouble != nil && trouble.Code == changefeed.CodeNoOwner {
				s.unowned++
			}
		}
		all[id] = s
	}
	return all
}

func (c collector) running(r *worker.Running, out chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) {
	p, f, m := &r.Progress, &r.Progress.Figures, r.Meter
	labels := []string{r.Feed, partitionName(r.Namespace, r.Partition)}
	set := func(d *prometheus.Desc, v float64, more ...string) { gauge(d, v, append(labels[:2:2], more...)...) }
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
	for _, state := range states {
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

// cdcInfo is INFO's section: the feed that is served, and a line for each partition that this node runs, of one namespace or of all when c is nil.
func (n *Node) cdcInfo(c *resp.Namespace) []resp.InfoField {
	m := n.feed.Metrics()
	fields := []resp.InfoField{
		{Name: "feed_streams", Value: strconv.FormatInt(m.Streams.Load(), 10)},
		{Name: "feed_events_sent", Value: strconv.FormatUint(m.Events.Load(), 10)},
		{Name: "feed_bytes_sent", Value: strconv.FormatUint(m.Bytes.Load(), 10)},
	}
	if n.cdc.source == nil {
		return fields
	}
	defined := 0
	for _, f := range n.opts.Changefeeds.Registry.View().Feeds {
		if c == nil || f.Spec.Namespace == c.Name {
			defined++
		}
	}
	var lines []resp.InfoField
	for _, r := range n.running() {
		if c == nil || r.Namespace == c.Name {
			lines = append(lines, infoOf(&r))
		}
	}
	fields = append(fields, resp.InfoField{Name: "changefeeds", Value: strconv.Itoa(defined)},
		resp.InfoField{Name: "changefeed_partitions_run", Value: strconv.Itoa(len(lines))})
	if b := n.cdc.budget; b != nil {
		fields = append(fields, resp.InfoField{Name: "changefeed_memory_used", Value: strconv.FormatInt(b.Used(), 10)},
			resp.InfoField{Name: "changefeed_memory_max", Value: strconv.FormatInt(b.Total(), 10)})
	}
	return append(fields, lines...)
}

func infoOf(r *worker.Running) resp.InfoField {
	p, f := &r.Progress, &r.Progress.Figures
	text := fmt.Sprintf("state=%s,position=%s,epoch=%d,lag_seconds=%.3f,lag_entries=%d,lag_bytes=%d,eta_seconds=%.1f,events=%d,bytes=%d,events_per_sec=%.1f,retries=%d,buffered_bytes=%d",
		p.State, p.Position, r.Epoch, f.LagSeconds, f.LagEntries, f.LagBytes, f.ETASeconds, r.Meter.Events.Load(), r.Meter.Bytes.Load(), f.EventsPerSecond,
		r.Meter.Retries.Load(), r.Meter.Buffered.Load())
	if t := p.Trouble; t != nil {
		text += fmt.Sprintf(",stage=%s,code=%s", t.Stage, t.Code)
	}
	return resp.InfoField{Name: "changefeed_" + r.Feed + "_" + partitionName(r.Namespace, r.Partition), Value: text}
}

// changefeedStats is one partition that this node runs, in /stats.
type changefeedStats struct {
	Changefeed string              `json:"changefeed"`
	Partition  string              `json:"partition"`
	Epoch      uint64              `json:"epoch"`
	Since      time.Time           `json:"since"`
	Progress   changefeed.Progress `json:"progress"`
	// Times are shares of the last ten seconds.
	Times map[string]float64 `json:"time_shares"`
}

func (n *Node) cdcStats() any {
	m := n.feed.Metrics()
	running := []changefeedStats{}
	for _, r := range n.running() {
		f := &r.Progress.Figures
		running = append(running, changefeedStats{
			Changefeed: r.Feed, Partition: partitionName(r.Namespace, r.Partition), Epoch: r.Epoch, Since: r.Since, Progress: r.Progress,
			Times: map[string]float64{"source": f.WaitSource, "encode": f.Encoding, "quota": f.WaitQuota, "sink": f.WaitSink, "throttled": f.Throttled},
		})
	}
	stats := map[string]any{
		"feed":        map[string]any{"streams": m.Streams.Load(), "events": m.Events.Load(), "bytes": m.Bytes.Load()},
		"changefeeds": running,
	}
	if b := n.cdc.budget; b != nil {
		stats["memory_used"], stats["memory_max"] = b.Used(), b.Total()
	}
	return stats
}

// retainedIndex reads the index out of a position, as far as one is known.
func retainedIndex(text string) (uint64, bool) {
	p, err := event.ParsePosition(text)
	return p.Index, err == nil
}
