package replay

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/store"
	"github.com/zankv/zankv/replay/replaypb"
)

// Writer is the changefeed.Writer of one partition of the source.
//
// Who calls fills lanes; goroutines of their own, one for each parcel under way, empty them. They meet under mu.
type Writer struct {
	sink    *Sink
	target  changefeed.Target
	peer    string // the target's cluster id
	sender  *replaypb.Sender
	id      store.SenderID
	meter   *changefeed.Meter
	share   *changefeed.Share
	limit   limiter // the definition's
	limited atomic.Int32
	resume  changefeed.Resume
	// rangeBytes is how large a range becomes; guarded by mu while the writer is opened, as why is.
	rangeBytes int
	why        string // a target partition's word for why it needs a full sync
	// interval is how often a place is moved while events pass a lane by.
	interval time.Duration

	// The filler's.
	split   splitter
	joined  bool // an event came
	snap    snapshot
	counts  counts
	scratch event.Event

	mu struct {
		sync.Mutex
		lanes []lane // to the target partitions that can share keys with the source's, in their order
		// reached is up to where everything came, time the source's clock there; last is the last event. events counts them, bytes what they have.
		reached event.Position
		time    int64
		last    event.Position
		events  uint64
		bytes   int64
		marks   marks
		// names are the ids of the numbers in what comes. A table that is here isn't altered any more.
		names event.Names
		// complete is the last key of a snapshot of which all rows came.
		complete  []byte
		confirmed int64
		// moment is the last that the source told, clocked that lanes are to be told of it.
		moment  Moment
		clocked bool
		trying  int // lanes that repeat a call
		err     error
		closed  bool
	}
	progress chan struct{} // to the filler: a parcel is done
	failed   chan struct{}
	ctx      context.Context
	stop     context.CancelFunc
	work     sync.WaitGroup // lanes that are busy, and tend
}

var _ changefeed.StateWriter = (*Writer)(nil)

// newWriter makes one that has a lane for each of split's partitions of the target, a cluster; source is by what the source is cut.
func newWriter(s *Sink, t changefeed.Target, cluster string, split splitter, source string) *Writer {
	w := &Writer{
		sink: s, target: t, peer: cluster, split: split, meter: t.Meter, progress: make(chan struct{}, 1), failed: make(chan struct{}),
		sender: &replaypb.Sender{Cluster: t.Cluster, Namespace: t.Spec.Namespace, Partition: t.Partition, Partitions: t.Partitions, Hash: source},
		id:     store.SenderID{Cluster: t.Cluster, Namespace: t.Spec.Namespace, Partition: t.Partition},
	}
	w.rangeBytes = s.config.RangeBytes
	w.limit.rate = t.Spec.BandwidthBytes
	w.share = t.Budget.Join()
	w.split.peer = cluster
	w.mu.lanes = make([]lane, split.lanes.Count)
	for i := range w.mu.lanes {
		w.mu.lanes[i].w, w.mu.lanes[i].n = w, split.lanes.At(uint32(i))
	}
	pairs := time.Duration(len(w.mu.lanes)) * time.Duration(t.Partitions) // about: those of other partitions are as many
	w.interval = min(max(pairs*time.Second/movesPerSecond, s.pace.busy), s.config.Idle)
	return w
}

// openLanes asks the target partitions where the sender stands.
func (w *Writer) openLanes(ctx context.Context, told func(error)) error {
	err := w.each(ctx, func(ctx context.Context, l *lane) error {
		place, err := l.open(ctx, told)
		if err != nil {
			return err
		}
		return l.settle(place)
	})
	if err != nil {
		return err
	}
	w.resume = w.where()
	w.mu.reached, w.mu.time, w.mu.last = w.resume.After, w.resume.Time, w.resume.After
	w.mu.marks.begin(mark{position: w.resume.After, time: w.resume.Time})
	return nil
}

// learn takes over what a target partition says when it is opened.
func (w *Writer) learn(r *replaypb.OpenResponse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if most := r.MaxEventBytes; most > 0 && most < uint64(w.rangeBytes) {
		w.rangeBytes = int(most)
	}
	if r.NeedsSync && w.why == "" {
		w.why = cmp.Or(r.Why, "there is no place yet")
	}
}

// each calls do for every lane, some at a time.
func (w *Writer) each(ctx context.Context, do func(context.Context, *lane) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range w.mu.lanes {
		select {
		case w.sink.opening <- struct{}{}:
		case <-ctx.Done():
			if err := g.Wait(); err != nil {
				return err
			}
			return ctx.Err()
		}
		g.Go(func() error {
			defer func() { <-w.sink.opening }()
			return do(ctx, &w.mu.lanes[i])
		})
	}
	return g.Wait()
}

// where is where reading goes on: after the least place. One within an event has it come again: the entry before, which is of the event's term since a
// term's first entry is no event.
func (w *Writer) where() changefeed.Resume {
	r := changefeed.Resume{Known: true, Decides: true, Time: math.MaxInt64}
	first := true
	for i := range w.mu.lanes {
		l := &w.mu.lanes[i]
		if l.needs {
			r.InSnapshot = true
			continue
		}
		if at := before(l.place); first || at.Compare(r.After) < 0 {
			r.After = at
		}
		r.Time = min(r.Time, l.time)
		first = false
	}
	if first {
		r.Time = 0
	}
	return r
}

// before is the last position of which everything is in at a place.
func before(c store.Cursor) event.Position {
	p := c.Position
	switch {
	case c.Done == store.AllDone || p.IsZero():
		return p
	case p.Index <= 1:
		return event.Position{}
	}
	return event.Position{Term: p.Term, Index: p.Index - 1}
}

func (w *Writer) start(ctx context.Context) {
	w.ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.work.Add(1)
	go w.tend()
}

// Resume says where the target's partitions stand.
func (w *Writer) Resume() changefeed.Resume { return w.resume }

// Failed is closed at the first failure.
func (w *Writer) Failed() <-chan struct{} { return w.failed }

// Err is the first failure, a *changefeed.Error; nil if there is none.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.err
}

// fail keeps the first failure.
func (w *Writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failLocked(err)
}

func (w *Writer) failLocked(err error) error {
	if w.mu.err != nil {
		return w.mu.err
	}
	w.mu.err = failure(err, "writing to %s", w.sink.where())
	close(w.failed)
	return w.mu.err
}

// Durable is the last event, or heartbeat, up to which the target has everything.
func (w *Writer) Durable() changefeed.Reached {
	w.mu.Lock()
	defer w.mu.Unlock()
	least := w.mu.reached
	for i := range w.mu.lanes {
		l := &w.mu.lanes[i]
		if l.syncing || l.needs {
			return changefeed.Reached{}
		}
		if at := before(l.place); at.Compare(least) < 0 {
			least = at
		}
	}
	return w.mu.marks.at(least)
}

// Close ends the writer; what wasn't sent yet is dropped, calls under way are broken off.
func (w *Writer) Close() error {
	w.mu.Lock()
	again := w.mu.closed
	w.mu.closed = true
	if w.mu.err == nil {
		w.mu.err = errClosed()
	}
	w.mu.Unlock()
	if again {
		w.work.Wait()
		return nil
	}
	w.stop()
	for i := range w.mu.lanes {
		w.mu.lanes[i].abandon()
	}
	w.work.Wait()
	w.mu.Lock()
	for i := range w.mu.lanes {
		w.mu.lanes[i].dropLocked()
	}
	w.mu.Unlock()
	w.meter.Trying.Store(nil)
	w.counts.publish(w.meter)
	w.share.Leave()
	w.sink.forget(w)
	return nil
}

// Event takes the next event.
func (w *Writer) Event(ctx context.Context, st *event.Stamp, ev *event.Event, names event.Names) error {
	if err := w.usable(); err != nil {
		return err
	}
	if err := w.joins(st); err != nil {
		return err
	}
	begin := w.counts.begin()
	need := w.split.take(ev, names)
	big, err := w.hold(ctx, need)
	if err != nil {
		return err
	}
	w.put(st, ev, names, big, need)
	w.counts.event(len(ev.Mutations), w.split.dropped, begin, w.meter)
	return nil
}

// hold is room, if it is needed, for what the splitter has looked at. A key that belongs to none of the lanes would be lost.
func (w *Writer) hold(ctx context.Context, need int64) (*large, error) {
	if m := w.split.stray; m != nil {
		return nil, w.fail(&changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeInternal, Final: true,
			What: fmt.Sprintf("key %.128q of %s belongs in partition %d of %s, which shares no key with %s as both are cut: the source has it in the wrong partition",
				m.Key, w.id, w.split.hash(m.Key), w.sink.where(), w.id),
			Action: "compare the clusters (zankv-repair), and report it, with this text; nothing is lost, as the source keeps what comes after it"})
	}
	if need == 0 {
		return nil, nil
	}
	return w.room(ctx, need)
}

func (w *Writer) usable() error {
	select {
	case <-w.failed:
		return w.Err()
	case <-w.ctx.Done():
		return errClosed()
	default:
		return nil
	}
}

// joins is that nothing lies between what came and an event that comes.
func (w *Writer) joins(st *event.Stamp) error {
	if w.joined {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.resume.InSnapshot && !w.snap.done {
		return w.failLocked(&changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeNeedsSync,
			What: fmt.Sprintf("event %s came for %s, which has to get the state of %s first", st.Position, w.sink.where(), w.id)})
	}
	if st.Prev.Compare(w.mu.reached) > 0 {
		return w.failLocked(&changefeed.Error{Stage: changefeed.StageSink, Code: changefeed.CodeTargetGap,
			What: fmt.Sprintf("event %s of %s follows %s, but %s has only what is up to %s", st.Position, w.id, st.Prev, w.sink.where(), w.mu.reached)})
	}
	w.mu.marks.chain(st.PrevChain)
	w.joined = true
	return nil
}

// tellLocked keeps the names that come with events: who gave them may add to the table.
func (w *Writer) tellLocked(names event.Names) {
	if !slices.Equal(w.mu.names, names) {
		w.mu.names = slices.Clone(names)
	}
}

// put gives lanes what is theirs of an event.
func (w *Writer) put(st *event.Stamp, ev *event.Event, names event.Names, big *large, need int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tellLocked(names)
	for _, n := range w.split.touched {
		l := &w.mu.lanes[n]
		if l.place.Position.Compare(st.Position) > 0 || l.place == (store.Cursor{Position: st.Position, Done: store.AllDone}) {
			continue // it is there already
		}
		numbers, part := w.split.part(n, ev, &w.scratch)
		l.sliceLocked(st.Position, numbers, part, big)
	}
	if big != nil {
		w.unrefLocked(big)
	}
	w.mu.reached, w.mu.last = st.Position, st.Position
	w.mu.time = max(w.mu.time, ev.Time+int64(max(len(ev.Mutations), 1))-1)
	w.mu.events++
	w.mu.bytes += need
	w.mu.marks.add(mark{position: st.Position, chain: st.Chain, time: ev.Time})
}

// momentLocked takes note of how far the source's clock is, once everything up to there came.
func (w *Writer) momentLocked() {
	if m := w.mu.moment; m.Time > w.mu.time && m.Position.Compare(w.mu.reached) <= 0 {
		w.mu.time, w.mu.clocked = m.Time, true
	}
}

// Heartbeat takes a report that everything up to position came. At is the wall clock of a replica that may lag behind its leader: it says nothing of what comes.
func (w *Writer) Heartbeat(_ context.Context, position event.Position, last *event.Stamp, at int64) error {
	if err := w.usable(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if position.Compare(w.mu.reached) < 0 || w.resume.InSnapshot && !w.snap.done {
		return nil
	}
	w.mu.reached = position
	w.momentLocked()
	w.mu.marks.add(mark{position: position, chain: last.Chain, time: at})
	return nil
}

// Flush has what was taken sent without waiting for more: lanes do that by themselves, places without changes follow when the stream pauses.
func (w *Writer) Flush(context.Context) error {
	if err := w.usable(); err != nil {
		return err
	}
	w.counts.publish(w.meter)
	return nil
}

// waitStep is how often a wait under way is added to the meter.
const waitStep = 100 * time.Millisecond

// wait waits until a parcel is done. It counts as waiting for the quota while a bound of bandwidth holds one back, else for the sink.
func (w *Writer) wait(ctx context.Context) error {
	timer := time.NewTimer(waitStep)
	defer timer.Stop()
	for {
		begin := time.Now()
		var over bool
		var err error
		select {
		case <-w.progress:
			over = true
		case <-w.failed:
			err = w.Err()
		case <-w.ctx.Done():
			err = errClosed()
		case <-ctx.Done():
			err = ctx.Err()
		case <-timer.C:
			timer.Reset(waitStep)
		}
		spent := int64(time.Since(begin))
		w.counts.waited += spent
		if w.limited.Load() > 0 {
			w.meter.WaitQuota.Add(spent)
		} else {
			w.meter.WaitSink.Add(spent)
		}
		if over || err != nil {
			return err
		}
	}
}

func (w *Writer) signal() {
	select {
	case w.progress <- struct{}{}:
	default:
	}
}
