// Package admin serves and calls the service by which changefeeds are defined and watched.
//
// Model. Every data node serves it, from the registry: what it shows is the node's last view, what it changes is a transaction on etcd. After a change a
// server waits (shortly) until its own view has it, so that who asks the same node next sees what they did.
//
// Invariants:
//
//  1. A definition is stored only if its namespace is there and its places, filters and sink make sense.
//  2. What would make the stream in a sink another one (its address, the format, where it begins) is changed only while the changefeed is paused;
//     a checkpoint is set only while it is paused and nobody owns the partition.
//  3. Pause returns nil only when nobody owns a partition any more, as far as this node's view knows; SetCheckpoint asks the registry itself.
//  4. Every failure has a Code, also over the wire: scripts go by it.
//  5. A client repeats a change on another node only if it is known not to have happened.
//
// Concurrency: any goroutine may call any method.
package admin
