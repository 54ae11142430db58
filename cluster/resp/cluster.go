package resp

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/store"
)

// hexID is a node's id as cluster clients expect one: 40 hexadecimal digits, made from the node id alone.
func hexID(id uint64) string {
	sum := sha1.Sum(fmt.Appendf(nil, "zankv node %d", id))
	return hex.EncodeToString(sum[:])
}

// slotSpan is a range of slots, both ends included.
type slotSpan struct{ first, last int }

// shard is a node, the slots that it leads, and the nodes that hold replicas of them.
type shard struct {
	leader   Node
	spans    []slotSpan
	replicas []Node // only nodes that lead nothing: clients take a node for either a master or a replica
}

// topology is the namespace as a Redis Cluster: one shard per node that leads something, ordered by slot.
func (c *conn) topology() []*shard {
	var shards []*shard
	byID := make(map[uint64]*shard)
	for p := range c.ns.Partitions {
		leader, ok := c.srv.backend.Leader(c.ns, p)
		if !ok || leader.ClusterPort == 0 {
			continue
		}
		s := byID[leader.ID]
		if s == nil {
			s = &shard{leader: leader}
			byID[leader.ID] = s
			shards = append(shards, s)
		}
		s.add(slotRange(c.ns, p))
	}
	c.addReplicas(byID)
	return shards
}

func (s *shard) add(first, last int) {
	if first > last {
		return
	}
	if n := len(s.spans); n > 0 && s.spans[n-1].last+1 == first {
		s.spans[n-1].last = last
		return
	}
	s.spans = append(s.spans, slotSpan{first, last})
}

func (c *conn) addReplicas(byID map[uint64]*shard) {
	placed := make(map[uint64]bool)
	for p := range c.ns.Partitions {
		leader, _ := c.srv.backend.Leader(c.ns, p)
		s := byID[leader.ID]
		if s == nil {
			continue
		}
		for _, n := range c.srv.backend.Replicas(c.ns, p) {
			if byID[n.ID] == nil && !placed[n.ID] && n.ClusterPort != 0 {
				placed[n.ID] = true
				s.replicas = append(s.replicas, n)
			}
		}
	}
}

// clusterEnabled says whether the namespace can be used through cluster clients at all: its keys must be spread by Redis's slots.
func (c *conn) clusterEnabled() bool { return c.ns != nil && c.ns.Hash == HashCRC16 }

// needCluster answers with an error, and false, where there is no cluster to speak of.
func (c *conn) needCluster() bool {
	if !c.clusterEnabled() {
		c.fail(noClusterMode)
		return false
	}
	return true
}

func (c *conn) clusterSlots([][]byte) {
	if !c.needCluster() {
		return
	}
	type row struct {
		slotSpan
		*shard
	}
	var rows []row
	for _, s := range c.topology() {
		for _, span := range s.spans {
			rows = append(rows, row{span, s})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.first, b.first) })
	r := c.begin()
	r.Array(len(rows))
	for _, row := range rows {
		r.Array(3 + len(row.replicas))
		r.Int(int64(row.first))
		r.Int(int64(row.last))
		slotNode(r, row.leader)
		for _, n := range row.replicas {
			slotNode(r, n)
		}
	}
	c.end(r)
}

func slotNode(r *command.Reply, n Node) {
	r.Array(4)
	r.BulkString(n.Host)
	r.Int(int64(n.ClusterPort))
	r.BulkString(hexID(n.ID))
	r.Array(0)
}

func (c *conn) clusterShards([][]byte) {
	if !c.needCluster() {
		return
	}
	shards := c.topology()
	r := c.begin()
	r.Array(len(shards))
	for _, s := range shards {
		r.Map(2)
		r.BulkString("slots")
		r.Array(2 * len(s.spans))
		for _, span := range s.spans {
			r.Int(int64(span.first))
			r.Int(int64(span.last))
		}
		r.BulkString("nodes")
		r.Array(1 + len(s.replicas))
		shardNode(r, s.leader, "master")
		for _, n := range s.replicas {
			shardNode(r, n, "replica")
		}
	}
	c.end(r)
}

func shardNode(r *command.Reply, n Node, role string) {
	r.Map(7)
	r.BulkString("id")
	r.BulkString(hexID(n.ID))
	r.BulkString("port")
	r.Int(int64(n.ClusterPort))
	r.BulkString("ip")
	r.BulkString(n.Host)
	r.BulkString("endpoint")
	r.BulkString(n.Host)
	r.BulkString("role")
	r.BulkString(role)
	r.BulkString("replication-offset")
	r.Int(0)
	r.BulkString("health")
	r.BulkString("online")
}

func (c *conn) clusterNodes([][]byte) {
	if !c.needCluster() {
		return
	}
	var text strings.Builder
	line := func(n Node, role, master string, spans []slotSpan) {
		if n.ID == c.srv.opt.NodeID {
			role = "myself," + role
		}
		fmt.Fprintf(&text, "%s %s:%d@%d %s %s 0 0 1 connected", hexID(n.ID), n.Host, n.ClusterPort, n.ClusterPort, role, master)
		for _, span := range spans {
			if span.first == span.last {
				fmt.Fprintf(&text, " %d", span.first)
			} else {
				fmt.Fprintf(&text, " %d-%d", span.first, span.last)
			}
		}
		text.WriteByte('\n')
	}
	for _, s := range c.topology() {
		line(s.leader, "master", "-", s.spans)
		for _, n := range s.replicas {
			line(n, "slave", hexID(s.leader.ID), nil)
		}
	}
	r := c.begin()
	r.Verbatim(text.String())
	c.end(r)
}

func (c *conn) clusterMyID([][]byte) {
	if c.needCluster() {
		c.bulk(hexID(c.srv.opt.NodeID))
	}
}

func (c *conn) clusterKeySlot(args [][]byte) {
	if c.needCluster() {
		c.integer(int64(keySlot(args[2])))
	}
}

func (c *conn) clusterInfo([][]byte) {
	if !c.needCluster() {
		return
	}
	shards := c.topology()
	covered, nodes := 0, 0
	for _, s := range shards {
		nodes += 1 + len(s.replicas)
		for _, span := range s.spans {
			covered += span.last - span.first + 1
		}
	}
	state := "ok"
	if covered < store.Slots {
		state = "fail"
	}
	r := c.begin()
	r.Verbatim(fmt.Sprintf("cluster_enabled:1\r\ncluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\n"+
		"cluster_slots_pfail:0\r\ncluster_slots_fail:%d\r\ncluster_known_nodes:%d\r\ncluster_size:%d\r\n"+
		"cluster_current_epoch:1\r\ncluster_my_epoch:1\r\n",
		state, store.Slots, covered, store.Slots-covered, nodes, len(shards)))
	c.end(r)
}

// clusterCountKeys walks over the keys of the slot's partition: it costs as much as a SCAN of that partition.
func (c *conn) clusterCountKeys(args [][]byte) {
	if !c.needCluster() {
		return
	}
	slot, ok := parseInt(args[2])
	if !ok {
		c.fail(command.ErrNotInteger)
		return
	}
	if slot < 0 || slot >= store.Slots {
		c.fail("ERR Invalid slot")
		return
	}
	spec := command.Lookup([]byte("scan"))
	partition, count := slotPartition(c.ns, int(slot)), int64(0)
	for next := []byte{}; next != nil; {
		reply := c.ask(partition, spec, [][]byte{[]byte("scan"), next, []byte("COUNT"), []byte("5000")})
		from, keys, ok := splitScan(reply)
		if !ok {
			r := c.begin()
			r.Buf = append(r.Buf, reply...)
			c.end(r)
			return
		}
		next = bytes.Clone(from)
		for keys = keys[valueHead(keys):]; len(keys) > 0; {
			n := valueLen(keys)
			if keySlot(keys[valueHead(keys):n-2]) == int(slot) {
				count++
			}
			keys = keys[n:]
		}
	}
	c.integer(count)
}
