// Package verify checks a stream of changes against the feed's promises: what anyone can run who has the stream and nothing else.
//
// Model. A stream is lines of JSON (files, an archive's folder, messages of a topic) or events (a live partition), of one partition or of several in any
// mixture. Lines are told apart by cluster, namespace and partition; each partition has an event.Validator of its own, which computes the chain over the
// content. The report says for each how far it came and, if it isn't right, which promise was broken, at which position and where in the file.
//
// Invariants:
//
//  1. Of an event, a line or a part of a message that is lost, doubled, moved or altered, the report has a violation at or after the place, but for three
//     things that nothing tells: what is lost at the very end (a known end, Expect.Until, or a heartbeat tells), content of the first event where
//     nothing says what was before it (Expect.After tells; a log's very first event needs nothing), and a heartbeat alone.
//  2. A partition that failed doesn't keep the others from being checked.
//  3. A last line without its end is incomplete, not altered.
//  4. Memory is bounded by the longest line, the largest event's digests and the number of partitions, which is bounded.
//  5. An error of Run or Lines says that the source couldn't be read. What the content lacks stands in the report.
//
// Lines, the check of any reader, uses no clock, disk or network but the reader; sources are in files of their own.
//
// Cost: about 2 µs a line, almost all of it reading the JSON and SHA-256: 200 MB/s and more on one core; a third more where replays are allowed.
package verify
