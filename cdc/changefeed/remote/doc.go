// Package remote is the registry of changefeeds for processes that don't reach the cluster's etcd: data nodes serve theirs over gRPC.
//
// Model. A process has one session, a stream, with one node at a time. Over it come the node's views (as what changed since the last one), the answers to
// what is asked, and once a second an answered heartbeat. What the process claims the node claims in its own registry, under the process's name,
// and holds for it. When the session ends the process has lost all its claims, and looks for another node.
//
//	syncer ─ Registry ─ session ─ gRPC ─▶ Server ─▶ the node's registry ─▶ etcd
//
// Invariants:
//
//  1. A process takes its claims for lost before the node gives them to others, where it doesn't end by the process's own word: the process's time (4 s)
//     runs from when it sent the last heartbeat that was answered, the node's (5 s) from when that came. A connection that the process's
//     machine closed is its word.
//  2. A node that ends holds the claims until the processes know, for a second at most. One that dies holds them in etcd for its lease there: nobody
//     else gets them for that long.
//  3. Epochs, and what is saved, are the node's registry's: what is saved under a claim that is gone isn't saved, whoever believes what.
//  4. What a process gave up waiting for is undone when it comes: no claim is held for nobody.
//  5. Views only go forward: one of a node that lags behind the last isn't shown.
//
// Cost. A session is a goroutine for each direction at both ends and a heartbeat a second, however many partitions. A partition whose progress was saved
// costs the node a comparison of that changefeed's partitions, and about half a KiB to the process, at most every 50 ms.
package remote
