package syncer

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/changefeed/metrics"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/replay/writestats"
)

// Handler serves what the process knows of itself: /logsync/stats, /syncer/runnings, /stats, /metrics and /ping.
func (s *Syncer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) })
	mux.HandleFunc("GET /logsync/stats", func(w http.ResponseWriter, r *http.Request) { reply(w, s.logSync(r.URL.Query().Get("cluster"))) })
	mux.HandleFunc("GET /syncer/runnings", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.runnings()) })
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.stats()) })
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{s})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v)
}

func partitionName(namespace string, number uint32) string {
	return metrics.PartitionName(namespace, number)
}

// logPlace is a place in a partition's log, as ZanKV shows it.
type logPlace struct {
	Name      string `json:"name"`
	Term      uint64 `json:"term"`
	Index     uint64 `json:"index"`
	Timestamp int64  `json:"timestamp"`
	Leader    bool   `json:"is_leader"`
}

// synced is how far a partition is in the target.
type synced struct {
	logPlace
	Changefeed string              `json:"changefeed"`
	Epoch      uint64              `json:"epoch"`
	State      changefeed.State    `json:"state"`
	Trouble    *changefeed.Trouble `json:"trouble,omitempty"`
	LagEntries uint64              `json:"lag_entries"`
	LagBytes   uint64              `json:"lag_bytes"`
	LagSeconds float64             `json:"lag_seconds"`
	ETASeconds float64             `json:"eta_seconds"`
	FullSync   *FullSync           `json:"full_sync,omitempty"`
	Targets    []target            `json:"targets,omitempty"`
}

// target is how a partition of the target stands for one of the source.
type target struct {
	Partition  uint32  `json:"partition"`
	Leader     string  `json:"leader"`
	Reached    string  `json:"reached"`
	Time       int64   `json:"time"`
	Syncing    bool    `json:"syncing,omitempty"`
	LagEntries uint64  `json:"lag_entries"`
	LagBytes   uint64  `json:"lag_bytes"`
	LagSeconds float64 `json:"lag_seconds"`
	Ranges     uint64  `json:"ranges"`
	Chunks     uint64  `json:"chunks"`
	Retries    uint64  `json:"retries"`
	Applied    uint64  `json:"applied"`
	Skipped    uint64  `json:"skipped"`
	Conflicts  uint64  `json:"conflicts"`
	LastError  string  `json:"last_error,omitempty"`
	LastErrorT int64   `json:"last_error_at,omitempty"` // ns since 1970
}

// logSync is /logsync/stats: of one source cluster, or of whichever it is.
func (s *Syncer) logSync(cluster string) any {
	sent, received := []synced{}, []logPlace{}
	if cluster == "" || cluster == s.sourceID {
		for _, p := range s.Partitions() {
			sent = append(sent, syncedOf(&p))
			if p.Target != nil {
				received = append(received, place(&p, p.Target.Reached, p.Target.Time))
			}
		}
	}
	return map[string]any{
		"source": s.sourceID, "target": s.targetID, "name": s.o.Name,
		"sync_net_latency": writestats.Stats{Latencies: s.sinks.received.Counts()},
		"sync_all_latency": writestats.Stats{Latencies: s.sinks.written.Counts()},
		"log_synced":       sent, "log_received": received,
	}
}

func place(p *Partition, at event.Position, time int64) logPlace {
	return logPlace{Name: p.Name(), Term: at.Term, Index: at.Index, Timestamp: time, Leader: true}
}

func syncedOf(p *Partition) synced {
	g, f := &p.Running.Progress, &p.Running.Progress.Figures
	one := synced{
		logPlace: place(p, g.Position, g.Time), Changefeed: p.Feed, Epoch: p.Epoch, State: g.State, Trouble: g.Trouble,
		LagEntries: f.LagEntries, LagBytes: f.LagBytes, LagSeconds: f.LagSeconds, ETASeconds: f.ETASeconds, FullSync: p.FullSync,
	}
	if p.Target == nil {
		return one
	}
	for _, t := range p.Target.Targets {
		shown := target{
			Partition: t.Partition, Leader: t.Leader, Reached: t.Reached.String(), Time: t.Time, Syncing: t.Syncing, LagEntries: t.LagEntries, LagBytes: t.LagBytes,
			LagSeconds: t.LagSeconds, Ranges: t.Ranges, Chunks: t.Chunks, Retries: t.Retries, Applied: t.Applied, Skipped: t.Skipped, Conflicts: t.Conflicts,
			LastError: t.LastError,
		}
		if !t.LastErrorAt.IsZero() {
			shown.LastErrorT = t.LastErrorAt.UnixNano()
		}
		one.Targets = append(one.Targets, shown)
	}
	return one
}

// running is one entry of /syncer/runnings.
type running struct {
	Name       string           `json:"name"`
	Changefeed string           `json:"changefeed"`
	Source     string           `json:"source"`
	Target     string           `json:"target"`
	Epoch      uint64           `json:"epoch"`
	Since      time.Time        `json:"since"`
	State      changefeed.State `json:"state"`
}

func (s *Syncer) runnings() []running {
	all := []running{}
	for _, r := range s.manager.Feeds() {
		all = append(all, running{Name: partitionName(r.Namespace, r.Partition), Changefeed: r.Feed, Source: s.sourceID, Target: s.targetID, Epoch: r.Epoch,
			Since: r.Since, State: r.Progress.State})
	}
	return all
}

func (s *Syncer) stats() any {
	running := []metrics.Stats{}
	for _, r := range s.manager.Feeds() {
		running = append(running, metrics.StatsOf(&r))
	}
	sent, content := s.sent()
	return map[string]any{
		"version": s.o.Version, "up_time": int64(time.Since(s.began).Seconds()),
		"stats": map[string]any{
			"source": s.sourceID, "target": s.targetID, "name": s.o.Name, "changefeeds": running,
			"memory_used": s.budget.Used(), "memory_max": s.budget.Total(), "bytes_sent": sent, "bytes_before_compression": content,
		},
	}
}

// sent is what the open sinks sent, on the wire and before compression.
func (s *Syncer) sent() (wire, plain uint64) {
	s.sinks.each(func(one *sink) {
		stats := one.Stats()
		wire += stats.BytesSent
		plain += stats.BytesPlain
	})
	return wire, plain
}
