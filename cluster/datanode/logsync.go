package datanode

import (
	"net/http"
	"strings"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/serve"
	"github.com/zankv/zankv/replay/writestats"
)

// logPlace is a place in a partition's log, as ZanKV shows it. Name is that of the partition here, Timestamp ns since 1970.
type logPlace struct {
	Name      string `json:"name"`
	Term      uint64 `json:"term"`
	Index     uint64 `json:"index"`
	Timestamp int64  `json:"timestamp"`
	Leader    bool   `json:"is_leader"`
}

// logSynced is how far a partition here has what a partition of another cluster wrote: term, index and timestamp are of the other one's log.
type logSynced struct {
	logPlace
	Cluster string `json:"cluster"`
	Source  string `json:"source"` // the partition of the other cluster
	Reached string `json:"reached"`
	// LagSeconds is how long ago that was written; -1: nothing is here yet. ETASeconds is when there will be no lag: 0 if there is none, -1 if it doesn't
	// shrink, or that isn't known: only the leader to which it is sent knows.
	LagSeconds float64 `json:"lag_seconds"`
	ETASeconds float64 `json:"eta_seconds"`
	NeedsSync  bool    `json:"needs_sync"`
	// Syncing says that a full sync is under way, Through up to which key it is.
	Syncing bool   `json:"syncing"`
	Through string `json:"through,omitempty"`
}

// logPeer is up to when another cluster has what was written here, as far as its syncer has said so: every 10 s.
type logPeer struct {
	Name       string  `json:"name"`
	Leader     bool    `json:"is_leader"`
	Cluster    string  `json:"cluster"`
	Timestamp  int64   `json:"timestamp"`
	LagSeconds float64 `json:"lag_seconds"` // -1: it has nothing yet
}

// logConsumer is a reader that the log is kept for; those of syncers are named sync-<namespace>-to-<cluster>.
type logConsumer struct {
	Name   string `json:"name"`
	Leader bool   `json:"is_leader"`
	consumerStats
}

// logSent is what this node itself sends to other clusters, by a changefeed whose sink is zankv://.
type logSent struct {
	logPlace
	Changefeed string              `json:"changefeed"`
	State      changefeed.State    `json:"state"`
	Trouble    *changefeed.Trouble `json:"trouble,omitempty"`
	LagEntries uint64              `json:"lag_entries"`
	LagBytes   uint64              `json:"lag_bytes"`
	LagSeconds float64             `json:"lag_seconds"`
	ETASeconds float64             `json:"eta_seconds"`
}

type logSyncReply struct {
	Net       writestats.Stats `json:"sync_net_latency"`
	All       writestats.Stats `json:"sync_all_latency"`
	Synced    []logSynced      `json:"log_synced"`
	Peers     []logPeer        `json:"log_confirmed"`
	Consumers []logConsumer    `json:"log_consumers"`
	Sent      []logSent        `json:"log_sent"`
}

// logSync answers /logsync/stats?cluster=<id>&leader_only=true|false: what came from other clusters (log_synced), and what they have of what was
// written here (log_confirmed, log_consumers, log_sent).
func (n *Node) logSync(w http.ResponseWriter, req *http.Request) {
	cluster := req.URL.Query().Get("cluster")
	m := n.replay.Metrics()
	sizes := m.Sizes.Counts()
	answer := logSyncReply{
		Net: writestats.Stats{Sizes: sizes, Latencies: m.Net.Counts()}, All: writestats.Stats{Sizes: sizes, Latencies: m.All.Counts()},
		Synced: []logSynced{}, Peers: []logPeer{}, Consumers: []logConsumer{}, Sent: n.logSent(),
	}
	active := n.activities()
	n.table.each(func(ns *namespace, r *partition.Replica) bool {
		if leaderOnly(req) && !r.Leading() {
			return true
		}
		n.logPlaces(ns, r, cluster, active, &answer)
		return true
	})
	reply(w, answer)
}

// activityKey is a sender in a partition here.
type activityKey struct {
	namespace string
	number    uint32
	sender    store.SenderID
}

func (n *Node) activities() map[activityKey]*serve.Activity {
	all := map[activityKey]*serve.Activity{}
	list := n.replay.Senders()
	for i := range list {
		a := &list[i]
		all[activityKey{a.Namespace, a.Partition, a.Sender}] = a
	}
	return all
}

func (n *Node) logPlaces(ns *namespace, r *partition.Replica, cluster string, active map[activityKey]*serve.Activity, answer *logSyncReply) {
	p, err := r.Places()
	if err != nil {
		return // it is being closed
	}
	now := n.opts.clock()()
	for i := range p.Senders {
		s := &p.Senders[i]
		if cluster != "" && s.ID.Cluster != cluster {
			continue
		}
		one := syncedOf(r, &p, s, now)
		if a := active[activityKey{ns.meta.Name, r.Partition(), s.ID}]; a != nil && p.Leading {
			one.ETASeconds = eta(a)
		}
		answer.Synced = append(answer.Synced, one)
	}
	for _, peer := range p.Peers {
		if cluster == "" || peer.Cluster == cluster {
			answer.Peers = append(answer.Peers, logPeer{
				Name: r.Name(), Leader: p.Leading, Cluster: peer.Cluster, Timestamp: peer.Confirmed, LagSeconds: lag(peer.Confirmed, now),
			})
		}
	}
	if h, err := r.Holding(); err == nil {
		for _, c := range consumersOf(&h) {
			if cluster == "" || strings.HasSuffix(c.ID, "-to-"+cluster) {
				answer.Consumers = append(answer.Consumers, logConsumer{Name: r.Name(), Leader: p.Leading, consumerStats: c})
			}
		}
	}
}

func syncedOf(r *partition.Replica, p *partition.Places, s *partition.SenderPlace, now time.Time) logSynced {
	at := s.Reached.Position
	one := logSynced{
		logPlace: logPlace{Name: r.Name(), Term: at.Term, Index: at.Index, Timestamp: s.Time, Leader: p.Leading},
		Cluster:  s.ID.Cluster, Source: partitionName(s.ID.Namespace, s.ID.Partition), Reached: s.Reached.String(),
		LagSeconds: lag(s.Time, now), ETASeconds: -1, NeedsSync: needsSync(s, p.Watermark),
	}
	if s.Sync != nil {
		one.Syncing, one.Through = true, strings.ToValidUTF8(string(s.Sync.Through), "?")
	}
	return one
}

// needsSync says whether a sender can't go on without a full sync, which isn't under way.
func needsSync(s *partition.SenderPlace, watermark int64) bool {
	return s.Sync == nil && (s.Reached == store.Cursor{} || s.Time < watermark)
}

// lag is how long ago a time (ns) was, in seconds; -1 if there is none.
func lag(at int64, now time.Time) float64 {
	if at == 0 {
		return -1
	}
	return max(now.Sub(time.Unix(0, at)).Seconds(), 0)
}

func eta(a *serve.Activity) float64 {
	if a.ETA < 0 {
		return -1
	}
	return a.ETA.Seconds()
}

func (n *Node) logSent() []logSent {
	all := []logSent{}
	for _, r := range n.running() {
		if !n.toCluster(r.Feed) {
			continue
		}
		g, f := &r.Progress, &r.Progress.Figures
		all = append(all, logSent{
			logPlace:   logPlace{Name: partitionName(r.Namespace, r.Partition), Term: g.Position.Term, Index: g.Position.Index, Timestamp: g.Time, Leader: true},
			Changefeed: r.Feed, State: g.State, Trouble: g.Trouble,
			LagEntries: f.LagEntries, LagBytes: f.LagBytes, LagSeconds: f.LagSeconds, ETASeconds: f.ETASeconds,
		})
	}
	return all
}

// toCluster says whether a changefeed's sink is another cluster.
func (n *Node) toCluster(id string) bool {
	f := n.opts.Changefeeds.Registry.View().Feeds[id]
	return f != nil && strings.HasPrefix(f.Spec.SinkURI, "zankv://")
}

// runningSender is a sender that has sent something within the last minute, and what came of it.
type runningSender struct {
	Name       string    `json:"name"` // of the partition here
	Cluster    string    `json:"cluster"`
	Source     string    `json:"source"`
	From       string    `json:"from"` // the address of who carries it
	Since      time.Time `json:"since"`
	Last       time.Time `json:"last"`
	Calls      uint64    `json:"calls"`
	Applied    uint64    `json:"applied"`
	Skipped    uint64    `json:"skipped"`
	Conflicts  uint64    `json:"conflicts"`
	Syncing    bool      `json:"syncing"`
	LagSeconds float64   `json:"lag_seconds"`
	ETASeconds float64   `json:"eta_seconds"`
	// Refused is the kind of problem that the last call ended with, OffsetSeconds by how much a clock is ahead if it is CLOCK.
	Refused       string  `json:"refused,omitempty"`
	OffsetSeconds float64 `json:"offset_seconds,omitempty"`
	Message       string  `json:"message,omitempty"`
}

// runnings answers /syncer/runnings: the senders that are active in the partitions of this node.
func (n *Node) runnings(w http.ResponseWriter, _ *http.Request) {
	all := []runningSender{}
	now := n.opts.clock()()
	for _, a := range n.replay.Senders() {
		if now.Sub(a.Last) > serve.Running {
			continue
		}
		one := runningSender{
			Name: partitionName(a.Namespace, a.Partition), Cluster: a.Sender.Cluster, Source: partitionName(a.Sender.Namespace, a.Sender.Partition),
			From: a.From, Since: a.Since, Last: a.Last, Calls: a.Calls, Applied: a.Applied, Skipped: a.Skipped, Conflicts: a.Conflicts,
			Syncing: a.Syncing, LagSeconds: lag(a.Time, now), ETASeconds: eta(&a),
		}
		if !a.OK {
			one.Refused, one.OffsetSeconds, one.Message = refusedBy(&a), a.Offset.Seconds(), a.What
		}
		all = append(all, one)
	}
	reply(w, all)
}

// refusedBy names the problem of a sender's last call.
func refusedBy(a *serve.Activity) string {
	if a.Problem {
		return a.Refused.String()
	}
	return "ENDED" // the call was: nobody refused it
}
