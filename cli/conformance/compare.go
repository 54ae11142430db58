package conformance

import (
	"bytes"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/command/commandtest"
)

// pair runs command lines against both targets.
type pair struct {
	tb           testing.TB
	ours, oracle Target
	history      []string // the lines since the last reset
}

// reset empties both key spaces.
func (p *pair) reset() {
	p.history = p.history[:0]
	for _, target := range []Target{p.ours, p.oracle} {
		if r := target.Do([]byte("flushdb")); string(r) != "+OK\r\n" {
			p.tb.Fatalf("conformance: FLUSHDB: %q", r)
		}
	}
}

// line sends one line to both and compares.
func (p *pair) line(line string) {
	p.tb.Helper()
	p.do(commandtest.Words(line)...)
}

func (p *pair) do(args ...[]byte) {
	p.tb.Helper()
	shown := fmt.Sprintf("%.200q", args)
	p.history = append(p.history, shown)
	name := strings.ToLower(string(args[0]))
	switch name {
	case "randomkey":
		p.randomKey()
		return
	case "scan":
		if len(args) > 1 && string(args[1]) == "0" {
			p.scan(args)
			return
		}
	}
	if check, ok := find(name, func(f *family) map[string]func(*pair, [][]byte) { return f.check }); ok {
		check(p, args)
		return
	}
	got, want := p.ours.Do(args...), p.oracle.Do(args...)
	if !same(name, args, got, want) {
		p.tb.Errorf("%s: %.300q, and Redis says %.300q; after\n  %s", shown, got, want, strings.Join(tail(p.history, 12), "\n  "))
	}
}

func tail(list []string, n int) []string { return list[max(0, len(list)-n):] }

// clockSlack is how far apart, in the unit of each command, times may be that two servers, on a busy machine, judged one after the other.
var clockSlack = map[string]int64{"ttl": 5, "expiretime": 5, "pttl": 5000, "pexpiretime": 5000}

// same says whether two replies to a command are the same, which for those that tell a time is: nearly.
func same(name string, args [][]byte, got, want []byte) bool {
	if bytes.Equal(got, want) {
		return true
	}
	if compare, ok := find(name, func(f *family) map[string]comparison { return f.compare }); ok {
		return compare(args, got, want)
	}
	slack, timed := clockSlack[name]
	if !timed {
		return false
	}
	a, ok := integer(got)
	b, ok2 := integer(want)
	return ok && ok2 && a > 0 && b > 0 && max(a-b, b-a) <= slack
}

func integer(reply []byte) (int64, bool) {
	if len(reply) < 4 || reply[0] != ':' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(reply[1:len(reply)-2]), 10, 64)
	return n, err == nil
}

// readers read all of a key, by what TYPE says of it.
var readers = map[string]string{
	"string": "get %s", "hash": "hgetall %s", "list": "lrange %s 0 -1", "set": "smembers %s", "zset": "zrange %s 0 -1 withscores",
}

// contents compares all that both sides hold.
func (p *pair) contents() {
	p.tb.Helper()
	p.line("scan 0")
	for _, key := range scanAll(p.oracle, nil) {
		kind := p.oracle.Do([]byte("type"), []byte(key))
		reader, there := readers[strings.TrimSpace(string(kind[1:]))]
		if !there {
			continue // it expired since it was listed
		}
		for _, line := range []string{"type %s", "pttl %s", reader} {
			var args [][]byte
			for _, word := range strings.Fields(line) {
				if word == "%s" {
					word = key
				}
				args = append(args, []byte(word))
			}
			p.do(args...)
		}
	}
}

// randomKey checks that each answers a key that exists, or null if there is none.
func (p *pair) randomKey() {
	p.tb.Helper()
	all := scanAll(p.oracle, nil)
	got := p.ours.Do([]byte("randomkey"))
	items := flatten(got)
	if len(items) == 0 != (len(all) == 0) || len(items) == 1 && sort.SearchStrings(all, items[0]) == len(all) {
		p.tb.Errorf("randomkey: %q of %q; after\n  %s", got, all, strings.Join(tail(p.history, 12), "\n  "))
	}
}

// scan compares whole iterations: errors to the byte, else the keys found.
func (p *pair) scan(args [][]byte) {
	p.tb.Helper()
	got, want := p.ours.Do(args...), p.oracle.Do(args...)
	if got[0] == '-' || want[0] == '-' {
		if !bytes.Equal(got, want) {
			p.tb.Errorf("%q: %q, and Redis says %q", args, got, want)
		}
		return
	}
	a, b := scanAll(p.ours, args[2:]), scanAll(p.oracle, args[2:])
	if strings.Join(a, "\x00") != strings.Join(b, "\x00") {
		p.tb.Errorf("%q: found %q, and Redis %q; after\n  %s", args, a, b, strings.Join(tail(p.history, 12), "\n  "))
	}
}

// scanAll runs a SCAN to its end and gives the keys found, sorted, without repeats.
func scanAll(t Target, options [][]byte) []string {
	found := map[string]bool{}
	cursor := "0"
	for {
		items := flatten(t.Do(append([][]byte{[]byte("scan"), []byte(cursor)}, options...)...))
		for _, key := range items[1:] {
			found[key] = true
		}
		if cursor = items[0]; cursor == "0" {
			break
		}
	}
	keys := make([]string, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// flatten gives the bulk strings of a reply in order.
func flatten(reply []byte) (items []string) {
	for len(reply) > 0 {
		line, rest, _ := bytes.Cut(reply, []byte("\r\n"))
		reply = rest
		if line[0] != '$' {
			continue
		}
		if n, _ := strconv.Atoi(string(line[1:])); n >= 0 {
			items = append(items, string(rest[:n]))
			reply = rest[n+2:]
		}
	}
	return items
}
