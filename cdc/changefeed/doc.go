// Package changefeed says what a changefeed is: its definition (Spec), how far it is (Progress), who runs it (Registry, Claim), and what
// it is made of (Source, Sink). Package worker runs it; the sinks are packages of their own.
//
// Model. A changefeed carries the events of a namespace's partitions to a sink, each partition in order and on its own. One process at a time owns
// a (changefeed, partition): it holds a Claim, whose epoch grows with every owner. The sink is told the epoch and refuses an earlier owner's
// writes; the registry does the same with its progress. So two owners, one of which doesn't know yet that it lost the claim, do no harm.
//
//	feed ─▶ Source ─▶ worker ─▶ Writer (filter, encode, batches within a Budget) ─▶ Kafka, files, another cluster
//	                    └─ Progress ─▶ Claim.Save ─▶ etcd        (only of what the sink has durably)
//
// Invariants:
//
//  1. A checkpoint names a position up to which the sink has everything durably. It may be behind the sink, never ahead of it.
//  2. On taking over, what the sink itself says of its end (Resume) wins over the checkpoint, unless that was set by hand.
//  3. Per partition, order and completeness are the feed's. What is missing on purpose is named: filtered mutations by their digests,
//     a loss of the place in the log by a snapshot's begin and end.
//  4. Memory is bounded by the Budget, whatever the sink does; what doesn't fit waits.
//  5. Everything that stops a changefeed has a State, a stage, a cause and an action, in words that the operator reads.
//
// Who runs it is part of its definition (Spec.Runner): the cluster's data nodes, or syncers, processes of their own that reach the registry through a node
// (package remote).
//
// The types here are data: no clock, disk or network.
package changefeed
