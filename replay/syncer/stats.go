package syncer

import (
	"cmp"
	"slices"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/worker"
	"github.com/zankv/zankv/replay"
)

// Partition is one partition of the source that this process carries.
type Partition struct {
	worker.Running
	// FullSync is one under way, nil when there is none.
	FullSync *FullSync
	// Target is how the target's partitions stand; nil while that isn't known.
	Target *replay.PartitionStats
}

// Name is the partition's, as namespace-n.
func (p *Partition) Name() string { return partitionName(p.Namespace, p.Running.Partition) }

// Partitions are those that this process carries now, in order. It may be called from any goroutine.
func (s *Syncer) Partitions() []Partition {
	now := time.Now()
	seen := map[string]map[uint32]*Partition{}
	s.sinks.each(func(one *sink) {
		stats := one.Stats()
		of := seen[one.id]
		if of == nil {
			of = map[uint32]*Partition{}
			seen[one.id] = of
		}
		for _, w := range one.writers() {
			of[w.partition] = &Partition{FullSync: w.fullSync(now)}
		}
		for i := range stats.Partitions {
			if p := of[stats.Partitions[i].Partition]; p != nil {
				p.Target = &stats.Partitions[i]
			}
		}
	})
	var all []Partition
	for _, r := range s.manager.Feeds() {
		p := Partition{}
		if known := seen[r.Feed][r.Partition]; known != nil {
			p = *known
		}
		p.Running = r
		all = append(all, p)
	}
	return all
}

// Progress is how this process is doing, in a few figures.
type Progress struct {
	Partitions int
	// Syncing is how many of these are in a full sync. The rest of what is of full syncs: bytes read so far, and a second; ETA is the longest, -1: not known.
	Syncing        int
	FullBytes      uint64
	FullPerSecond  float64
	FullETASeconds float64
	// Lags are sums, LagSeconds and ETASeconds the worst; -1 is a lag that doesn't shrink.
	LagEntries, LagBytes            uint64
	LagSeconds, ETASeconds          float64
	EventsPerSecond, BytesPerSecond float64
	// Trouble is what weighs most of all partitions', nil if there is none.
	Trouble *changefeed.Trouble
}

// Progress sums up.
func (s *Syncer) Progress() Progress {
	var p Progress
	var troubles []*changefeed.Trouble
	stuck, open := false, false
	for _, one := range s.Partitions() {
		f := &one.Running.Progress.Figures
		p.Partitions++
		p.LagEntries += f.LagEntries
		p.LagBytes += f.LagBytes
		p.LagSeconds, p.ETASeconds = max(p.LagSeconds, f.LagSeconds), max(p.ETASeconds, f.ETASeconds)
		stuck = stuck || f.ETASeconds < 0
		p.EventsPerSecond += f.EventsPerSecond
		p.BytesPerSecond += f.BytesPerSecond
		if t := one.Running.Progress.Trouble; t != nil {
			troubles = append(troubles, t)
		}
		if full := one.FullSync; full != nil {
			p.Syncing++
			p.FullBytes += full.Bytes
			p.FullPerSecond += full.BytesPerSecond
			p.FullETASeconds = max(p.FullETASeconds, full.ETASeconds)
			open = open || full.ETASeconds < 0
		}
	}
	if stuck {
		p.ETASeconds = -1
	}
	if open {
		p.FullETASeconds = -1
	}
	if len(troubles) > 0 {
		p.Trouble = slices.MinFunc(troubles, func(a, b *changefeed.Trouble) int { return cmp.Compare(a.Since, b.Since) })
	}
	return p
}
