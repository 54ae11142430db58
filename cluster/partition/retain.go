package partition

import (
	"fmt"
	"slices"
	"time"

	"github.com/zankv/zankv/wal"
)

// Retention says what of the log is kept for readers of the feed and for followers that are behind, although the
// store needs it no more. The node's disk cap wins over all of it.
type Retention struct {
	Age   time.Duration // keeps what is younger (default 24 h)
	Bytes int64         // keeps at least the newest entries of this size (default 64 MiB); not those of a quiet partition that have the age: see Release
	// MaxBytes is the most that is kept, even for consumers that are registered (default 256 MiB; not below Bytes).
	MaxBytes int64
	// ConsumerAge is how old an entry may grow that is kept only because a registered consumer hasn't read it (default 72 h): one that is
	// gone for good and was never removed doesn't hold the log for ever.
	ConsumerAge time.Duration
}

func (t *Retention) setDefaults() {
	if t.Age == 0 {
		t.Age = 24 * time.Hour
	}
	if t.Bytes == 0 {
		t.Bytes = 64 << 20
	}
	if t.MaxBytes == 0 {
		t.MaxBytes = 256 << 20
	}
	t.MaxBytes = max(t.MaxBytes, t.Bytes)
	if t.ConsumerAge == 0 {
		t.ConsumerAge = 72 * time.Hour
	}
}

const (
	// retainEvery is how often the log's tail is looked at.
	retainEvery = 5 * time.Second
	// flushBytes of entries that are applied and not flushed make a flush due: a restart replays about as much.
	flushBytes = 48 << 20
	// outlinePoints is how finely age and size are judged: a consumer that is told of a headroom can rely on it but for a 32nd of the limit, also when
	// much more than the limit came since the log was last looked at.
	outlinePoints = 256
)

// retain truncates the log up to where nobody is to be served from it any more, and flushes the store when the log waits for that.
func (r *Replica) retain(now time.Time) error {
	stats := r.log.Stats()
	if r.unflushed > flushBytes || stats.CapIndex > r.flushed.Load() {
		r.flushSoon()
	}
	if now.Sub(r.lastRetain) < retainEvery {
		return nil
	}
	r.lastRetain = now
	index, err := r.retainIndex(now, stats)
	if err != nil || index < stats.First {
		return err
	}
	held, err := r.heldPositions()
	if err != nil {
		return err
	}
	if err := r.truncate(index); err != nil || len(held) == 0 {
		return err
	}
	return r.tellLost(slices.Min(held))
}

// tellLost says which consumers have lost their place, of which the one furthest behind had read up to an index before the log was truncated.
func (r *Replica) tellLost(furthest uint64) error {
	base, err := r.logBase()
	if err != nil || base.Index <= furthest {
		return err
	}
	all, err := r.consumers()
	for _, c := range all {
		if c.Position.Index >= furthest && c.Position.Index < base.Index {
			r.opts.Logger.Warn("a consumer lost its place in the log: it has to read a snapshot; raise wal_consumer_bytes, wal_consumer_seconds or "+
				"wal_max_disk_bytes, or remove the consumer if it is gone",
				"partition", r.name, "consumer", c.ID, "position", c.Position.String(), "oldest", base.String(), "leading", r.Leading())
		}
	}
	return err
}

func (r *Replica) retainIndex(now time.Time, stats wal.GroupStats) (uint64, error) {
	positions, err := r.heldPositions()
	if err != nil {
		return 0, err
	}
	t := r.opts.Retention
	if r.farBehind {
		t.Bytes, r.farBehind = min(t.Bytes, wal.MaxRewriteBytes/2), false
	}
	policy := wal.RetainPolicy{Consumers: true, ConsumerAge: t.ConsumerAge, Age: t.Age, Bytes: uint64(t.Bytes), MaxBytes: uint64(t.MaxBytes)}
	index := policy.Index(wal.RetainState{
		Now: now, Applied: r.store.State().Applied.Index, Flushed: r.flushed.Load(), Positions: positions,
		Stats: stats, Outline: r.log.Outline(outlinePoints),
	})
	if pinned := r.snapshots.pinned(); pinned > 0 {
		index = min(index, pinned)
	}
	return index, nil
}

// heldPositions are the places that consumers hold. One whose place is lost holds none: it has to read a snapshot, and then stands somewhere
// else. Else a consumer that nobody removed would have every partition keep as much as the limits allow for ever.
func (r *Replica) heldPositions() (positions []uint64, err error) {
	all, err := r.consumers()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	base, err := r.logBase()
	for i := range all {
		if p := all[i].Position; p.Index >= base.Index {
			positions = append(positions, p.Index)
		}
	}
	return positions, err
}

// truncate forgets entries up to the last chain mark at or before index: a reader of the feed has to start from one.
func (r *Replica) truncate(index uint64) error {
	if index == r.store.State().Applied.Index {
		r.apply.Mark()
		if err := r.apply.Commit(); err != nil {
			return fmt.Errorf("partition %s: %w", r.name, err)
		}
	}
	mark, ok, err := r.store.MarkAtOrBefore(index)
	if err != nil {
		return fmt.Errorf("partition %s: chain mark at or before %d: %w", r.name, index, err)
	}
	if !ok || mark.Index < r.log.FirstIndex() {
		return nil
	}
	if err := r.log.Truncate(mark.Index); err != nil {
		return fmt.Errorf("partition %s: truncate the log to %d: %w", r.name, mark.Index, err)
	}
	if err := r.apply.TrimMarks(mark.Index); err != nil {
		return fmt.Errorf("partition %s: %w", r.name, err)
	}
	return r.apply.Commit()
}

// flushSoon flushes the store beside the goroutine, one flush at a time.
func (r *Replica) flushSoon() {
	if !r.flushing.CompareAndSwap(false, true) {
		return
	}
	r.unflushed = 0
	r.tasks.Go(func() {
		defer r.flushing.Store(false)
		if err := r.Flush(); err != nil {
			r.opts.Fatal(err)
		}
	})
}

// Flush makes what is applied durable, so that the log needs to keep it only for readers.
func (r *Replica) Flush() error {
	r.state.RLock()
	defer r.state.RUnlock()
	if r.store == nil {
		return nil
	}
	position, err := r.store.Flush()
	if err != nil {
		return fmt.Errorf("partition %s: flush: %w", r.name, err)
	}
	r.flushed.Store(max(r.flushed.Load(), position.Index))
	return nil
}

// Release has the log's tail looked at soon, after a Flush: for a quiet partition that keeps old segments from being freed. From one that lies
// far behind, what has the age goes although Bytes would keep it, down to what can be moved to the log's head: else the log grows to its cap for
// the sake of a few entries, and the cap takes without regard to ages and consumers.
func (r *Replica) Release(far bool) {
	r.box.call(func() { r.lastRetain, r.farBehind = time.Time{}, far })
}
