// Package datanode wires one data node: the log, the transport, the raft groups and partition replicas that metadata places here,
// the Redis front end, the HTTP and gRPC services, and the node's registration.
//
// # Model
//
// A node does what metadata says: it watches the view (cluster/meta) and opens a replica for every placement that names it. It
// announces the partitions that it leads. Losing etcd stops changes of placement and nothing else.
//
// # Invariants
//
//  1. A data folder belongs to one process at a time (a lock) and to one node id for ever (the file myid).
//  2. A replica is opened only under the magic code of the namespace it was made for: the data of an older namespace of the same
//     name is an error, never content.
//  3. A changefeed's partition that this node runs is read from the node's own replica as long as that can serve it, and given up, flushed and saved,
//     before Run returns.
//  4. The first error that a replica, the raft loop or the log can't go on after ends the node: Run returns it.
//
// Concurrency: Open and Close are for one goroutine, everything else may be called from any.
package datanode
