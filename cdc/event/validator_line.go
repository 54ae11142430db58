package event

// Line takes the next line of the JSON; names are those of the parser that read it.
func (v *Validator) Line(l *Line, names Names) error {
	switch l.Kind {
	case LineChange:
		return v.mutations(l, []Digest{DigestOf(&l.Mutation, names, &v.scratch)})
	case LineFiltered:
		return v.mutations(l, l.Digests)
	}
	if err := v.samePartition(&l.Stamp); err != nil {
		return err
	}
	if l.Stamp.Prev.Compare(l.Stamp.Position) > 0 {
		return violation(Ordered, l.Stamp.Position, "a %s names %s as the event before it", l.Kind, l.Stamp.Prev)
	}
	switch l.Kind {
	case LineHeartbeat:
		return v.heartbeat(l)
	case LineSnapshotBegin:
		return v.beginSnapshot(l)
	case LineSnapshotRow:
		return v.row(l, names)
	}
	return v.endSnapshot(l)
}

// End says that no more lines come: an event or a snapshot that isn't whole is then a violation.
func (v *Validator) End() error {
	if len(v.digests) > 0 {
		return violation(Atomic, v.line.Position, "%d of %d mutations came before the end", len(v.digests), v.of)
	}
	if v.snapshot.open {
		return violation(Atomic, v.snapshot.stamp.Position, "%d rows of a snapshot came before the end, but not all", v.snapshot.rows)
	}
	return nil
}

// mutations takes consecutive mutations of an event, the first being l.Seq, by their digests.
func (v *Validator) mutations(l *Line, digests []Digest) error {
	if err := v.leaveSnapshot(l.Stamp.Position, l); err != nil {
		return err
	}
	if v.begins(l) {
		v.line, v.of, v.time, v.digests = l.Stamp, l.Of, l.Time, v.digests[:0]
		v.tail = v.repeats(l.Stamp.Position) && l.Seq > 0
	}
	if l.Stamp.Position != v.line.Position {
		return violation(Atomic, v.line.Position, "%d of %d mutations came before %s", len(v.digests), v.of, l.Stamp.Position)
	}
	if l.Stamp != v.line || l.Of != v.of || l.Time != v.time {
		return violation(Atomic, l.Stamp.Position, "mutation %d gives the event another header or chain than those before it", l.Seq)
	}
	if v.tail {
		return v.endOfTail(l, len(digests))
	}
	if err := v.add(l, digests); err != nil || len(v.digests) < int(v.of) {
		return err
	}
	_, err := v.next(&v.line, func(prev Chain) Chain { return CloseChain(prev, &v.line, v.time, v.digests, &v.scratch) }, nil)
	v.digests = v.digests[:0]
	return err
}

// add appends digests to those of the event, where l.Seq says. After a reconnect some may come that are there already: then the same ones.
func (v *Validator) add(l *Line, digests []Digest) error {
	have := uint32(len(v.digests))
	again := l.Seq < have && v.AllowReplays
	for i := 0; again && i < len(digests) && int(l.Seq)+i < int(have); i++ {
		again = digests[i] == v.digests[int(l.Seq)+i]
	}
	if l.Seq != have && !again {
		return violation(Atomic, l.Stamp.Position, "mutation %d came where %d of %d was due", l.Seq, have, v.of)
	}
	v.digests = append(v.digests[:l.Seq], digests...)
	return nil
}

// begins says whether a line is the first one seen of an event. After a reconnect that is possible while another event isn't whole: what
// came of that doesn't count.
func (v *Validator) begins(l *Line) bool {
	if !v.tail && len(v.digests) == 0 {
		return true
	}
	return v.AllowReplays && l.Stamp.Position != v.line.Position && (v.tail || v.repeats(l.Stamp.Position))
}

func (v *Validator) repeats(p Position) bool {
	return v.AllowReplays && v.started && p.Compare(v.stamp.Position) <= 0
}

// endOfTail takes a line of a replayed event whose first lines didn't come again. What it says of the event counts once the last line is here.
func (v *Validator) endOfTail(l *Line, n int) error {
	if int(l.Seq)+n < int(l.Of) {
		return nil
	}
	v.tail, v.replaying = false, false // a new run begins
	_, err := v.next(&v.line, func(Chain) Chain { return v.line.Chain }, nil)
	return err
}

// leaveEvent is for a line that doesn't belong to an event. Where one isn't whole it is a violation, but for a reconnect that went back to before
// it: last is then the last event that came before l.
func (v *Validator) leaveEvent(last Position, l *Line) error {
	if !v.tail && len(v.digests) == 0 {
		return nil
	}
	if !v.repeats(last) {
		return violation(Atomic, v.line.Position, "%d of %d mutations came before a %s", len(v.digests), v.of, l.Kind)
	}
	v.tail, v.digests = false, v.digests[:0]
	return nil
}

// leaveSnapshot is for a line that isn't part of a snapshot. Where one isn't whole it is a violation, but for a reconnect that went back to before it: last is
// then an event at or before the one before it.
func (v *Validator) leaveSnapshot(last Position, l *Line) error {
	s := &v.snapshot
	if !s.open {
		return nil
	}
	if !v.repeats(last) || last.Compare(s.stamp.Prev) > 0 {
		return violation(Atomic, s.stamp.Position, "%d rows of a snapshot came, then a %s at %s instead of its end", s.rows, l.Kind, l.Stamp.Position)
	}
	s.open = false
	return nil
}

// heartbeat takes a report that everything up to a position came.
func (v *Validator) heartbeat(l *Line) error {
	at, last := l.Stamp.Position, l.Stamp.Prev
	if want := l.Stamp.check(heartbeatFormat, l.Time, &v.scratch); want != l.Check {
		return violation(Reliable, at, "a heartbeat's digest is %s, computed from its content %s: something was altered", Chain(l.Check), Chain(want))
	}
	if err := v.leaveEvent(last, l); err != nil {
		return err
	}
	if err := v.leaveSnapshot(last, l); err != nil {
		return err
	}
	if !v.started {
		v.stamp, v.started = l.Stamp, true
		v.stamp.Position = last
	}
	switch c := last.Compare(v.stamp.Position); {
	case c > 0:
		return violation(Reliable, at, "a gap: a heartbeat says that the last event was %s, but the last one that came was %s", last, v.stamp.Position)
	case c < 0:
		return v.oldHeartbeat(l)
	case v.replaying:
		return violation(Reliable, at, "a replay that reached %s went on without coming by %s, where it had been before", v.replayed, v.stamp.Position)
	case l.Stamp.Chain != v.stamp.Chain:
		return violation(Reliable, at, "a heartbeat says that the chain at %s was %s, but it was %s", last, l.Stamp.Chain, v.stamp.Chain)
	}
	return v.beats(l)
}

// beats takes a heartbeat after the last event: heartbeats get later.
func (v *Validator) beats(l *Line) error {
	at := l.Stamp.Position
	if at.Index < v.bookmark.Index || at == v.bookmark && l.Time <= v.beat {
		if v.AllowReplays {
			return nil
		}
		return violation(Unique, at, "a heartbeat that came before, or belongs before the last one at %s", v.bookmark)
	}
	v.bookmark, v.beat = at, l.Time
	return nil
}

// oldHeartbeat takes one after an event before the last one: a replay begins there, or has come there.
func (v *Validator) oldHeartbeat(l *Line) error {
	at, last := l.Stamp.Position, l.Stamp.Prev
	if !v.AllowReplays {
		return violation(Ordered, at, "a heartbeat after %s came after %s", last, v.stamp.Position)
	}
	if v.replaying {
		switch c := last.Compare(v.replayed); {
		case c > 0:
			return violation(Reliable, at, "a gap in a replay: a heartbeat says that the last event was %s, but the last one was %s", last, v.replayed)
		case c == 0 && l.Stamp.Chain != v.replayChain:
			return violation(Reliable, at, "in a replay: a heartbeat says that the chain at %s was %s, but it was %s", last, l.Stamp.Chain, v.replayChain)
		}
	}
	v.replaying, v.replayed, v.replayChain = true, last, l.Stamp.Chain
	return nil
}
