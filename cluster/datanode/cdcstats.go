package datanode

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/metrics"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/cluster/resp"
)

// What is of a whole changefeed, as etcd shows it, is told by every node alike: take the max over nodes.
var (
	feedPartitions = desc("changefeed_partitions", "Partitions of a changefeed by state, as etcd shows them", "changefeed", "state")
	feedUnowned    = desc("changefeed_partitions_unowned", "Partitions of a changefeed that should run and have no owner", "changefeed")
)

func (c collector) changefeeds(out chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) {
	if c.n.cdc.source == nil {
		return
	}
	for id, s := range c.n.standings() {
		for _, state := range metrics.States {
			gauge(feedPartitions, float64(s.states[state]), id, string(state))
		}
		gauge(feedUnowned, float64(s.unowned), id)
	}
	metrics.Memory(out, c.n.cdc.budget)
	for _, r := range c.n.running() {
		metrics.Running(out, &r)
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

func (n *Node) cdcStats() any {
	m := n.feed.Metrics()
	running := []metrics.Stats{}
	for _, r := range n.running() {
		running = append(running, metrics.StatsOf(&r))
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
