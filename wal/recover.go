package wal

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/raft/v3/raftpb"
)

// firstSegment is the id that every log begins with.
const firstSegment = 1

// Recovery reads every segment once, from the oldest on, with bounded memory (the largest frame), and stops where the
// frames stop. Whether that is the end of the log or damage is decided by what a frame says about those before it.
// Let s be the sequence number that should come next.
//
//   - The next segment begins with a valid frame s: the segment just ended there.
//   - Some valid frame further on was written when s was known durable (synced ≥ s): s was there and is not any more.
//     That is damage, whatever the reason; it is named and nothing is changed.
//   - Otherwise nothing that was synced after s is known. s is what was being written when the process died, and it,
//     and what may lie after it, was never acknowledged as durable (an acknowledgement needs a sync that covers s, and
//     the last frame of all, whose own sync nothing records, can't be told from a torn one: its checksum fails in both
//     cases). The log ends before s.
//
// Frames that weren't synced one by one (updates without MustSync, appends over 4 MiB) make no difference: between two
// syncs the disk may keep any of them, and all of them say synced < s for the first that it lost.
//
// Cut frames stay on disk behind the end, and writing goes on at the end, over them. None can come to life again: a
// frame is only taken after its predecessor when both carry the same life, or when it is the first of its own; the
// cut ones carry an older life than the frame that is written over the first of them. Nor can they speak as witnesses
// later: they say synced < s, and what is missing later is never before s.
//
// What was read may be in the page cache only. It is synced before Open returns, or else an entry could be
// acknowledged, by a later life, on top of one that a power failure then takes away.
type recovery struct {
	l      *Log
	win    window
	segs   []*segment
	after  []uint64 // of each segment's header
	seq    uint64   // of the last frame taken
	life   uint64
	group  *Group // of the last record
	frames uint64
}

func (l *Log) recover() error {
	start := time.Now()
	r := &recovery{l: l, win: window{chunk: 1 << 20}}
	if err := r.openAll(); err != nil {
		return err
	}
	if len(r.segs) == 0 {
		return l.create()
	}
	tail, off, bytes, err := r.readAll()
	if err != nil {
		return err
	}
	if err := r.settle(tail, off); err != nil {
		return err
	}
	l.opts.Logger.Info("wal: recovered", "dir", l.opts.Dir, "segments", tail+1, "frames", r.frames, "bytes", bytes,
		"groups", len(l.groups.m), "took", time.Since(start))
	return nil
}

// openAll opens the files, and sorts segments from spares.
func (r *recovery) openAll() error {
	names, err := r.l.opts.FS.List(r.l.opts.Dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	k := &r.l.keeper
	for _, name := range names {
		path := filepath.Join(r.l.opts.Dir, name)
		id, ok := parseSegmentName(name)
		switch no, isSpare := strings.CutPrefix(name, sparePrefix); {
		case ok:
			err = r.openSegment(path, id)
			k.mu.lastID = max(k.mu.lastID, id)
		case isSpare:
			if n, e := strconv.ParseUint(no, 10, 64); e == nil {
				k.mu.nameNo = max(k.mu.nameNo, n)
			}
			err = r.openSpare(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) openSegment(path string, id uint64) error {
	f, err := r.l.opts.FS.Open(path)
	if err != nil {
		return err
	}
	s := &segment{id: id, name: path, f: f, seed: seed(id)}
	r.l.segs.push(s) // so that it is closed whatever happens
	if s.size, err = f.Size(); err != nil {
		return err
	}
	s.written.Store(s.size)
	head := make([]byte, min(s.size, segmentHeaderSize))
	if len(head) > 0 {
		if _, err := f.ReadAt(head, 0); err != nil {
			return fmt.Errorf("read header of %s: %w", path, err)
		}
	}
	after, err := decodeSegmentHeader(head, path, id)
	r.segs, r.after = append(r.segs, s), append(r.after, after)
	return err
}

func (r *recovery) openSpare(path string) error {
	k := &r.l.keeper
	f, err := r.l.opts.FS.Open(path)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err == nil && size == k.size && len(k.mu.ready) < k.spares {
		k.mu.ready = append(k.mu.ready, &spare{name: path, f: f, size: size})
		return nil
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return r.l.opts.FS.Remove(path)
}

// readAll takes all frames up to the end, and returns the segment and the offset where that is.
func (r *recovery) readAll() (tail int, off, bytes int64, err error) {
	for i, s := range r.segs {
		end, err := r.readSegment(i)
		if err != nil {
			return 0, 0, 0, err
		}
		bytes += end
		if i == 0 && end == segmentHeaderSize && s.id != firstSegment {
			// Older ones are only dropped after a sync of the one being written.
			return 0, 0, 0, corrupt(s.name, end, "the first frame is damaged: this is the oldest segment left, so it had frames")
		}
		if i+1 < len(r.segs) {
			goesOn, err := r.begins(i + 1)
			if err != nil {
				return 0, 0, 0, err
			}
			if goesOn {
				continue
			}
		}
		return i, end, bytes, r.witness(i, end)
	}
	panic("wal: unreachable: the last segment has no next one")
}

// readSegment takes the frames of one segment and returns where they end.
func (r *recovery) readSegment(i int) (int64, error) {
	s := r.segs[i]
	r.win.buf = r.win.buf[:0]
	off := int64(segmentHeaderSize)
	for {
		h, b, err := r.frame(s, off)
		if err != nil || b == nil || !r.follows(i, off, h) {
			return off, err
		}
		if h.flags&^flagFirst != 0 {
			return off, fmt.Errorf("%w: file %s offset %d: frame flags %#x, this program knows %#x", ErrVersion, s.name, off, h.flags, flagFirst)
		}
		if err := r.take(s, off, h, b[frameHeaderSize:frameHeaderSize+int(h.length)]); err != nil {
			return off, err
		}
		r.seq, r.life = h.seq, h.life
		r.frames++
		off += int64(len(b))
	}
}

// frame returns the valid frame at off, with b nil if there is none.
func (r *recovery) frame(s *segment, off int64) (h frameHeader, b []byte, err error) {
	if off+frameHeaderSize > s.size {
		return h, nil, nil
	}
	if b, err = r.win.at(s.f, s.name, off, frameHeaderSize, s.size); err != nil {
		return h, nil, err
	}
	h, ok := decodeFrameHeader(b, off)
	size := frameSize(int(h.length))
	if !ok || off+size > s.size {
		return h, nil, nil
	}
	if b, err = r.win.at(s.f, s.name, off, int(size), s.size); err != nil || !frameValid(b, s.id) {
		return h, nil, err
	}
	return h, b, nil
}

// follows says whether a valid frame is the next one of the log.
func (r *recovery) follows(i int, off int64, h frameHeader) bool {
	if i == 0 && off == segmentHeaderSize { // nothing was read yet
		return h.seq > r.after[0] && (h.seq == 1 || r.segs[0].id != firstSegment)
	}
	return h.seq == r.seq+1 && (h.life == r.life || h.flags&flagFirst != 0)
}

// begins says whether segment i begins with the next frame of the log.
func (r *recovery) begins(i int) (bool, error) {
	r.win.buf = r.win.buf[:0]
	h, b, err := r.frame(r.segs[i], segmentHeaderSize)
	return b != nil && r.follows(i, segmentHeaderSize, h), err
}

// witness looks, from the end of the log on, for a frame that was written when the one missing there was durable.
func (r *recovery) witness(tail int, end int64) error {
	missing := r.seq + 1
	for i := tail; i < len(r.segs); i++ {
		s, off := r.segs[i], int64(segmentHeaderSize)
		if i == tail {
			off = end
		}
		r.win.buf = r.win.buf[:0]
		for ; off+frameHeaderSize <= s.size; off += frameAlign {
			head, err := r.win.at(s.f, s.name, off, frameHeaderSize, s.size)
			if err != nil {
				return err
			}
			if le.Uint32(head) != frameMagic {
				continue
			}
			h, b, err := r.frame(s, off)
			if err != nil {
				return err
			}
			if b != nil && h.synced >= missing {
				return corrupt(r.segs[tail].name, end, "frame %d is damaged: frame %d at offset %d of %s was written after it was synced",
					missing, h.seq, off, s.name)
			}
		}
	}
	return nil
}

// take does to the groups what the records of a frame say.
func (r *recovery) take(s *segment, off int64, h frameHeader, b []byte) error {
	p := place{seg: s, frame: uint32(off), at: h.at}
	for n := 0; n < len(b); {
		at := off + frameHeaderSize + int64(n)
		rec, err := decodeRecord(b[n:])
		if err != nil {
			return corrupt(s.name, at, "%v", err)
		}
		p.off = uint32(at)
		if r.group == nil || r.group.id != rec.group {
			r.group = r.l.Group(rec.group)
		}
		r.group.replay(p, &rec)
		n += rec.size
	}
	return nil
}

// replay does what a record says. Nobody else has the group yet, so no lock is taken.
//
// The oldest segment left may begin in the middle of a group's life: entries that don't follow what is known, because
// what was between went with an older segment. That is right only if a later record forgets them (the group's latest base
// record is never dropped), so the group is loose until one does.
func (g *Group) replay(p place, rec *record) {
	switch rec.kind {
	case kindEntry:
		if rec.index <= g.mu.base || rec.index > g.mu.last+1 {
			g.resetLocked(rec.index-1, 0, p.seg)
			g.loose = corrupt(p.seg.name, int64(p.off), "group %d goes on with entry %d, and what is before it is missing", g.id, rec.index)
		}
		g.addLocked(p, rec.index, rec.term, rec.size)
	case kindHardState:
		g.mu.hs, g.mu.hsSeg = rec.hardState(), p.seg
	case kindReset:
		g.resetLocked(rec.index, rec.term, p.seg)
		g.loose = nil
	case kindTruncate:
		g.replayTruncate(rec, p.seg)
	case kindRemove:
		g.resetLocked(0, 0, nil)
		g.mu.hs, g.mu.hsSeg, g.loose = raftpb.HardState{}, nil, nil
	}
}

// replayTruncate moves the base up. Entries between it and last may be missing with their segment, as long as a later
// record truncates them too.
func (g *Group) replayTruncate(rec *record, seg *segment) {
	g.mu.baseSeg = seg
	switch {
	case rec.index > g.mu.last:
		g.resetLocked(rec.index, rec.term, seg)
		g.loose = nil
	case rec.index >= g.mu.base:
		g.forgetLocked(rec.index, rec.term)
		g.loose = nil
	}
}

// settle makes the log end at off of segment tail, durably, and ready to be written on.
func (r *recovery) settle(tail int, off int64) error {
	l := r.l
	for _, g := range l.groups.m {
		if g.loose != nil {
			return g.loose
		}
	}
	active, rest := r.segs[tail], r.segs[tail+1:]
	if err := active.f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", active.name, err)
	}
	if err := active.f.Allocate(l.opts.SegmentBytes); err != nil {
		return fmt.Errorf("allocate %d bytes for %s: %w", l.opts.SegmentBytes, active.name, err)
	}
	active.size = max(active.size, l.opts.SegmentBytes)
	active.written.Store(off)
	if err := r.discard(rest); err != nil {
		return err
	}
	l.segs.live = append([]*segment(nil), r.segs[:tail+1]...)
	for id, g := range l.groups.m {
		if g.repinLocked(); g.mu.pin == nil {
			delete(l.groups.m, id) // removed
		}
	}
	w := &l.writer
	w.active, w.off, w.seq = active, off, r.seq
	l.synced.Store(r.seq)
	return nil
}

// discard makes spares of segments that were prepared and never written, the newest first.
func (r *recovery) discard(segs []*segment) error {
	k := &r.l.keeper
	for _, s := range slices.Backward(segs) {
		name := k.spareName()
		if err := k.fs.Rename(s.name, name); err != nil {
			return err
		}
		k.mu.ready = append(k.mu.ready, &spare{name: name, f: s.f, size: s.size})
	}
	if len(segs) == 0 {
		return nil
	}
	return k.fs.SyncDir(k.dir)
}

// create begins a new log.
func (l *Log) create() error {
	l.keeper.mu.wanted = true // no time for zeros
	s, err := l.keeper.prepare()
	l.keeper.mu.wanted = false
	if err != nil {
		return err
	}
	l.segs.push(s)
	l.writer.active, l.writer.off = s, segmentHeaderSize
	return nil
}
