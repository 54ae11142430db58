package event

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// rowsOf are a snapshot's rows of some keys: a string, a hash in two pieces, a list.
func rowsOf() []Mutation {
	hash := func(whole bool, field string) Mutation {
		return Mutation{Op: OpHSet, Type: TypeHash, Key: []byte("h:1"), Whole: whole, Row: true, Version: Version{9, 1}, ExpireAt: 77,
			Elements: []Element{{Sub: []byte(field), Value: []byte("of " + field), Prev: Version{int64(len(field)), 2}}}}
	}
	return []Mutation{
		{Op: OpSet, Type: TypeString, Key: []byte("s"), Value: []byte("v\xff"), Version: Version{5, 1}, Row: true},
		hash(true, "one"), hash(false, "three"),
		{Op: OpRPush, Type: TypeList, Key: []byte("l"), Whole: true, Row: true, Version: Version{6, 1}, Elements: []Element{{Value: []byte("a")}, {Value: []byte("b")}}},
		{Op: OpBits, Type: TypeBitmap, Key: []byte("b"), Whole: true, Row: true, Version: Version{7, 1}, Count: 3,
			Elements: []Element{{Sub: []byte{0, 0, 0, 0}, Value: []byte{1, 2, 3}, Prev: Version{7, 1}}}},
	}
}

// snapshotLines are a snapshot's.
func snapshotLines(base *Stamp, at int64, rows []Mutation, names Names, debezium bool) (lines [][]byte) {
	var scratch Scratch
	rolling := SnapshotChain(base, at, &scratch)
	lines = append(lines, AppendSnapshotBegin(nil, base, at, &scratch))
	for i := range rows {
		rolling = RowChain(rolling, &rows[i], names, &scratch)
		if debezium {
			lines = append(lines, AppendDebeziumRow(nil, base, at, uint32(i), &rows[i], names, rolling))
		} else {
			lines = append(lines, AppendSnapshotRow(nil, base, at, uint32(i), &rows[i], names, rolling))
		}
	}
	return append(lines, AppendSnapshotEnd(nil, base, at, uint64(len(rows)), rolling))
}

// mixed is a stream with lines of all kinds: events, some of whose mutations are filtered, heartbeats, a snapshot that was begun anew, and one that
// was whole at once.
func (s *stream) mixed(debezium bool) (lines [][]byte) {
	var scratch Scratch
	last := s.stamps[0]
	last.Position, last.Chain = Position{}, Chain{}
	beats := int64(0)
	for i, ev := range s.events {
		st := s.stamps[i]
		switch i {
		case 5, 12:
			base := s.stamps[i]
			base.Prev = last.Position
			at := ev.Time
			whole := snapshotLines(&base, at, rowsOf(), s.names, debezium)
			if i == 5 {
				begun := s.stamps[i-1]
				begun.Prev = last.Position
				lines = append(lines, snapshotLines(&begun, at-5, rowsOf()[:3], s.names, debezium)[:3]...)
			}
			lines, last = append(lines, whole...), s.stamps[i]
			continue
		case 4, 11:
			continue // lost with the place in the log
		}
		lines = append(lines, s.linesOf(i, debezium)...)
		last = st
		for range i % 3 {
			beats++
			lines = append(lines, AppendHeartbeat(nil, &last, Position{2, last.Position.Index}, ev.Time+beats, &scratch))
		}
	}
	return lines
}

// linesOf are those of one event. Of every second event runs of mutations are filtered.
func (s *stream) linesOf(i int, debezium bool) (lines [][]byte) {
	var scratch Scratch
	ev, st := s.events[i], &s.stamps[i]
	var digests []Digest
	flush := func(next int) {
		if len(digests) > 0 {
			lines = append(lines, AppendFiltered(nil, st, ev.Time, uint32(next-len(digests)), uint32(len(ev.Mutations)), digests))
			digests = nil
		}
	}
	for j := range ev.Mutations {
		if i%2 == 1 && j != 1 {
			digests = append(digests, DigestOf(&ev.Mutations[j], s.names, &scratch))
			continue
		}
		flush(j)
		if debezium {
			lines = append(lines, AppendDebezium(nil, st, ev, j, s.names))
		} else {
			lines = append(lines, AppendJSON(nil, st, ev, j, s.names))
		}
	}
	flush(len(ev.Mutations))
	return lines
}

func bothFormats(t *testing.T, test func(t *testing.T, debezium bool)) {
	t.Run("json", func(t *testing.T) { test(t, false) })
	t.Run("debezium", func(t *testing.T) { test(t, true) })
}

func TestLinesOfAllKindsAreReadBack(t *testing.T) {
	bothFormats(t, func(t *testing.T, debezium bool) {
		s := newStream(21, 40)
		kinds := map[LineKind]int{}
		var p Parser
		var l Line
		for _, line := range s.mixed(debezium) {
			if !json.Valid(line) || bytes.Count(line, []byte("\n")) != 1 {
				t.Fatalf("not one line of JSON: %s", line)
			}
			if err := p.Parse(line, &l); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			kinds[l.Kind]++
			if mutation := l.Kind == LineChange || l.Kind == LineSnapshotRow; l.Debezium != (debezium && mutation) {
				t.Fatalf("format of %s", line)
			}
			if got := AppendLine(nil, &l, p.Names); !bytes.Equal(got, line) {
				t.Fatalf("written again:\n%s, was\n%s", got, line)
			}
			if text := AppendLineText(nil, &l, p.Names); bytes.Count(text, []byte("\n")) != 1 {
				t.Fatalf("text %q", text)
			}
		}
		if len(kinds) != 6 {
			t.Errorf("kinds that came: %v", kinds)
		}
	})
}

func TestStreamsOfAllKindsAreTaken(t *testing.T) {
	bothFormats(t, func(t *testing.T, debezium bool) {
		s := newStream(21, 40)
		lines := s.mixed(debezium)
		if err := validate(lines, false); err != nil {
			t.Fatal(err)
		}
		for from := range lines {
			v := Validator{AllowReplays: true}
			takeLines(t, &v, lines[from:], from)
		}
		var v Validator
		takeLines(t, &v, lines, 0)
		if v.Snapshots() != 2 {
			t.Errorf("%d snapshots were counted, want 2", v.Snapshots())
		}
	})
}

// takeLines gives lines to a validator that doesn't know what is before them. In the middle of an event or a snapshot nobody can begin.
func takeLines(t *testing.T, v *Validator, lines [][]byte, from int) {
	t.Helper()
	var p Parser
	var l Line
	for i, line := range lines {
		if err := p.Parse(line, &l); err != nil {
			t.Fatal(err)
		}
		if err := v.Line(&l, p.Names); err != nil {
			if i == 0 && (l.Kind == LineSnapshotRow || l.Kind == LineSnapshotEnd || l.Seq > 0) {
				return
			}
			t.Fatalf("from line %d: %v at %s", from, err, line)
		}
	}
	if err := v.End(); err != nil {
		t.Fatal(err)
	}
}

// Rows that come again after a reconnect have to be those that came before.
func TestOtherRowsAfterAReconnect(t *testing.T) {
	s := newStream(21, 6)
	base, at := &s.stamps[5], s.events[5].Time
	base.Prev = Position{}
	rows := rowsOf()
	was := snapshotLines(base, at, rows, s.names, false)
	rows[2].Elements[0].Value = []byte("other")
	other := snapshotLines(base, at, rows, s.names, false)
	if err := validate(slices.Concat(was[:4], was[3:]), true); err != nil {
		t.Fatal(err)
	}
	broken(t, "another row", validate(slices.Concat(was[:4], other[3:]), true), Unique)
}

// A heartbeat that names another last event, or another chain there, than those that came shows what was lost or is of another history.
func TestHeartbeatsOfOtherStreams(t *testing.T) {
	s := newStream(21, 6)
	var scratch Scratch
	lines := s.lines()
	st := s.stamps[5]
	beat := AppendHeartbeat(nil, &st, Position{2, st.Position.Index + 3}, 9, &scratch)
	if err := validate(slices.Concat(lines, [][]byte{beat}), false); err != nil {
		t.Fatal(err)
	}
	last := len(s.events[5].Mutations)
	err := validate(slices.Concat(lines[:len(lines)-last], [][]byte{beat}), false)
	if broken(t, "the last event is lost", err, Reliable); err != nil && !strings.Contains(err.Error(), "a gap: a heartbeat says") {
		t.Error(err)
	}
	st.Chain[0]++
	other := AppendHeartbeat(nil, &st, Position{2, st.Position.Index + 3}, 9, &scratch)
	for _, replays := range []bool{false, true} {
		broken(t, "another chain", validate(slices.Concat(lines, [][]byte{other}), replays), Reliable)
	}
	first := s.stamps[2]
	first.Chain[0]++
	old := AppendHeartbeat(nil, &first, first.Position, 9, &scratch)
	var from int
	for i := range 2 {
		from += len(s.events[i].Mutations)
	}
	to := from + len(s.events[2].Mutations)
	broken(t, "another chain in a replay", validate(slices.Concat(lines, lines[from:to], [][]byte{old}), true), Reliable)
}

// A snapshot's begin gives up an event that wasn't whole, as it says that the one before that was the last; but not one that it says was there.
func TestASnapshotGivesUpAnEventThatIsntWhole(t *testing.T) {
	s := newStream(21, 12)
	lines := func(last int) [][]byte {
		base := s.stamps[8]
		base.Prev = s.stamps[last].Position
		var all [][]byte
		for i := range 6 {
			all = append(all, s.linesOf(i, false)...)
		}
		whole := snapshotLines(&base, s.events[8].Time, rowsOf(), s.names, false)
		return slices.Concat(all[:len(all)-1], whole, s.linesOf(9, false))
	}
	if len(s.linesOf(5, false)) < 2 {
		t.Fatal("the event has one line")
	}
	if err := validate(lines(4), false); err != nil {
		t.Error(err)
	}
	broken(t, "an event whose rest is missing", validate(lines(5), false), Atomic)
	broken(t, "an event before that is missing", validate(lines(3), false), Ordered)
}

// Of a stream of all kinds every line lost, doubled or swapped with the next is found; but that a heartbeat is missing, which takes nothing away, and
// what is lost at the very end.
func TestEverySingleFaultInLinesOfAllKindsIsFound(t *testing.T) {
	bothFormats(t, func(t *testing.T, debezium bool) {
		s := newStream(21, 40)
		lines := s.mixed(debezium)
		beats := func(line []byte) bool { return bytes.Contains(line, []byte(`"op":"heartbeat"`)) }
		for i := range lines {
			if lost := slices.Delete(slices.Clone(lines), i, i+1); !beats(lines[i]) && i+1 < len(lines) {
				if validate(lost, false) == nil && !redundant(lines, i) {
					t.Errorf("loss of line %d wasn't found: %s", i, lines[i])
				}
			}
			if validate(slices.Insert(slices.Clone(lines), i, lines[i]), false) == nil {
				t.Errorf("line %d twice wasn't found: %s", i, lines[i])
			}
			if i+1 < len(lines) {
				swapped := slices.Clone(lines)
				swapped[i], swapped[i+1] = lines[i+1], lines[i]
				if validate(swapped, false) == nil {
					t.Errorf("lines %d and %d swapped wasn't found: %s%s", i, i+1, lines[i], lines[i+1])
				}
			}
		}
	})
}

// redundant says whether a line belongs to a snapshot that was given up later.
func redundant(lines [][]byte, i int) bool {
	for ; i < len(lines); i++ {
		if bytes.Contains(lines[i], []byte(`"op":"snapshot-end"`)) {
			return false
		}
		if i+1 < len(lines) && bytes.Contains(lines[i+1], []byte(`"op":"snapshot-begin"`)) {
			return true
		}
	}
	return false
}

// Every bit of every line, turned over, is found, or leaves a line that says the same.
func TestEveryBitOfLinesOfAllKinds(t *testing.T) {
	bothFormats(t, func(t *testing.T, debezium bool) {
		raw := newStream(21, 16).mixed(debezium)
		lines := readAll(t, raw)
		for i, line := range raw {
			was := lines[i]
			for j := range line[:len(line)-1] {
				for bit := range 8 {
					flipped := bytes.Clone(line)
					flipped[j] ^= 1 << bit
					lines[i] = new(read)
					if lines[i].p.Parse(flipped, &lines[i].l) != nil || lines[i].same(was, line) {
						continue
					}
					if validateRead(lines, false) == nil {
						t.Fatalf("bit %d of byte %d of line %d altered wasn't found: %s", bit, j, i, flipped)
					}
				}
			}
			lines[i] = was
		}
	})
}

// read is a line that was parsed, by a parser of its own.
type read struct {
	p Parser
	l Line
}

// same says whether a line says the same as another one. An envelope has one spelling.
func (r *read) same(other *read, line []byte) bool {
	return !r.l.Debezium && r.l.Check == other.l.Check && bytes.Equal(AppendLine(nil, &r.l, r.p.Names), line)
}

func readAll(t *testing.T, lines [][]byte) []*read {
	t.Helper()
	all := make([]*read, len(lines))
	for i, line := range lines {
		all[i] = new(read)
		if err := all[i].p.Parse(line, &all[i].l); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func validateRead(lines []*read, replays bool) error {
	v := Validator{AllowReplays: replays}
	v.From(Position{}, Chain{})
	for _, r := range lines {
		if err := v.Line(&r.l, r.p.Names); err != nil {
			return err
		}
	}
	return v.End()
}

// A reader that reconnects gets lines of all kinds again from some point.
func TestLinesOfAllKindsComeAgainAfterReconnects(t *testing.T) {
	bothFormats(t, func(t *testing.T, debezium bool) {
		raw := newStream(23, 16).mixed(debezium)
		lines := readAll(t, raw)
		for stop := 1; stop < len(lines); stop++ {
			for again := range stop {
				replayed := slices.Concat(lines[:stop], lines[again:])
				if err := validateRead(replayed, true); err != nil {
					t.Fatalf("%d lines, then again from %d: %v", stop, again, err)
				}
				if !redundant(raw, again) && validateRead(replayed, false) == nil {
					t.Fatalf("%d lines, then again from %d: taken where replays aren't allowed", stop, again)
				}
				if stop+1 == len(lines) || lines[stop].l.Kind == LineHeartbeat || redundant(raw, stop) {
					continue
				}
				if validateRead(slices.Concat(lines[:stop], lines[again:stop], lines[stop+1:]), true) == nil {
					t.Fatalf("%d lines, then again from %d, then one lost: not found", stop, again)
				}
			}
		}
	})
}

func TestFoldOfASnapshotsLines(t *testing.T) {
	bothFormats(t, func(t *testing.T, debezium bool) {
		s := newStream(21, 8)
		s.events[0].Mutations = []Mutation{{Op: OpSet, Type: TypeString, Key: []byte("gone"), Version: Version{1, 1}}}
		before := AppendJSON(nil, &s.stamps[0], s.events[0], 0, s.names)
		lines := append([][]byte{before}, snapshotLines(&s.stamps[7], 99, rowsOf(), s.names, debezium)...)
		var want, got Fold
		rows := rowsOf()
		want.Event(&Event{Mutations: rows})
		var p Parser
		var l Line
		for _, line := range lines {
			if err := p.Parse(line, &l); err != nil {
				t.Fatal(err)
			}
			got.Line(&l)
		}
		if got.Err() != nil || !reflect.DeepEqual(got.Keys(), []string{"b", "h:1", "l", "s"}) {
			t.Fatalf("keys %q, %v", got.Keys(), got.Err())
		}
		for _, key := range got.Keys() {
			a, b := slices.Collect(want.Elements([]byte(key))), slices.Collect(got.Elements([]byte(key)))
			if len(a) != len(b) {
				t.Fatalf("%s: %d elements, want %d", key, len(b), len(a))
			}
			for i := range a {
				if string(a[i].Sub) != string(b[i].Sub) || string(a[i].Value) != string(b[i].Value) || a[i].Version.Time != b[i].Version.Time {
					t.Errorf("%s: %+v, want %+v", key, b[i], a[i])
				}
			}
		}
	})
}
