// Package archive keeps a changefeed's stream in files, and reads it back.
//
// Model. A folder for each partition, <namespace>-<partition>, has segments: files of lines, each exactly what `zankv-cdc tail --format json` prints (or
// what stands for filtered mutations, heartbeats and snapshots: see event.Line). The stream is the content of the segments, one after the other, with
// nothing between and nothing around. One owner at a time appends (Sink, a message.Appender under message.Writer). A Reader gives the lines, or whole
// events for a changefeed that lost its place in the log.
//
// A segment's name says all that isn't in its lines:
//
//	00000000000000001041-2.000000000007-000003.6-12-1048576.jsonl.zst
//	└───────┬──────────┘ │ └────┬─────┘ └─┬──┘ │ │  └──┬──┘ └───┬───┘
//	        index     term      epoch  number  │ │   bytes    form
//	        └ after ─────┘             previous┘ └ its number
//
//	after     the position that the stream has reached where the segment begins (20 digits of index, then the term), of an event, a heartbeat or a
//	          snapshot; "0-0" if nothing was known. The first event in it is the next one. An s behind it: the segment begins within a snapshot. An r:
//	          its owner was told by hand where to begin, so that it may repeat what came before or leave some out
//	epoch     the owner's, at least 12 digits
//	number    of the segment among those of the epoch, from 1, at least 6 digits
//	previous  epoch and number of the segment that this one continues, and how many bytes of that belong to the stream; "0-0-0" for the first
//	form      .jsonl, or .jsonl.zst: one zstd frame with checksum. bytes counts unpacked
//
// Every line ends with a line feed; no line is longer than 512 MiB; no event lies in two segments, a snapshot may. Sorted by name, segments are in order
// but for those that don't belong to the stream. What does is found from the end: the segment with the highest epoch, and of these the highest
// number, is the newest; each names the one before, up to one that isn't there (it was removed, as it was too old). Of the newest everything
// counts up to the last line after which nothing is begun: no event and no snapshot that isn't whole. Files ending in .tmp are being made.
//
// Invariants:
//
//  1. What an owner of a lower epoch writes after a higher one began a segment isn't in the stream: nobody names it. There is no lock, and a stopped
//     process that wakes up does no harm.
//  2. Append returns after an fsync: what it acknowledged is in the stream, for ever or until retention removes it.
//  3. A segment is appended to by one life of one owner only, and is never cut, changed or written over. So what a later name counts on stays.
//  4. Less than 4 MiB of a segment are written and not yet synced.
//  5. The newest segment is never removed.
//
// Taking over (Sink.Open): list; find the end; sync the segment in which it lies, as its owner may have died before it did; create one's own, and
// sync the folder: that is the commit point. Of the 4 MiB that may be anything after a power failure (zeros, holes) each event is proved by its chain
// before it counts; the rest of a segment isn't read, nor are the others. An event that is there in part isn't: the next segment begins before it, and
// so does it before a snapshot that isn't whole.
//
// A failed write or sync ends the owner's life in the partition: a later sync of the same file might succeed without the pages that the failed one
// dropped. The next life of the process goes on in another segment, behind what was synced before; another process reads what the file system shows
// it, and has it synced or fails. Nothing is tried again on the same file.
//
// Packing and removing is done beside, one segment at a time: packed into a .tmp, synced, renamed, folder synced, the plain form removed. A
// segment of another life is packed, and what branches off from the stream is removed, only when it is an hour old: who takes over has named by then what it
// counts on. What a missing segment cuts off from the stream stays, unless keep-bytes or keep-age say that old ones go.
//
// Where the folder is. All processes that may own the changefeed should see the same one (a shared file system whose create-exclusively and fsync
// are real). With a folder on each node, each of them is right in itself: an owner that comes back goes on from where its folder ends.
//
// Concurrency: Sink and Reader are for any goroutine, streams and lines for one each. A writer has one goroutine beside message.Writer's.
//
// Cost: bytes are copied once and synced once a batch: about 270 MB/s in batches of 1 MiB. An owner holds the batch's copy (1 MiB) and, while it packs, about 8 MiB. Taking over reads
// 5 MiB of the newest segment. A reader holds one line or one event, and unpacking takes some 10 MiB.
package archive
