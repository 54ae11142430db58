package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"time"

	"github.com/zankv/zankv/cdc/changefeed"
	"github.com/zankv/zankv/cdc/event"
)

// OpenStream opens the archive that a definition names, at a place in a partition of the cluster: what worker.OpenArchive wants. Its errors are those of
// Reader.Events; an archive that has nothing of the partition gives CodeLogCompacted, too.
func OpenStream(ctx context.Context, spec *changefeed.Spec, cluster string, partition uint32, at changefeed.Place) (changefeed.Stream, error) {
	r, err := Open(spec.Archive, spec.Namespace, partition, ReadOptions{Cluster: cluster})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, lacks(fmt.Sprintf("the archive %s has nothing of %s", spec.Archive, folderOf(spec.Namespace, partition)))
	}
	if err != nil {
		return nil, err
	}
	return r.Events(ctx, at)
}

func lacks(what string) error {
	return &changefeed.Error{Stage: changefeed.StageCompaction, Code: changefeed.CodeLogCompacted, Final: true, What: "archive: " + what,
		Action: "keep more in the archive; what is missing comes as a snapshot of the state"}
}

// Events reads the events after a place, each one whole and checked by the chain. It ends with io.EOF at the archive's end: the log goes on after the last
// one. The errors are *changefeed.Error: CodeLogCompacted if the archive begins after the place, ends before it, or lost its own place in the log;
// CodeHistory if it has another history; CodeDefinition if it was filtered; CodeCorrupt if it isn't what was written.
func (r *Reader) Events(ctx context.Context, at changefeed.Place) (changefeed.Stream, error) {
	begin, err := parsePlace(at)
	if err != nil {
		return nil, badSource(err)
	}
	s := &stream{r: r, place: begin, lines: &Lines{r: r, next: r.find(begin.after)}}
	if err := s.ahead(ctx); err != nil && err != io.EOF {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// find is the last part that begins at or before a position.
func (r *Reader) find(p event.Position) int {
	// A stream that was rewound by hand goes back at a segment's beginning: what is after the last such part has all that comes next.
	monotone := sort.SliceIsSorted(r.parts, func(i, j int) bool { return r.parts[i].after.Compare(r.parts[j].after) < 0 })
	if monotone {
		n := sort.Search(len(r.parts), func(i int) bool { return r.parts[i].after.Compare(p) > 0 })
		return max(n-1, 0)
	}
	for i := len(r.parts) - 1; i > 0; i-- {
		if r.parts[i].after.Compare(p) <= 0 {
			return i
		}
	}
	return 0
}

// place is where a stream begins.
type place struct {
	after event.Position
	chain event.Chain
	known bool // chain is
	// from and since are where it begins if after is zero: at a position or a time.
	from  event.Position
	since int64
}

func parsePlace(at changefeed.Place) (place, error) {
	p := place{after: at.After, chain: at.Chain, known: at.ChainKnown}
	if !p.after.IsZero() || at.From == "" || at.From == "earliest" {
		return p, nil
	}
	var err error
	if p.from, err = event.ParsePosition(at.From); err == nil {
		p.after = event.Position{Term: p.from.Term, Index: max(p.from.Index, 1) - 1}
		return p, nil
	}
	t, err := time.Parse(time.RFC3339Nano, at.From)
	if err != nil {
		return place{}, fmt.Errorf("archive: %q is no place to begin in one: want earliest, a position as 2-1041, or a time as 2026-11-21T10:00:00Z", at.From)
	}
	p.since = t.UnixNano()
	return p, nil
}

// stream is the changefeed.Stream of an archive.
type stream struct {
	r     *Reader
	place place
	lines *Lines
	where Where

	asm     assembly
	ready   *changefeed.Item // the next one, if it was looked for
	begun   bool             // something was given
	back    bool             // a segment whose owner was told where to begin was read: events may have come before
	passed  event.Position   // the last event at or before the place
	chain   event.Chain      // there
	reached event.Position
	item    changefeed.Item
}

// Buffered is true to the end: the archive is at hand.
func (s *stream) Buffered() bool { return s.ready != nil || s.lines.next < len(s.r.parts) }

// Close ends it.
func (s *stream) Close() error { return s.lines.Close() }

// ahead looks for the first item, so that what is wrong with the place is told at once.
func (s *stream) ahead(ctx context.Context) error {
	item, err := s.read(ctx)
	s.ready = item
	return err
}

// Next gives the next event, or the bookmark that a heartbeat left.
func (s *stream) Next(ctx context.Context) (*changefeed.Item, error) {
	if item := s.ready; item != nil {
		s.ready = nil
		return item, nil
	}
	return s.read(ctx)
}

func (s *stream) read(ctx context.Context) (*changefeed.Item, error) {
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		line, where, err := s.lines.Next()
		if err == io.EOF {
			return nil, s.ended()
		}
		if err != nil {
			return nil, err
		}
		s.where = where
		whole, err := s.asm.add(line)
		if err != nil {
			return nil, s.broken(err)
		}
		if !whole {
			continue
		}
		item, err := s.take()
		if item != nil || err != nil {
			return item, err
		}
	}
}

// ended says whether the archive reached the place at all.
func (s *stream) ended() error {
	if !s.begun && s.r.end.Compare(s.place.after) < 0 {
		return lacks(fmt.Sprintf("%s ends at %s, before %s", s.r.folder.path, s.r.end, s.place.after))
	}
	return io.EOF
}

func (s *stream) broken(err error) error {
	if problem, ok := errors.AsType[*changefeed.Error](err); ok {
		return problem
	}
	return corrupt("%s: %v", s.where, err)
}

// take judges what came whole: an event, a heartbeat, or a snapshot's line.
func (s *stream) take() (*changefeed.Item, error) {
	switch l := &s.asm.line; l.Kind {
	case event.LineChange:
		return s.event()
	case event.LineHeartbeat:
		if err := unaltered(l); err != nil {
			return nil, s.broken(err)
		}
		return s.heartbeat(l)
	case event.LineFiltered:
		return nil, &changefeed.Error{Stage: changefeed.StageLogRead, Code: changefeed.CodeDefinition, Final: true,
			What:   fmt.Sprintf("archive: %s: mutations of event %s were left out by a filter: what wasn't archived can't be read from here", s.where, l.Stamp.Position),
			Action: "name an archive without a filter, or none: then a snapshot of the state takes its place"}
	default:
		return nil, s.snapshot(l)
	}
}

// unaltered checks what covers a line that stands alone.
func unaltered(l *event.Line) error {
	var alone event.Validator
	return alone.Line(l, nil)
}

// event gives an event that is after the place, and checks all of them.
func (s *stream) event() (*changefeed.Item, error) {
	st, ev := &s.asm.stamp, &s.asm.event
	s.back = s.back || s.rewound()
	if s.back && s.repeated(st) {
		return nil, nil
	}
	if err := s.follows(st); err != nil {
		return nil, err
	}
	past := st.Position.Compare(s.place.after) > 0 && st.Position.Compare(s.place.from) >= 0 && ev.Time >= s.place.since
	if !past {
		s.passed, s.chain, s.reached = st.Position, st.Chain, st.Position
		return nil, nil
	}
	if err := s.first(st); err != nil {
		return nil, err
	}
	if !s.asm.close(s.chain) {
		return nil, s.mismatch(st)
	}
	s.begun = true
	s.passed, s.chain, s.reached = st.Position, st.Chain, st.Position
	s.item = changefeed.Item{Event: ev, Stamp: st, Names: s.asm.parser.Names, Position: st.Position}
	return &s.item, nil
}

// repeated says whether an event came before: an archive that was rewound by hand has some twice.
func (s *stream) repeated(st *event.Stamp) bool {
	return !s.passed.IsZero() && st.Position.Compare(s.passed) <= 0
}

func (s *stream) follows(st *event.Stamp) error {
	switch {
	case s.passed.IsZero() || st.Prev == s.passed:
		return nil
	case s.rewound():
		return lacks(fmt.Sprintf("%s leaves out what follows %s: its changefeed was set to go on after %s", s.r.folder.path, s.passed, st.Prev))
	default:
		return corrupt("%s: a gap: event %s names %s as the one before it, but that was %s", s.where, st.Position, st.Prev, s.passed)
	}
}

// rewound says whether what is read is of a segment whose owner was told by hand where to begin.
func (s *stream) rewound() bool { return s.r.parts[min(s.lines.next, len(s.r.parts)-1)].rewound }

// first checks that the first event given joins on to the place.
func (s *stream) first(st *event.Stamp) error {
	if s.begun {
		return nil
	}
	explicit := s.place.from.IsZero() && s.place.since == 0 && (s.place.known || !s.place.after.IsZero())
	if explicit && st.Prev.Compare(s.place.after) > 0 {
		return lacks(fmt.Sprintf("%s begins after %s: it hasn't what follows %s", s.r.folder.path, st.Prev, s.place.after))
	}
	switch {
	case s.place.known && s.passed.IsZero():
		s.chain = s.place.chain
	case s.place.known && s.chain != s.place.chain:
		return history(s.where, s.passed, s.chain, s.place.chain)
	case s.passed.IsZero() && !st.Prev.IsZero():
		// Nothing says which chain was before: the event is taken at its word, and proved by the one that follows it.
		s.chain = event.Chain{}
		s.asm.trust()
	}
	return nil
}

func (s *stream) mismatch(st *event.Stamp) error {
	if !s.begun && s.place.known && s.passed.IsZero() {
		return history(s.where, st.Prev, event.Chain{}, s.place.chain)
	}
	return corrupt("%s: event %s: its content doesn't give its chain %s: it was altered", s.where, st.Position, st.Chain)
}

func history(at Where, p event.Position, has, want event.Chain) error {
	what := fmt.Sprintf("archive: %s: it has another history: at %s the changefeed's chain was %s", at, p, want)
	if !has.IsZero() {
		what += fmt.Sprintf(", here it is %s", has)
	}
	return &changefeed.Error{Stage: changefeed.StageLogRead, Code: changefeed.CodeHistory, Final: true, What: what,
		Action: "name the archive of this very cluster and namespace, or none: then a snapshot of the state takes its place"}
}

// heartbeat gives a bookmark, if it is after the place.
func (s *stream) heartbeat(l *event.Line) (*changefeed.Item, error) {
	if l.Stamp.Position.Compare(s.reached) <= 0 || l.Stamp.Position.Compare(s.place.after) <= 0 || !s.begun {
		return nil, nil
	}
	if l.Stamp.Prev != s.passed || l.Stamp.Chain != s.chain {
		return nil, corrupt("%s: heartbeat %s names %s as the last event, but that was %s", s.where, l.Stamp.Position, l.Stamp.Prev, s.passed)
	}
	s.reached = l.Stamp.Position
	s.item = changefeed.Item{Stamp: &s.asm.stamp, Names: s.asm.parser.Names, Position: l.Stamp.Position, Time: l.Time}
	return &s.item, nil
}

// snapshot passes over snapshots before the place. One behind it is a gap in the archive.
func (s *stream) snapshot(l *event.Line) error {
	if l.Kind != event.LineSnapshotBegin {
		return nil
	}
	if err := unaltered(l); err != nil {
		return s.broken(err)
	}
	if l.Stamp.Position.Compare(s.place.after) > 0 && (s.begun || !s.place.after.IsZero()) {
		return lacks(fmt.Sprintf("%s lost its own place in the log after %s: it goes on with a snapshot at %s", s.r.folder.path, l.Stamp.Prev, l.Stamp.Position))
	}
	s.passed, s.chain, s.reached = l.Stamp.Position, l.Stamp.Chain, l.Stamp.Position
	return nil
}
