package message

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// snapshotState is how far the snapshot is that is being written.
type snapshotState struct {
	open    bool
	broken  bool // a call was broken off within its rows: it has to be begun anew
	base    event.Stamp
	time    int64
	rows    uint64
	rolling event.Chain
}

// Heartbeat takes a report that everything up to position was given, last being the last event. One that says nothing new, or that comes while a snapshot
// or an event isn't whole, is left out.
func (w *Writer) Heartbeat(ctx context.Context, position event.Position, last *event.Stamp, time int64) error {
	if err := w.usable(); err != nil {
		return err
	}
	e := &w.end
	behind := e.lastKnown && last.Position.Compare(e.last) < 0 || position.Index < w.reached.Position.Index
	if behind || w.snap.open || e.resume.InSnapshot || e.open || position == e.beat.Position && time <= e.beat.Time {
		return nil
	}
	if e.lastKnown && last.Position != e.last {
		return w.doesntJoin(last, fmt.Sprintf("a heartbeat names it as the last event, but that is %s", e.last))
	}
	if w.chain && last.Chain != w.reached.Chain {
		return w.doesntJoin(last, fmt.Sprintf("a heartbeat says that the chain after it is %s, but it is %s", last.Chain, w.reached.Chain))
	}
	m := Message{Kind: Heartbeat, Position: position, Prev: last.Position, Chain: last.Chain, Time: time}
	if err := w.control(ctx, &m, func(dst []byte) []byte { return event.AppendHeartbeat(dst, last, position, time, &w.scratch) }); err != nil {
		return err
	}
	e.last, e.lastKnown, w.chain, w.started = last.Position, true, true, true
	w.reached = changefeed.Reached{Position: position, Chain: last.Chain, Time: time}
	e.beat = w.reached
	w.linger()
	return nil
}

// control appends a message of the stream itself.
func (w *Writer) control(ctx context.Context, m *Message, encode func(dst []byte) []byte) error {
	if err := w.value(ctx, m, nil, true, int64(w.fixed), &point{}, encode); err != nil {
		return w.failUnless(ctx, err)
	}
	return nil
}

// BeginSnapshot says that the stream's place in the log was lost: what came between the last event and base is missing, and the state at base follows.
// Another one that isn't whole is given up by it, and so is an event of which only a part is there. If that was of the same base, this one says a later time, by a
// nanosecond, so that it can be told from a begin that came twice.
func (w *Writer) BeginSnapshot(ctx context.Context, of *changefeed.Base) error {
	base, time := &of.Stamp, of.Time
	if err := w.usable(); err != nil {
		return err
	}
	e := &w.end
	if e.lastKnown && base.Position.Compare(e.last) < 0 {
		return w.doesntJoin(base, fmt.Sprintf("a snapshot is of the state there, but the last event is %s", e.last))
	}
	st := *base
	if st.Prev = (event.Position{}); e.lastKnown {
		st.Prev = e.last
	}
	line := event.AppendSnapshotBegin(nil, &st, time, &w.scratch)
	if !bytes.Equal(bytes.TrimSuffix(line, []byte("\n")), e.begun) {
		if st.Position == e.attempt.Position && time <= e.attempt.Time {
			time = e.attempt.Time + 1
			line = event.AppendSnapshotBegin(nil, &st, time, &w.scratch)
		}
		m := Message{Kind: SnapshotBegin, Position: st.Position, Prev: st.Prev, Chain: st.Chain, Time: time}
		if err := w.control(ctx, &m, func(dst []byte) []byte { return append(dst, line...) }); err != nil {
			return err
		}
	}
	e.open, e.begun, e.resume.InSnapshot = false, nil, false
	e.attempt = changefeed.Reached{Position: st.Position, Time: time}
	w.snap = snapshotState{open: true, base: st, time: time, rolling: event.SnapshotChain(&st, time, &w.scratch)}
	w.linger()
	return nil
}

// Rows takes rows of the snapshot. Those that the filter doesn't pass are left out. After an error that is ctx's the snapshot has to be begun anew.
func (w *Writer) Rows(ctx context.Context, ev *event.Event, names event.Names) error {
	if err := w.usable(); err != nil {
		return err
	}
	s := &w.snap
	if !s.open || s.broken {
		return w.misuse("rows of a snapshot that wasn't begun, or was broken off")
	}
	err := w.timed(len(ev.Mutations), func() error {
		for i := range ev.Mutations {
			if m := &ev.Mutations[i]; w.matcher.Match(m, names) {
				if err := w.row(ctx, m, names); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		s.broken = true
		return err
	}
	w.linger()
	return nil
}

func (w *Writer) row(ctx context.Context, m *event.Mutation, names event.Names) error {
	s := &w.snap
	if s.rows > math.MaxUint32 {
		return w.fail(&changefeed.Error{Stage: changefeed.StageDecode, Code: changefeed.CodeSinkConfig, Final: true,
			What:   fmt.Sprintf("the snapshot of partition %d has more than %d rows", w.target.Partition, uint32(math.MaxUint32)),
			Action: "filter the changefeed, or split the namespace into more partitions"})
	}
	row := *m
	row.Row = true
	rolling := event.RowChain(s.rolling, &row, names, &w.scratch)
	n := uint32(s.rows)
	message := Message{Kind: SnapshotRow, Position: s.base.Position, Prev: s.base.Prev, Chain: s.base.Chain, Seq: n, Time: s.time}
	err := w.value(ctx, &message, ShortKey(m.Key, w.maxBytes), false, w.estimate(&row), &point{}, func(dst []byte) []byte {
		if w.debezium {
			return event.AppendDebeziumRow(dst, &s.base, s.time, n, &row, names, rolling)
		}
		return event.AppendSnapshotRow(dst, &s.base, s.time, n, &row, names, rolling)
	})
	if err != nil {
		return w.failUnless(ctx, err)
	}
	s.rows, s.rolling = s.rows+1, rolling
	return nil
}

// EndSnapshot says that all rows came: events after the base follow.
func (w *Writer) EndSnapshot(ctx context.Context) error {
	if err := w.usable(); err != nil {
		return err
	}
	s := &w.snap
	if !s.open || s.broken {
		return w.misuse("the end of a snapshot that wasn't begun, or was broken off")
	}
	m := Message{Kind: SnapshotEnd, Position: s.base.Position, Prev: s.base.Prev, Chain: s.base.Chain, Time: s.time}
	if err := w.control(ctx, &m, func(dst []byte) []byte { return event.AppendSnapshotEnd(dst, &s.base, s.time, s.rows, s.rolling) }); err != nil {
		return err
	}
	s.open = false
	w.end.last, w.end.lastKnown, w.chain, w.started = s.base.Position, true, true, true
	w.reached = changefeed.Reached{Position: s.base.Position, Chain: s.base.Chain, Time: s.time}
	w.linger()
	return nil
}
