package command_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/zankv/zankv/cdc/event"
	"github.com/zankv/zankv/cluster/command"
	"github.com/zankv/zankv/cluster/command/commandtest"
)

func TestParseXRead(t *testing.T) {
	at := func(term, index uint64) command.FeedFrom {
		return command.FeedFrom{Position: event.Position{Term: term, Index: index}}
	}
	for line, want := range map[string]string{
		"xread streams a 0":                                       fmt.Sprint([]command.FeedFrom{{Oldest: true}}, 0, -1),
		"xread streams a b 0-0 $":                                 fmt.Sprint([]command.FeedFrom{{Oldest: true}, {Newest: true}}, 0, -1),
		"XREAD COUNT 5 BLOCK 0 STREAMS a 2-1041":                  fmt.Sprint([]command.FeedFrom{at(2, 1041)}, 5, 0),
		"xread block 7 count -3 streams a 1-18446744073709551615": fmt.Sprint([]command.FeedFrom{at(1, math.MaxUint64)}, 0, 7),
		"xread streams streams 1-1":                               fmt.Sprint([]command.FeedFrom{at(1, 1)}, 0, -1),
	} {
		q, problem := command.ParseXRead(commandtest.Words(line))
		if got := fmt.Sprint(q.From, q.Count, q.Block); problem != "" || got != want || len(q.Keys) != len(q.From) {
			t.Errorf("%s: %s %q, want %s", line, got, problem, want)
		}
	}
	for line, want := range map[string]string{
		"xread streams a":                        "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
		"xread streams a b 0":                    "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
		"xread count x streams a 0":              "ERR value is not an integer or out of range",
		"xread block x streams a 0":              "ERR timeout is not an integer or out of range",
		"xread block -1 streams a 0":             "ERR timeout is negative",
		"xread count 1 block 5":                  "ERR syntax error",
		"xread count 1 streams":                  "ERR syntax error",
		"xread foo x streams a 0":                "ERR syntax error",
		"xread group g c streams a >":            "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
		"xread streams a >":                      "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
		"xread streams a x":                      "ERR Invalid stream ID specified as stream command argument",
		"xread streams a 1-x":                    "ERR Invalid stream ID specified as stream command argument",
		"xread streams a 1-2-3":                  "ERR Invalid stream ID specified as stream command argument",
		"xread streams a -":                      "ERR Invalid stream ID specified as stream command argument",
		"xread streams a 5":                      "ERR Invalid stream ID specified as stream command argument", // no position is at index 0
		"xread streams a 1-18446744073709551616": "ERR Invalid stream ID specified as stream command argument",
	} {
		if _, problem := command.ParseXRead(commandtest.Words(line)); problem != want {
			t.Errorf("%s: %q, want %q", line, problem, want)
		}
	}
}

func TestParseXRange(t *testing.T) {
	for line, want := range map[string]string{
		"xrange a - +":                      "{true false 0-0 false} 18446744073709551615-18446744073709551615 0",
		"xrange a 2-5 2-9 count 3":          "{false false 2-5 true} 2-9 3",
		"xrange a (2-5 (2-9":                "{false false 2-5 false} 2-8 0",
		"xrange a 0 7":                      "{true false 0-0 true} 7-18446744073709551615 0",
		"xrange a 2-5 (3-0 count 1 COUNT 2": "{false false 2-5 true} 2-18446744073709551615 2",
	} {
		q, problem := command.ParseXRange(commandtest.Words(line))
		if got := fmt.Sprint(q.From, " ", q.To, " ", q.Count); problem != "" || got != want {
			t.Errorf("%s: %s %q, want %s", line, got, problem, want)
		}
	}
	for line, want := range map[string]string{
		"xrange a x y":         "ERR Invalid stream ID specified as stream command argument",
		"xrange a - y":         "ERR Invalid stream ID specified as stream command argument",
		"xrange a (- +":        "ERR Invalid stream ID specified as stream command argument",
		"xrange a - (0-0":      "ERR invalid end ID for the interval",
		"xrange a - + count":   "ERR syntax error",
		"xrange a - + foo 1":   "ERR syntax error",
		"xrange a - + count x": "ERR value is not an integer or out of range",
		"xrange a (18446744073709551615-18446744073709551615 +": "ERR invalid start ID for the interval",
	} {
		if _, problem := command.ParseXRange(commandtest.Words(line)); problem != want {
			t.Errorf("%s: %q, want %q", line, problem, want)
		}
	}
}

func FuzzXRead(f *testing.F) {
	for _, line := range []string{"xread count 1 block 0 streams a b 0 1-2", "xread streams a", "xread streams a $", "xread block 1"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := commandtest.Words(line)
		if len(args) < 4 {
			return
		}
		q, problem := command.ParseXRead(args)
		if problem == "" && (len(q.Keys) == 0 || len(q.Keys) != len(q.From) || q.Count < 0) {
			t.Fatalf("%q: %+v", line, q)
		}
		if keys := command.Lookup([]byte("xread")).KeyPositions(nil, args); len(keys) > len(args)/2 {
			t.Fatalf("%q: keys %v", line, keys)
		}
		if q, problem := command.ParseXRange(args); problem == "" && q.Count < 0 {
			t.Fatalf("%q: %+v", line, q)
		}
	})
}

func TestParseWait(t *testing.T) {
	for line, want := range map[string]string{
		"wait 1 0": "", "wait -1 5": "", "wait x 1": "ERR value is not an integer or out of range", "wait 1 x": "ERR timeout is not an integer or out of range",
		"wait 1 -1": "ERR timeout is negative", "waitaof 1 0 0": "", "waitaof 2 0 0": "ERR value is out of range, value must between 0 and 1",
		"waitaof 1 -1 0": "ERR value is out of range, must be positive", "waitaof x 1 0": "ERR value is not an integer or out of range",
		"waitaof 1 1 -5": "ERR timeout is negative",
	} {
		if problem := command.ParseWait(commandtest.Words(line)); problem != want {
			t.Errorf("%s: %q, want %q", line, problem, want)
		}
	}
}
