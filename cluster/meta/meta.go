package meta

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// NodeID is a data node's registration number: allocated once for a data directory, never reused. 0 is no node.
type NodeID uint64

// Limits of what metadata may say. They bound what a reader of metadata allocates.
const (
	MaxPartitions    = 1023
	MaxReplicas      = 5
	MaxNamespaceName = 255
	// GroupStride is the distance of the group ids of two namespaces.
	GroupStride = 10000
)

// How a key finds its partition, and how reads are made linearizable.
const (
	HashCRC16   = "crc16"
	HashMurmur3 = "murmur3"

	ReadLease  = ""
	ReadQuorum = "quorum"
)

// How a change that was made in another cluster is decided, where both wrote (see package conflict).
const (
	ConflictDefault = "default" // and "": strings, hash fields and expiries by time
	ConflictElement = "element" // members of sets and sorted sets, too
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// Node is what a data node tells about itself. The JSON names are what etcd holds.
type Node struct {
	ID            NodeID `json:"ID"`
	BroadcastAddr string `json:"NodeIP"`
	Hostname      string `json:"Hostname,omitempty"`
	RedisPort     int    `json:"RedisPort"`
	HTTPPort      int    `json:"HttpPort"`
	GRPCPort      int    `json:"RpcPort"`
	// RaftAddr is where other nodes reach its raft transport, host:port.
	RaftAddr string `json:"RaftTransportAddr"`
	// NamespacePorts and ClusterPorts are its ports that belong to one namespace each, by namespace.
	NamespacePorts map[string]int    `json:"NamespacePorts,omitempty"`
	ClusterPorts   map[string]int    `json:"ClusterPorts,omitempty"`
	Version        string            `json:"Version,omitempty"`
	Tags           map[string]string `json:"Tags,omitempty"`
	// Role is "" for a node that holds data, or its learner role.
	Role string `json:"LearnerRole,omitempty"`
}

// Validate says what keeps the node from being registered.
func (n *Node) Validate() error {
	switch {
	case n.ID == 0:
		return fmt.Errorf("meta: node: id is 0: allocate one first")
	case n.BroadcastAddr == "":
		return fmt.Errorf("meta: node %d: no broadcast address", n.ID)
	case n.RaftAddr == "":
		return fmt.Errorf("meta: node %d: no raft address", n.ID)
	}
	return nil
}

// Namespace is the unit of configuration. What it was created with stays, unless a field says otherwise.
type Namespace struct {
	Name string `json:"-"`
	// Partitions is at most MaxPartitions, Replicas at most MaxReplicas.
	Partitions    int    `json:"PartitionNum"`
	Replicas      int    `json:"Replica"`
	PartitionHash string `json:"PartitionHash"`
	// MinGID is the raft group id of partition 0: a multiple of GroupStride, given by Store.CreateNamespace.
	MinGID uint64 `json:"MinGID"`
	// MagicCode tells a namespace from a later one with the same name: replicas of the other's data must not be opened.
	MagicCode int64 `json:"MagicCode"`
	// OptimizedFsync acknowledges writes before they are synced.
	OptimizedFsync bool `json:"OptimizedFsync"`
	// ReadMode is ReadLease or ReadQuorum.
	ReadMode string `json:"ReadMode,omitempty"`
	// Forward lets a node that doesn't lead a partition pass commands on; without it clients get ERR_CLUSTER_CHANGED.
	Forward bool `json:"Forward"`
	// Password is what AUTH wants; "" asks for none. Metadata holds it as it is: keep it out of logs and answers.
	Password         string `json:"Password,omitempty"`
	ExpirationPolicy string `json:"ExpirationPolicy,omitempty"`
	// RetainSeconds and RetainBytes are how long, and how much per partition, the log keeps for consumers that haven't
	// registered a position. 0 leaves it to the node.
	RetainSeconds int64 `json:"RetainSeconds,omitempty"`
	RetainBytes   int64 `json:"RetainBytes,omitempty"`
	// ConflictPolicy is ConflictDefault, also as "", or ConflictElement. It can be changed: see Catalog.SetConflictPolicy.
	ConflictPolicy string `json:"ConflictPolicy,omitempty"`
	// Tags are the node tags that its replicas want: a node qualifies if it has every one; an empty value asks only for
	// the tag's presence.
	Tags map[string]string `json:"Tags,omitempty"`
}

// DefaultNamespace is what a namespace is when nothing else is said about it.
func DefaultNamespace() Namespace {
	return Namespace{PartitionHash: HashCRC16, Forward: true}
}

// GroupID is the raft group of a partition.
func (n *Namespace) GroupID(partition int) uint64 { return n.MinGID + uint64(partition) }

// Validate says what is wrong with the namespace's settings. MinGID and MagicCode are not looked at.
func (n *Namespace) Validate() error {
	if err := ValidateNamespaceName(n.Name); err != nil {
		return err
	}
	switch {
	case n.Partitions < 1 || n.Partitions > MaxPartitions:
		return fmt.Errorf("meta: namespace %s: %d partitions: want 1 to %d", n.Name, n.Partitions, MaxPartitions)
	case n.Replicas < 1 || n.Replicas > MaxReplicas:
		return fmt.Errorf("meta: namespace %s: %d replicas: want 1 to %d", n.Name, n.Replicas, MaxReplicas)
	case n.PartitionHash != HashCRC16 && n.PartitionHash != HashMurmur3:
		return fmt.Errorf("meta: namespace %s: partition hash %q: want %s or %s", n.Name, n.PartitionHash, HashCRC16, HashMurmur3)
	case n.ReadMode != ReadLease && n.ReadMode != ReadQuorum:
		return fmt.Errorf("meta: namespace %s: read mode %q: want %q (lease) or %s", n.Name, n.ReadMode, ReadLease, ReadQuorum)
	case ValidateConflictPolicy(n.ConflictPolicy) != nil:
		return fmt.Errorf("meta: namespace %s: %w", n.Name, ValidateConflictPolicy(n.ConflictPolicy))
	case n.RetainSeconds < 0 || n.RetainBytes < 0:
		return fmt.Errorf("meta: namespace %s: retention of %d s and %d bytes: want none below 0", n.Name, n.RetainSeconds, n.RetainBytes)
	}
	return nil
}

// ValidateConflictPolicy says whether s is a policy's name.
func ValidateConflictPolicy(s string) error {
	if s != "" && s != ConflictDefault && s != ConflictElement {
		return fmt.Errorf("conflict policy %q: want %s or %s", s, ConflictDefault, ConflictElement)
	}
	return nil
}

// ValidateNamespaceName says whether s can name a namespace.
func ValidateNamespaceName(s string) error {
	if len(s) > MaxNamespaceName {
		return fmt.Errorf("meta: namespace name of %d bytes: want at most %d", len(s), MaxNamespaceName)
	}
	if !namePattern.MatchString(s) {
		return fmt.Errorf("meta: namespace name %q: want letters, digits and _ only", s)
	}
	return nil
}

// PartitionID names a partition in the cluster.
type PartitionID struct {
	Namespace string
	Number    int
}

// String gives the form that people see: "default-0".
func (p PartitionID) String() string { return p.Namespace + "-" + strconv.Itoa(p.Number) }

// Compare orders partitions by namespace, then by number.
func (p PartitionID) Compare(q PartitionID) int {
	return cmp.Or(strings.Compare(p.Namespace, q.Namespace), cmp.Compare(p.Number, q.Number))
}

// ParsePartitionID reads the form that String writes.
func ParsePartitionID(s string) (PartitionID, error) {
	ns, num, ok := strings.Cut(s, "-")
	if !ok {
		return PartitionID{}, fmt.Errorf("meta: partition %q: want namespace-number, as in default-0", s)
	}
	if err := ValidateNamespaceName(ns); err != nil {
		return PartitionID{}, fmt.Errorf("meta: partition %q: %w", s, err)
	}
	n, err := strconv.Atoi(num)
	if err != nil || n < 0 || n >= MaxPartitions || strconv.Itoa(n) != num {
		return PartitionID{}, fmt.Errorf("meta: partition %q: number %q: want 0 to %d", s, num, MaxPartitions-1)
	}
	return PartitionID{Namespace: ns, Number: n}, nil
}

// Placement says which nodes hold a partition.
type Placement struct {
	Partition PartitionID `json:"-"`
	// Nodes hold a voting replica each. The first one is to lead when nothing speaks against it.
	Nodes []NodeID `json:"RaftNodes"`
	// RaftIDs is each replica's id within the raft group. A replica made anew gets a new one.
	RaftIDs   map[NodeID]uint64 `json:"RaftIDs"`
	MaxRaftID uint64            `json:"MaxRaftID"`
	// Learners hold a replica without a vote, by learner role; the first of a role is its active one.
	Learners map[string][]NodeID `json:"LearnerNodes,omitempty"`
	// Revision is the store's revision of its last change.
	Revision int64 `json:"-"`
}

// NodeOf is the node whose replica has a raft id; 0 if none has.
func (p *Placement) NodeOf(raftID uint64) NodeID {
	for id, r := range p.RaftIDs {
		if r == raftID {
			return id
		}
	}
	return 0
}

// Has says whether a node holds a voting replica.
func (p *Placement) Has(id NodeID) bool { return slices.Contains(p.Nodes, id) }

// Validate says what is wrong with the placement in itself.
func (p *Placement) Validate() error {
	if len(p.Nodes) == 0 || len(p.Nodes) > MaxReplicas {
		return fmt.Errorf("meta: placement of %s: %d nodes: want 1 to %d", p.Partition, len(p.Nodes), MaxReplicas)
	}
	seen := map[uint64]NodeID{}
	for i, id := range p.Nodes {
		if id == 0 || slices.Contains(p.Nodes[:i], id) {
			return fmt.Errorf("meta: placement of %s: nodes %v: want different ids, none 0", p.Partition, p.Nodes)
		}
		if p.RaftIDs[id] == 0 {
			return fmt.Errorf("meta: placement of %s: node %d has no raft id", p.Partition, id)
		}
	}
	for id, r := range p.RaftIDs {
		if other, twice := seen[r]; twice || r == 0 || r > p.MaxRaftID {
			return fmt.Errorf("meta: placement of %s: raft id %d of node %d: want one of its own (node %d) between 1 and %d",
				p.Partition, r, id, other, p.MaxRaftID)
		}
		seen[r] = id
	}
	return nil
}

// Leader is a partition's leader as it announced itself. It is a hint for routing: only raft knows for sure.
type Leader struct {
	Partition PartitionID `json:"-"`
	Node      NodeID      `json:"Node"` // 0: none was announced yet
	Term      uint64      `json:"Term"`
}

var clusterPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,255}$`)

// ValidateClusterID says whether s can name a cluster: it is part of keys in the store and of versions in events.
func ValidateClusterID(s string) error {
	if !clusterPattern.MatchString(s) {
		return fmt.Errorf("meta: cluster id %q: want 1 to 255 letters, digits, dots, _ and -", s)
	}
	return nil
}
