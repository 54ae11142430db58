// Package bench measures a store against others on this machine, in one run: it starts real processes, lets them take
// turns, and prints ratios.
//
// # Model
//
// A Section is a group of measurements with the systems that they need, the data that these are to hold before the first
// round (Prepare), and the rows of the table that they fill. A Measurement yields samples: named numbers. One round takes
// every measurement once, by turns that keep what is compared next to each other; there are several short rounds rather than
// one long one, because a machine's speed drifts. A Row is a metric, or the ratio of two, taken round by round, then the
// median; its target says whether that is enough.
//
// Another package's benchmark becomes a Section by a Measurement that calls it: see log.go.
//
// # Invariants
//
//  1. Only processes started here are ended, by their pid; they end with the run, with Ctrl-C, and with the death of this
//     process by whatever cause (on Linux).
//  2. All ports are found free first. Everything lies in a directory of the run, which is removed, or in files without a name. Only
//     the goroutines of a system that hung outlive the run, in a file that the error names.
//  3. A system that can't be measured is an error, never an empty cell.
//  4. Two systems in one ratio were measured by the same load generator with the same number of clients, requests in
//     flight, keys and bytes per value.
//  5. Whoever watches a load is there before its first request and has to have seen its last: a tail that lags or has died
//     costs nothing, which is no figure.
//
// # Concurrency
//
// A run is one goroutine; only a system's processes and a measurement's own clients run beside it.
package bench
