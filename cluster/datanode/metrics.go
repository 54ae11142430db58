package datanode

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/wal"
)

// metrics is /metrics: figures are collected when asked for, so that counting costs the hot path nothing.
func (n *Node) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{n})
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("zankv_"+name, help, labels, nil)
}

var (
	partitionLeader   = desc("partition_leader", "1 if this replica serves as the leader", "partition")
	partitionTerm     = desc("partition_term", "Raft term", "partition")
	partitionApplied  = desc("partition_applied_index", "Index of the last applied entry", "partition")
	partitionBacklog  = desc("partition_backlog_bytes", "Committed entries that wait to be applied", "partition")
	partitionKeys     = desc("partition_keys", "Keys, expired ones that are not yet removed included", "partition")
	partitionExpiring = desc("partition_expiring_keys", "Keys with an expiry", "partition")
	partitionEvents   = desc("partition_events_total", "Events of the feed", "partition")
	partitionRole     = desc("partition_syncer_only", "1 if this replica knows that only the syncer may write to the partition", "partition")
	partitionLogFirst = desc("partition_log_first_index", "Oldest entry left in the log", "partition")
	partitionLogBytes = desc("partition_log_bytes", "Entries left in the log", "partition")
	partitionOldest   = desc("partition_oldest_retained_index", "Index of the event before the oldest one left in the log", "partition")
	partitionAge      = desc("partition_oldest_retained_timestamp_seconds", "When about the oldest entry left in the log was written", "partition")
	consumerLimit     = desc("cdc_consumer_limit_bytes", "How much of the log consumers can hold back", "partition")
	consumerLimitAge  = desc("cdc_consumer_limit_seconds", "How old what they hold back can grow", "partition")
	consumerEntries   = desc("cdc_consumer_lag_entries", "Entries that a registered consumer hasn't read", "partition", "consumer")
	consumerBytes     = desc("cdc_consumer_lag_bytes", "Bytes of these", "partition", "consumer")
	consumerLag       = desc("cdc_consumer_lag_seconds", "Age of the oldest of these", "partition", "consumer")
	consumerLeft      = desc("cdc_consumer_headroom_bytes", "Bytes that may be written to the partition before the consumer's place is lost", "partition", "consumer")
	consumerLeftDisk  = desc("cdc_consumer_headroom_disk_bytes", "Bytes that may be written to the node's log before the consumer's place is lost", "partition", "consumer")
	consumerLeftTime  = desc("cdc_consumer_headroom_seconds", "Time before the consumer's place is lost", "partition", "consumer")
	consumerLost      = desc("cdc_consumer_lost", "1 if events that the consumer hasn't read are gone from this replica's log", "partition", "consumer")
	feedStreams       = desc("feed_streams", "Subscriptions to the feed that are served")
	feedSnapshots     = desc("feed_snapshots", "Snapshots of a partition's state that are being read")
	feedEvents        = desc("feed_events_total", "Events sent to subscribers")
	feedBytes         = desc("feed_bytes_total", "Bytes of these")
	feedRows          = desc("feed_snapshot_rows_total", "Rows of snapshots sent")
	engineDisk        = desc("engine_disk_bytes", "Table files of the partition's store", "partition")
	engineMemtable    = desc("engine_memtable_bytes", "Memtables of the partition's store", "partition")
	enginePending     = desc("engine_compaction_pending_bytes", "Bytes that compaction has yet to rewrite", "partition")
	engineStopped     = desc("engine_write_stopped", "1 if the store takes no writes until compaction catches up", "partition")
	walSegments       = desc("wal_segments", "Segments in the log")
	walDisk           = desc("wal_disk_bytes", "Disk space of the log's segments")
	walOverCap        = desc("wal_over_cap_bytes", "How far the log is over its disk cap")
	walEntries        = desc("wal_entries_total", "Entries written")
	walFrames         = desc("wal_frames_total", "Frames written, one a round")
	walBytes          = desc("wal_written_bytes_total", "Bytes written, padding included")
	walSyncs          = desc("wal_sync_seconds", "Syncs of the log")
	rowCacheBytes     = desc("row_cache_bytes", "Recently used rows")
	clients           = desc("clients", "Client connections")
	commandsTotal     = desc("commands_total", "Commands answered", "command")
	forwardedTotal    = desc("forwarded_total", "Requests sent on to the partition's leader")
	forwardLostTotal  = desc("forward_lost_total", "Of these, the ones whose answer was lost")
	netInTotal        = desc("net_in_bytes_total", "Bytes from clients")
	netOutTotal       = desc("net_out_bytes_total", "Bytes to clients")
	protocolErrors    = desc("protocol_errors_total", "Connections closed for malformed input")
	up                = desc("uptime_seconds", "Time since the node started")
)

// collector reads the node's figures.
type collector struct{ n *Node }

// Describe implements prometheus.Collector: without descriptions given, what is collected isn't checked against them, as the set of
// partitions changes.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(up, time.Since(c.n.started).Seconds())
	c.log(out, gauge)
	active := c.n.activities()
	c.n.table.each(func(ns *namespace, r *partition.Replica) bool {
		c.partition(r, gauge)
		c.replicated(ns, r, out, active, gauge)
		return true
	})
	c.replay(out, gauge)
	c.feed(out, gauge)
	c.frontEnd(out, gauge)
	c.changefeeds(out, gauge)
}

func (c collector) feed(out chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) {
	m := c.n.feed.Metrics()
	gauge(feedStreams, float64(m.Streams.Load()))
	gauge(feedSnapshots, float64(m.Snapshots.Load()))
	counter := func(d *prometheus.Desc, v uint64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	counter(feedEvents, m.Events.Load())
	counter(feedBytes, m.Bytes.Load())
	counter(feedRows, m.Rows.Load())
}

func (c collector) log(out chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) {
	s := c.n.log.Stats()
	gauge(walSegments, float64(s.Segments))
	gauge(walDisk, float64(s.DiskBytes))
	gauge(walOverCap, float64(s.OverCap))
	counter := func(d *prometheus.Desc, v uint64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	counter(walEntries, s.Entries)
	counter(walFrames, s.Frames)
	counter(walBytes, s.Bytes)
	buckets := make(map[float64]uint64, len(wal.SyncBounds))
	sum := uint64(0)
	for i, bound := range wal.SyncBounds {
		sum += s.SyncBuckets[i]
		buckets[bound.Seconds()] = sum
	}
	out <- prometheus.MustNewConstHistogram(walSyncs, s.Syncs, s.SyncTime.Seconds(), buckets)
	gauge(rowCacheBytes, float64(c.n.cache.Stats().Bytes))
}

func (c collector) partition(r *partition.Replica, gauge func(*prometheus.Desc, float64, ...string)) {
	s, ok := r.State()
	m, open := r.EngineMetrics()
	if !ok || !open {
		return
	}
	name, log := r.Name(), r.LogStats()
	gauge(partitionLeader, number(r.Leading()), name)
	gauge(partitionTerm, float64(r.Leadership().Term), name)
	gauge(partitionApplied, float64(s.Applied.Index), name)
	gauge(partitionBacklog, float64(r.Backlog()), name)
	gauge(partitionKeys, float64(s.Keys), name)
	gauge(partitionExpiring, float64(s.Expiring), name)
	gauge(partitionEvents, float64(s.Events), name)
	if role, ok := r.Role(); ok {
		gauge(partitionRole, number(role.SyncerOnly), name)
	}
	gauge(partitionLogFirst, float64(log.First), name)
	gauge(partitionLogBytes, float64(log.Bytes), name)
	gauge(engineDisk, float64(m.DiskBytes), name)
	gauge(engineMemtable, float64(m.MemtableBytes), name)
	gauge(enginePending, float64(m.PendingCompact), name)
	gauge(engineStopped, number(m.WriteStopped), name)
	c.consumers(r, gauge)
}

// consumers are those of a partition that is led here: a follower's log may hold a little more or less for them.
func (c collector) consumers(r *partition.Replica, gauge func(*prometheus.Desc, float64, ...string)) {
	h, err := r.Holding()
	if err != nil {
		return
	}
	name := r.Name()
	gauge(partitionOldest, float64(h.Oldest.Index), name)
	if !h.OldestTime.IsZero() {
		gauge(partitionAge, float64(h.OldestTime.Unix()), name)
	}
	gauge(consumerLimit, float64(h.LimitBytes), name)
	gauge(consumerLimitAge, h.LimitAge.Seconds(), name)
	if !r.Leading() {
		return
	}
	for _, one := range h.Consumers {
		gauge(consumerEntries, float64(one.LagEntries), name, one.ID)
		gauge(consumerBytes, float64(one.LagBytes), name, one.ID)
		gauge(consumerLag, one.Lag.Seconds(), name, one.ID)
		gauge(consumerLeft, float64(one.HeadroomBytes), name, one.ID)
		gauge(consumerLeftTime, one.Headroom.Seconds(), name, one.ID)
		if one.HeadroomDisk >= 0 {
			gauge(consumerLeftDisk, float64(one.HeadroomDisk), name, one.ID)
		}
		gauge(consumerLost, number(one.Lost), name, one.ID)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (c collector) frontEnd(out chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) {
	s := c.n.front.Stats()
	gauge(clients, float64(s.Clients))
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for command, calls := range s.Calls {
		counter(commandsTotal, calls, command)
	}
	counter(forwardedTotal, s.Forwarded)
	counter(forwardLostTotal, s.ForwardLost)
	counter(netInTotal, s.NetInBytes)
	counter(netOutTotal, s.NetOutBytes)
	counter(protocolErrors, s.ProtocolErrors)
}
