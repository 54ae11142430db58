package replay

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/replay/replaypb"
)

// chunking is how a snapshot is cut.
type chunking struct {
	// most is what a chunk has, but for one row that is larger; least is what it waits for where many lanes share little memory.
	most, least int
	// bytes and every are how much of a snapshot comes, and how much time passes, before lanes without rows are told how far it is.
	bytes int64
	every time.Duration
}

var usualChunks = chunking{most: 1 << 20, least: 16 << 10, bytes: 64 << 20, every: 10 * time.Second}

// snapshot is the state on its way. All but what tells lanes where they are is the filler's.
type snapshot struct {
	// base is what it is of, time the source's clock there; next is after which position the stream goes on behind it. They are set while no lane is busy.
	base event.Position
	time int64
	next event.Position

	after []byte // the keys up to it were left out
	begun bool
	done  bool
	lanes int    // that it goes to
	key   []byte // of the last row
	any   bool   // a row came
	bytes int64  // since lanes were told
	told  time.Time
}

// Wants asks for a snapshot with tombstones, of the keys that no target partition has behind it.
func (w *Writer) Wants() changefeed.Want {
	w.mu.Lock()
	defer w.mu.Unlock()
	var after []byte
	first := true
	for _, l := range w.toSyncLocked() {
		through := l.begunThrough()
		if first || bytes.Compare(through, after) < 0 {
			after, first = through, false
		}
	}
	w.snap.after = after
	return changefeed.Want{AfterKey: after, Tombstones: true}
}

// GoOn is the least place that a target partition will have behind a snapshot of base.
func (w *Writer) GoOn(base event.Position) event.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.goOnLocked(base)
}

func (w *Writer) goOnLocked(base event.Position) event.Position {
	next := base
	syncs := map[*lane]bool{}
	for _, l := range w.toSyncLocked() {
		syncs[l] = true
		if len(l.begunThrough()) > 0 && l.state.base.Compare(next) < 0 {
			next = l.state.base
		}
	}
	for i := range w.mu.lanes {
		l := &w.mu.lanes[i]
		if at := before(l.place); !syncs[l] && at.Compare(next) < 0 {
			next = at
		}
	}
	return next
}

// toSyncLocked are the lanes that a snapshot goes to: those that need it; all, if it was the log that lost the place.
func (w *Writer) toSyncLocked() []*lane {
	var need, all []*lane
	for i := range w.mu.lanes {
		l := &w.mu.lanes[i]
		all = append(all, l)
		if l.needs {
			need = append(need, l)
		}
	}
	if len(need) > 0 {
		return need
	}
	return all
}

// begunThrough is the key up to which a full sync under way has come; nil if there is none.
func (l *lane) begunThrough() []byte {
	if !l.needs || l.state == nil {
		return nil
	}
	return l.state.through
}

// BeginSnapshot begins a full sync in the target partitions that need one, after what was given before is there.
func (w *Writer) BeginSnapshot(ctx context.Context, base *changefeed.Base) error {
	if w.snap.begun && !w.snap.done {
		return w.fail(&changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeInternal, What: fmt.Sprintf("the state of %s was begun anew before its end", w.id),
			Action: "nothing: it goes on with another writer"})
	}
	if err := w.until(ctx, w.emptyLocked); err != nil {
		return err
	}
	w.mu.Lock()
	lanes := w.toSyncLocked()
	at := base.Stamp.Position
	w.snap = snapshot{base: at, time: base.Time, next: w.goOnLocked(at), after: w.snap.after, begun: true, lanes: len(lanes), told: time.Now()}
	w.mu.complete = nil
	w.mu.Unlock()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(w.ctx, stop)()
	picked := map[*lane]bool{}
	for _, l := range lanes {
		picked[l] = true
	}
	err := w.each(ctx, func(ctx context.Context, l *lane) error {
		if !picked[l] {
			return nil
		}
		return w.beginLane(ctx, l, base)
	})
	if err != nil && ctx.Err() != nil {
		return ended(ctx, w, err)
	}
	if err != nil {
		return w.fail(err)
	}
	w.meter.Trying.Store(nil)
	return nil
}

// ended is why a call was broken off: the writer's end, or its caller's.
func ended(ctx context.Context, w *Writer, err error) error {
	if e := w.Err(); e != nil {
		return e
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// beginLane begins the full sync of one target partition.
func (w *Writer) beginLane(ctx context.Context, l *lane, base *changefeed.Base) error {
	req := &replaypb.BeginRequest{Namespace: w.sink.namespace, Partition: l.n, Sender: w.sender, Base: pbPosition(base.Stamp.Position), Time: base.Time, Horizons: base.Horizons}
	told := func(err error) {
		w.meter.Trying.Store(failure(err, "partition %d of %s: beginning a full sync is repeated", l.n, w.sink.where()))
	}
	r, err := w.sink.client.place(ctx, req.Namespace, l.n, told, func(ctx context.Context, rc replaypb.ReplayClient) (*replaypb.OpenResponse, error) {
		return rc.Begin(ctx, req)
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if bytes.Compare(r.Through, w.snap.after) < 0 {
		return l.overtaken(r.Through, w.snap.after)
	}
	s := l.more()
	s.through, s.covered, s.begun, s.part = r.Through, r.Through, r.Through, 0
	l.syncing = true
	return nil
}

// Rows takes rows of the state.
func (w *Writer) Rows(ctx context.Context, ev *event.Event, names event.Names) error {
	if err := w.usable(); err != nil {
		return err
	}
	if len(ev.Mutations) == 0 {
		return nil
	}
	begin := w.counts.begin()
	need := w.split.rows(ev, w.mu.lanes)
	big, err := w.hold(ctx, need)
	if err != nil {
		return err
	}
	w.putRows(ev, names, big)
	w.snap.bytes += need
	if now := time.Now(); w.snap.bytes >= w.sink.chunks.bytes || now.Sub(w.snap.told) >= w.sink.chunks.every {
		w.cover()
		w.snap.bytes, w.snap.told = 0, now
	}
	w.counts.event(len(ev.Mutations), 0, begin, w.meter)
	return nil
}

// putRows gives lanes what is theirs of rows. What is sealed before they are in covers the keys that were complete before them.
func (w *Writer) putRows(ev *event.Event, names event.Names, big *large) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tellLocked(names)
	for _, n := range w.split.touched {
		_, part := w.split.part(n, ev, &w.scratch)
		w.mu.lanes[n].rowsLocked(part, big)
	}
	if big != nil {
		w.unrefLocked(big)
	}
	w.completeLocked(ev)
	target := w.sink.chunks.target(w.share.Limit(), w.snap.lanes, w.rangeBytes)
	for _, n := range w.split.touched {
		l := &w.mu.lanes[n]
		if p := l.last; p != nil && (p.large != nil || len(p.buf) >= target) {
			l.sealLocked()
			l.kickLocked()
		}
	}
}

// target is how large chunks become, where lanes share so many bytes.
func (c *chunking) target(share int64, lanes, rangeBytes int) int {
	return max(min(int(share)/(2*max(lanes, 1)), c.most, rangeBytes), c.least)
}

// rowsLocked adds rows to the lane's last chunk.
func (l *lane) rowsLocked(part *event.Event, big *large) {
	need := 2 * lengthBytes
	for i := range part.Mutations {
		need += int(sizeOf(&part.Mutations[i]))
	}
	if p := l.last; p != nil && len(p.buf) > 0 && (big != nil || len(p.buf)+need > l.w.sink.chunks.most) {
		l.sealLocked()
		l.kickLocked()
	}
	p := l.tailLocked(true)
	if big != nil {
		p.large = big
		big.refs++
	}
	p.buf = appendEvent(grown(p.buf, need), tagSlice, part)
	p.mutations += len(part.Mutations)
	p.names = l.w.mu.names
	l.w.pay(p)
}

// completeLocked notes which keys are whole, now that rows came: those before the last one.
func (w *Writer) completeLocked(ev *event.Event) {
	last := ev.Mutations[len(ev.Mutations)-1].Key
	for i := len(ev.Mutations) - 1; i >= 0; i-- {
		if key := ev.Mutations[i].Key; !bytes.Equal(key, last) {
			w.mu.complete = bytes.Clone(key)
			break
		}
		if i == 0 && w.snap.any && !bytes.Equal(w.snap.key, last) {
			w.mu.complete = bytes.Clone(w.snap.key)
		}
	}
	w.snap.key, w.snap.any = append(w.snap.key[:0], last...), true
}

// cover has every lane tell up to which key the state was read, whether it has rows or not.
func (w *Writer) cover() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.mu.lanes {
		l := &w.mu.lanes[i]
		if !l.syncing || l.first == nil && bytes.Compare(l.more().covered, w.mu.complete) >= 0 {
			continue
		}
		l.endLocked(false)
	}
}

// endLocked has the last chunk be sent as it is.
func (l *lane) endLocked(end bool) {
	if p := l.last; p != nil && p.sealed && !end && bytes.Compare(l.more().covered, l.w.mu.complete) >= 0 {
		return
	}
	p := l.tailLocked(true)
	p.ready, p.end = true, end
	p.names = l.w.mu.names
	l.w.pay(p)
	if end {
		l.sealLocked()
	}
	l.kickLocked()
}

// urge has lanes send what waits to become more, the larger ones: memory is wanted.
func (w *Writer) urge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	var sum, n int
	waiting := func(l *lane) bool { return l.last != nil && !l.last.ready }
	for i := range w.mu.lanes {
		if l := &w.mu.lanes[i]; waiting(l) {
			sum += len(l.last.buf)
			n++
		}
	}
	for i := range w.mu.lanes {
		if l := &w.mu.lanes[i]; waiting(l) && len(l.last.buf)*n >= sum {
			l.last.ready = true
			l.kickLocked()
		}
	}
}

// EndSnapshot has the target delete what the state lacks behind its last key, and waits until all of it is there.
func (w *Writer) EndSnapshot(ctx context.Context) error {
	if err := w.usable(); err != nil {
		return err
	}
	w.mu.Lock()
	for i := range w.mu.lanes {
		if l := &w.mu.lanes[i]; l.syncing {
			l.endLocked(true)
		}
	}
	w.mu.Unlock()
	if err := w.until(ctx, w.emptyLocked); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.snap.done, w.joined = true, false
	w.mu.reached, w.mu.last, w.mu.time = w.snap.next, w.snap.next, w.snap.time
	for i := range w.mu.lanes {
		w.mu.time = min(w.mu.time, w.mu.lanes[i].time)
	}
	w.mu.marks.begin(mark{position: w.snap.next, time: w.mu.time})
	return nil
}

// emptyLocked says whether no lane has anything.
func (w *Writer) emptyLocked() bool {
	for i := range w.mu.lanes {
		if w.mu.lanes[i].first != nil {
			return false
		}
	}
	return true
}

// until waits for something that goes with parcels' being done.
func (w *Writer) until(ctx context.Context, ok func() bool) error {
	for {
		w.mu.Lock()
		met, err := ok(), w.mu.err
		w.mu.Unlock()
		if err != nil {
			return err
		}
		if met {
			return nil
		}
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
}
