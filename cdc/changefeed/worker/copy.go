package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// follow reads the log for as long as it has what comes next, and what replaces it where it hasn't. While the source fails the writer stays: it is not
// its fault.
func (a *attempt) follow() error {
	for {
		err := a.readLog()
		switch {
		case errors.Is(err, errCompacted):
			err = a.rejoin(err)
		case err == a.broken:
			err = a.retry(err)
		}
		if err != nil {
			return err
		}
	}
}

// retry waits before the source is tried again, if that makes sense.
func (a *attempt) retry(err error) error {
	var e *changefeed.Error
	if a.read.Err() != nil || !errors.As(err, &e) || e.Final {
		return err
	}
	if err := a.flush(); err != nil {
		return err
	}
	a.broken, a.beat = nil, time.Time{}
	a.w.track.doubt()
	a.w.failed(e)
	return a.w.pause(a.read)
}

// failed is what a source ran into, as the attempt's end.
func (a *attempt) failed(err error) error {
	a.broken = ended(a.read, a.w.sourceError(err))
	return a.broken
}

func (a *attempt) readLog() error {
	stream, err := a.w.o.Source.Open(a.read, a.w.spec.Namespace, a.w.partition, a.at)
	if err != nil {
		return a.failed(err)
	}
	defer stream.Close()
	a.log = true
	err = a.copy(stream)
	if err == io.EOF {
		return a.failed(errors.New("the stream ended, although it was to go on"))
	}
	return err
}

// copy gives the writer what a stream has, until io.EOF or something else ends it.
func (a *attempt) copy(stream changefeed.Stream) error {
	done := a.read.Done()
	for {
		select {
		case <-done: // a stream with events at hand doesn't look
			return context.Cause(a.read)
		default:
		}
		item, err := a.next(stream)
		if err != nil {
			return err
		}
		if a.log {
			a.w.setLost("")
			a.log = false
		}
		if item.Event != nil {
			err = a.event(item)
		} else {
			err = a.mark(item)
		}
		if err != nil {
			return err
		}
	}
}

// next takes the next item. Before it waits, what was given is flushed.
func (a *attempt) next(stream changefeed.Stream) (item *changefeed.Item, err error) {
	if stream.Buffered() {
		item, err = stream.Next(a.read)
	} else {
		if err := a.settle(); err != nil {
			return nil, err
		}
		item, err = a.await(stream)
	}
	if err == nil || err == io.EOF {
		return item, err
	}
	return nil, a.failed(err)
}

// settle leaves nothing with the writer that could go on while there is nothing to read.
func (a *attempt) settle() error {
	if err := a.beatIfDue(time.Now()); err != nil || !a.dirty {
		return err
	}
	return a.flush()
}

func (a *attempt) await(stream changefeed.Stream) (*changefeed.Item, error) {
	begin := time.Now()
	a.w.waiting.Store(begin.UnixNano())
	item, err := stream.Next(a.read)
	a.w.waiting.Store(0)
	a.w.meter.WaitSource.Add(int64(time.Since(begin)))
	return item, err
}

// clockEvery is after how many events the clock is looked at, when no wait has it looked at anyway.
const clockEvery = 1024

func (a *attempt) event(item *changefeed.Item) error {
	st, ev := item.Stamp, item.Event
	if err := a.joins(st); err != nil {
		return err
	}
	if a.to.before(st.Position, ev.Time) {
		return errFinished
	}
	if err := a.writer.Event(a.write, st, ev, item.Names); err != nil {
		return ended(a.write, asError(err))
	}
	a.dirty, a.last, a.time = true, *st, ev.Time
	a.at = changefeed.Place{After: st.Position, Chain: st.Chain, ChainKnown: true}
	a.w.track.gave(st.Position, ev.Time)
	if a.to.passed(st.Position) {
		return errFinished
	}
	if a.count++; a.count%clockEvery == 0 {
		return a.beatIfDue(time.Now())
	}
	return nil
}

// beatIfDue tells the sink of a busy partition how far it came: a filter may leave nothing else to tell.
func (a *attempt) beatIfDue(now time.Time) error {
	if a.time == 0 || now.Sub(a.beat) < time.Duration(a.w.spec.Heartbeat) {
		return nil
	}
	a.beat, a.dirty = now, true
	if err := a.writer.Heartbeat(a.write, a.at.After, &a.last, a.time); err != nil {
		return ended(a.write, asError(err))
	}
	a.time = 0
	return nil
}

// mark takes a bookmark, and tells the sink of it as often as the definition says.
func (a *attempt) mark(item *changefeed.Item) error {
	if item.Position.Compare(a.at.After) < 0 {
		return nil // of a replica that is behind the one before
	}
	now := time.Now()
	finished := a.to.marked(item.Position, item.Time)
	beat := finished || now.Sub(a.beat) >= time.Duration(a.w.spec.Heartbeat)
	if beat {
		a.beat, a.dirty, a.time = now, true, 0
		if err := a.writer.Heartbeat(a.write, item.Position, item.Stamp, item.Time); err != nil {
			return ended(a.write, asError(err))
		}
		a.at = changefeed.Place{After: item.Position, Chain: item.Stamp.Chain, ChainKnown: true}
	}
	a.w.track.passed(item.Position, item.Time, beat)
	if finished {
		return errFinished
	}
	return nil
}

// rejoin carries the partition to a place from which the log goes on: by the archive if that has what the log lost, else by a snapshot.
func (a *attempt) rejoin(cause error) error {
	from := a.at.After.String()
	if a.at.After.IsZero() {
		from = a.at.From
	}
	lost := fmt.Sprintf("the log no longer has what follows %s", from)
	if a.w.spec.Archive != "" && a.w.o.OpenArchive != nil {
		a.w.setLost(lost + ": it is read from the archive " + a.w.spec.Archive)
		if moved, err := a.readArchive(); err != nil || moved {
			return err
		}
		lost += ", nor has the archive"
	}
	if !a.to.isZero() {
		return &changefeed.Error{
			Stage: changefeed.StageCompaction, Code: changefeed.CodeLogCompacted, Final: true, Err: cause,
			What:   lost + ", and a snapshot is of a later state than that at its end",
			Action: fmt.Sprintf("set the checkpoint to what the log still has (zankv-cdc checkpoint set %s), or give it an archive", a.w.spec.ID),
		}
	}
	a.w.setLost(lost + ": a snapshot of the state replaces it")
	return a.snapshot()
}

// readArchive reads on from the archive up to its end, and says whether that had anything. An archive that lags behind the log's truncation is asked
// again after the log was.
func (a *attempt) readArchive() (moved bool, err error) {
	before := a.at.After
	stream, err := a.w.o.OpenArchive(a.read, a.w.spec, a.w.partition, a.at)
	if err == nil {
		defer stream.Close()
		a.log = false
		err = a.copy(stream)
	} else {
		err = ended(a.read, a.w.sourceError(err))
	}
	moved = a.at.After != before
	var problem *changefeed.Error
	switch {
	case err == io.EOF, errors.Is(err, errCompacted), errors.As(err, &problem) && problem.Code == changefeed.CodeLogCompacted:
		return moved, nil
	case problem != nil && problem.Stage == changefeed.StageLogRead && problem.Action == "":
		clear := *problem
		clear.Action = fmt.Sprintf("repair the archive, or do without it, so that a snapshot replaces what was lost: zankv-cdc changefeed update %s --archive ''", a.w.spec.ID)
		return moved, &clear
	}
	return moved, err
}

// snapshot gives the writer the state, and goes on behind it.
func (a *attempt) snapshot() error {
	w := a.w
	want, goOn := a.wants()
	rows, err := w.o.Source.Snapshot(a.read, w.spec.Namespace, w.partition, want)
	if err != nil {
		return ended(a.read, w.sourceError(err))
	}
	defer rows.Close()
	base := *rows.Base()
	next := changefeed.Place{After: goOn(base.Stamp.Position)}
	if next.After == base.Stamp.Position {
		next.Chain, next.ChainKnown = base.Stamp.Chain, true
	}
	if !next.After.IsZero() {
		// Reading may take longer than the log is kept. The place before it is lost anyway.
		w.hold(a.read, next.After, next.Chain)
	}
	if err := a.writer.BeginSnapshot(a.write, &base); err != nil {
		return ended(a.write, asError(err))
	}
	if err := a.copyRows(rows); err != nil {
		return err
	}
	if err := a.writer.EndSnapshot(a.write); err != nil {
		return ended(a.write, asError(err))
	}
	w.meter.Snapshots.Add(1)
	a.dirty, a.last, a.time = true, base.Stamp, base.Time
	a.at = next
	if next.After.IsZero() {
		a.at.From = "earliest"
	}
	w.track.gave(next.After, base.Time)
	return nil
}

// wants is which snapshot the writer needs, and after which position the stream goes on behind one.
func (a *attempt) wants() (changefeed.Want, func(event.Position) event.Position) {
	want, goOn := changefeed.Want{}, func(base event.Position) event.Position { return base }
	if s, ok := a.writer.(changefeed.StateWriter); ok {
		want, goOn = s.Wants(), s.GoOn
	}
	want.AtLeast = a.at.After
	return want, goOn
}

func (a *attempt) copyRows(rows changefeed.Rows) error {
	for {
		begin := time.Now()
		ev, names, err := rows.Next(a.read)
		a.w.meter.WaitSource.Add(int64(time.Since(begin)))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return ended(a.read, a.w.sourceError(err))
		}
		if err := a.writer.Rows(a.write, ev, names); err != nil {
			return ended(a.write, asError(err))
		}
	}
}
