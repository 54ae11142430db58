package replay

import (
	"slices"
	"time"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
)

// Stats are what a sink has done and where it is.
type Stats struct {
	// Target is the other cluster's id, "" until it is known, Namespace its namespace, and Nodes are where it was looked for.
	Target, Namespace string
	Nodes             []string
	// BytesSent are those of ranges and chunks as they were sent, BytesPlain those before compression.
	BytesSent, BytesPlain uint64
	// Partitions are the source's that are carried here, in their order.
	Partitions []PartitionStats
}

// PartitionStats are of one partition of the source.
type PartitionStats struct {
	Partition uint32
	// Reached is up to where it was read, Time the source's clock there (ns), Confirmed up to which time the source was told that the target has it.
	Reached   event.Position
	Time      int64
	Confirmed int64
	// Syncing says that a full sync is under way, or about to be. Held is how many bytes are held.
	Syncing bool
	Held    int64
	Targets []TargetStats
}

// TargetStats are of one partition of the target. Counts are since the writer was opened.
type TargetStats struct {
	Partition uint32
	// Leader is who is believed to lead it; "" if that isn't known.
	Leader string
	// Reached is its place, Time the source's clock there (ns).
	Reached store.Cursor
	Time    int64
	// Syncing says that it needs a full sync, or gets one: its keys up to Through are in.
	Syncing bool
	Through []byte
	// What was read and isn't there yet: log entries, bytes, and seconds of the source's clock.
	LagEntries uint64
	LagBytes   uint64
	LagSeconds float64

	Ranges, Chunks, Retries uint64
	// Applied, Skipped and Conflicts are mutations by what became of them.
	Applied, Skipped, Conflicts uint64
	// LastError is what a call ended with last, "" for none so far.
	LastError   string
	LastErrorAt time.Time
}

// Stats says how the sink stands.
func (s *Sink) Stats() Stats {
	s.mu.Lock()
	writers := slices.Clone(s.mu.writers)
	stats := Stats{Target: s.mu.cluster, Namespace: s.namespace, Nodes: slices.Clone(s.config.Nodes), BytesSent: s.sent.Load(), BytesPlain: s.content.Load()}
	s.mu.Unlock()
	slices.SortFunc(writers, func(a, b *Writer) int { return int(a.target.Partition) - int(b.target.Partition) })
	leaders := s.client.leaders(s.namespace)
	for _, w := range writers {
		stats.Partitions = append(stats.Partitions, w.stats(leaders))
	}
	return stats
}

func (w *Writer) stats(leaders []string) PartitionStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := PartitionStats{Partition: w.target.Partition, Reached: w.mu.reached, Time: w.mu.time, Confirmed: w.mu.confirmed, Held: w.share.Held()}
	p.Targets = make([]TargetStats, len(w.mu.lanes))
	for i := range w.mu.lanes {
		l := &w.mu.lanes[i]
		p.Targets[i] = l.statsLocked()
		p.Syncing = p.Syncing || p.Targets[i].Syncing
		if int(l.n) < len(leaders) {
			p.Targets[i].Leader = leaders[l.n]
		}
	}
	return p
}

func (l *lane) statsLocked() TargetStats {
	f := &l.figures
	t := TargetStats{Partition: l.n, Reached: l.place, Time: l.time, Syncing: l.needs || l.syncing, Ranges: f.ranges, Chunks: f.chunks, Retries: f.retries,
		Applied: f.applied, Skipped: f.skipped, Conflicts: f.conflicts}
	if s := l.state; s != nil {
		t.Through, t.LastError, t.LastErrorAt = s.through, s.problem, s.at
	}
	for p := l.first; p != nil; p = p.next {
		t.LagBytes += uint64(len(p.buf))
	}
	w := l.w
	if reached := w.mu.reached.Index; reached > l.place.Position.Index {
		t.LagEntries = reached - l.place.Position.Index
	}
	if w.mu.time > l.time && l.time > 0 {
		t.LagSeconds = time.Duration(w.mu.time - l.time).Seconds()
	}
	return t
}

// leaders are those of a namespace's partitions, as far as they are known.
func (c *Client) leaders(namespace string) []string {
	s := c.space(namespace)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.leaders)
}
