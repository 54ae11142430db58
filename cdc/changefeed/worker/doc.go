// Package worker runs changefeeds: in each process that hosts a Manager it claims partitions that nobody runs, and carries their events from the Source to
// a Writer of the sink.
//
// Model. The Manager watches the registry. A partition that should run and has no owner is claimed after Source.Preference, up to 200 ms by lot, and a
// step (20 ms, less where there are many) for each partition that this process has or has in view: who has less is first, and processes that
// start together share. Nothing is taken from an owner that lives. A claim's life is a worker:
//
//	attempt   opens the sink's writer, finds the place to begin, reads the source and writes; a failure ends it, and another one follows after a pause
//	watcher   ends the attempt when the claim is lost, the writer failed, or the worker has to stop
//	keeper    every second: figures and diagnosis; saves the checkpoint
//	scout     every two seconds: how far the log reaches; has the log keep what the checkpoint hasn't passed
//
// Invariants:
//
//  1. What is saved is what the writer said to have durably, and never beyond what this worker gave it.
//  2. Every event's chain joins on to the one before it, whatever it came from: log, archive, snapshot. Otherwise the partition fails.
//  3. After the claim is lost nothing is given to the writer, and nothing saved.
//  4. A checkpoint set by hand wins until something behind it is durable: a crash in between begins there again.
//  5. Where a partition begins is settled, and saved, before the sink is asked for anything: "latest" means one place, whoever dies before an event came.
//  6. A failure that doesn't end by itself stops that partition only; so does a panic.
//
// Cost. An event costs a lock that nobody else wants and two comparisons, no allocation. A partition at rest has four goroutines here (and those of its
// writer and its stream), wakes once a second, asks how far the log reaches every ten, and writes to the registry every fifteen.
package worker
