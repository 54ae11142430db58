package datanode

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/store"
)

const (
	// roleWait bounds a call for all partitions. Those that have no leader by then are named.
	roleWait = 10 * time.Second
	// rolesAtOnce bounds how many partitions are asked in parallel.
	rolesAtOnce = 32
	// rolePause is how long a leader that couldn't be reached is left alone.
	rolePause = 50 * time.Millisecond
)

// roleReply is the write role of one partition.
type roleReply struct {
	Partition       string `json:"partition"`
	SyncerWriteOnly bool   `json:"syncer_write_only"`
	// Position is that of the entry that switched: the role is in force for everything after it. None if there never was a switch.
	Position string      `json:"position,omitempty"`
	Leader   meta.NodeID `json:"leader_node_id,omitempty"`
	// Error says why the role isn't known: then nothing else is said.
	Error string `json:"error,omitempty"`
}

// rolesReply is the write role of a cluster.
type rolesReply struct {
	// Message says what to do when not all partitions could be asked. SyncerWriteOnly says that clients can write to none, Complete that all were
	// asked and have the same role.
	Message         string      `json:"message,omitempty"`
	SyncerWriteOnly bool        `json:"syncer_write_only"`
	Complete        bool        `json:"complete"`
	Partitions      []roleReply `json:"partitions"`
}

func since(role store.Role) string {
	if role.Since.IsZero() {
		return ""
	}
	return role.Since.String()
}

// roleRequest is what a request to /synceronly asks for: the role, or with enable a switch.
type roleRequest struct{ change, syncerOnly bool }

func parseRole(req *http.Request) (want roleRequest, err error) {
	if req.Method == http.MethodGet {
		return want, nil
	}
	want.change = true
	switch enable := req.URL.Query().Get("enable"); enable {
	case "true":
		want.syncerOnly = true
	case "false":
	default:
		err = fmt.Errorf("enable=%.40q: want true, so that only the syncer may write, or false, so that clients may", enable)
	}
	return want, err
}

// role answers /synceronly[?namespace=<name>], for every partition of the cluster: POST with enable=true|false switches who may write, GET tells.
// Repeats change nothing, and any node can be asked. Status 503 says that some partitions couldn't be reached; the rest is done.
func (n *Node) role(w http.ResponseWriter, req *http.Request) {
	want, err := parseRole(req)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	ids, err := n.partitionsNamed(req.URL.Query().Get("namespace"))
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), roleWait)
	defer cancel()
	all := make([]roleReply, len(ids))
	var group errgroup.Group
	group.SetLimit(rolesAtOnce)
	for i, id := range ids {
		group.Go(func() error {
			all[i] = n.roleOf(ctx, id, want)
			return nil
		})
	}
	_ = group.Wait() // each says for itself what went wrong
	if answer := summarize(all); answer.Message != "" {
		replyStatus(w, http.StatusServiceUnavailable, answer)
	} else {
		reply(w, answer)
	}
}

func summarize(all []roleReply) rolesReply {
	var failed []string
	closed := 0
	for _, p := range all {
		if p.Error != "" {
			failed = append(failed, p.Partition)
		} else if p.SyncerWriteOnly {
			closed++
		}
	}
	r := rolesReply{Partitions: all, SyncerWriteOnly: closed > 0 && closed == len(all)}
	r.Complete = len(failed) == 0 && (closed == 0 || closed == len(all))
	if len(failed) > 0 {
		r.Message = fmt.Sprintf("%d of %d partitions have no leader that answers, their role isn't known: %s. The others are as listed. "+
			"See that a majority of each one's nodes runs (/raft/stats?leader_only=false), and repeat the request: what is done isn't done twice",
			len(failed), len(all), strings.Join(failed, ", "))
	}
	return r
}

// partitionsNamed are those of a namespace, or of all if the name is empty, in order.
func (n *Node) partitionsNamed(namespace string) ([]meta.PartitionID, error) {
	var ids []meta.PartitionID
	view := n.opts.Meta.View()
	for name, ns := range view.Namespaces {
		if namespace != "" && name != namespace {
			continue
		}
		for i := range ns.Partitions {
			ids = append(ids, meta.PartitionID{Namespace: name, Number: i})
		}
	}
	if len(ids) == 0 && namespace != "" {
		return nil, fmt.Errorf("no namespace %.80q in this cluster", namespace)
	}
	slices.SortFunc(ids, meta.PartitionID.Compare)
	return ids, nil
}

// roleOf asks a partition's leader, and looks for it until ctx ends. What is asked can be repeated.
func (n *Node) roleOf(ctx context.Context, id meta.PartitionID, want roleRequest) roleReply {
	for {
		got, err := n.askLeader(ctx, id, want)
		if err == nil {
			return got
		}
		select {
		case <-ctx.Done():
			return roleReply{Partition: id.String(), Error: err.Error()}
		case <-time.After(rolePause):
		}
	}
}

func (n *Node) askLeader(ctx context.Context, id meta.PartitionID, want roleRequest) (roleReply, error) {
	view := n.opts.Meta.View()
	ns := view.Namespaces[id.Namespace]
	if ns == nil || id.Number >= len(ns.Partitions) {
		return roleReply{}, fmt.Errorf("partition %s was removed", id)
	}
	leader := n.leaderOf(id.Namespace, id.Number, &ns.Partitions[id.Number])
	if leader == n.id {
		r, _, err := n.replicaOf(id.String())
		if err != nil {
			return roleReply{}, err
		}
		return n.askReplica(ctx, r, want)
	}
	node := view.Nodes[leader]
	if node == nil {
		return roleReply{}, errors.New("it has no leader")
	}
	query := url.Values{}
	method := http.MethodGet
	if want.change {
		method = http.MethodPost
		query.Set("enable", strconv.FormatBool(want.syncerOnly))
	}
	var got roleReply
	err := n.askPeer(ctx, method, node, "/synceronly/"+id.String(), query, &got)
	if err == nil && got.Partition != id.String() {
		err = fmt.Errorf("node %d answered for %q", leader, got.Partition)
	}
	return got, err
}

func (n *Node) askReplica(ctx context.Context, r *partition.Replica, want roleRequest) (roleReply, error) {
	role := r.LeaderRole
	if want.change {
		role = func(ctx context.Context) (store.Role, error) { return r.SetRole(ctx, want.syncerOnly) }
	}
	got, err := role(ctx)
	if err != nil {
		return roleReply{}, err
	}
	return roleReply{Partition: r.Name(), SyncerWriteOnly: got.SyncerOnly, Position: since(got), Leader: n.id}, nil
}

// roleHere answers /synceronly/<namespace>-<n> as role does, for one partition that is led here; elsewhere it is 421.
func (n *Node) roleHere(w http.ResponseWriter, req *http.Request) {
	want, err := parseRole(req)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	r, status, err := n.replicaOf(req.PathValue("partition"))
	if err != nil {
		refuse(w, status, err)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), roleWait)
	defer cancel()
	switch got, err := n.askReplica(ctx, r, want); {
	case errors.Is(err, partition.ErrNotLeader):
		refuse(w, http.StatusMisdirectedRequest, err)
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err)
	default:
		reply(w, got)
	}
}
