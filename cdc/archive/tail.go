package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/zankv/zankv/cdc/event"
)

// unsyncedBytes is how much a writer has written at most without having synced it. Before that a segment is what was written, whatever happened;
// behind it there may be anything after a power failure, holes included.
const unsyncedBytes = 4 << 20

// folder is a partition's.
type folder struct {
	fs   fileSystem
	path string
}

// list gives the stream and the rest.
func (d *folder) list() (parts []part, rest []segment, err error) {
	entries, err := d.fs.List(d.path)
	if err != nil {
		return nil, nil, err
	}
	parts, rest = lineage(segmentsOf(entries))
	return parts, rest, nil
}

// tail is where a stream ends: behind the last line after which nothing is begun that isn't whole.
type tail struct {
	// parts are those up to the end, which lies at the last one's bytes.
	parts []part
	// line is the last line; nil if the stream has none.
	line []byte
	// position is what the stream has reached.
	position event.Position
	// dropped is how many bytes lie behind the end: of an event or a snapshot that isn't whole, or torn.
	dropped int64
}

// findTail finds the end of a stream. It reads the newest segment's end only, unless that is within a snapshot.
func (d *folder) findTail(parts []part) (tail, error) {
	t := tail{parts: parts}
	for len(t.parts) > 0 {
		i := len(t.parts) - 1
		found, err := d.lastWhole(t.parts, i)
		if err != nil {
			return tail{}, err
		}
		t.dropped += found.size - found.bytes
		if found.line != nil {
			t.parts = append(t.parts[:i:i], part{t.parts[i].segment, found.bytes})
			t.line, t.position = found.line, found.position
			return t, nil
		}
		if i == 0 {
			t.parts = []part{{t.parts[0].segment, 0}}
			t.position = t.parts[0].after
			return t, nil
		}
		t.parts = t.parts[:i]
	}
	return t, nil
}

// whole is the last place in a segment where nothing is begun.
type whole struct {
	line     []byte // nil: there is none
	bytes    int64
	position event.Position
	size     int64 // what counts of the segment, and was read
}

// lastWhole looks for it from the end on backwards, a window at a time: what may not have been synced, and an event before it, whose chain proves that
// what comes after is what was written. A segment that another one continues was synced.
func (d *folder) lastWhole(parts []part, i int) (whole, error) {
	p := &parts[i]
	size, seekable, err := d.contentSize(p)
	if err != nil {
		return whole{}, err
	}
	unsure := int64(unsyncedBytes)
	if p.bytes >= 0 {
		unsure = 0
	}
	for window := unsure + 256<<10; seekable && window < size; window *= 4 {
		s := scan{sure: p.bytes >= 0}
		if err := d.scan(p, size-window, &s); err != nil {
			return whole{}, err
		}
		if s.first > 0 && s.first <= size-unsure {
			return s.found, nil
		}
	}
	return d.scanWhole(parts, i)
}

// contentSize is how much of a segment counts, and whether it can be read from anywhere.
func (d *folder) contentSize(p *part) (size int64, seekable bool, err error) {
	f, packed, err := d.open(&p.segment)
	if err != nil {
		return 0, false, err
	}
	size, err = f.Size()
	if p.bytes >= 0 && !packed {
		size = min(size, p.bytes)
	}
	return size, !packed, errors.Join(err, f.Close())
}

// scanWhole reads a whole segment. What it begins with follows what the one before ends with; where that is within a snapshot, the snapshot is read from
// its beginning, if it ended at all.
func (d *folder) scanWhole(parts []part, i int) (whole, error) {
	s := scan{aligned: true, sure: parts[i].bytes >= 0}
	var err error
	switch {
	case s.sure || i == 0 || parts[i].rewound:
	case parts[i].within:
		err = d.scanSnapshot(parts, i, &s)
	default:
		var before whole
		before, err = d.lastWhole(parts, i-1)
		s.start(before.line)
	}
	if err == nil {
		err = d.scan(&parts[i], 0, &s)
	}
	return s.found, err
}

// scanSnapshot reads the snapshot that a segment begins within, up to the segment.
func (d *folder) scanSnapshot(parts []part, i int, s *scan) error {
	look := scan{aligned: true}
	if err := d.scan(&parts[i], 0, &look); err != nil || !look.left {
		return err
	}
	first := i
	for first > 0 && parts[first].within {
		first--
	}
	for j := first; j < i; j++ {
		if err := d.scan(&parts[j], 0, s); err != nil {
			return err
		}
	}
	s.found, s.first = whole{}, 0
	return nil
}

func (d *folder) scan(p *part, from int64, s *scan) error {
	c, err := d.read(p, from)
	if err != nil {
		return err
	}
	err = s.run(newSplitter(c, from))
	if err != nil {
		err = fmt.Errorf("archive: %s: %w", p.name(), err)
	}
	return errors.Join(err, c.Close())
}

// scan goes through lines and remembers the last place where nothing was begun.
type scan struct {
	aligned bool // the first line is whole
	sure    bool // all of it was synced
	begun   bool // a line came that something begins with
	parser  event.Parser
	check   event.Validator
	within  bool  // a snapshot
	left    bool  // one whose begin didn't come ended
	first   int64 // where the first thing that is whole ends
	found   whole
}

// start says what came before, by its last line.
func (s *scan) start(line []byte) {
	var l event.Line
	if line == nil || s.parser.Parse(line, &l) != nil {
		return
	}
	s.check.From(lastEvent(&l))
}

// lastEvent is the last event at a line that ends something, with the chain there.
func lastEvent(l *event.Line) (event.Position, event.Chain) {
	switch l.Kind {
	case event.LineHeartbeat:
		return l.Stamp.Prev, l.Stamp.Chain
	case event.LineSnapshotEnd:
		return l.Stamp.Position, l.Stamp.PrevChain
	}
	return l.Stamp.Position, l.Stamp.Chain
}

// run reads to the end, or to the first line that isn't as it should be: nothing from there on counts. The error is one of reading.
func (s *scan) run(in *splitter) error {
	var l event.Line
	for good := true; ; {
		line, at, err := in.next()
		s.found.size = in.offset
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		case !s.aligned:
			s.aligned = true // the rest of a line
		case good:
			good = s.take(line, at, &l)
		}
	}
}

// take says whether a line is as it should be.
func (s *scan) take(line []byte, at int64, l *event.Line) bool {
	if s.parser.Parse(line, l) != nil {
		return false
	}
	s.begun = s.begun || begins(l)
	s.left = s.left || !s.begun && l.Kind == event.LineSnapshotEnd
	switch {
	case s.begun && s.check.Line(l, s.parser.Names) != nil:
		return false
	case !s.begun && !s.sure, !s.ends(l):
		return true
	}
	end := at + int64(len(line))
	if s.first == 0 {
		s.first = end
	}
	s.found.bytes, s.found.position = end, l.Stamp.Position
	s.found.line = append(s.found.line[:0], bytes.TrimSuffix(line, []byte("\n"))...)
	return true
}

// begins says whether something begins with a line: an event, a snapshot, or what stands alone.
func begins(l *event.Line) bool {
	switch l.Kind {
	case event.LineChange, event.LineFiltered:
		return l.Seq == 0
	case event.LineHeartbeat, event.LineSnapshotBegin:
		return true
	}
	return false
}

// ends says whether nothing is begun and not whole after a line.
func (s *scan) ends(l *event.Line) bool {
	switch l.Kind {
	case event.LineSnapshotBegin:
		s.within = true
	case event.LineSnapshotEnd:
		s.within = false
	}
	return !s.within && wholeAfter(l)
}

// wholeAfter says whether a line ends what it belongs to.
func wholeAfter(l *event.Line) bool {
	switch l.Kind {
	case event.LineChange:
		return l.Seq+1 == l.Of
	case event.LineFiltered:
		return int(l.Seq)+len(l.Digests) == int(l.Of)
	case event.LineHeartbeat, event.LineSnapshotEnd:
		return true
	}
	return false
}
