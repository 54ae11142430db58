// Package equal finds out whether two clusters hold the same, and on the strength of that lets one go on from where the other is.
//
// Model. A cluster is reached by the gRPC address of any of its nodes; the rest follows from there. The content of a namespace is summed up per hash
// slot over its partitions, each at a position that the sum names, by the watermark and the time that both sides share: so clusters with other
// partition counts and hash functions can be compared. A slot whose sums agree has the same keys, values, versions and expiries on both sides.
//
// Invariants:
//
//  1. Sums are compared only when they were made by the same watermark and the same time.
//  2. A place is adopted only at the position whose sum was compared, unless it is forced; what the source writes after it comes by the stream.
//  3. The source keeps tombstones for the target before its sums are taken, so that no deletion after them is lost.
//
// Concurrency: a Cluster may be used from any goroutine. Cost: a sum reads all of a partition on its leader, a few partitions of a cluster at once.
package equal
