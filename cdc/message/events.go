package message

import (
	"context"
	"fmt"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// sampled is how many calls go by for one whose time is taken: the clock is dear beside them.
const sampled = 64

// alwaysTimed is from how many mutations on a call's time is always taken.
const alwaysTimed = 64

// timed calls do, and counts the time that it takes as encoding, but for waits.
func (w *Writer) timed(mutations int, do func() error) error {
	weight := int64(1)
	w.counts.calls++
	if mutations < alwaysTimed {
		if weight = sampled; w.counts.calls%sampled != 0 {
			return do()
		}
	}
	begin, waited := time.Now(), w.counts.waited
	err := do()
	w.counts.encoding += weight * max(int64(time.Since(begin))-(w.counts.waited-waited), 0)
	return err
}

// Event takes the next event. One that lies at or before where the stream ends is left out, wholly or in part. After an error that is ctx's the same event may
// be given again.
func (w *Writer) Event(ctx context.Context, st *event.Stamp, ev *event.Event, names event.Names) error {
	if err := w.usable(); err != nil {
		return err
	}
	skip, err := w.place(st)
	if skip || err != nil {
		return err
	}
	if err := w.timed(len(ev.Mutations), func() error { return w.mutations(ctx, st, ev, names) }); err != nil {
		return err
	}
	w.counts.events++
	w.counts.mutations += uint64(len(ev.Mutations))
	w.end.open, w.end.last, w.end.lastKnown, w.chain, w.started = false, st.Position, true, true, true
	w.reached = changefeed.Reached{Position: st.Position, Chain: st.Chain, Time: ev.Time}
	w.linger()
	return nil
}

// usable says whether the writer can go on.
func (w *Writer) usable() error {
	if w.ended.Load() {
		return w.Err()
	}
	return nil
}

// linger ends a call: what was to go as soon as it can goes.
func (w *Writer) linger() {
	if w.cur != nil && w.cur.flushed && len(w.cur.Messages) > 0 {
		w.handOver()
	}
	if w.counts.events >= publishEvery {
		w.counts.publish(w.meter)
	}
}

// place finds out whether an event is there already, and checks that it goes on where the stream ends. end.partial says then what of it is to come.
func (w *Writer) place(st *event.Stamp) (skip bool, err error) {
	e := &w.end
	at := st.Position
	switch {
	case e.lastKnown && at.Compare(e.last) <= 0:
		return true, nil
	case w.snap.open || e.resume.InSnapshot:
		return false, w.misuse("event " + at.String() + " within a snapshot")
	case e.open && at != e.partial.position:
		return false, w.doesntJoin(st, fmt.Sprintf("of event %s only a part is there, and it didn't come again", e.partial.position))
	case e.open && !e.partial.chain.IsZero() && e.partial.chain != st.Chain:
		return false, w.doesntJoin(st, fmt.Sprintf("it has chain %s, but what the sink has of it has %s", st.Chain, e.partial.chain))
	case at.Index <= e.beat.Position.Index:
		return false, w.doesntJoin(st, fmt.Sprintf("a heartbeat had passed it, at %s", e.beat.Position))
	case e.lastKnown && st.Prev != e.last:
		return false, w.doesntJoin(st, fmt.Sprintf("it comes after %s, but the last event there is %s", st.Prev, e.last))
	case w.chain && !st.PrevChain.IsZero() && st.PrevChain != w.reached.Chain:
		return false, w.doesntJoin(st, fmt.Sprintf("the chain before it is %s, but the stream's is %s", st.PrevChain, w.reached.Chain))
	}
	if !e.open {
		e.partial, e.open = point{position: at}, true
	}
	return false, nil
}

// doesntJoin is the error of what can't follow on what is there: the sink holds something else if it is the first one, else the source skipped something.
func (w *Writer) doesntJoin(st *event.Stamp, why string) error {
	what := fmt.Sprintf("event %s doesn't go on where the sink's stream of partition %d ends: %s", st.Position, w.target.Partition, why)
	if !w.started {
		return w.fail(diverged(what, nil))
	}
	return w.fail(&changefeed.Error{Stage: changefeed.StageLogRead, Code: changefeed.CodeCorrupt, What: what,
		Action: "it is read again from the checkpoint; if that goes on check the partition with `zankv-cdc verify`"})
}

func (w *Writer) misuse(what string) error {
	return w.fail(&changefeed.Error{Stage: changefeed.StageNone, Code: changefeed.CodeInternal, What: what, Action: "report it with the log"})
}

// mutations appends what is to come of an event.
func (w *Writer) mutations(ctx context.Context, st *event.Stamp, ev *event.Event, names event.Names) error {
	p := &w.end.partial
	for int(p.seq) < len(ev.Mutations) {
		m := &ev.Mutations[p.seq]
		if p.offset == 0 && !p.tombstone && !w.matcher.Match(m, names) {
			if err := w.filtered(ctx, st, ev, names); err != nil {
				return err
			}
			continue
		}
		if err := w.change(ctx, st, ev, m, names); err != nil {
			return err
		}
	}
	return nil
}

// change appends mutation partial.seq, and moves that on.
func (w *Writer) change(ctx context.Context, st *event.Stamp, ev *event.Event, m *event.Mutation, names event.Names) error {
	p := &w.end.partial
	i := int(p.seq)
	message := Message{Kind: Change, Position: st.Position, Prev: st.Prev, Chain: st.Chain, Seq: p.seq, Of: uint32(len(ev.Mutations)), Time: ev.Time}
	key, keyless := ShortKey(m.Key, w.maxBytes), m.Op == event.OpRange
	if keyless {
		key = nil
	}
	if !p.tombstone {
		err := w.value(ctx, &message, key, keyless, w.estimate(m), p, func(dst []byte) []byte {
			if w.debezium {
				return event.AppendDebezium(dst, st, ev, i, names)
			}
			return event.AppendJSON(dst, st, ev, i, names)
		})
		if err != nil {
			return w.failUnless(ctx, err)
		}
	}
	if p.offset, p.total = 0, 0; w.tombstones && removesKey(m) {
		p.tombstone = true
		if err := w.room(ctx, int64(len(key)), int64(len(key))); err != nil {
			return w.failUnless(ctx, err)
		}
		message.Kind, message.Key, message.Value, message.Offset, message.Total = Tombstone, nil, nil, 0, 0
		w.cur.arena = append(w.cur.arena, key...)
		w.cur.add(&message, len(w.cur.arena)-len(key), len(w.cur.arena), false)
	}
	p.tombstone = false
	p.seq++
	return nil
}

// failUnless makes an error the writer's, unless it is that of the caller's ctx.
func (w *Writer) failUnless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return w.fail(err)
}

// removesKey says whether a key is gone after a mutation. Of a range that isn't one key.
func removesKey(m *event.Mutation) bool {
	return m.Op == event.OpDel || m.Op == event.OpExpire || m.Op.OnElements() && m.Count == 0
}

// filtered leaves out consecutive mutations from partial.seq on, and moves that on. Their digests go into one message, so far as it takes them.
func (w *Writer) filtered(ctx context.Context, st *event.Stamp, ev *event.Event, names event.Names) error {
	p := &w.end.partial
	first, i := p.seq, int(p.seq)
	w.run = w.run[:0]
	for ; i < len(ev.Mutations) && len(w.run) < w.digestsPerLine; i++ {
		m := &ev.Mutations[i]
		if i > int(first) && w.matcher.Match(m, names) {
			break
		}
		if w.digests {
			w.run = append(w.run, event.DigestOf(m, names, &w.scratch))
		}
	}
	if w.digests {
		of := uint32(len(ev.Mutations))
		message := Message{Kind: Filtered, Position: st.Position, Prev: st.Prev, Chain: st.Chain, Seq: first, Of: of, Time: ev.Time}
		size := int64(event.FilteredBytes(len(w.run)) + w.fixed)
		err := w.value(ctx, &message, nil, true, size, &point{}, func(dst []byte) []byte {
			return event.AppendFiltered(dst, st, ev.Time, first, of, w.run)
		})
		if err != nil {
			return w.failUnless(ctx, err)
		}
	}
	w.counts.filtered += uint64(i) - uint64(first)
	p.seq = uint32(i)
	return nil
}

// estimate bounds the length of a mutation's line. That of a small one is taken short if it needs escapes for nearly everything.
func (w *Writer) estimate(m *event.Mutation) int64 {
	n := len(m.Key)*3 + len(m.Value) + len(m.Command)
	for i := range m.Elements {
		e := &m.Elements[i]
		n += 2*len(e.Sub) + len(e.Value) + w.elementBytes
	}
	if n < exactFrom {
		return int64(w.fixed + 2*n)
	}
	escapes := 2*countEscapes(m.Key) + countEscapes(m.Value)
	for i := range m.Elements {
		escapes += 2*countEscapes(m.Elements[i].Sub) + countEscapes(m.Elements[i].Value)
	}
	return int64(w.fixed + n + max(n/2, 5*escapes))
}

// exactFrom is the length from which on escapes are counted.
const exactFrom = 8 << 10

// countEscapes is how many bytes a JSON string may write with six.
func countEscapes(s []byte) (n int) {
	for _, c := range s {
		if c < 0x20 || c == '"' || c == '\\' || c == 0x7F || c == 0xC2 {
			n++
		}
	}
	return n
}
