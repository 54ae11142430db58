package worker

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// archive is a stream over a log that was never truncated, up to a position.
type archive struct {
	changefeed.Stream
	upTo uint64
	done bool
}

func (a *archive) Next(ctx context.Context) (*changefeed.Item, error) {
	if a.done {
		return nil, io.EOF
	}
	item, err := a.Stream.Next(ctx)
	if err == nil && item.Position.Index >= a.upTo {
		a.done = true
	}
	return item, err
}

// archived opens an archive of a world's first log that ends at *upTo.
func (w *world) archived(upTo *uint64) OpenArchive {
	return func(ctx context.Context, _ *changefeed.Spec, _ uint32, at changefeed.Place) (changefeed.Stream, error) {
		if at.After.Index >= *upTo {
			return nil, &changefeed.Error{Code: changefeed.CodeLogCompacted, Final: true, What: "the archive ends before"}
		}
		whole := source{logs: []*partitionLog{{History: w.source.logs[0].History, replica: w.whole}}}
		s, err := whole.Open(ctx, "default", 0, at)
		return &archive{Stream: s, upTo: *upTo}, err
	}
}

// loseTheLog runs a changefeed for a while, then has the log go on and be truncated while nobody runs it. It gives the stamps at and before the
// truncation, of those that the sink lacks.
func (w *world) loseTheLog() (lost []event.Stamp) {
	w.source.logs[0].add(10)
	w.create()
	p := w.start("a")
	after(3 * time.Second)
	p.stop()
	w.source.logs[0].add(20)
	w.source.logs[0].replica.Truncate(25)
	st, _ := w.source.logs[0].replica.State()
	for _, s := range w.source.logs[0].Stamps()[10:] {
		if s.Position.Index <= st.Oldest.Index {
			lost = append(lost, s)
		}
	}
	return lost
}

func TestCompactedArchiveLog(t *testing.T) {
	in(t, 1, func(w *world) {
		w.spec.Archive = "file:///archive"
		lost := w.loseTheLog()
		upTo := lost[len(lost)-1].Position.Index
		p := w.start("a", func(o *Options) { o.OpenArchive = w.archived(&upTo) })
		after(10 * time.Second)
		w.wantAll(0)
		if w.source.taken() != 0 {
			t.Fatal("a snapshot was taken, although the archive has everything")
		}
		w.wantState(0, changefeed.Normal, "")
		w.source.logs[0].add(2)
		after(time.Second)
		w.wantAll(0)
		p.stop()
	})
}

// The archive ends before what the log still has: what comes between is replaced by a snapshot, and said.
func TestCompactedArchiveSnapshot(t *testing.T) {
	in(t, 1, func(w *world) {
		w.spec.Archive = "file:///archive"
		lost := w.loseTheLog()
		upTo := lost[4].Position.Index
		w.sink.set(func() { w.sink.delay = 3 * time.Second })
		p := w.start("a", func(o *Options) { o.OpenArchive = w.archived(&upTo) })
		after(time.Minute)
		same(t, w.sink.stamps(0), w.source.logs[0].Stamps()[:15])
		if w.source.taken() != 1 || w.sink.count(0, "begin") != 1 || w.sink.count(0, "rows") != 3 || w.sink.count(0, "end") != 1 {
			t.Fatalf("%d snapshots: %+v", w.source.taken(), w.sink.records(0))
		}
		if saved := w.wantState(0, changefeed.Normal, ""); saved.Figures.Snapshots != 1 {
			t.Fatalf("figures: %+v", saved.Figures)
		}
		p.stop()
	})
}

func TestCompactedSnapshot(t *testing.T) {
	in(t, 1, func(w *world) {
		w.loseTheLog()
		p := w.start("a")
		after(2 * time.Second)
		all := w.sink.records(0)
		if w.sink.count(0, "end") != 1 || w.sink.count(0, "event") != 10 {
			t.Fatalf("the sink has %+v", all)
		}
		w.source.logs[0].add(3)
		after(10 * time.Second)
		stamps := w.source.logs[0].Stamps()
		same(t, w.sink.stamps(0), append(stamps[:10:10], stamps[30:]...))
		if saved := w.progress(0); saved.Position.Compare(stamps[32].Position) < 0 {
			t.Fatalf("saved %s", saved.Position)
		}
		p.stop()
	})
}

// The warning is there for as long as it takes.
func TestCompactedIsTold(t *testing.T) {
	in(t, 1, func(w *world) {
		w.loseTheLog()
		w.sink.set(func() { w.sink.delay = time.Minute })
		w.source.slowRows = 10 * time.Second
		p := w.start("a")
		after(10 * time.Second)
		saved := w.wantState(0, changefeed.Warning, changefeed.CodeLogCompacted)
		if !strings.Contains(saved.Trouble.Reason, "1-10") || !strings.Contains(saved.Trouble.Reason, "snapshot") {
			t.Fatalf("reason: %s", saved.Trouble.Reason)
		}
		if n := len(w.source.held()); n == 0 || w.source.held()[n-1].Index != 30 {
			t.Fatalf("the log isn't kept from the snapshot on: %v", w.source.held())
		}
		w.sink.set(func() { w.sink.delay = time.Millisecond })
		after(3 * time.Minute)
		w.wantState(0, changefeed.Normal, "")
		p.stop()
	})
}

// A snapshot that breaks off in the middle begins anew, wherever the next owner is.
func TestSnapshotBreaksOff(t *testing.T) {
	in(t, 1, func(w *world) {
		w.loseTheLog()
		w.source.slowRows = 2 * time.Second
		w.sink.batch = 1
		a := w.start("a")
		after(5 * time.Second)
		if w.sink.count(0, "rows") == 0 || w.sink.count(0, "end") != 0 {
			t.Fatalf("not in the middle: %+v", w.sink.records(0))
		}
		w.store.ExpireClaims("a")
		w.source.logs[0].add(1)
		after(30 * time.Second)
		w.source.logs[0].add(2)
		after(5 * time.Second)
		if w.sink.count(0, "begin") != 2 || w.sink.count(0, "end") != 1 {
			t.Fatalf("the sink has %+v", w.sink.records(0))
		}
		stamps := w.source.logs[0].Stamps()
		same(t, w.sink.stamps(0), append(stamps[:10:10], stamps[31:]...))
		a.stop()
	})
}

func TestBrokenArchiveFails(t *testing.T) {
	in(t, 1, func(w *world) {
		w.spec.Archive = "file:///archive"
		w.loseTheLog()
		p := w.start("a", func(o *Options) {
			o.OpenArchive = func(context.Context, *changefeed.Spec, uint32, changefeed.Place) (changefeed.Stream, error) {
				return nil, &changefeed.Error{Stage: changefeed.StageLogRead, Code: changefeed.CodeCorrupt, Final: true, What: "line 7 was altered"}
			}
		})
		after(5 * time.Second)
		if saved := w.wantState(0, changefeed.Failed, changefeed.CodeCorrupt); !strings.Contains(saved.Trouble.Action, "--archive") {
			t.Fatalf("action: %s", saved.Trouble.Action)
		}
		p.stop()
	})
}

// An archive that can't be reached is waited for: a snapshot would give up what it has.
func TestUnreachableArchiveIsWaitedFor(t *testing.T) {
	in(t, 1, func(w *world) {
		w.spec.Archive = "file:///archive"
		lost := w.loseTheLog()
		upTo := lost[len(lost)-1].Position.Index
		var up atomic.Bool
		p := w.start("a", func(o *Options) {
			o.OpenArchive = func(ctx context.Context, s *changefeed.Spec, n uint32, at changefeed.Place) (changefeed.Stream, error) {
				if !up.Load() {
					return nil, errors.New("stale file handle")
				}
				return w.archived(&upTo)(ctx, s, n, at)
			}
		})
		after(20 * time.Second)
		w.wantState(0, changefeed.Warning, changefeed.CodeSourceDown)
		up.Store(true)
		after(time.Minute)
		w.wantAll(0)
		w.wantState(0, changefeed.Normal, "")
		p.stop()
	})
}

// What is to end has no use for a snapshot of a later state.
func TestCompactedWithTo(t *testing.T) {
	in(t, 1, func(w *world) {
		w.spec.To = "1-28"
		w.loseTheLog()
		p := w.start("a")
		after(5 * time.Second)
		w.wantState(0, changefeed.Failed, changefeed.CodeLogCompacted)
		p.stop()
	})
}
