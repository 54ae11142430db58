package datanode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"go.etcd.io/etcd/raft/v3"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
)

// routes is the node's HTTP API. Paths and shapes follow the original system where it has them.
func (n *Node) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) })
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, _ *http.Request) { reply(w, n.info()) })
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) { reply(w, n.stats(leaderOnly(r))) })
	mux.HandleFunc("GET /raft/stats", func(w http.ResponseWriter, r *http.Request) {
		reply(w, n.raftStats(r.URL.Query().Get("namespace"), leaderOnly(r)))
	})
	mux.HandleFunc("GET /cluster/checksum/{partition}", n.checksum)
	mux.HandleFunc("POST /cdc/consumer/{partition}", n.setConsumer)
	mux.HandleFunc("GET /synceronly", n.role)
	mux.HandleFunc("POST /synceronly", n.role)
	mux.HandleFunc("GET /synceronly/{partition}", n.roleHere)
	mux.HandleFunc("POST /synceronly/{partition}", n.roleHere)
	mux.HandleFunc("GET /logsync/stats", n.logSync)
	mux.HandleFunc("GET /syncer/runnings", n.runnings)
	mux.HandleFunc("GET /syncer/normalinit", n.normalInit.tell)
	mux.HandleFunc("POST /syncer/normalinit", n.doNormalInit)
	mux.HandleFunc("POST /syncer/forget/{cluster}", n.forget)
	mux.HandleFunc("POST /syncer/setindex/{cluster}", setIndex)
	mux.Handle("GET /metrics", n.metrics())
	return mux
}

// leaderOnly is the query parameter of that name, which is true unless it says otherwise.
func leaderOnly(r *http.Request) bool { return r.URL.Query().Get("leader_only") != "false" }

func reply(w http.ResponseWriter, v any) { replyStatus(w, http.StatusOK, v) }

func replyStatus(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client is gone: there is nobody to tell
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": err.Error()})
}

type infoReply struct {
	Version   string      `json:"version"`
	RocksDB   string      `json:"rocksdb"`
	ClusterID string      `json:"cluster_id"`
	NodeID    meta.NodeID `json:"node_id"`
	UpTime    int64       `json:"up_time"` // seconds
}

func (n *Node) info() infoReply {
	return infoReply{
		Version: n.opts.Version, RocksDB: n.opts.EngineName, ClusterID: n.opts.ClusterID, NodeID: n.id,
		UpTime: int64(time.Since(n.started).Seconds()),
	}
}

type partitionStats struct {
	Name     string `json:"name"`
	IsLeader bool   `json:"is_leader"`
	Position string `json:"position"`
	Keys     int64  `json:"keys"`
	Expiring int64  `json:"expiring_keys"`
	Events   uint64 `json:"events"`
	// SyncerWriteOnly is the role as of Position, RolePosition that of the last switch, if there was one.
	SyncerWriteOnly bool     `json:"syncer_write_only"`
	RolePosition    string   `json:"role_position,omitempty"`
	Backlog         int64    `json:"backlog_bytes"`
	Log             logStats `json:"log"`
	// Consumers hold the log back, as far as it goes: see log.
	Consumers []consumerStats `json:"cdc_consumers,omitempty"`
	// Replication is there as soon as the partition has changes of other clusters, or they its.
	Replication *replicationStats `json:"replication,omitempty"`
}

type logStats struct {
	First uint64 `json:"first_index"`
	Last  uint64 `json:"last_index"`
	Bytes uint64 `json:"bytes"`
	// Oldest is the event before the oldest one left: reading the feed after it works.
	Oldest     string `json:"oldest_position"`
	OldestTime int64  `json:"oldest_time,omitempty"` // seconds since 1970, of the oldest entry left
	// Consumers can hold back so much, and so long.
	LimitBytes   uint64 `json:"consumer_limit_bytes"`
	LimitSeconds int64  `json:"consumer_limit_seconds"`
}

type consumerStats struct {
	ID              string `json:"id"`
	Position        string `json:"position"`
	LagEntries      uint64 `json:"lag_entries"`
	LagBytes        uint64 `json:"lag_bytes"`
	LagSeconds      int64  `json:"lag_seconds"`
	HeadroomBytes   int64  `json:"headroom_bytes"`
	HeadroomSeconds int64  `json:"headroom_seconds"`
	HeadroomDisk    int64  `json:"headroom_disk_bytes"` // -1: the log has no cap
	Lost            bool   `json:"lost"`
}

// statsOf are a replica's; false when it is closed.
func statsOf(r *partition.Replica, now time.Time) (partitionStats, bool) {
	s, ok := r.State()
	if !ok {
		return partitionStats{}, false
	}
	log := r.LogStats()
	p := partitionStats{
		Name: r.Name(), IsLeader: r.Leading(), Position: s.Applied.String(), Keys: s.Keys, Expiring: s.Expiring,
		Events: s.Events, Backlog: r.Backlog(), Log: logStats{First: log.First, Last: log.Last, Bytes: log.Bytes},
	}
	if role, ok := r.Role(); ok {
		p.SyncerWriteOnly, p.RolePosition = role.SyncerOnly, since(role)
	}
	h, err := r.Holding()
	if err != nil {
		return p, true
	}
	p.Log.Oldest, p.Log.LimitBytes, p.Log.LimitSeconds = h.Oldest.String(), h.LimitBytes, int64(h.LimitAge.Seconds())
	if !h.OldestTime.IsZero() {
		p.Log.OldestTime = h.OldestTime.Unix()
	}
	p.Consumers = consumersOf(&h)
	p.Replication = replicationOf(r, now)
	return p, true
}

func consumersOf(h *partition.Holding) (all []consumerStats) {
	for _, c := range h.Consumers {
		all = append(all, consumerStats{
			ID: c.ID, Position: c.Position.String(), LagEntries: c.LagEntries, LagBytes: c.LagBytes, LagSeconds: int64(c.Lag.Seconds()),
			HeadroomBytes: c.HeadroomBytes, HeadroomSeconds: int64(c.Headroom.Seconds()), HeadroomDisk: c.HeadroomDisk, Lost: c.Lost,
		})
	}
	return all
}

func (n *Node) stats(leadersOnly bool) any {
	parts := []partitionStats{}
	n.table.each(func(_ *namespace, r *partition.Replica) bool {
		if leadersOnly && !r.Leading() {
			return true
		}
		if p, ok := statsOf(r, n.opts.clock()()); ok {
			parts = append(parts, p)
		}
		return true
	})
	return map[string]any{
		"version": n.opts.Version, "up_time": int64(time.Since(n.started).Seconds()),
		"stats": map[string]any{"ns_stats": parts, "front_end": n.front.Stats(), "log": n.log.Stats(), "row_cache": n.cache.Stats(), "cdc": n.cdcStats(), "replay": n.replayStats()},
	}
}

type raftMember struct {
	Replica uint64      `json:"raft_replica_id"`
	Node    meta.NodeID `json:"node_id"`
}

type raftStat struct {
	ID        uint64 `json:"id"`
	Term      uint64 `json:"term"`
	Vote      uint64 `json:"vote"`
	Commit    uint64 `json:"commit"`
	Lead      uint64 `json:"lead"`
	RaftState string `json:"raft_state"`
	Applied   uint64 `json:"applied"`
	Progress  any    `json:"progress,omitempty"`
	Transfer  uint64 `json:"lead_transferee"`
}

type raftReply struct {
	Partition string       `json:"partition"`
	Leader    meta.NodeID  `json:"leader_node_id"`
	Members   []raftMember `json:"members"`
	Stat      raftStat     `json:"raft_stat"`
}

func (n *Node) raftStats(only string, leadersOnly bool) any {
	all := []raftReply{}
	n.table.each(func(ns *namespace, r *partition.Replica) bool {
		if only != "" && ns.config.Name != only || leadersOnly && !r.Leading() {
			return true
		}
		status, ok := r.Group().Status()
		if !ok {
			return true
		}
		reply := raftReply{Partition: r.Name(), Stat: statOf(&status)}
		for replica, node := range r.Members() {
			reply.Members = append(reply.Members, raftMember{Replica: replica, Node: meta.NodeID(node)})
			if replica == status.Lead {
				reply.Leader = meta.NodeID(node)
			}
		}
		all = append(all, reply)
		return true
	})
	return all
}

func statOf(s *raft.Status) raftStat {
	stat := raftStat{
		ID: s.ID, Term: s.Term, Vote: s.Vote, Commit: s.Commit, Lead: s.Lead, RaftState: s.RaftState.String(),
		Applied: s.Applied, Transfer: s.LeadTransferee,
	}
	progress := map[string]map[string]any{}
	for id, p := range s.Progress {
		progress[fmt.Sprint(id)] = map[string]any{"match": p.Match, "next": p.Next, "state": p.State.String(), "active": p.RecentActive}
	}
	if len(progress) > 0 {
		stat.Progress = progress
	}
	return stat
}

// checksumWait bounds how long a position that is still ahead is waited for, unless the request says less.
const checksumWait = 30 * time.Second

// checksumReply is the checksum of a partition's content.
type checksumReply struct {
	Partition string         `json:"partition"`
	Cluster   string         `json:"cluster_id"`
	Checksum  store.Checksum `json:"checksum"`
	// IsLeader says that this replica led before it looked. What it says besides is from then: the last event, so that the checksum is of that or
	// later, the hybrid clock (ns) and the wall clock (ns).
	IsLeader  bool   `json:"is_leader"`
	LastEvent string `json:"last_event"`
	Clock     int64  `json:"clock"`
	Now       int64  `json:"now"`
}

// checksum answers /cluster/checksum/<namespace>-<n>?at=<term-index>: without at, of the state now. watermark (ns) and wall (ms) can be given so that
// the sums of two clusters are made by the same.
func (n *Node) checksum(w http.ResponseWriter, req *http.Request) {
	r, status, err := n.replicaOf(req.PathValue("partition"))
	if err != nil {
		refuse(w, status, err)
		return
	}
	of, err := checksumOf(req.URL.Query())
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	answer := checksumReply{Partition: r.Name(), Cluster: n.opts.ClusterID, IsLeader: r.Leading(), Now: n.opts.clock()().UnixNano()}
	if s, ok := r.State(); ok {
		answer.LastEvent, answer.Clock = s.LastEvent.String(), s.Clock
	}
	answer.Checksum, err = r.ChecksumOf(req.Context(), of)
	switch {
	case errors.Is(err, partition.ErrPast):
		refuse(w, http.StatusConflict, err)
	case errors.Is(err, context.DeadlineExceeded):
		refuse(w, http.StatusRequestTimeout, err)
	case err != nil:
		refuse(w, http.StatusInternalServerError, err)
	default:
		reply(w, answer)
	}
}

func checksumOf(query url.Values) (of partition.ChecksumOf, err error) {
	of.Wait = checksumWait
	if text := query.Get("at"); text != "" {
		if of.At, err = event.ParsePosition(text); err != nil {
			return of, err
		}
	}
	for name, to := range map[string]*int64{"watermark": &of.Watermark, "wall": &of.Wall} {
		if text := query.Get(name); text != "" {
			if *to, err = strconv.ParseInt(text, 10, 64); err != nil {
				return of, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return of, nil
}

func (n *Node) replicaOf(name string) (*partition.Replica, int, error) {
	id, err := meta.ParsePartitionID(name)
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	ns := n.table.lookup(id.Namespace)
	if ns == nil || id.Number >= len(ns.replicas) {
		return nil, http.StatusNotFound, fmt.Errorf("no partition %s in this cluster", name)
	}
	r := ns.replicas[id.Number].Load()
	if r == nil {
		return nil, http.StatusNotFound, fmt.Errorf("partition %s has no replica on this node", name)
	}
	return r, 0, nil
}

// setConsumer answers POST /cdc/consumer/<namespace>-<n>?id=<name>&position=<term-index> on the partition's leader: the log keeps what comes
// after the position for that consumer. Without a position the consumer is removed.
func (n *Node) setConsumer(w http.ResponseWriter, req *http.Request) {
	r, status, err := n.replicaOf(req.PathValue("partition"))
	if err != nil {
		refuse(w, status, err)
		return
	}
	id, text := req.URL.Query().Get("id"), req.URL.Query().Get("position")
	var position event.Position
	if text != "" {
		position, err = event.ParsePosition(text)
	}
	if id == "" || len(id) > maxConsumerID || !utf8.ValidString(id) {
		err = fmt.Errorf("id %.40q: want 1 to %d bytes of UTF-8", id, maxConsumerID)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	switch err := r.SetConsumer(req.Context(), id, position); {
	case errors.Is(err, partition.ErrNotLeader):
		refuse(w, http.StatusMisdirectedRequest, err)
	case errors.Is(err, partition.ErrAhead):
		refuse(w, http.StatusBadRequest, err)
	case errors.Is(err, partition.ErrConsumers):
		refuse(w, http.StatusConflict, err)
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err)
	default:
		reply(w, map[string]string{"partition": r.Name(), "id": id, "position": text})
	}
}

// maxConsumerID bounds a consumer's name.
const maxConsumerID = 255
