package wal

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/raft/v3"
	"go.etcd.io/etcd/raft/v3/raftpb"
)

// opMove is an op, not a record: all the records of a rewrite.
const opMove = 255

// MaxRewriteBytes bounds what Rewrite moves: it has to fit in one frame.
const MaxRewriteBytes = 1 << 20

// Rewrite writes all that the group still needs at the head of the log again (hard state, base, the entries left), so
// that it pins no old segment. It is synced. A group whose oldest record is in the newest segment isn't written.
// ErrTooLarge: more than MaxRewriteBytes of entries are left; truncate first.
//
// One frame holds all of it, beginning with a reset: a crash leaves either the old state or the whole new one, and
// the new one stands alone once the old segments are gone. The frame carries the time of the newest entry: older ones grow as
// young as that, but none grows older, which would take entries before they have the age for which they are kept.
func (l *Log) Rewrite(group uint64) error {
	w := &l.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		return err
	}
	g := l.Group(group)
	g.mu.RLock()
	pin, bytes := g.mu.pin, g.bytesLocked()
	g.mu.RUnlock()
	if pin == nil || pin == w.active {
		return nil
	}
	if bytes > MaxRewriteBytes {
		return fmt.Errorf("rewrite group %d: %w: %d bytes of entries are left, at most %d can move", group, ErrTooLarge, bytes, MaxRewriteBytes)
	}
	o, err := g.moveOp()
	for errors.Is(err, raft.ErrCompacted) { // truncated meanwhile: look again
		o, err = g.moveOp()
	}
	if err != nil {
		return fmt.Errorf("rewrite group %d: %w", group, err)
	}
	return w.move(o, bytes > 0)
}

// moveOp collects what the group still needs. It may read up to MaxRewriteBytes under writer.mu: appends wait for that, as
// they wait for its sync, but nothing that changes entries can come in between. Truncate can.
func (g *Group) moveOp() (o op, err error) {
	stats := g.Stats()
	o = op{g: g, kind: opMove, base: Base{Index: stats.First - 1}, hs: g.HardState()}
	o.place.at = g.newest().UnixNano()
	if o.base.Term, err = g.Term(o.base.Index); err == nil && stats.Last > o.base.Index {
		o.entries, err = g.Entries(stats.First, stats.Last+1, noLimit)
	}
	return o, err
}

// newest is when the last entry left was written, to the second; zero if there is none.
func (g *Group) newest() time.Time {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if len(g.mu.spans) == 0 {
		return time.Time{}
	}
	return time.Unix(int64(g.mu.spans[len(g.mu.spans)-1].newest), 0)
}

// move lays the op out as records and writes them.
func (w *writer) move(o op, aged bool) error {
	if aged {
		w.at = o.place.at
	}
	o.off = len(w.buf)
	w.buf = appendRecord(w.buf, kindReset, 0, o.g.id, o.base.Index, o.base.Term, nil)
	for i := range o.entries {
		w.buf = appendEntry(w.buf, o.g.id, &o.entries[i])
	}
	if !raft.IsEmptyHardState(o.hs) {
		w.buf = appendHardState(w.buf, o.g.id, o.hs)
	}
	w.ops = append(w.ops, o)
	return w.finish(true)
}

// moveLocked puts the group's state at its new place. A truncation that came after the op was made stays in force.
func (g *Group) moveLocked(o *op) {
	base, term, truncating := g.mu.base, g.mu.baseTerm, g.mu.truncating
	g.resetLocked(o.base.Index, o.base.Term, o.place.seg)
	p := o.place
	p.off += recordHeaderSize
	g.addAllLocked(p, o.entries)
	if g.mu.hsSeg != nil {
		g.mu.hsSeg = o.place.seg
	}
	if base > o.base.Index {
		g.forgetLocked(base, term)
	}
	g.mu.truncating = truncating
}

const noLimit = ^uint64(0)

// RemoveGroup forgets a group with all it has. nil promises that it is durable. The group's handles return ErrRemoved
// from then on; Group(id) gives a new, empty one.
func (l *Log) RemoveGroup(id uint64) error {
	w := &l.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		return err
	}
	l.groups.RLock()
	g := l.groups.m[id]
	l.groups.RUnlock()
	if g == nil {
		return nil
	}
	if err := w.add(op{g: g, kind: kindRemove}); err != nil {
		return err
	}
	if err := w.finish(true); err != nil {
		return err
	}
	l.groups.Lock()
	delete(l.groups.m, id)
	l.groups.Unlock()
	return nil
}

// removeLocked forgets everything.
func (g *Group) removeLocked() {
	g.resetLocked(0, 0, nil)
	g.mu.hs, g.mu.hsSeg, g.mu.removed = raftpb.HardState{}, nil, true
}
