package event

import "fmt"

// Promise is one of the feed's (DESIGN.md §7). A Violation names the one that was broken.
type Promise string

const (
	Ordered      Promise = "ordered"      // positions only grow
	Atomic       Promise = "atomic"       // an event is delivered whole
	Reliable     Promise = "reliable"     // no event is skipped or altered: each names the one before it, and the chain closes
	Unique       Promise = "unique"       // nothing is delivered twice, or, where replays are allowed, only as it was before
	Bookmarkable Promise = "bookmarkable" // nothing comes at or before a position that a bookmark had passed
)

// Violation says that a stream broke a promise, where and how.
type Violation struct {
	Promise  Promise
	Position Position
	What     string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("event: the feed isn't %s: at %s: %s", v.Promise, v.Position, v.What)
}

// Validator checks the feed's promises on the events of one partition, in the order in which a reader got them. Feed it events (Event) or lines
// of the JSON (Line, then End), not both. After a violation it is spent. It holds no more than the state of one position and the digests of one event.
//
// Lines of all kinds count. Digests of filtered mutations stand for these. A heartbeat has to name the last event that came and its chain, so
// a loss before it is found; that a heartbeat is missing isn't. A snapshot is a gap that is declared: the stream goes on from its base, Snapshots counts it,
// and its rows have to be whole.
//
// The zero Validator takes the first event's word for what lies before it. Start it with From where that is known.
type Validator struct {
	// AllowReplays takes events that came before, as a reader gets them after it reconnected. A run of them must lead, by an unbroken
	// chain, to the very position and chain where new events go on: that is what proves that they are the same events.
	AllowReplays bool

	stamp    Stamp // of the last event
	started  bool
	bookmark Position

	replaying   bool
	replayed    Position
	replayChain Chain

	// Lines of an event that isn't whole yet.
	line    Stamp
	of      uint32
	time    int64
	digests []Digest
	tail    bool // a reconnect gave only the event's last lines again

	beat      int64 // the last heartbeat's time
	snapshot  snapshotCheck
	last      snapshotCheck // the last one that was whole
	snapshots int

	scratch Scratch
}

// From says where the stream starts: after an event at position that left chain. The zero Position is the beginning of the log.
func (v *Validator) From(position Position, chain Chain) {
	v.stamp.Position, v.stamp.Chain, v.started = position, chain, true
}

// Last is the position and the chain of the last event that was new.
func (v *Validator) Last() (Position, Chain) { return v.stamp.Position, v.stamp.Chain }

// Event takes the next event. It says whether it is a replay of one that came before.
func (v *Validator) Event(st *Stamp, ev *Event, names Names) (replay bool, err error) {
	if len(ev.Mutations) == 0 {
		return false, violation(Atomic, st.Position, "an event without mutations")
	}
	return v.next(st, func(prev Chain) Chain { return NextChain(prev, st, ev, names, &v.scratch) }, &st.PrevChain)
}

// next takes a whole event. compute gives its chain from the one before; claimed is what it says that was, nil if it doesn't say.
func (v *Validator) next(st *Stamp, compute func(prev Chain) Chain, claimed *Chain) (replay bool, err error) {
	if err := v.samePartition(st); err != nil {
		return false, err
	}
	if st.Prev.Compare(st.Position) >= 0 {
		return false, violation(Ordered, st.Position, "it names %s as the event before it", st.Prev)
	}
	if v.started && st.Position.Compare(v.stamp.Position) <= 0 {
		return true, v.replay(st, compute)
	}
	if v.replaying {
		return false, violation(Reliable, st.Position, "a replay that reached %s went on without coming by %s, where it had been before", v.replayed, v.stamp.Position)
	}
	if !v.bookmark.IsZero() && st.Position.Index <= v.bookmark.Index {
		return false, violation(Bookmarkable, st.Position, "a bookmark had passed it, at %s", v.bookmark)
	}
	prev, known := v.stamp.Chain, v.started
	if known && st.Prev != v.stamp.Position {
		return false, violation(Reliable, st.Position, "a gap: it names %s as the event before it, but the last one was %s", st.Prev, v.stamp.Position)
	}
	if !known && claimed != nil {
		prev, known = *claimed, true
	}
	if known && claimed != nil && *claimed != prev {
		return false, violation(Reliable, st.Position, "it names chain %s as the one before it, but that was %s", *claimed, prev)
	}
	if known {
		if want := compute(prev); want != st.Chain {
			return false, violation(Reliable, st.Position, "chain %s, computed from the content %s: something was altered", st.Chain, want)
		}
	}
	v.stamp, v.started = *st, true
	return false, nil
}

func (v *Validator) samePartition(st *Stamp) error {
	if v.stamp.Namespace == "" && v.stamp.Cluster == "" {
		return nil
	}
	if st.Cluster != v.stamp.Cluster || st.Namespace != v.stamp.Namespace || st.Partition != v.stamp.Partition {
		return violation(Reliable, st.Position, "it is of %s/%s-%d, but the stream is of %s/%s-%d", st.Cluster, st.Namespace, st.Partition,
			v.stamp.Cluster, v.stamp.Namespace, v.stamp.Partition)
	}
	return nil
}

func (v *Validator) replay(st *Stamp, compute func(prev Chain) Chain) error {
	if !v.AllowReplays {
		if st.Position == v.stamp.Position {
			return violation(Unique, st.Position, "it came twice")
		}
		return violation(Ordered, st.Position, "it came after %s", v.stamp.Position)
	}
	if v.replaying && st.Position.Compare(v.replayed) > 0 {
		if st.Prev != v.replayed {
			return violation(Reliable, st.Position, "a gap in a replay: it names %s as the event before it, but the last one was %s", st.Prev, v.replayed)
		}
		if want := compute(v.replayChain); want != st.Chain {
			return violation(Reliable, st.Position, "in a replay: chain %s, computed from the content %s: something was altered", st.Chain, want)
		}
	}
	if st.Position == v.stamp.Position {
		if st.Chain != v.stamp.Chain {
			return violation(Unique, st.Position, "it came again with chain %s, before it had %s", st.Chain, v.stamp.Chain)
		}
		v.replaying = false
		return nil
	}
	v.replaying, v.replayed, v.replayChain = true, st.Position, st.Chain
	return nil
}

// Bookmark takes a report that the stream is complete up to position.
func (v *Validator) Bookmark(position Position) error {
	if position.Index < v.bookmark.Index {
		return violation(Bookmarkable, position, "bookmarks went back from %s", v.bookmark)
	}
	if v.started && !v.replaying && position.Index < v.stamp.Position.Index {
		return violation(Bookmarkable, position, "an event at %s had come before", v.stamp.Position)
	}
	v.bookmark = position
	return nil
}

func violation(p Promise, at Position, format string, args ...any) error {
	return &Violation{Promise: p, Position: at, What: fmt.Sprintf(format, args...)}
}
