package command_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
)

// evenly fails when counts, which should be equal but for chance, are far from it. limits are chi-square's at p = 0.0001; seeds are fixed, so
// that a test passes always or never.
func evenly(t *testing.T, what string, counts map[string]int, outcomes int) {
	t.Helper()
	if len(counts) != outcomes {
		t.Errorf("%s: %d outcomes, want %d", what, len(counts), outcomes)
		return
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	want, chi := float64(total)/float64(outcomes), 0.0
	for _, n := range counts {
		chi += (float64(n) - want) * (float64(n) - want) / want
	}
	limit := map[int]float64{3: 21.1, 4: 23.5, 7: 29.9, 9: 33.7, 14: 42.6, 15: 44.3}[outcomes-1]
	if limit == 0 {
		t.Fatalf("%s: no limit for %d outcomes", what, outcomes)
	}
	if chi > limit {
		t.Errorf("%s: chi-square is %.1f, want at most %.1f: %v", what, chi, limit, counts)
	}
}

// TestChoiceIsEven: each outcome of a random choice is as likely as any other: members, subsets, sequences with repeats.
func TestChoiceIsEven(t *testing.T) {
	for _, c := range []struct {
		setup, line string
		outcomes    int
	}{
		{"sadd k a b c d e f g h", "srandmember k", 8},
		{"hset k a 1 b 2 c 3 d 4 e 5", "hrandfield k", 5},
		{"sadd k a b c d e f g h", "srandmember k 1", 8},
		{"sadd k a b c d e f", "srandmember k 2", 15},                // subsets
		{"sadd k a b c d e f", "srandmember k 4", 15},                // subsets
		{"hset k a 1 b 2 c 3 d 4 e 5 f 6", "hrandfield k 2", 15},     // subsets
		{"sadd k a b c d", "srandmember k -2", 16},                   // pairs: held as a whole
		{"sadd k a b c d", "srandmember k -1", 4},                    // drawn
		{"hset k a 1 b 2 c 3 d 4", "hrandfield k -2 withvalues", 16}, // pairs
		{"sadd k a b c d e f g h", "spop k", 8},
		{"sadd k a b c d e f", "spop k 2", 15},
		{"sadd k a b c d e f", "spop k 4", 15},
	} {
		e := newExecutor(t)
		counts := map[string]int{}
		for range 8000 {
			e.Do(words(c.setup)...)
			counts[string(e.Do(words(c.line)...))]++
		}
		evenly(t, c.line, counts, c.outcomes)
	}
}

// ladder is a set of n members that exist by their names alone: it can be large, and it counts what is asked of it.
type ladder struct {
	command.View
	n                       int
	opened, visited, passed int
	failAfter               int // visits until reading fails; 0: never
	tx                      command.Tx
	lent                    []byte
}

func (l *ladder) Meta([]byte) (event.Meta, bool, error) {
	return event.Meta{Type: event.TypeSet, Count: uint64(l.n), Generation: 1}, true, nil
}

func (l *ladder) Elements(_ []byte, _ *event.Meta, in command.Range, visit func([]byte, *command.Element) bool) error {
	l.opened++
	l.passed += int(in.Skip)
	at, step := 0, 1
	if in.From != nil {
		var after int
		if _, err := fmt.Sscanf(string(in.From[:7]), "%d", &after); err != nil {
			return err
		}
		at = after
		if len(in.From) > 7 {
			at++
		}
	}
	if in.Reverse {
		at, step = l.n-1, -1
	}
	for at += step * int(in.Skip); at >= 0 && at < l.n; at += step {
		if l.visited++; l.visited == l.failAfter {
			return errors.New("disk gone")
		}
		l.lent = fmt.Appendf(l.lent[:0], "%07d", at)
		if !visit(l.lent, &command.Element{}) {
			break
		}
	}
	return nil
}

// run evaluates one line against the ladder, and gives the members replied.
func (l *ladder) run(t *testing.T, line string, random uint64) []string {
	t.Helper()
	var out []byte
	largest := 0
	c := command.Context{Args: words(line), Now: 1, View: l, Tx: l.tx, Random: random, Reply: &command.Reply{Spill: func(part []byte) error {
		out, largest = append(out, part...), max(largest, len(part))
		return nil
	}}}
	c.Spec = command.Lookup(c.Args[0])
	if err := c.Spec.Run(&c); err != nil {
		t.Fatal(err)
	}
	if largest > 80<<10 {
		t.Errorf("%s: a part of %d bytes", line, largest)
	}
	lines := strings.Split(strings.TrimSuffix(string(append(out, c.Reply.Buf...)), "\r\n"), "\r\n")
	if lines[0][0] == '*' {
		if lines[0] != fmt.Sprintf("*%d", (len(lines)-1)/2) {
			t.Fatalf("%s: %s, and %d members follow", line, lines[0], (len(lines)-1)/2)
		}
		lines = lines[1:]
	}
	var members []string
	for i := 1; i < len(lines); i += 2 {
		members = append(members, lines[i])
	}
	return members
}

// TestChoosingSkips: what isn't chosen of a large set isn't visited, and one member is looked for from the nearer end.
func TestChoosingSkips(t *testing.T) {
	const n = 1_000_000
	for random := range uint64(40) {
		l := &ladder{n: n}
		if got := l.run(t, "srandmember k", random); len(got) != 1 || l.visited != 1 || l.passed > n/2 {
			t.Errorf("one member: %q, visited %d, skipped %d", got, l.visited, l.passed)
		}
		l = &ladder{n: n}
		got := l.run(t, "srandmember k 20", random)
		if len(got) != 20 || len(slices.Compact(got)) != 20 || l.visited > 20*33 || l.opened > 20 {
			t.Errorf("20 members: %d, visited %d, opened %d", len(got), l.visited, l.opened)
		}
		l = &ladder{n: n}
		if got := l.run(t, "srandmember k -30", random); len(got) != 30 || l.visited > 30*33 || l.opened > 30 || slices.IsSorted(got) {
			t.Errorf("30 members with repeats: %q, visited %d, opened %d", got, l.visited, l.opened)
		}
	}
}

// TestLargeCounts: many members of a large set come in one pass, with repeats in one pass for so many at a time, and in parts.
func TestLargeCounts(t *testing.T) {
	l := &ladder{n: 300_000}
	got := l.run(t, "srandmember k 200000", 1)
	if len(got) != 200_000 || !slices.IsSorted(got) || len(slices.Compact(got)) != 200_000 || l.visited > l.n {
		t.Errorf("%d members, visited %d", len(got), l.visited)
	}
	l = &ladder{n: 300_000}
	got = l.run(t, "srandmember k -150000", 1)
	if len(got) != 150_000 || l.visited > 3*l.n || l.opened > 5000 {
		t.Errorf("%d members with repeats, visited %d, opened %d", len(got), l.visited, l.opened)
	}
	tenths := map[string]int{}
	for _, m := range got {
		tenths[fmt.Sprint(10*rungOf(m)/l.n)]++
	}
	evenly(t, "tenths of a large set", tenths, 10)
}

func rungOf(s string) (n int) {
	for _, d := range s {
		n = 10*n + int(d-'0')
	}
	return n
}

// TestFarPlacesAreEven: choosing by skipping favours no place.
func TestFarPlacesAreEven(t *testing.T) {
	for _, line := range []string{"srandmember k", "srandmember k 3", "srandmember k -3"} {
		tenths := map[string]int{}
		for random := range uint64(4000) {
			for _, m := range (&ladder{n: 1000}).run(t, line, random*0x9E3779B97F4A7C15) {
				tenths[m[4:5]]++
			}
		}
		evenly(t, line, tenths, 10)
	}
}

// TestFarthestPlaces: the place behind a gap that is skipped is the right one.
func TestFarthestPlaces(t *testing.T) {
	ends := 0
	for random := range uint64(10_000) {
		got := (&ladder{n: 34}).run(t, "srandmember k 2", random*0x9E3779B97F4A7C15)
		if got[0] == "0000000" && got[1] == "0000033" {
			ends++
		}
	}
	if ends < 5 { // 18 are to be expected
		t.Errorf("both ends were chosen %d times", ends)
	}
}

// taken is a Tx that keeps the elements of the last mutation.
type taken struct{ elements []string }

func (x *taken) Emit(m *event.Mutation) {
	x.elements = nil
	for i := range m.Elements {
		x.elements = append(x.elements, string(m.Elements[i].Sub))
	}
}

// TestSPopHolds: what is emitted is what was replied, although the view lends its memory for a moment only.
func TestSPopHolds(t *testing.T) {
	for _, line := range []string{"spop k 3", "spop k 500", "spop k 1"} {
		x := &taken{}
		got := (&ladder{n: 1000, tx: x}).run(t, line, 5)
		if !slices.Equal(got, x.elements) {
			t.Errorf("%s: replied %.100q, emitted %.100q", line, got, x.elements)
		}
	}
}

// TestLargeValues: fields whose values don't fit into memory together are drawn nevertheless.
func TestLargeValues(t *testing.T) {
	e := newExecutor(t)
	big := strings.Repeat("v", 3<<20)
	for _, f := range []string{"a", "b", "c", "d"} {
		e.Do([]byte("hset"), []byte("h"), []byte(f), []byte(f+big))
	}
	view := &tally{View: e.Store}
	c := command.Context{Args: words("hrandfield h -25 withvalues"), Now: 1000, View: view, Random: 3, Reply: &command.Reply{}}
	c.Spec = command.Lookup(c.Args[0])
	if err := c.Spec.Run(&c); err != nil {
		t.Fatal(err)
	}
	got := c.Reply.Buf
	if view.pages < 25 {
		t.Errorf("%d passes: more than one value was held", view.pages)
	}
	fields := map[string]int{}
	for _, f := range []string{"a", "b", "c", "d"} {
		fields[f] = bytes.Count(got, fmt.Appendf(nil, "$1\r\n%s\r\n$%d\r\n%[1]sv", f, len(big)+1))
	}
	if n := fields["a"] + fields["b"] + fields["c"] + fields["d"]; n != 25 || !bytes.HasPrefix(got, []byte("*50\r\n")) || len(fields) != 4 {
		t.Errorf("drawn %v of %.10q", fields, got)
	}
}

// TestChoosingFails: a read that fails, a client that is gone, and a state with fewer elements than it says end a choice.
func TestChoosingFails(t *testing.T) {
	gone := errors.New("client gone")
	for _, line := range []string{"srandmember k", "srandmember k 50000", "srandmember k 100000", "srandmember k -50000", "srandmember k -9223372036854775807", "smembers k"} {
		run := func(l *ladder, spill func([]byte) error) error {
			c := command.Context{Args: words(line), Now: 1, View: l, Random: 1, Reply: &command.Reply{Spill: spill}}
			c.Spec = command.Lookup(c.Args[0])
			return c.Spec.Run(&c)
		}
		if err := run(&ladder{n: 100_000, failAfter: 1}, nil); err == nil {
			t.Errorf("%s: answered although reading fails", line)
		}
		if line == "srandmember k" {
			continue
		}
		if err := run(&ladder{n: 100_000}, func([]byte) error { return gone }); !errors.Is(err, gone) {
			t.Errorf("%s: %v, want that the client is gone", line, err)
		}
	}
	short := &short{ladder{n: 100}}
	for _, line := range []string{"srandmember k 60", "srandmember k -60"} {
		c := command.Context{Args: words(line), Now: 1, View: short, Random: 1, Reply: &command.Reply{}}
		c.Spec = command.Lookup(c.Args[0])
		if err := c.Spec.Run(&c); err == nil {
			t.Errorf("%s: answered %q", line, c.Reply.Buf)
		}
	}
}

// short is a ladder that says it is longer than it is.
type short struct{ ladder }

func (s *short) Meta(key []byte) (event.Meta, bool, error) {
	m, ok, err := s.ladder.Meta(key)
	m.Count = 1000
	return m, ok, err
}
