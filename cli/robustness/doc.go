// Package robustness checks the promises to clients from the outside, on a cluster of real processes that are killed while
// clients write: that histories are linearizable, that no acknowledged write is lost, that the feed of every partition is
// what it promises to be, and that replicas agree.
//
// The pieces:
//
//	model.go     what a key may answer to GET, SET, SETNX, INCR and DEL: the sequential specification
//	history.go   what each client asked and got, with times; unknown outcomes included
//	client.go    one client's commands over a real connection, and what its errors mean
//	workload.go  concurrent clients on few keys
//	probe.go     reads that a paused node finds when it goes on
//	faults.go    kill -9 and pauses of processes, each gated by the progress of the clients
//	feed.go      zankv-cdc tail as a process, its lines checked and folded
//	store.go     the store's content and checksums, read over its public interfaces
//
// Changefeeds are checked the same way, with a real Kafka broker that is killed, paused, slowed down and left without room:
//
//	operator.go    zankv-cdc's commands as processes, and the JSON that they print
//	topic.go       a topic read from its beginning, its lines checked and folded as a feed's
//	stream.go      what topic.go and feed.go share
//	markers.go     keys that show how far a stream has come
//	feedfaults.go  bad things done to owners, leaders and the broker, each over when the feed has come on
//	memory.go      the memory of processes
//
// Syncers are checked between two such clusters, which know nothing of each other:
//
//	pair.go         both, the syncers of each direction, and the link between them
//	tallies.go      clients that keep count of what was acknowledged
//	syncfaults.go   kill -9 of syncers and of leaders on both sides
//	rivals.go       clients of both clusters that write the same keys
//	registers.go    what was written to each register in either, what was lost, and what won
//	conflictlog.go  the conflict logs, by zankv-repair
//	equal.go        checksums of hash slots over all partitions and replicas
//	places.go       what replicas know of senders, peers and conflicts
//	switch.go       zankv-repair's commands as processes, and what B should have by A's log
//	feedread.go     feeds from their beginning to their end
//
// A run draws everything from one seed, which it prints; ZANKV_SEED repeats the draw (not the machine's timing).
package robustness
