package event

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func broken(t *testing.T, name string, err error, promise Promise) {
	t.Helper()
	var v *Violation
	if !errors.As(err, &v) || v.Promise != promise {
		t.Errorf("%s: got %v, want a violation of %q", name, err, promise)
	}
}

// run feeds events of the stream, given by number, to a validator.
func (s *stream) run(v *Validator, order ...int) error {
	for _, i := range order {
		if _, err := v.Event(&s.stamps[i], s.events[i], s.names); err != nil {
			return err
		}
	}
	return nil
}

func TestValidatorTakesAStream(t *testing.T) {
	s := newStream(8, 50)
	var v Validator
	v.From(Position{}, Chain{})
	for i := range s.events {
		if replay, err := v.Event(&s.stamps[i], s.events[i], s.names); err != nil || replay {
			t.Fatal(replay, err)
		}
	}
	if p, c := v.Last(); p != s.stamps[49].Position || c != s.stamps[49].Chain {
		t.Fatalf("last: %s %s", p, c)
	}
	var middle Validator
	if err := s.run(&middle, 20, 21, 22); err != nil {
		t.Fatalf("from the middle: %v", err)
	}
}

func TestValidatorRefuses(t *testing.T) {
	s := newStream(8, 10)
	start := func(replays bool) *Validator {
		v := &Validator{AllowReplays: replays}
		v.From(Position{}, Chain{})
		return v
	}
	broken(t, "first skipped", s.run(start(false), 1), Reliable)
	broken(t, "one skipped", s.run(start(false), 0, 1, 3), Reliable)
	broken(t, "one skipped, replays allowed", s.run(start(true), 0, 1, 3), Reliable)
	broken(t, "twice", s.run(start(false), 0, 1, 1), Unique)
	broken(t, "back", s.run(start(false), 0, 1, 0), Ordered)
	broken(t, "gap in a replay", s.run(start(true), 0, 1, 2, 3, 4, 1, 3), Reliable)
	broken(t, "a replay that goes on elsewhere", s.run(start(true), 0, 1, 2, 3, 4, 1, 2, 5), Reliable)
	if err := s.run(start(true), 0, 1, 2, 3, 4, 1, 2, 3, 4, 3, 4, 4, 2, 3, 0, 1, 2, 3, 4, 5); err != nil {
		t.Errorf("replays: %v", err)
	}

	if err := s.run(start(false), 0, 2); err == nil || !strings.Contains(err.Error(), "a gap: it names") {
		t.Errorf("a gap is reported as %v", err)
	}
	if err := s.run(start(true), 0, 1, 2, 3, 4, 1, 3); err == nil || !strings.Contains(err.Error(), "a gap in a replay") {
		t.Errorf("a gap in a replay is reported as %v", err)
	}

	// Content altered in a replay, under the chain that it had.
	v := start(true)
	if err := s.run(v, 0, 1, 2, 3, 0); err != nil {
		t.Fatal(err)
	}
	altered := *s.events[1]
	altered.Time++
	_, err := v.Event(&s.stamps[1], &altered, s.names)
	broken(t, "altered in a replay", err, Reliable)

	other := newStream(9, 10)
	for i := range other.stamps {
		other.stamps[i].Position, other.stamps[i].Prev = s.stamps[i].Position, s.stamps[i].Prev
	}
	v = start(true)
	if err := s.run(v, 0, 1, 2); err != nil {
		t.Fatal(err)
	}
	broken(t, "a replay with other content", other.run(v, 2), Unique)

	v = start(false)
	if err := s.run(v, 0); err != nil {
		t.Fatal(err)
	}
	st := s.stamps[1]
	st.PrevChain[0]++
	_, err = v.Event(&st, s.events[1], s.names)
	broken(t, "another chain before", err, Reliable)

	st = s.stamps[1]
	st.Namespace = "other"
	_, err = v.Event(&st, s.events[1], s.names)
	broken(t, "another namespace", err, Reliable)

	st = s.stamps[1]
	st.Prev = st.Position
	_, err = v.Event(&st, s.events[1], s.names)
	broken(t, "the event before isn't before", err, Ordered)

	_, err = v.Event(&s.stamps[1], &Event{}, s.names)
	broken(t, "no mutations", err, Atomic)
}

func TestValidatorChecksTheFirstEventAgainstItsOwnWord(t *testing.T) {
	s := newStream(8, 3)
	st := s.stamps[1]
	st.Chain[0]++
	var v Validator
	_, err := v.Event(&st, s.events[1], s.names)
	broken(t, "first event with a wrong chain", err, Reliable)
}

func TestValidatorBookmarks(t *testing.T) {
	s := newStream(8, 3)
	var v Validator
	if err := s.run(&v, 0, 1); err != nil {
		t.Fatal(err)
	}
	at := s.stamps[1].Position
	broken(t, "before an event that came", v.Bookmark(s.stamps[0].Position), Bookmarkable)
	if err := v.Bookmark(at); err != nil {
		t.Fatal(err)
	}
	if err := v.Bookmark(Position{2, s.stamps[2].Position.Index}); err != nil {
		t.Fatal(err)
	}
	broken(t, "back", v.Bookmark(at), Bookmarkable)
	broken(t, "an event that a bookmark had passed", s.run(&v, 2), Bookmarkable)
}

// validate reads lines as `verify` will: nothing but the lines.
func validate(lines [][]byte, replays bool) error {
	return validateAfter(Position{}, Chain{}, lines, replays)
}

func validateAfter(position Position, chain Chain, lines [][]byte, replays bool) error {
	var p Parser
	var l Line
	v := Validator{AllowReplays: replays}
	v.From(position, chain)
	for _, line := range lines {
		if err := p.Parse(line, &l); err != nil {
			return err
		}
		if err := v.Line(&l, p.Names); err != nil {
			return err
		}
	}
	return v.End()
}

// Every single line lost, doubled, swapped with the next or altered in any field is found from the lines alone, whichever it is. A loss of whole events at
// the very end can't be: nothing says that there was more.
func TestEverySingleFaultInLinesIsFound(t *testing.T) {
	s := newStream(12, 25)
	lines := s.lines()
	if err := validate(lines, false); err != nil {
		t.Fatal(err)
	}
	last := len(lines) - len(s.events[len(s.events)-1].Mutations)
	for i := range lines {
		if i < last || len(lines)-last > 1 {
			if validate(slices.Delete(slices.Clone(lines), i, i+1), false) == nil {
				t.Errorf("loss of line %d wasn't found", i)
			}
		}
		if validate(slices.Insert(slices.Clone(lines), i, lines[i]), false) == nil {
			t.Errorf("line %d twice wasn't found", i)
		}
		if i+1 < len(lines) {
			swapped := slices.Clone(lines)
			swapped[i], swapped[i+1] = lines[i+1], lines[i]
			if validate(swapped, false) == nil {
				t.Errorf("lines %d and %d swapped wasn't found", i, i+1)
			}
		}
	}
}

// Every single byte of a line, altered, is found: of all ops.
func TestEveryAlteredByteIsFound(t *testing.T) {
	s := newStream(12, 60)
	ops := map[Op]bool{}
	for i, ev := range s.events {
		var lines [][]byte
		for j := range ev.Mutations {
			ops[ev.Mutations[j].Op] = true
			lines = append(lines, AppendJSON(nil, &s.stamps[i], ev, j, s.names))
		}
		st := &s.stamps[i]
		if err := validateAfter(st.Prev, st.PrevChain, lines, false); err != nil {
			t.Fatalf("%v: %s", err, lines)
		}
		for k, line := range lines {
			for j := range line {
				altered := slices.Clone(lines)
				altered[k] = bytes.Clone(line)
				if altered[k][j] ^= 1; altered[k][j] == '\n' || line[j] == '\n' {
					continue
				}
				if validateAfter(st.Prev, st.PrevChain, altered, false) == nil {
					t.Fatalf("byte %d of line %d altered wasn't found: %s", j, k, altered[k])
				}
			}
		}
	}
	if len(ops) < 22 {
		t.Errorf("only %d ops came", len(ops))
	}
}

// A reader that reconnects gets lines again from some point, in the middle of an event or not.
func TestLinesComeAgainAfterReconnects(t *testing.T) {
	s := newStream(13, 12)
	lines := s.lines()
	for stop := 1; stop < len(lines); stop++ {
		for again := range stop {
			replayed := slices.Concat(lines[:stop], lines[again:])
			if err := validate(replayed, true); err != nil {
				t.Fatalf("%d lines, then again from %d: %v", stop, again, err)
			}
			if validate(replayed, false) == nil {
				t.Fatalf("%d lines, then again from %d: taken where replays aren't allowed", stop, again)
			}
			if stop+1 < len(lines) && validate(slices.Concat(lines[:stop], lines[again:stop], lines[stop+1:]), true) == nil {
				t.Fatalf("%d lines, then again from %d, then one lost: not found", stop, again)
			}
		}
	}
}

func TestValidatorEndsInTheMiddleOfAnEvent(t *testing.T) {
	s := newStream(8, 1)
	ev := s.events[0]
	ev.Mutations = append(ev.Mutations, Mutation{Op: OpDel, Key: []byte("k")})
	broken(t, "end", validate(s.lines()[:1], false), Atomic)
}

func TestFold(t *testing.T) {
	v := func(n int64) Version { return Version{n, 1} }
	set := func(key, value string, n int64) Mutation {
		return Mutation{Op: OpSet, Type: TypeString, Key: []byte(key), Value: []byte(value), Version: v(n), Floor: v(n), ExpiryVersion: v(n)}
	}
	var f Fold
	f.Event(&Event{Mutations: []Mutation{
		set("a", "1", 1), set("b", "2", 2), set("c", "3", 3), set("d", "4", 4), set("e", "5", 5),
		{Op: OpExpireAt, Type: TypeString, Key: []byte("a"), ExpireAt: 99, Version: v(6), ExpiryVersion: v(6)},
		{Op: OpValue, Type: TypeString, Key: []byte("a"), Value: []byte("11"), Version: v(7), Floor: v(1), ExpireAt: 99, ExpiryVersion: v(6)},
		{Op: OpExpireAt, Key: []byte("b"), ExpireAt: 50, ExpiryVersion: v(8)},
		{Op: OpPersist, Key: []byte("b"), ExpiryVersion: v(9)},
		{Op: OpExpireAt, Key: []byte("nobody"), ExpireAt: 50, ExpiryVersion: v(8)},
		{Op: OpRange, Key: []byte("c"), Value: []byte("e")},
		{Op: OpExpire, Key: []byte("e")},
	}})
	if got := fmt.Sprint(f.Keys()); got != "[a b]" || f.Len() != 2 {
		t.Fatalf("keys %s", got)
	}
	a, _ := f.Get([]byte("a"))
	if want := (Meta{Type: TypeString, Version: v(7), Floor: v(1), ExpireAt: 99, ExpiryVersion: v(6), Value: []byte("11")}); !reflect.DeepEqual(a, want) {
		t.Errorf("a: %+v, want %+v", a, want)
	}
	b, _ := f.Get([]byte("b"))
	if want := (Meta{Type: TypeString, Version: v(2), Floor: v(2), ExpiryVersion: v(9), Value: []byte("2")}); !reflect.DeepEqual(b, want) {
		t.Errorf("b: %+v, want %+v", b, want)
	}
	f.Apply(&Mutation{Op: OpRange, Key: []byte("b")})
	f.Apply(&Mutation{Op: OpDel, Key: []byte("a")})
	if f.Len() != 0 {
		t.Errorf("left: %v", f.Keys())
	}
}

// A line that came altered, and again as it should be, was altered all the same.
func TestLineAlteredBeforeAReplay(t *testing.T) {
	s := newStream(8, 1)
	s.events[0].Mutations = []Mutation{{Op: OpSet, Key: []byte("k"), Value: []byte("v")}, {Op: OpDel, Key: []byte("l")}}
	var scratch Scratch
	s.stamps[0].Chain = NextChain(Chain{}, &s.stamps[0], s.events[0], s.names, &scratch)
	lines := s.lines()
	altered := bytes.Replace(lines[0], []byte(`"value":"v"`), []byte(`"value":"w"`), 1)
	if err := validate([][]byte{lines[0], lines[0], lines[1]}, true); err != nil {
		t.Fatal(err)
	}
	broken(t, "altered, then as it was", validate([][]byte{altered, lines[0], lines[1]}, true), Atomic)
}
