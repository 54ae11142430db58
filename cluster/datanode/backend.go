package datanode

import (
	"fmt"
	"strconv"

	"github.com/zankv/zankv/cluster/meta"
	"github.com/zankv/zankv/cluster/multiraft"
	"github.com/zankv/zankv/cluster/partition"
	"github.com/zankv/zankv/cluster/resp"
)

// backend is the node as its Redis front end sees it.
type backend struct{ n *Node }

// Namespace implements resp.Backend.
func (b backend) Namespace(name string) (*resp.Namespace, bool) {
	ns := b.n.table.lookup(name)
	if ns == nil {
		return nil, false
	}
	return &ns.config, true
}

// Executor implements resp.Backend.
func (b backend) Executor(c *resp.Namespace, number int) resp.Executor {
	ns := b.n.table.current.Load().byConfig[c]
	if ns == nil { // its configuration has changed since
		if ns = b.n.table.lookup(c.Name); ns == nil {
			return nil
		}
	}
	if r := ns.replicas[number].Load(); r != nil {
		return r
	}
	return nil
}

// Leader implements resp.Backend.
func (b backend) Leader(c *resp.Namespace, number int) (resp.Node, bool) {
	view := b.n.opts.Meta.View()
	ns, ok := view.Namespaces[c.Name]
	if !ok || number >= len(ns.Partitions) {
		return resp.Node{}, false
	}
	leader := b.n.leaderOf(c.Name, number, &ns.Partitions[number])
	return b.node(view, leader, c.Name)
}

func (b backend) node(view *meta.View, id meta.NodeID, namespace string) (resp.Node, bool) {
	node, ok := view.Nodes[id]
	if !ok {
		return resp.Node{}, false
	}
	return resp.Node{
		ID: uint64(id), Host: node.BroadcastAddr, RedisPort: node.RedisPort, HTTPPort: node.HTTPPort, GRPCPort: node.GRPCPort,
		NamespacePort: node.NamespacePorts[namespace], ClusterPort: node.ClusterPorts[namespace],
	}, true
}

// Replicas implements resp.Backend.
func (b backend) Replicas(c *resp.Namespace, number int) []resp.Node {
	view := b.n.opts.Meta.View()
	ns, ok := view.Namespaces[c.Name]
	if !ok || number >= len(ns.Partitions) {
		return nil
	}
	var nodes []resp.Node
	for _, id := range ns.Partitions[number].Placement.Nodes {
		if node, ok := b.node(view, id, c.Name); ok {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// Info implements resp.Backend.
func (b backend) Info(c *resp.Namespace, section string) []resp.InfoField {
	switch section {
	case "server":
		return []resp.InfoField{
			{Name: "zankv_cluster_id", Value: b.n.opts.ClusterID}, {Name: "zankv_node_id", Value: strconv.FormatUint(uint64(b.n.id), 10)},
			{Name: "rocksdb", Value: b.n.opts.EngineName}, {Name: "http_port", Value: strconv.Itoa(port(b.n.opts.Listeners.HTTP))},
			{Name: "grpc_port", Value: strconv.Itoa(port(b.n.opts.Listeners.GRPC))},
		}
	case "persistence":
		return b.n.persistenceInfo()
	case "replication":
		return b.n.replicationInfo(c)
	case "keyspace":
		return b.n.keyspaceInfo(c)
	case "raft":
		return b.n.raftInfo(c)
	case "cdc":
		return b.n.cdcInfo(c)
	}
	return nil
}

// eachOf visits this node's replicas of one namespace, or of all when c is nil.
func (n *Node) eachOf(c *resp.Namespace, visit func(*partition.Replica)) {
	n.table.each(func(ns *namespace, r *partition.Replica) bool {
		if c == nil || ns.config.Name == c.Name {
			visit(r)
		}
		return true
	})
}

func (n *Node) persistenceInfo() []resp.InfoField {
	s := n.log.Stats()
	return []resp.InfoField{
		{Name: "loading", Value: "0"}, {Name: "aof_enabled", Value: "1"},
		{Name: "rdb_bgsave_in_progress", Value: "0"}, {Name: "aof_rewrite_in_progress", Value: "0"}, // there is neither
		{Name: "wal_segments", Value: fmt.Sprint(s.Segments)}, {Name: "wal_bytes_on_disk", Value: fmt.Sprint(s.DiskBytes)},
		{Name: "wal_entries", Value: fmt.Sprint(s.Entries)}, {Name: "wal_syncs", Value: fmt.Sprint(s.Syncs)},
		{Name: "wal_bytes_written", Value: fmt.Sprint(s.Bytes)},
	}
}

func (n *Node) replicationInfo(c *resp.Namespace) []resp.InfoField {
	led, followed, closed := 0, 0, 0
	n.eachOf(c, func(r *partition.Replica) {
		if w, ok := r.Role(); ok && w.SyncerOnly {
			closed++
		}
		if r.Leading() {
			led++
			return
		}
		followed++
	})
	role := "master"
	if led == 0 && followed > 0 {
		role = "slave"
	}
	return append([]resp.InfoField{
		{Name: "role", Value: role}, {Name: "connected_slaves", Value: "0"},
		{Name: "partitions_led", Value: strconv.Itoa(led)}, {Name: "partitions_followed", Value: strconv.Itoa(followed)},
		// 1 when clients can write to no partition that is here.
		{Name: "syncer_write_only", Value: strconv.Itoa(int(number(closed > 0 && closed == led+followed)))},
		{Name: "partitions_syncer_only", Value: strconv.Itoa(closed)},
	}, n.syncInfo(c)...)
}

func (n *Node) keyspaceInfo(c *resp.Namespace) []resp.InfoField {
	keys, expires := int64(0), int64(0)
	n.eachOf(c, func(r *partition.Replica) {
		if s, ok := r.State(); ok && r.Leading() {
			keys += s.Keys
			expires += s.Expiring
		}
	})
	if keys == 0 {
		return nil
	}
	return []resp.InfoField{{Name: "db0", Value: fmt.Sprintf("keys=%d,expires=%d,avg_ttl=0", keys, expires)}}
}

func (n *Node) raftInfo(c *resp.Namespace) []resp.InfoField {
	var fields []resp.InfoField
	n.eachOf(c, func(r *partition.Replica) {
		s, ok := r.State()
		if !ok {
			return
		}
		l := r.Leadership()
		fields = append(fields, resp.InfoField{
			Name:  r.Name(),
			Value: fmt.Sprintf("role=%s,term=%d,leader=%d,applied=%s,backlog=%d", role(l), l.Term, l.Leader, s.Applied, r.Backlog()),
		})
	})
	return fields
}

func role(l multiraft.Leadership) string {
	if l.Leading {
		return "leader"
	}
	return "follower"
}
