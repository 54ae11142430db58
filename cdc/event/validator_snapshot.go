package event

// snapshotCheck is how far a snapshot is.
type snapshotCheck struct {
	open bool
	// replay says that it is one that came before, or began before: it proves nothing new.
	replay bool
	// tail says that its begin didn't come, as a reconnect led into its middle: then chain isn't known.
	tail  bool
	stamp Stamp // of the begin: position, the event before, and the chain at position
	time  int64
	// rows came, and rolling is the chain after them. After a reconnect that went back into the snapshot they are less than furthest.
	rows     uint64
	rolling  Chain
	furthest uint64
	// end is the rolling chain after the furthest row.
	end Chain
}

// Snapshots is how many snapshots the stream has as a whole. Each is a gap that is declared: what is between the last event before it and its position
// is missing, and the state is there instead. One that comes again in a replay isn't counted again.
func (v *Validator) Snapshots() int { return v.snapshots }

func (v *Validator) beginSnapshot(l *Line) error {
	at, last := l.Stamp.Position, l.Stamp.Prev
	rolling := SnapshotChain(&l.Stamp, l.Time, &v.scratch)
	if Chain(l.Check) != rolling {
		return violation(Reliable, at, "a snapshot's begin has digest %s, computed from its content %s: something was altered", Chain(l.Check), rolling)
	}
	if last.Compare(v.line.Position) < 0 {
		v.tail, v.digests = false, v.digests[:0] // it gives up an event that wasn't whole: the gap begins before that
	} else if err := v.leaveEvent(last, l); err != nil {
		return err
	}
	begun := snapshotCheck{open: true, stamp: l.Stamp, time: l.Time, rolling: rolling, end: rolling}
	s := &v.snapshot
	if s.open && s.stamp == l.Stamp && s.time == l.Time && !v.AllowReplays {
		return violation(Unique, at, "a snapshot's begin came twice")
	}
	if s.open && last.Compare(s.stamp.Prev) > 0 {
		return violation(Atomic, s.stamp.Position, "%d rows of a snapshot came, then another one begins that goes on after %s", s.rows, last)
	}
	replay, err := v.placeSnapshot(l)
	if err != nil {
		return err
	}
	begun.replay = replay
	*s = begun
	return nil
}

// placeSnapshot checks that a snapshot begins where the stream is. One that came before may come again.
func (v *Validator) placeSnapshot(l *Line) (replay bool, err error) {
	at, last := l.Stamp.Position, l.Stamp.Prev
	if !v.started {
		return false, nil
	}
	switch c := last.Compare(v.stamp.Position); {
	case c > 0:
		return false, violation(Reliable, at, "a gap: a snapshot names %s as the last event before it, but the last one was %s", last, v.stamp.Position)
	case c == 0 && v.replaying:
		return false, violation(Reliable, at, "a replay that reached %s went on without coming by %s, where it had been before", v.replayed, v.stamp.Position)
	case c == 0 && at != last && at.Index <= v.bookmark.Index && !v.bookmark.IsZero():
		return false, violation(Bookmarkable, at, "a bookmark had passed what a snapshot says was lost, at %s", v.bookmark)
	case c == 0:
		return false, nil
	case !v.AllowReplays:
		return false, violation(Ordered, at, "a snapshot that goes on after %s came after %s", last, v.stamp.Position)
	case v.replaying && last.Compare(v.replayed) > 0:
		return false, violation(Reliable, at, "a gap in a replay: a snapshot names %s as the last event before it, but the last one was %s", last, v.replayed)
	}
	return true, nil
}

func (v *Validator) row(l *Line, names Names) error {
	if err := v.leaveEvent(l.Stamp.Prev, l); err != nil {
		return err
	}
	s := &v.snapshot
	if !s.open || !s.has(l) {
		return v.middleOfSnapshot(l)
	}
	switch n := uint64(l.Seq); {
	case n > s.rows:
		return violation(Reliable, l.Stamp.Position, "a gap: row %d of a snapshot came where %d was due", n, s.rows)
	case n < s.rows && !v.AllowReplays:
		return violation(Unique, l.Stamp.Position, "row %d of a snapshot came where %d was due", n, s.rows)
	case n < s.rows:
		s.rows, s.rolling = n+1, l.Stamp.Chain
	default:
		s.rows++
		s.rolling = RowChain(s.rolling, &l.Mutation, names, &v.scratch)
	}
	if s.rolling != l.Stamp.Chain {
		return violation(Reliable, l.Stamp.Position, "row %d of a snapshot has chain %s, computed from the content %s: something was altered", l.Seq,
			l.Stamp.Chain, s.rolling)
	}
	return s.reached(v)
}

// has says whether a row or an end is of this snapshot.
func (s *snapshotCheck) has(l *Line) bool {
	same := l.Stamp.Cluster == s.stamp.Cluster && l.Stamp.Namespace == s.stamp.Namespace && l.Stamp.Partition == s.stamp.Partition
	return same && l.Stamp.Position == s.stamp.Position && l.Stamp.Prev == s.stamp.Prev && l.Time == s.time
}

// reached takes note of the furthest row. Rows that came again must lead to where they had been before.
func (s *snapshotCheck) reached(v *Validator) error {
	switch {
	case s.rows > s.furthest:
		s.furthest, s.end = s.rows, s.rolling
	case s.rows == s.furthest && s.rolling != s.end:
		return violation(Unique, s.stamp.Position, "row %d of a snapshot came again with chain %s, before it had %s", s.rows-1, s.rolling, s.end)
	}
	return nil
}

// middleOfSnapshot takes a row of a snapshot that isn't open: a reconnect led into the middle of one that came before, or that was begun before and
// not ended.
func (v *Validator) middleOfSnapshot(l *Line) error {
	s := &v.snapshot
	if !v.AllowReplays || !v.started && !s.open || v.started && l.Stamp.Prev.Compare(v.stamp.Position) > 0 {
		return violation(Reliable, l.Stamp.Position, "row %d of a snapshot whose begin didn't come", l.Seq)
	}
	if s.open && l.Stamp.Prev.Compare(s.stamp.Prev) > 0 {
		return violation(Atomic, s.stamp.Position, "%d rows of a snapshot came, then those of another one", s.rows)
	}
	if v.replaying && l.Stamp.Prev.Compare(v.replayed) > 0 {
		return violation(Reliable, l.Stamp.Position, "a gap in a replay: a snapshot that goes on after %s came after %s", l.Stamp.Prev, v.replayed)
	}
	n := uint64(l.Seq) + 1
	*s = snapshotCheck{open: true, replay: true, tail: true, stamp: l.Stamp, time: l.Time, rows: n, rolling: l.Stamp.Chain, furthest: n, end: l.Stamp.Chain}
	return nil
}

func (v *Validator) endSnapshot(l *Line) error {
	if err := v.leaveEvent(l.Stamp.Prev, l); err != nil {
		return err
	}
	s := &v.snapshot
	if !s.open || !s.has(l) {
		return v.endAlone(l)
	}
	at := l.Stamp.Position
	switch {
	case l.Rows != s.rows || s.rows != s.furthest:
		return violation(Atomic, at, "a snapshot's end counts %d rows, but %d came", l.Rows, s.rows)
	case l.Stamp.Chain != s.rolling:
		return violation(Reliable, at, "a snapshot's end has chain %s, computed from its rows %s", l.Stamp.Chain, s.rolling)
	case !s.tail && l.Stamp.PrevChain != s.stamp.Chain:
		return violation(Reliable, at, "a snapshot's end says that the chain there is %s, its begin that it is %s", l.Stamp.PrevChain, s.stamp.Chain)
	}
	s.open = false
	if s.replay {
		return v.replaySnapshot(l)
	}
	v.stamp, v.started, v.replaying = s.stamp, true, false
	v.last = *s
	v.snapshots++
	return nil
}

// endAlone takes the end of a snapshot of which no row came just before: where a replay begins with it.
func (v *Validator) endAlone(l *Line) error {
	if err := v.leaveSnapshot(l.Stamp.Position, l); err != nil {
		return err
	}
	if !v.repeats(l.Stamp.Position) {
		return violation(Unique, l.Stamp.Position, "the end of a snapshot whose rows didn't come, or that had ended before")
	}
	v.replaying = false // a new run begins
	return v.replaySnapshot(l)
}

// replaySnapshot takes the end of a snapshot that came before: the replay is at its base then.
func (v *Validator) replaySnapshot(l *Line) error {
	at := l.Stamp.Position
	if !v.repeats(at) {
		return violation(Reliable, at, "the end of a snapshot whose begin didn't come")
	}
	if v.last.has(l) && (l.Rows != v.last.rows || l.Stamp.Chain != v.last.rolling) {
		return violation(Unique, at, "a snapshot came again with %d rows and chain %s, before it had %d and %s", l.Rows, l.Stamp.Chain, v.last.rows, v.last.rolling)
	}
	if at == v.stamp.Position {
		if l.Stamp.PrevChain != v.stamp.Chain {
			return violation(Unique, at, "it came again with chain %s, before it had %s", l.Stamp.PrevChain, v.stamp.Chain)
		}
		v.replaying = false
		return nil
	}
	v.replaying, v.replayed, v.replayChain = true, at, l.Stamp.PrevChain
	return nil
}
