package replay

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/replaypb"
)

// lane is the way from a partition of the source to one of the target. All but w and n is guarded by Writer.mu; behind and waits by gates.mu.
type lane struct {
	w *Writer
	n uint32
	// busy says that a goroutine has it, a timer, or a gate: one of them.
	busy  bool
	needs bool // a full sync, before anything of the log
	// syncing says that rows of a snapshot go to it.
	syncing bool
	// doubt says that it isn't known whether what was sent last took effect.
	doubt bool

	first, last *parcel // those that wait, and the one that is under way before them
	// place is what the target has confirmed, time the source's clock there. to is where the last parcel ends; up to there nothing that is the lane's is
	// missing.
	place, to store.Cursor
	time      int64

	state   *laneState
	figures laneFigures

	waits  bool
	behind *lane
}

// laneState is what few lanes have at a time: a full sync, or trouble.
type laneState struct {
	// base is the least of a full sync under way, where the log goes on behind it. through are the keys that are in, covered those that parcels cover, part is what the
	// next chunk is.
	base    event.Position
	through []byte
	covered []byte
	part    uint32
	// begun is through as it was when the full sync was begun, or gone on with: rows up to there aren't sent.
	begun []byte

	tries   tries
	trying  bool
	timer   *time.Timer
	problem string
	at      time.Time
}

type laneFigures struct {
	ranges, chunks, retries, applied, skipped, conflicts uint64
}

func (l *lane) more() *laneState {
	if l.state == nil {
		l.state = &laneState{}
	}
	return l.state
}

// open asks where the sender stands. told is persist's.
func (l *lane) open(ctx context.Context, told func(error)) (*replaypb.OpenResponse, error) {
	req := &replaypb.OpenRequest{Namespace: l.w.sink.namespace, Partition: l.n, Sender: l.w.sender}
	return l.w.sink.client.place(ctx, req.Namespace, l.n, told, func(ctx context.Context, rc replaypb.ReplayClient) (*replaypb.OpenResponse, error) {
		return rc.Open(ctx, req)
	})
}

// settle takes over where the target stands. Nobody else has the lane.
func (l *lane) settle(r *replaypb.OpenResponse) error {
	if r.Cluster != "" && r.Cluster != l.w.peer {
		return l.w.sink.unfit("the node that leads partition %d is of cluster %s, not of %s", l.n, r.Cluster, l.w.peer)
	}
	l.place, l.time, l.needs = cursorOf(r.Reached), r.Time, r.NeedsSync
	l.w.learn(r)
	l.to = whole(l.place)
	if l.needs {
		s := l.more()
		s.base, s.through = positionOf(r.Base), r.Through
		l.place, l.to, l.time = store.Cursor{}, store.Cursor{}, 0
	}
	return nil
}

// whole is where a place is, without the event that is there in part: that comes again, and the target leaves out what it has.
func whole(c store.Cursor) store.Cursor {
	p := before(c)
	if p.IsZero() {
		return store.Cursor{}
	}
	return store.Cursor{Position: p, Done: store.AllDone}
}

func cursorOf(c *replaypb.Cursor) store.Cursor {
	return store.Cursor{Position: positionOf(c.GetPosition()), Done: c.GetDone()}
}

func positionOf(p *replaypb.Position) event.Position {
	return event.Position{Term: p.GetTerm(), Index: p.GetIndex()}
}

func pbPosition(p event.Position) *replaypb.Position {
	return &replaypb.Position{Term: p.Term, Index: p.Index}
}

func pbCursor(c store.Cursor) *replaypb.Cursor {
	return &replaypb.Cursor{Position: pbPosition(c.Position), Done: c.Done}
}

// tailLocked is the parcel that takes more: the last one if it does, else a new one.
func (l *lane) tailLocked(chunk bool) *parcel {
	if p := l.last; p != nil && !p.sealed {
		return p
	}
	p := &parcel{from: l.to, chunk: chunk, ready: !chunk}
	if l.last == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
	return p
}

// sliceLocked adds the part of an event that is the lane's.
func (l *lane) sliceLocked(at event.Position, numbers []uint32, part *event.Event, big *large) {
	w := l.w
	need := sliceBytes + lengthBytes*len(numbers)
	for i := range part.Mutations {
		need += int(sizeOf(&part.Mutations[i]))
	}
	if p := l.last; p != nil && (big != nil || len(p.buf) > 0 && len(p.buf)+need > w.rangeBytes) {
		l.sealLocked() // what is larger goes alone: the target takes one event of its most, and not more
	}
	p := l.tailLocked(false)
	if big != nil {
		p.large = big
		big.refs++
	}
	p.buf = appendSlice(grown(p.buf, need), at, numbers, part)
	p.mutations += len(part.Mutations)
	p.names = w.mu.names
	l.to = store.Cursor{Position: at, Done: store.AllDone}
	w.pay(p)
	if big != nil || len(p.buf) >= w.rangeBytes || p.mutations >= maxMutations {
		l.sealLocked()
	}
	l.kickLocked()
}

// sealLocked has the last parcel take no more: it ends where the lane does.
func (l *lane) sealLocked() {
	p := l.last
	if p == nil || p.sealed {
		return
	}
	p.sealed, p.ready = true, true
	p.to, p.time = l.to, l.w.mu.time
	if p.chunk && !p.end {
		if s := l.more(); bytes.Compare(s.covered, l.w.mu.complete) < 0 {
			s.covered = l.w.mu.complete
		}
		p.through = l.state.covered
	}
}

// kickLocked has the lane send, if it has something and doesn't do so.
func (l *lane) kickLocked() {
	w := l.w
	if l.busy || l.first == nil || !l.first.ready || w.mu.err != nil || w.mu.closed {
		return
	}
	l.busy = true
	w.work.Add(1)
	w.sink.gates.enter(l)
}

// moveLocked makes a parcel of nothing but where the lane is, if it has no other one and that is further than the target knows.
func (l *lane) moveLocked() {
	w := l.w
	if l.first != nil || l.needs || l.syncing || w.mu.reached.Compare(l.place.Position) < 0 {
		return
	}
	if l.place.Done == store.AllDone && l.place.Position == w.mu.reached && l.time >= w.mu.time {
		return
	}
	p := l.tailLocked(false)
	p.names = w.mu.names
	w.pay(p)
	l.kickLocked()
}

// takeLocked is the parcel to send next, which takes no more from then on; nil if there is none.
func (l *lane) takeLocked() *parcel {
	w := l.w
	if p := l.first; p == nil || !p.ready || w.mu.err != nil || w.mu.closed {
		return nil
	}
	p := l.first
	if p.sealed {
		return p
	}
	if !p.chunk { // everything that came is in it
		l.to = store.Cursor{Position: w.mu.reached, Done: store.AllDone}
	}
	l.sealLocked()
	return p
}

// doneLocked takes the first parcel away: the target has it.
func (l *lane) doneLocked(p *parcel) {
	l.first = p.next
	if l.first == nil {
		l.last = nil
	}
	l.w.discardLocked(p)
	l.w.signal()
}

// dropLocked gives up what wasn't sent.
func (l *lane) dropLocked() {
	for p := l.first; p != nil; p = p.next {
		l.w.discardLocked(p)
	}
	l.first, l.last = nil, nil
}

// wantsRow says whether a row of a snapshot goes to the lane: the key isn't behind it. The filler asks, while rows that come are the only ones to move
// through beyond what came.
func (l *lane) wantsRow(key []byte) bool {
	return l.syncing && (len(l.state.begun) == 0 || bytes.Compare(key, l.state.begun) > 0)
}

// abandon has a lane that waits, for a slot or for the next try, stop doing so.
func (l *lane) abandon() {
	w := l.w
	w.mu.Lock()
	stopped := l.state != nil && l.state.timer != nil && l.state.timer.Stop()
	if stopped {
		l.state.timer = nil
	}
	w.mu.Unlock()
	if stopped || w.sink.gates.withdraw(l) {
		w.mu.Lock()
		l.busy = false
		w.mu.Unlock()
		w.work.Done()
	}
}

// gap is a target that has less than it had.
func (l *lane) gap(at, from store.Cursor) *changefeed.Error {
	return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeTargetGap,
		What: fmt.Sprintf("partition %d of %s has %s only up to %s, but had it up to %s", l.n, l.w.sink.where(), l.w.id, at, from)}
}

// overtaken is a full sync that somebody else goes on with, or began anew, from the same base.
func (l *lane) overtaken(at, want []byte) *changefeed.Error {
	return &changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeFenced, Action: "nothing, if it goes on by itself; else see that one process alone carries the partition",
		What: fmt.Sprintf("partition %d of %s has the state of %s up to key %.40q, and not %.40q: another owner carries it, too", l.n, l.w.sink.where(), l.w.id, at, want)}
}
