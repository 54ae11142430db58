// Package meta is what a cluster knows about itself: its namespaces, where the replicas of their partitions are placed,
// which nodes there are, and who leads what.
//
// A Store keeps it (etcdmeta in etcd, memmeta in memory) and shows it as a View: one immutable picture of everything,
// replaced as a whole when something changes. All reading is done from views, so a store that can't be reached stops
// changes and new nodes, and nothing else: who serves goes on serving by the last view.
//
// Invariants, each held by the conformance suite metatest for every implementation:
//
//  1. A node id is allocated once and never again. A group id likewise: MinGID is a multiple of 10000 that no other
//     namespace of the cluster has or had.
//  2. A namespace is in a view with the placement of every one of its partitions, or not at all.
//  3. The announced leader of a partition only ever moves to a higher term.
//  4. A watcher may miss pictures in between, but never the last one; the revisions it sees only grow.
//  5. A node's addresses stay in the view when its presence has ended: Live says whether it is there now.
//  6. Of two processes that register the same node id the later one has it, and the earlier one is told (Session.Lost).
//  7. A view never changes once it was handed out.
//
// Concurrency: every method of a Store may be called from any goroutine. Views may be read by all at once and must not be
// written to.
package meta
