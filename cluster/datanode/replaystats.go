package datanode

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/resp"
	"github.com/zankv/zankv/conflict"
	"github.com/zankv/zankv/replay/problem"
	"github.com/zankv/zankv/replay/serve"
	"github.com/zankv/zankv/replay/writestats"
)

// What is of a partition is exported by who leads it. sender is cluster/namespace-n, a partition of another cluster.
var (
	replayIndex     = desc("replay_place_index", "Index in the sender's log up to which its changes are here", "partition", "sender")
	replayTime      = desc("replay_place_timestamp_seconds", "When the sender wrote the last of what is here", "partition", "sender")
	replayLag       = desc("replay_lag_seconds", "Age of that", "partition", "sender")
	replaySyncing   = desc("replay_syncing", "1 while a full sync from the sender is under way", "partition", "sender")
	replayNeeds     = desc("replay_needs_sync", "1 if the sender needs a full sync that isn't under way", "partition", "sender")
	replayETA       = desc("replay_catchup_eta_seconds", "When the sender will have caught up; 0: it has, -1: the lag doesn't shrink, or that isn't known", "partition", "sender")
	replayRefused   = desc("replay_refused", "1 for the problem that the sender's last call ended with", "partition", "sender", "kind")
	replayOffset    = desc("replay_clock_offset_seconds", "By how much a version of the sender is ahead of the clock, while that stops it", "partition", "sender")
	peerTime        = desc("replay_peer_confirmed_timestamp_seconds", "Up to when the peer has what was written here; 0: nothing yet", "partition", "peer")
	peerLag         = desc("replay_peer_lag_seconds", "Age of that", "partition", "peer")
	replayWatermark = desc("replay_watermark_timestamp_seconds", "Up to when deletions are forgotten", "partition")
	conflictRows    = desc("conflict_log_rows", "Conflicts in the log", "partition")
	conflictBytes   = desc("conflict_log_bytes", "Bytes of the conflict log", "partition")
	conflictLimit   = desc("conflict_log_limit_bytes", "How much of the conflict log is kept", "partition")
	divergedKeys    = desc("diverged_keys", "Keys that are known to differ between this cluster and another, and wait for repair", "partition")
	conflictsTotal  = desc("conflicts_total", "Conflicts since the node leads the partition, by their reason", "partition", "reason")

	replayCalls     = desc("replay_calls", "Ranges and chunks of other clusters that are being taken")
	replayRanges    = desc("replay_ranges_total", "Ranges of other clusters' logs, and chunks of their state, that were given to partitions", "of")
	replayBytes     = desc("replay_bytes_total", "Bytes of these, as they came and unpacked", "form")
	replayMutations = desc("replay_mutations_total", "Mutations of these by what became of them: applied, skipped (here already), conflicting (got a row in the conflict log, whatever was decided)", "result")
	replayRefusals  = desc("replay_refusals_total", "Calls that ended with a problem", "kind")
	replayMemory    = desc("replay_memory_bytes", "What changes of other clusters may take on their way in")
	replayUsed      = desc("replay_memory_used_bytes", "What they take")
	replayNet       = desc("replay_net_seconds", "Age of changes when they came, by the sender's clock and this node's")
	replayAll       = desc("replay_seconds", "Age of changes when they were here for good")
)

// replay exports the node's part.
func (c collector) replay(out chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) {
	m := c.n.replay.Metrics()
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(replayCalls, float64(c.n.replay.Calls()))
	used, total := c.n.replay.Memory()
	gauge(replayMemory, float64(total))
	gauge(replayUsed, float64(used))
	counter(replayRanges, m.Ranges.Load(), "log")
	counter(replayRanges, m.Chunks.Load(), "state")
	counter(replayBytes, m.Bytes.Load(), "wire")
	counter(replayBytes, m.Plain.Load(), "plain")
	counter(replayMutations, m.Applied.Load(), "applied")
	counter(replayMutations, m.Skipped.Load(), "skipped")
	counter(replayMutations, m.Conflicts.Load(), "conflicting")
	for kind, calls := range m.Refusals() {
		counter(replayRefusals, calls, kind.String())
	}
	out <- latency(replayNet, &m.Net)
	out <- latency(replayAll, &m.All)
}

// latency is a histogram of ZanKV's buckets.
func latency(d *prometheus.Desc, l *writestats.Latency) prometheus.Metric {
	counts := l.Counts()
	buckets := make(map[float64]uint64, len(counts)-1)
	sum := uint64(0)
	for i, n := range counts {
		sum += n
		if i < len(counts)-1 {
			buckets[(time.Millisecond << i).Seconds()] = sum
		}
	}
	return prometheus.MustNewConstHistogram(d, sum, l.Total().Seconds(), buckets)
}

// replicated exports a partition's part.
func (c collector) replicated(ns *namespace, r *partition.Replica, out chan<- prometheus.Metric, active map[activityKey]*serve.Activity, gauge func(*prometheus.Desc, float64, ...string)) {
	if !r.Leading() {
		return
	}
	p, err := r.Places()
	if err != nil || !p.Replicates {
		return
	}
	name := r.Name()
	now := c.n.opts.clock()()
	gauge(replayWatermark, float64(p.Watermark)/1e9, name)
	gauge(conflictRows, float64(p.ConflictRows), name)
	gauge(conflictBytes, float64(p.ConflictBytes), name)
	gauge(conflictLimit, float64(c.n.opts.Replication.ConflictBytes), name)
	gauge(divergedKeys, float64(p.Diverged), name)
	for _, reason := range conflict.Reasons() {
		out <- prometheus.MustNewConstMetric(conflictsTotal, prometheus.CounterValue, float64(p.Outcomes[reason.String()]), name, reason.String())
	}
	for i := range p.Senders {
		s := &p.Senders[i]
		c.sender(name, &p, s, active[activityKey{ns.meta.Name, r.Partition(), s.ID}], now, gauge)
	}
	for _, peer := range p.Peers {
		gauge(peerTime, float64(peer.Confirmed)/1e9, name, peer.Cluster)
		if peer.Confirmed != 0 {
			gauge(peerLag, lag(peer.Confirmed, now), name, peer.Cluster)
		}
	}
}

func (c collector) sender(name string, p *partition.Places, s *partition.SenderPlace, a *serve.Activity, now time.Time, gauge func(*prometheus.Desc, float64, ...string)) {
	id := s.ID.String()
	gauge(replayIndex, float64(s.Reached.Position.Index), name, id)
	gauge(replayTime, float64(s.Time)/1e9, name, id)
	if s.Time != 0 {
		gauge(replayLag, lag(s.Time, now), name, id)
	}
	gauge(replaySyncing, number(s.Sync != nil), name, id)
	gauge(replayNeeds, number(needsSync(s, p.Watermark)), name, id)
	if a == nil {
		return
	}
	gauge(replayETA, eta(a), name, id)
	if !a.OK {
		gauge(replayRefused, 1, name, id, refusedBy(a))
	}
	if !a.OK && a.Problem && a.Refused == problem.Clock {
		gauge(replayOffset, a.Offset.Seconds(), name, id)
	}
}

// replicationStats are a partition's, in /stats.
type replicationStats struct {
	Replicates bool  `json:"replicates"`
	Watermark  int64 `json:"watermark"` // ns since 1970
	// Senders are partitions of other clusters whose changes come here, Peers clusters that take what is written here.
	Senders       []senderStats     `json:"senders,omitempty"`
	Peers         []logPeer         `json:"peers,omitempty"`
	ConflictRows  uint64            `json:"conflict_log_rows"`
	ConflictBytes uint64            `json:"conflict_log_bytes"`
	Diverged      uint64            `json:"diverged_keys"`
	Conflicts     map[string]uint64 `json:"conflicts,omitempty"` // by reason, since it leads
}

type senderStats struct {
	Sender    string `json:"sender"`
	Reached   string `json:"reached"`
	Time      int64  `json:"time"` // ns since 1970
	Syncing   bool   `json:"syncing"`
	NeedsSync bool   `json:"needs_sync"`
}

// replicationOf is a partition's; nil if it takes part in none.
func replicationOf(r *partition.Replica, now time.Time) *replicationStats {
	p, err := r.Places()
	if err != nil || !p.Replicates {
		return nil
	}
	out := &replicationStats{
		Replicates: true, Watermark: p.Watermark, ConflictRows: p.ConflictRows, ConflictBytes: p.ConflictBytes, Diverged: p.Diverged, Conflicts: p.Outcomes,
	}
	for i := range p.Senders {
		s := &p.Senders[i]
		out.Senders = append(out.Senders, senderStats{
			Sender: s.ID.String(), Reached: s.Reached.String(), Time: s.Time, Syncing: s.Sync != nil, NeedsSync: needsSync(s, p.Watermark),
		})
	}
	for _, peer := range p.Peers {
		out.Peers = append(out.Peers, logPeer{Name: r.Name(), Leader: p.Leading, Cluster: peer.Cluster, Timestamp: peer.Confirmed, LagSeconds: lag(peer.Confirmed, now)})
	}
	return out
}

// replayStats is what the node takes of other clusters, in /stats.
func (n *Node) replayStats() any {
	m := n.replay.Metrics()
	used, total := n.replay.Memory()
	refusals := map[string]uint64{}
	for kind, calls := range m.Refusals() {
		if calls > 0 {
			refusals[kind.String()] = calls
		}
	}
	return map[string]any{
		"memory_used": used, "memory_max": total, "calls": n.replay.Calls(), "ranges": m.Ranges.Load(), "chunks": m.Chunks.Load(),
		"bytes": m.Bytes.Load(), "plain_bytes": m.Plain.Load(), "applied": m.Applied.Load(), "skipped": m.Skipped.Load(), "conflicts": m.Conflicts.Load(),
		"refusals": refusals,
	}
}

// clusterSum is what partitions that are led here have of one sender's namespace.
type clusterSum struct {
	places, syncing, needs int
	oldest                 int64
}

func (s *clusterSum) add(p *partition.SenderPlace, watermark int64) {
	s.places++
	if p.Sync != nil {
		s.syncing++
	}
	if needsSync(p, watermark) {
		s.needs++
	}
	if s.places == 1 || p.Time < s.oldest {
		s.oldest = p.Time
	}
}

// syncInfo is what INFO's replication says of other clusters, summed up over the partitions that this node leads, of one namespace or of all when c is nil.
func (n *Node) syncInfo(c *resp.Namespace) []resp.InfoField {
	replicating, rows, size, diverged := 0, uint64(0), uint64(0), uint64(0)
	reasons, senders, peers := map[string]uint64{}, map[string]*clusterSum{}, map[string]int64{}
	n.eachOf(c, func(r *partition.Replica) {
		p, err := r.Places()
		if err != nil || !p.Leading || !p.Replicates {
			return
		}
		replicating, rows, size, diverged = replicating+1, rows+p.ConflictRows, size+p.ConflictBytes, diverged+p.Diverged
		for reason, count := range p.Outcomes {
			reasons[reason] += count
		}
		for i := range p.Senders {
			id := p.Senders[i].ID.Cluster + "_" + p.Senders[i].ID.Namespace
			if senders[id] == nil {
				senders[id] = &clusterSum{}
			}
			senders[id].add(&p.Senders[i], p.Watermark)
		}
		for _, peer := range p.Peers {
			if at, known := peers[peer.Cluster]; !known || peer.Confirmed < at {
				peers[peer.Cluster] = peer.Confirmed
			}
		}
	})
	fields := []resp.InfoField{
		{Name: "partitions_replicating", Value: strconv.Itoa(replicating)}, {Name: "conflict_log_rows", Value: fmt.Sprint(rows)},
		{Name: "conflict_log_bytes", Value: fmt.Sprint(size)}, {Name: "diverged_keys", Value: fmt.Sprint(diverged)},
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		fields = append(fields, resp.InfoField{Name: "conflicts_" + reason, Value: fmt.Sprint(reasons[reason])})
	}
	now := n.opts.clock()()
	for _, id := range slices.Sorted(maps.Keys(senders)) {
		s := senders[id]
		fields = append(fields, resp.InfoField{
			Name: "sync_from_" + id, Value: fmt.Sprintf("places=%d,syncing=%d,needs_sync=%d,lag_seconds=%.3f", s.places, s.syncing, s.needs, lag(s.oldest, now)),
		})
	}
	for _, id := range slices.Sorted(maps.Keys(peers)) {
		fields = append(fields, resp.InfoField{Name: "sync_to_" + id, Value: fmt.Sprintf("lag_seconds=%.3f", lag(peers[id], now))})
	}
	return fields
}
