package command_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zankv/zankv/cluster/command/commandtest"
)

func scanExecutor(t *testing.T) *commandtest.Executor {
	return commandtest.NewExecutor(func() int64 { return 1_000_000 }, func(problem string) { t.Error(problem) })
}

func scanLine(e *commandtest.Executor, words ...string) string {
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	return string(e.Do(args...))
}

// scanTexts takes the bulk strings out of a reply.
func scanTexts(reply string) (all []string) {
	for len(reply) > 0 {
		line, rest, _ := strings.Cut(reply, "\r\n")
		if line[0] == '$' {
			n, _ := strconv.Atoi(line[1:])
			all = append(all, rest[:n])
			rest = rest[n+2:]
		}
		reply = rest
	}
	return all
}

// TestScanElementsDuringChanges: what is in a collection during the whole of a scan comes exactly once, in both directions, whatever is added and
// removed between two pages.
func TestScanElementsDuringChanges(t *testing.T) {
	for _, name := range []string{"sscan", "srevscan"} {
		e := scanExecutor(t)
		var stay []string
		for i := range 60 {
			stay = append(stay, fmt.Sprintf("stay%02d", i))
		}
		scanLine(e, append([]string{"sadd", "s", ""}, stay...)...)
		cursor, seen := "", map[string]int{}
		if name == "sscan" {
			cursor = "0"
		}
		for page := 0; ; page++ {
			scanLine(e, "sadd", "s", fmt.Sprintf("stay%02dx", page), fmt.Sprintf("a%d", page), fmt.Sprintf("z%d", page))
			if page > 1 {
				scanLine(e, "srem", "s", fmt.Sprintf("stay%02dx", page-2), "a0", "z0")
			}
			all := scanTexts(scanLine(e, name, "s", cursor, "COUNT", "3"))
			for _, member := range all[1:] {
				seen[member]++
			}
			if cursor = all[0]; cursor == "" || cursor == "0" {
				break
			}
			if page > 1000 {
				t.Fatal("no end")
			}
		}
		for _, member := range append(stay, "") {
			if seen[member] != 1 {
				t.Errorf("%s: %q comes %d times", name, member, seen[member])
			}
		}
	}
}

// TestTableScanPages: a partition's part of the scans of tables, a page of any size at a time, over names that end a page in every way.
func TestTableScanPages(t *testing.T) {
	e := scanExecutor(t)
	names := []string{"", "\x00", "a", "a:b", "b", "\xff", "\xff\xff"}
	for _, name := range names {
		scanLine(e, "sadd", "set:"+name, "", "m1", "m2", "m3")
		scanLine(e, "set", "t:"+name, "v")
	}
	scanLine(e, "set", "set:string", "v")
	scanLine(e, "sadd", "s", "m")
	scanLine(e, "sadd", "set;", "m")
	scanLine(e, "sadd", "set:gone", "m")
	scanLine(e, "pexpireat", "set:gone", "1")
	pages := func(count, name, table string, options ...string) (found []string) {
		cursor := ""
		for range 1000 {
			all := scanTexts(scanLine(e, append(append([]string{name, table, cursor}, options...), "COUNT", count)...))
			found = append(found, all[1:]...)
			if cursor = all[0]; cursor == "" {
				return found
			}
		}
		t.Fatalf("%s %s COUNT %s: no end", name, table, count)
		return nil
	}
	backward := slices.Clone(names)
	slices.Reverse(backward)
	for _, count := range []string{"1", "2", "3", "100"} {
		for kind, table := range map[string]string{"SET": "set", "KV": "t"} {
			if got := pages(count, "advscan", table, kind); !slices.Equal(got, names) {
				t.Errorf("advscan %s, COUNT %s: %q", kind, count, got)
			}
			if got := pages(count, "advrevscan", table, kind); !slices.Equal(got, backward) {
				t.Errorf("advrevscan %s, COUNT %s: %q", kind, count, got)
			}
		}
		members := map[string]int{}
		for _, text := range pages(count, "fullscan", "set", "set") {
			members[text]++
		}
		if members["m1"] != len(names) || members["m2"] != len(names) || members["m3"] != len(names) || members["string"]+members["gone"] > 0 {
			t.Errorf("fullscan, COUNT %s: %v", count, members)
		}
	}
}
