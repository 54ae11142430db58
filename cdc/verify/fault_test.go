package verify

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/zankv/zankv/cdc/archive/streamtest"
	"github.com/zankv/zankv/cdc/event"
)

// fromTheBeginning is what is known of a stream that begins with the log.
func fromTheBeginning(until event.Position) Options {
	return Options{Default: Expect{After: &Place{ChainKnown: true}, Until: until}}
}

func check(t *testing.T, lines [][]byte, o Options) *Report {
	t.Helper()
	r, err := Lines(context.Background(), bytes.NewReader(bytes.Join(lines, nil)), "test", o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// firstProblem is the one that stands earliest in the stream.
func firstProblem(r *Report) *Problem {
	var first *Problem
	for i := range r.Partitions {
		if p := r.Partitions[i].Problem; p != nil && (first == nil || p.Line < first.Line) {
			first = p
		}
	}
	if len(r.Stray) > 0 && (first == nil || r.Stray[0].Line < first.Line) {
		first = &r.Stray[0]
	}
	return first
}

// faults are what may happen to line i of a stream.
func faults(lines [][]byte, i int, rng *rand.Rand) map[string][][]byte {
	with := func(replaced ...[]byte) [][]byte {
		return append(append(append([][]byte(nil), lines[:i]...), replaced...), lines[i+1:]...)
	}
	line := lines[i]
	out := map[string][][]byte{"removed": with(), "repeated": with(line, line)}
	if i+1 < len(lines) {
		out["swapped"] = append(append(append([][]byte(nil), lines[:i]...), lines[i+1], line), lines[i+2:]...)
	}
	flip := func(at int, to byte) [][]byte {
		other := bytes.Clone(line)
		other[at] = to
		return with(other)
	}
	for class, pick := range map[string]func(c byte) byte{
		"digit":  func(c byte) byte { return pickIf(c >= '0' && c <= '9', '0'+(c-'0'+1)%10) },
		"letter": func(c byte) byte { return pickIf(c >= 'a' && c <= 'z', 'a'+(c-'a'+1)%26) },
		"sign":   func(c byte) byte { return pickIf(strings.IndexByte(`{}[]",:`, c) >= 0, c+1) },
		"bit":    func(c byte) byte { return pickIf(c != '\n', c^1<<(rng.IntN(5))) },
	} {
		var places []int
		for at, c := range line {
			if pick(c) != 0 {
				places = append(places, at)
			}
		}
		at := places[rng.IntN(len(places))]
		out[fmt.Sprintf("%s at byte %d", class, at)] = flip(at, pick(line[at]))
	}
	if at := bytes.Index(line, []byte(`"chain":"`)); at >= 0 {
		at += len(`"chain":"`) + rng.IntN(64)
		out["chain"] = flip(at, "123456789abcdef0"[strings.IndexByte("0123456789abcdef", line[at])])
	}
	out["a field"] = with(withoutField(line, rng))
	return out
}

func pickIf(ok bool, c byte) byte {
	if !ok {
		return 0
	}
	return c
}

// withoutField takes a field away that has no comma in it.
func withoutField(line []byte, rng *rand.Rand) []byte {
	fields := bytes.Split(line, []byte(`,"`))
	i := 1 + rng.IntN(len(fields)-2)
	return bytes.Join(append(append([][]byte(nil), fields[:i]...), fields[i+1:]...), []byte(`,"`))
}

// unitOf gives the unit of each line, and the last line of each unit.
func unitsOf(units []streamtest.Unit) (unit []int, last []int) {
	for i := range units {
		for range units[i].Messages {
			unit = append(unit, i)
		}
		last = append(last, len(unit)-1)
	}
	return unit, last
}

// TestEverySingleFaultIsFound has one line of a stream removed, repeated, swapped or altered, everywhere, and wants it found there or in what comes next.
func TestEverySingleFaultIsFound(t *testing.T) {
	for seed := range uint64(2) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := streamtest.New(seed).Fill(90, true)
		s.Event()
		end := s.Heartbeat().Reached.Position
		lines := s.Lines()
		if r := check(t, lines, fromTheBeginning(end)); !r.OK() {
			t.Fatalf("seed %d: the stream itself: %v", seed, firstProblem(r))
		}
		unit, last := unitsOf(s.Units)
		for i := range lines {
			for name, altered := range faults(lines, i, rng) {
				if name == "removed" && s.Units[unit[i]].Messages[0].Kind == "heartbeat" && (i < len(lines)-1 || end == s.Last().Position) {
					continue // nothing of the content is lost
				}
				if bytes.Equal(bytes.Join(altered, nil), bytes.Join(lines, nil)) {
					t.Fatalf("%s changes nothing: %s", name, lines[i])
				}
				r := check(t, altered, fromTheBeginning(end))
				if r.OK() {
					t.Fatalf("seed %d, line %d of %d: %s isn't found:\n%s", seed, i+1, len(lines), name, lines[i])
				}
				if p := firstProblem(r); p.Line != 0 && (p.Line < int64(i+1) || p.Line > int64(within(last, unit[i], s.Units)+2)) {
					t.Fatalf("seed %d, line %d: %s is found in line %d only: %s\n%s", seed, i+1, name, p.Line, p, lines[i])
				}
			}
		}
	}
}

// within is the last line of what comes after a unit: heartbeats in between may be missing without anybody's noticing.
func within(last []int, unit int, units []streamtest.Unit) int {
	for next := unit + 1; next < len(last); next++ {
		if units[next].Event != nil || len(units[next].Messages) > 1 || next == len(last)-1 {
			return last[next]
		}
	}
	return last[len(last)-1]
}

// TestEveryAlteredByteIsFound alters each byte of a short stream.
func TestEveryAlteredByteIsFound(t *testing.T) {
	s := streamtest.New(5).Fill(12, true)
	end := s.Heartbeat().Reached.Position
	whole := bytes.Join(s.Lines(), nil)
	for i := range whole {
		altered := bytes.Clone(whole)
		altered[i] ^= 1
		r := check(t, [][]byte{altered}, fromTheBeginning(end))
		if r.OK() {
			t.Fatalf("byte %d isn't missed: %.100q", i, whole[max(0, i-50):])
		}
	}
}

// TestTruncationIsFound cuts a stream at every byte.
func TestTruncationIsFound(t *testing.T) {
	s := streamtest.New(6).Fill(8, true)
	s.Event()
	end := s.Last().Position
	whole := bytes.Join(s.Lines(), nil)
	for cut := range len(whole) - 1 {
		r := check(t, [][]byte{whole[:cut]}, fromTheBeginning(end))
		if r.OK() || r.Verdict != Incomplete {
			t.Fatalf("cut at byte %d of %d: %s", cut, len(whole), r.Verdict)
		}
		if torn := cut > 0 && whole[cut-1] != '\n' && whole[cut] != '\n'; torn {
			p := firstProblem(check(t, [][]byte{whole[:cut]}, fromTheBeginning(event.Position{})))
			if p == nil || !strings.Contains(p.What, "middle of a line") {
				t.Fatalf("cut at byte %d: %v", cut, p)
			}
		}
	}
	if r := check(t, [][]byte{whole[:len(whole)-1]}, fromTheBeginning(end)); !r.OK() {
		t.Fatalf("without the last line feed: %s", firstProblem(r))
	}
}

// TestReplays repeats suffixes, as a reader that reconnects gets them: whole ones are right, others aren't.
func TestReplays(t *testing.T) {
	s := streamtest.New(7).Fill(60, false)
	end := s.Heartbeat().Reached.Position
	o := fromTheBeginning(end)
	o.AllowReplays = true
	rng := rand.New(rand.NewPCG(7, 7))
	for range 400 {
		to := 2 + rng.IntN(len(s.Units)-2)
		from := rng.IntN(to - 1)
		head, again, rest := streamtest.LinesOf(s.Units[:to]), streamtest.LinesOf(s.Units[from:to]), streamtest.LinesOf(s.Units[to:])
		join := func(parts ...[][]byte) (all [][]byte) {
			for _, p := range parts {
				all = append(all, p...)
			}
			return all
		}
		r := check(t, join(head, again, rest), o)
		if !r.OK() || r.Partitions[0].Replays == 0 && hasEvents(s.Units[from:to]) {
			t.Fatalf("a whole replay of units %d to %d is refused: %v", from, to, firstProblem(r))
		}
		if r := check(t, join(head, again, rest), fromTheBeginning(end)); r.OK() {
			t.Fatalf("a replay of units %d to %d isn't found", from, to)
		}
		hole := from + 1 + rng.IntN(to-from)
		if hole < to-1 && s.Units[hole].Event != nil && hasEvents(s.Units[from:hole]) && hasEvents(s.Units[hole+1:to]) {
			partial := join(head, streamtest.LinesOf(s.Units[from:hole]), streamtest.LinesOf(s.Units[hole+1:to]), rest)
			if r := check(t, partial, o); r.OK() {
				t.Fatalf("a replay of units %d to %d without %d isn't found", from, to, hole)
			}
		}
		i := rng.IntN(len(again))
		altered := bytes.Clone(again[i])
		altered[rng.IntN(len(altered)-1)] ^= 1
		others := append([][]byte(nil), again...)
		others[i] = altered
		if r := check(t, join(head, others, rest), o); r.OK() {
			t.Fatalf("a replay of units %d to %d with line %d altered isn't found:\n%s%s", from, to, i, again[i], altered)
		}
	}
}

func hasEvents(units []streamtest.Unit) bool {
	for i := range units {
		if units[i].Event != nil {
			return true
		}
	}
	return false
}
