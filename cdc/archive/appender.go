package archive

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cdc/message"
)

// appender is the message.Appender of one owner's life in one partition.
type appender struct {
	sink   *Sink
	folder *folder
	keeper *keeper

	seg     segment
	file    file
	written int64
	synced  int64
	begun   time.Time // when the first line came into the segment

	position event.Position // what the stream has reached
	within   bool           // a snapshot
	whole    bool           // no event is begun that isn't whole
	rewound  bool           // the next segment is
	ended    bool           // a snapshot that began in an earlier segment ended
	buf      []byte
	err      error
}

// writeBytes is how much goes to the file in one call.
const writeBytes = 1 << 20

// begin makes the first segment of an owner's life.
func (s *Sink) begin(d *folder, epoch uint64, end tail, rewind bool) (*appender, error) {
	a := &appender{sink: s, folder: d, position: end.position, whole: true, rewound: rewind, seg: segment{key: key{epoch: epoch}}}
	prev, bytes := key{}, int64(0)
	if n := len(end.parts); n > 0 {
		prev, bytes = end.parts[n-1].key, end.parts[n-1].bytes
	}
	// An earlier life of the same owner may have begun segments that weren't used.
	number, err := d.lastNumber(epoch)
	if err != nil {
		return nil, storage(err, d.path+" can't be listed")
	}
	a.seg.number = number
	if err := a.next(prev, bytes); err != nil {
		return nil, err
	}
	a.keeper = s.keep(d, a.seg.key)
	return a, nil
}

// lastNumber is the highest number of an epoch's segments.
func (d *folder) lastNumber(epoch uint64) (last uint64, err error) {
	entries, err := d.fs.List(d.path)
	for _, seg := range segmentsOf(entries) {
		if seg.epoch == epoch {
			last = max(last, seg.number)
		}
	}
	return last, err
}

// next begins a segment. Once its name is durable, nothing else continues prev.
func (a *appender) next(prev key, bytes int64) error {
	seg := segment{key: key{a.seg.epoch, a.seg.number + 1}, after: a.position, within: a.within, rewound: a.rewound, prev: prev, prevBytes: bytes}
	f, err := a.sink.fs.Create(filepath.Join(a.folder.path, seg.name()))
	if err != nil {
		return storage(err, "the segment "+seg.name()+" can't be made in "+a.folder.path)
	}
	if err := a.sink.fs.SyncFolder(a.folder.path); err != nil {
		f.Close()
		return storage(err, "the folder "+a.folder.path+" can't be synced")
	}
	a.seg, a.file, a.written, a.synced, a.ended, a.rewound = seg, f, 0, 0, false, false
	return nil
}

// Append writes a batch and syncs it. After an error the segment is left as it is: the next life goes on behind what was synced.
func (a *appender) Append(_ context.Context, b *message.Batch) error {
	if a.err == nil {
		a.err = a.append(b)
	}
	return a.err
}

func (a *appender) append(b *message.Batch) error {
	if a.full() {
		if err := a.rotate(); err != nil {
			return err
		}
	}
	if a.written == 0 {
		a.begun = a.sink.clock()
	}
	for i := range b.Messages {
		if err := a.line(&b.Messages[i]); err != nil {
			return err
		}
	}
	if err := a.flush(); err != nil {
		return err
	}
	if err := a.sync(); err != nil {
		return err
	}
	a.reached(b)
	return nil
}

// reached notes how the stream stands after a batch.
func (a *appender) reached(b *message.Batch) {
	if n := len(b.Messages); n > 0 {
		last := &b.Messages[n-1]
		a.whole = last.Kind != message.Change && last.Kind != message.Filtered || last.Position == b.Last.Position
	}
	if !b.Last.Position.IsZero() {
		a.position = b.Last.Position
	}
}

// full says whether it is time for another segment, and a place for it: no event lies in two.
func (a *appender) full() bool {
	return a.whole && a.written > 0 && (a.written >= a.sink.cfg.SegmentBytes || a.ended || a.sink.clock().Sub(a.begun) >= a.sink.cfg.SegmentAge)
}

func (a *appender) rotate() error {
	err := a.file.Close()
	a.file = nil
	if err != nil {
		return storage(err, a.seg.name()+" can't be closed")
	}
	if err := a.next(a.seg.key, a.written); err != nil {
		return err
	}
	a.keeper.wake()
	return nil
}

func (a *appender) line(m *message.Message) error {
	if m.Total != 0 || m.Kind == message.Tombstone {
		return &changefeed.Error{Stage: changefeed.StageDecode, Code: changefeed.CodeInternal, Final: true, Action: "report this as a bug",
			What: fmt.Sprintf("archive: a message of kind %s in part at %s: an archive has whole lines", m.Kind, m.Position)}
	}
	switch m.Kind {
	case message.SnapshotBegin:
		a.within = true
	case message.SnapshotEnd:
		a.ended = a.ended || a.seg.within
		a.within = false
	}
	a.buf = append(append(a.buf, m.Value...), '\n')
	if len(a.buf) < writeBytes {
		return nil
	}
	return a.flush()
}

// flush writes what is buffered, and syncs where it would become too much that isn't.
func (a *appender) flush() error {
	for rest := a.buf; len(rest) > 0; {
		if a.written-a.synced+writeBytes > unsyncedBytes {
			if err := a.sync(); err != nil {
				return err
			}
		}
		piece := rest[:min(len(rest), writeBytes)]
		n, err := a.file.Write(piece)
		a.written += int64(n)
		if err != nil {
			return storage(err, fmt.Sprintf("%s can't be written to in %s", a.seg.name(), a.folder.path))
		}
		rest = rest[len(piece):]
	}
	if cap(a.buf) > 2*writeBytes {
		a.buf = nil
	}
	a.buf = a.buf[:0]
	return nil
}

func (a *appender) sync() error {
	if err := a.file.Sync(); err != nil {
		a.sink.mu.Lock()
		a.sink.mu.failed[a.folder.path] = part{a.seg, a.synced}
		a.sink.mu.Unlock()
		return storage(err, fmt.Sprintf("%s can't be synced in %s: the stream goes on in another segment, after what was", a.seg.name(), a.folder.path))
	}
	a.synced = a.written
	return nil
}

// MaxBytes is that of a reader's longest line: messages are never split.
func (a *appender) MaxBytes() int { return maxLine - 1 }

// Close waits for housekeeping to stop.
func (a *appender) Close() error {
	a.keeper.close()
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	return storage(err, a.seg.name()+" can't be closed")
}
