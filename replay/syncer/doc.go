// Package syncer is the process that carries the changes of one cluster into another: `zankv-cdc sync`.
//
// Model. For each namespace that it is to carry the source has a changefeed with the sink zankv:// of the target, which syncers run and data nodes don't. The
// process defines those that aren't there, and runs a worker.Manager over the source's registry (package remote). So several processes of the same
// source and target share the partitions, and one goes on where another one ended, lost its connection or stood still. What is carried, and that it comes
// in exactly once, is package replay's.
//
//	source ─ feed ─▶ worker ─ replay.Sink ─▶ target
//	  ▲  └─ registry ─┘  └─ figures ─▶ HTTP
//	  └── Confirm: what the target has, for how long tombstones are kept
//
// Invariants:
//
//  1. The id of a changefeed is that of namespace and target: a process doesn't define a second one, nor run one of another target.
//  2. A definition that says something else than the process was told isn't run, and not changed, unless the process was told that, too.
//  3. What an operator removes while a process runs isn't defined again by it. What is paused stays so.
//  4. A cluster isn't its own target.
package syncer
