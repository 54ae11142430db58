package resp

import "github.com/zankv/zankv/cluster/command"

// Executor is one partition replica of this node, as the front end uses it. All methods may be called at once from
// any number of goroutines.
type Executor interface {
	// Read answers a read-only request at once, on the calling goroutine, if this replica may: it leads with a valid lease
	// and has applied its own term's first entry, or the request has ReadStale. It appends to req.Reply.Buf. False means that nothing
	// was done and the buffer is as it was: use Submit. With req.Reply.Spill a large reply is handed over in parts while the state is read; if that
	// fails half way, the outcome is Unknown: nothing more follows.
	Read(req *command.Request) bool
	// Submit takes requests that are evaluated in order; nothing later overtakes one that is queued again. done is called
	// exactly once, from another goroutine, when every request has an Outcome. If one ends Elsewhere, every later one of the
	// same Submit does too. reqs and what it points to are the executor's until then.
	Submit(reqs []*command.Request, done func())
	// Unblock ends the wait of a request that was submitted and whose command blocks; the request gets its outcome by it as it would otherwise.
	// What was answered meanwhile, or was never submitted here, isn't touched.
	Unblock(req *command.Request, how command.UnblockHow)
	// Leading says whether this replica believes that it leads. It is a hint for routing, not a promise.
	Leading() bool
}

// Hash is the function that spreads a namespace's keys over its partitions. The numbers are in metadata: never renumber.
type Hash uint8

const (
	// HashCRC16 is Redis Cluster's slot of 16384, hash tags included; partition = slot·P/16384.
	HashCRC16 Hash = 1
	// HashMurmur3 is murmur3, 32 bits, seed 0, mod P: what ZanKV's SDKs compute.
	HashMurmur3 Hash = 2
)

// Namespace is what the front end knows of a namespace. It is immutable: a change of configuration is another Namespace.
type Namespace struct {
	Name       string
	Partitions int
	Hash       Hash
	// Forward lets this node pass commands on to the partition's leader. Without it clients get ERR_CLUSTER_CHANGED.
	Forward bool
	// ReadQuorum makes every read ask a quorum. The executors see to it; here it is for information.
	ReadQuorum bool
	// Unsynced: writes are acknowledged before they are on disk (optimizedfsync). WAITAOF says so.
	Unsynced bool
	// Password is what AUTH asks for; empty: none is needed, and any is accepted.
	Password string
}

// Node is where a data node can be reached. A port of 0 is not open.
type Node struct {
	ID                            uint64
	Host                          string
	RedisPort, HTTPPort, GRPCPort int
	// NamespacePort and ClusterPort belong to the namespace that was asked about.
	NamespacePort, ClusterPort int
}

// InfoField is one "name:value" line of INFO.
type InfoField struct{ Name, Value string }

// Backend is what lies under the front end: this node's replicas, and what metadata says of the others. All methods may
// be called at once from any number of goroutines, and none may block.
type Backend interface {
	// Namespace looks a namespace up. The pointer stays the same until its configuration changes.
	Namespace(name string) (*Namespace, bool)
	// Executor is this node's replica of a partition, nil if it has none. Called once per command: O(1), lock-free.
	Executor(ns *Namespace, partition int) Executor
	// Leader is the node that leads a partition, as far as this node knows.
	Leader(ns *Namespace, partition int) (Node, bool)
	// Replicas are the nodes with a replica of a partition, the leader included.
	Replicas(ns *Namespace, partition int) []Node
	// Info gives the lines of INFO that the front end can't know: sections "persistence", "replication", "keyspace", "raft", "cdc",
	// and additions to "server", "memory" and "stats". ns is nil on a connection that is bound to none.
	Info(ns *Namespace, section string) []InfoField
}
